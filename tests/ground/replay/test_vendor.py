"""The page's libraries are the published ones, to the byte, with their licences."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKED = ROOT / "ground" / "templates" / "vendor"
MANIFEST = json.loads((PACKED / "manifest.json").read_text("utf-8"))
SITE = ROOT / "docs" / "assets" / "vendor"
OF_SITE = json.loads((SITE / "manifest.json").read_text("utf-8"))
PINS = ROOT / "scripts" / "vendor"


@pytest.mark.parametrize(("folder", "manifest"), [(PACKED, MANIFEST), (SITE, OF_SITE)])
def test_every_file_is_the_one_of_the_manifest(folder: Path, manifest: list[Any]) -> None:
    listed = {"manifest.json"}
    for package in manifest:
        for name, file in package["files"].items():
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == file["sha256"], name
            listed.add(name)
    assert {path.name for path in folder.iterdir()} == listed


def test_versions_are_those_of_the_lock() -> None:
    pins = json.loads((PINS / "package.json").read_text("utf-8"))["dependencies"]
    locked = json.loads((PINS / "package-lock.json").read_text("utf-8"))["packages"]
    assert {package["name"]: package["version"] for package in MANIFEST + OF_SITE} == pins
    for name, version in pins.items():
        entry = locked[f"node_modules/{name}"]
        assert entry["version"] == version
        assert entry["integrity"].startswith("sha512-")
    assert not any("resolved" in entry for entry in locked.values())


def test_every_package_has_its_licence() -> None:
    for folder, package in [(PACKED, one) for one in MANIFEST] + [(SITE, one) for one in OF_SITE]:
        assert package["licence"] in {"ISC", "MIT", "BSD-2-Clause"}
        text = (folder / f"LICENSE.{package['name']}").read_text("utf-8")
        assert "copyright" in text.lower()


def test_the_libraries_are_light_enough_for_a_telephone() -> None:
    sent = [name for package in MANIFEST for name in package["files"] if "LICENSE" not in name]
    assert sum((PACKED / name).stat().st_size for name in sent) < 900_000
