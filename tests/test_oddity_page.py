"""docs/oddity.md shows the figures that were measured, and they hold what is promised."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.samples import ROOT

FIGURES = ROOT / "docs" / "figures"


def test_the_page_shows_the_figures() -> None:
    script = ROOT / "scripts" / "odd_figures.py"
    found = subprocess.run([sys.executable, str(script), "--check"], check=False)
    assert found.returncode == 0, "run 'make figures'"


def test_every_corruption_is_found_on_places_held_out() -> None:
    report = json.loads((FIGURES / "odd-test.json").read_text("utf-8"))
    assert report["split"] == "test"
    found = {name: one["auroc"] for name, one in report["odd"]["dfc24"]["corruptions"].items()}
    assert len(found) == 6
    # The aim is 0.95; the page says which fall short, and by how much.
    assert min(found.values()) >= 0.94, found
    assert sum(value >= 0.95 for value in found.values()) >= 4, found


def test_the_score_costs_a_tenth_of_segmenting_at_most() -> None:
    """What was measured once, not what this machine does now."""
    assert json.loads((FIGURES / "odd-cost.json").read_text("utf-8"))["ratio"]["processor"] <= 0.1
