from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import scale
from benchmarks.scale import Mission
from ground.catalogue import Catalogue
from tests.samples import ROOT

FOLDER = ROOT / "docs" / "figures"


def test_the_page_is_computed_from_the_committed_figures() -> None:
    page = (ROOT / "docs" / "scale.md").read_text("utf-8")
    measured = json.loads((FOLDER / "scale.json").read_text("utf-8"))
    made = scale.tables(Mission(), scale.steps(FOLDER), measured)
    assert scale.filled(page, made) == page, "run 'python -m benchmarks.scale --write'"


def test_the_year_follows_the_assumptions() -> None:
    taken = scale.steps(FOLDER)
    one, two = (scale.figures(Mission(satellites=n), taken) for n in (100, 200))
    for key in ("frames", "raw_tb", "products", "products_tb", "segment_core_h", "items_day"):
        assert two[key] == pytest.approx(2 * one[key]), key
    for key in ("down_mb", "station_share", "product_kb", "training_core_h"):
        assert two[key] == one[key], key
    assert two["add_core_s"] > 2 * one["add_core_s"], "a day's list costs more the longer it is"
    assert one["raw_tb"] == pytest.approx(100 * 200 * 365 * 12e6 * 8 / 1e12)


def test_a_day_costs_what_its_items_cost() -> None:
    flat = {10: 2.0, 100: 2.0}
    assert scale.day_seconds(flat, 50) == pytest.approx(100)
    steep = {10: 1.0, 110: 101.0}
    assert scale.day_seconds(steep, 10) == pytest.approx(10)
    assert scale.day_seconds(steep, 110) == pytest.approx(10 + 51 * 100)
    assert scale.day_seconds(steep, 220) == pytest.approx(5110 + 101 * 1.5 * 110)


def test_measured_items_are_found(tmp_path: Path) -> None:
    small, large = scale.measure((10, 50))
    assert (small["items"], large["items"]) == (10, 50)
    assert large["day_bytes"] > small["day_bytes"]
    assert small["found"] == 10 + scale.ADDED
    maps = Catalogue(tmp_path)
    maps.add([scale.an_item(n) for n in range(3)])
    assert len(list(maps)) == 3
