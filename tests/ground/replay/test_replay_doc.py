"""docs/replay.md says what is so."""

from __future__ import annotations

import re
from pathlib import Path

from ground.replay.plots import write_plots
from ground.replay.strategies import TITLES
from tests.replays import example

ROOT = Path(__file__).resolve().parents[3]
DOC = ROOT / "docs" / "replay.md"
TEXT = DOC.read_text("utf-8")


def test_its_pictures_and_links_are_there() -> None:
    for name in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (DOC.parent / name).is_file(), name
    for name in re.findall(r"`((?:ground|tests|scripts|data_samples)/[\w./]+)`", TEXT):
        assert (ROOT / name.rstrip("/")).exists(), name


def test_every_picture_is_made_by_the_script() -> None:
    script = (ROOT / "scripts" / "pictures.py").read_text("utf-8")
    for name in re.findall(r"images/([\w-]+)\.jpg", TEXT):
        assert f'"{name}"' in script


def test_it_names_every_way() -> None:
    rows = re.findall(
        r"^\| ([a-z][^|]+) \| [^|]+ \| (?:bytes accounted|the real code) \|$", TEXT, re.M
    )
    assert rows == list(TITLES.values())


def test_it_names_the_plots(tmp_path: Path) -> None:
    for path in write_plots(example(), tmp_path):
        assert f"`{path.name}`" in TEXT


def test_its_scenarios_are_shipped() -> None:
    for name in set(re.findall(r"data_samples/scenarios/[\w-]+\.toml", TEXT)):
        assert (ROOT / name).is_file()
