"""The pages of experiments say what their figures say."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from benchmarks import placement, placement_page, rates, rates_page


@pytest.fixture(scope="module")
def placed() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(placement.OUT.read_text("utf-8"))
    return found


@pytest.fixture(scope="module")
def rated() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(rates.OUT.read_text("utf-8"))
    return found


def test_the_pages_are_of_the_figures(placed: dict[str, Any], rated: dict[str, Any]) -> None:
    assert placement_page.PAGE.read_text("utf-8") == placement_page.page(placed)
    assert rates_page.PAGE.read_text("utf-8") == rates_page.page(rated)


def test_the_verdict_follows_the_figures(placed: dict[str, Any]) -> None:
    report = copy.deepcopy(placed)
    report.pop("longer", None)
    ours, theirs = report["cases"]["logit-10"], report["cases"]["every-40"]
    for gap, said in ((0.0099, "holds in all"), (0.0101, "does not hold in all")):
        for a, b in zip(ours, theirs, strict=True):
            b["shipped_errors"]["auroc_entropy"] = a["shipped_errors"]["auroc_entropy"] + gap
        assert said in placement_page.verdict(report)
    for cost, said in ((1.19, "within the aim"), (1.4, "within the bound"), (1.6, "beyond")):
        report["costs"]["shipped_graph"]["over_one"] = cost
        assert f"{cost:.2f} × counted" in placement_page.verdict(report)
        assert said in placement_page.verdict(report)


def test_the_tables_have_a_row_for_each_case(placed: dict[str, Any]) -> None:
    rows = placement_page.table(placed["cases"], placed["costs"]).splitlines()
    assert len(rows) == 2 + len(placement.CASES)
    assert len({row.count("|") for row in rows}) == 1
    assert rows[-1].split("|")[2].strip() == "40"
    assert rows[-1].split("|")[-3].strip() == "–"


def test_the_best_of_the_grid_is_named(rated: dict[str, Any]) -> None:
    report = copy.deepcopy(rated)
    report["rows"]["rate0.5-scale1.0"]["own"]["nll"] = 0.0123
    assert "at rate 0.5 with a length-scale of 1: NLL 0.0123" in rates_page.spread(report)
    report["rows"]["rate0.3-scale0.0"]["own"]["nll"] = 0.0012
    assert "best in the shipped cell" in rates_page.spread(report)


def test_the_variance_is_judged_beside_the_expected_entropy(rated: dict[str, Any]) -> None:
    report = copy.deepcopy(rated)
    for auroc, said in ((0.1, "errors worse"), (0.99, "errors better")):
        report["noise"]["auroc"] = auroc
        assert said in rates_page.heads(report)


def test_the_plot_is_drawn(placed: dict[str, Any]) -> None:
    assert placement_page.plot(placed)[:4] == b"\x89PNG"
