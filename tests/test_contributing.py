"""The table of CONTRIBUTING.md has every module, and nothing that is not there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tables import cells_under

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "CONTRIBUTING.md"
HEADING = "| looking for | it is in |"
PACKAGES = ("onboard", "training", "ground", "benchmarks")


def named(rows: list[list[str]]) -> Iterator[str]:
    """Paths of a table's second column; what has no folder lies in that of the one before."""
    for _, *places in rows:
        folder = ""
        for path in re.findall(r"`([^`]+)`", " ".join(places)):
            folder = path.rpartition("/")[0] if "/" in path else folder
            yield path if "/" in path else f"{folder}/{path}"


def missing(modules: list[str], places: list[str]) -> list[str]:
    """Modules that no place names, by themselves or by a folder."""
    folders = tuple(place for place in places if place.endswith("/"))
    return [one for one in modules if one not in places and not one.startswith(folders)]


def test_every_module_has_its_place() -> None:
    places = list(named(cells_under(PAGE.read_text("utf-8"), HEADING)))
    modules = [
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if path.name not in ("__init__.py", "__main__.py")
    ]
    assert len(modules) > 300
    assert missing(modules, places) == [], "name them in CONTRIBUTING.md, 'Where things are'"


def test_every_place_is_there() -> None:
    places = list(named(cells_under(PAGE.read_text("utf-8"), HEADING)))
    assert [one for one in places if not (ROOT / one).exists()] == []


@pytest.mark.parametrize(
    ("module", "found"), [("a/b.py", []), ("a/c.py", ["a/c.py"]), ("d/e/f.py", [])]
)
def test_a_module_without_a_place_is_found(module: str, found: list[str]) -> None:
    places = list(named([["b", "`a/b.py`, `z.py`"], ["f", "`d/`"]]))
    assert places == ["a/b.py", "a/z.py", "d/"]
    assert missing([module], places) == found
