"""The document on frames says what the code does."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from pathlib import Path

import numpy as np

from onboard import corners, dead, frames, profile, registration
from onboard.conditions import Condition, LightLimits, condition_names
from onboard.sidecar import read_sidecar
from tests.raw_frames import write_dead
from tests.samples import ROOT

TEXT = (ROOT / "docs" / "frames.md").read_text("utf-8")


def block(kind: str) -> str:
    found = re.search(rf"```{kind}\n(.*?)```", TEXT, re.DOTALL)
    assert found
    return found.group(1)


def test_the_sidecar_of_the_document_is_one(tmp_path: Path) -> None:
    path = tmp_path / "scene.json"
    path.write_text(block("json"), "utf-8")
    found = read_sidecar(path)
    assert (found.width, found.height) == (4000, 3000)
    # A pixel of about 30 m, and a frame that is nearly a parallelogram.
    assert 29 < np.hypot(found.georef.transform[0], found.georef.transform[3]) < 31
    assert found.residual_px < 20
    for field in json.loads(block("json")):
        assert f"`{field}`" in TEXT


def test_the_profile_of_the_document_is_one(tmp_path: Path) -> None:
    names = ("blue", "green", "red", "nir")
    write_dead(tmp_path / "camera_dead.tif", np.zeros((4, 3, 3)), names)
    digest = hashlib.sha256((tmp_path / "camera_dead.tif").read_bytes()).hexdigest()
    path = tmp_path / "camera.toml"
    path.write_text(block("toml").replace("0" * 64, digest), "utf-8")
    found = profile.load(path)
    assert tuple(found.bands) == names
    # What it gives as defaults are the defaults.
    assert found.limits == LightLimits()
    assert (found.reference, found.correct_px) == ("red", profile.MAX_CORRECTION_PX)


def test_flags_and_limits() -> None:
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \|", TEXT, re.MULTILINE)
    assert [(int(bit), name) for bit, name in rows] == [
        (int(flag), condition_names(flag)[0]) for flag in Condition
    ]
    for name, value in dataclasses.asdict(LightLimits()).items():
        assert f"`{name}` = {value:g}°" in TEXT


def test_numbers() -> None:
    assert f"up to {registration.GRID**2} patches of {registration.PATCH} pixels" in TEXT
    share = f"{registration.MIN_AGREEMENT * 100:.0f} %"
    assert f"at least {registration.MIN_PATCHES} and {share} of them" in TEXT
    assert f"within {registration.AGREE_PX:g} pixel of it" in TEXT
    assert f"below {registration.MIN_PEAK:g} of that of identical bands" in TEXT
    assert f"below {registration.WORTH_PX:g} pixel, or below three" in TEXT
    assert f"beyond, up to {registration.MARGIN} pixels" in TEXT
    assert f"lie more than {frames.FLAG_PX:g} pixel off" in TEXT
    assert f"at most {dead.REACH} pixels to either side" in TEXT
    assert f"more than {frames.MAX_BEYOND_SCALE * 100:.0f} % of the middle rows" in TEXT
    assert f"closer than {corners.MIN_ANGLE_DEG:g}°" in TEXT
    assert f"parallelogram than {corners.MAX_RESIDUAL * 100:.0f} % of the shorter side" in TEXT
