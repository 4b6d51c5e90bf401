"""The page for the flight engineer says what the code does."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import asdict

from benchmarks import footprint
from onboard import bundle
from onboard.link.housekeeping import State
from onboard.service import HOLD, TRANSITIONS
from onboard.settings import Settings
from onboard.telemetry import MAX_LINE
from tests.samples import BUNDLE, ROOT
from tests.tables import cells_under

PAGE = (ROOT / "docs" / "flight-software.md").read_text("utf-8")


def rows(heading: str) -> list[list[str]]:
    return cells_under(PAGE, heading)


def test_every_test_of_the_fault_table_exists() -> None:
    table = rows("| fault | what is seen | what it does | test |")
    assert len(table) > 20
    for *_, test in table:
        path, name = test.strip("`").split("::")
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        assert name in {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}, test


def test_the_drawing_is_that_of_the_code() -> None:
    drawn = re.findall(r"^ +(\w+) --> (\w+)", PAGE, re.MULTILINE)
    assert {(State[a], State[b]) for a, b in drawn} == {
        (state, to) for state, others in TRANSITIONS.items() for to in others
    }


def test_the_settings_are_those_of_the_code() -> None:
    table = {
        row[0].strip("`"): float(row[1]) for row in rows("| setting | default | unit, meaning |")
    }
    assert table == {name: float(value) for name, value in asdict(Settings()).items()}


def test_names_and_numbers_in_the_text() -> None:
    assert f"`inbox/{HOLD}`" in PAGE
    assert f"at most {MAX_LINE:,} bytes" in PAGE


def test_the_footprint_is_the_last_one_measured_with_the_shipped_bundle() -> None:
    figures = json.loads(footprint.FIGURES.read_text("utf-8"))
    assert figures["model"] == bundle.load(BUNDLE, []).model_id.hex(), (
        "run 'python -m benchmarks.footprint --write'"
    )
    assert footprint.table(figures) in PAGE


def test_the_footprint_keeps_its_bound() -> None:
    figures = json.loads(footprint.FIGURES.read_text("utf-8"))
    assert figures["peak_mb"] <= footprint.MEMORY_BOUND == 512
