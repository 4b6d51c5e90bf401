"""The README tells the truth: its figures are those of the shipped bundle, its commands exist."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from onboard import bundle
from onboard.cli import run
from tests.samples import BUNDLE, ROOT

README = (ROOT / "README.md").read_text("utf-8")
FIGURES = sorted((ROOT / "docs" / "figures").glob("*-test.json"))


@pytest.mark.parametrize("path", FIGURES, ids=lambda path: path.stem)
def test_the_figures_are_of_the_shipped_bundle(path: Path) -> None:
    report = json.loads(path.read_text("utf-8"))
    assert report["model_id"] == bundle.load(BUNDLE, []).model_id.hex()
    assert report["split"] == "test"


def test_the_readme_shows_the_figures() -> None:
    script = ROOT / "scripts" / "readme_figures.py"
    found = subprocess.run([sys.executable, str(script), "--check"], check=False)
    assert found.returncode == 0, "run 'make figures'"


def alike(value: Any) -> Any:
    """What figures of another run may be; None stands for one that is not defined."""
    if isinstance(value, list):
        return [alike(one) for one in value]
    return value if value is None else pytest.approx(value, rel=1e-3)


def test_the_figures_can_be_made_again(data_folder: Path, tmp_path: Path) -> None:
    report = json.loads((ROOT / "docs" / "figures" / "clouds-test.json").read_text("utf-8"))
    out = tmp_path / "again.json"
    arguments = ["evaluate", str(BUNDLE), str(data_folder / "clouds"), "--json", str(out)]
    assert run(arguments) == 0
    again = json.loads(out.read_text("utf-8"))["results"]["clouds"]
    for name, value in report["results"]["clouds"].items():
        assert again[name] == alike(value), name


def test_every_path_of_the_readme_exists() -> None:
    for path in re.findall(r"`((?:data_samples|docs|onboard|training|ground)/[^` ]*)`", README):
        assert (ROOT / path).exists(), path
    for path in re.findall(r"\]\((docs/[^)]*)\)", README):
        assert (ROOT / path).exists(), path


def test_every_make_target_of_the_docs_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for text in (README, (ROOT / "CONTRIBUTING.md").read_text("utf-8")):
        for target in re.findall(r"(?:`|^)make (\w+)", text, re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
