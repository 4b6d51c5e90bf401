"""The table of the link's costs is what its command makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import link

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def figures():
    found = json.loads((ROOT / "docs" / "figures" / "link.json").read_text("utf-8"))
    return {
        name: {way: link.Cell(**cell) for way, cell in row.items()} for name, row in found.items()
    }


def test_the_page_shows_the_figures(figures):
    assert (ROOT / "docs" / "link.md").read_text("utf-8") == link.page(figures)


@pytest.mark.parametrize("way", [link.WAYS[1], link.WAYS[-1]])
def test_a_cell_made_anew_is_the_one_in_the_table(figures, way):
    assert link.measure(way, "20%") == figures["20%"][way.text]


def test_class_2_delivers_everything_at_every_loss(figures):
    assert {row["class 2"].delivered for row in figures.values()} == {1.0}


def test_without_errors_everything_arrives_and_the_formats_cost_little(figures):
    clean = figures[link.CLEAN]
    assert {cell.delivered for cell in clean.values()} == {1.0}
    assert clean["class 1, n = 1"].overhead < 0.1
    assert clean["class 2"].overhead < 0.1
