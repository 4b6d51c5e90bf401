from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training import scores

# Few different values, so that ties come often.
PIXELS = st.lists(
    st.tuples(st.integers(0, 20).map(lambda n: n / 20), st.booleans()), min_size=1, max_size=40
)
FLAGS = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40)

Pixels = list[tuple[float, bool]]


def arrays(pixels: Pixels) -> tuple[Any, Any]:
    return np.array([p for p, _ in pixels]), np.array([t for _, t in pixels], bool)


def same(found: float, wanted: float) -> bool:
    return found == pytest.approx(wanted, abs=1e-9, nan_ok=True)


@given(FLAGS)
def test_overlap_by_counting(pairs: list[tuple[bool, bool]]) -> None:
    said, true = (np.array([pair[i] for pair in pairs], bool) for i in (0, 1))
    both = sum(s and t for s, t in pairs)
    either = sum(s or t for s, t in pairs)
    assert same(scores.iou(said, true), both / either if either else math.nan)
    precision, recall = scores.precision_recall(said, true)
    assert precision * sum(s for s, _ in pairs) == pytest.approx(both)
    assert recall * sum(t for _, t in pairs) == pytest.approx(both)


@given(PIXELS)
def test_brier_and_log_loss_by_counting(pixels: Pixels) -> None:
    p, true = arrays(pixels)
    squares = [(a - b) ** 2 for a, b in pixels]
    assert same(scores.brier(p, true), sum(squares) / len(pixels))
    kept = [(min(max(a, 1e-6), 1 - 1e-6), b) for a, b in pixels]
    nats = [-math.log(a if b else 1 - a) for a, b in kept]
    assert same(scores.log_loss(p, true), sum(nats) / len(pixels))


@given(PIXELS)
def test_auroc_by_comparing_every_pair(pixels: Pixels) -> None:
    positive = [p for p, t in pixels if t]
    negative = [p for p, t in pixels if not t]
    wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a in positive for b in negative]
    wanted = sum(wins) / len(wins) if wins else math.nan
    assert same(scores.auroc(*arrays(pixels)), wanted)


@given(PIXELS, st.integers(1, 8))
def test_calibration_error_by_bins(pixels: Pixels, bins: int) -> None:
    ordered = sorted(pixels, key=lambda pixel: pixel[0])
    count = min(bins, len(ordered))
    size, more = divmod(len(ordered), count)
    total, start = 0.0, 0
    for index in range(count):
        part = ordered[start : start + size + (index < more)]
        start += len(part)
        total += abs(sum(p for p, _ in part) - sum(t for _, t in part))
    assert same(scores.calibration_error(*arrays(pixels), bins), total / len(pixels))


def test_calibration_error_of_honest_and_dishonest_forecasts() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0, 1, 200_000)
    true = rng.uniform(0, 1, p.size) < p
    assert scores.calibration_error(p, true) < 0.01
    assert scores.calibration_error(np.clip(p + 0.2, 0, 1), true) > 0.1


@given(PIXELS, st.sampled_from([0.1, 0.2, 0.5, 1.0]))
def test_errors_among_the_most_uncertain(pixels: Pixels, share: float) -> None:
    uncertainty, wrong = arrays(pixels)
    ordered = sorted(pixels, key=lambda pixel: -pixel[0])
    top = ordered[: round(share * len(pixels))]
    errors = sum(w for _, w in pixels)
    wanted = sum(w for _, w in top) / errors if errors else math.nan
    assert same(scores.errors_among(uncertainty, wrong, share), wanted)


def test_the_interval_holds_the_pooled_score_of_many_places() -> None:
    rng = np.random.default_rng(1)
    either = {str(i): int(n) for i, n in enumerate(rng.integers(50, 500, 60))}
    both = {g: int(rng.binomial(n, 0.7)) for g, n in either.items()}
    low, high = scores.group_bootstrap(both, either, 0)
    pooled = sum(both.values()) / sum(either.values())
    assert low < pooled < high
    assert high - low < 0.1
    assert scores.group_bootstrap(both, either, 0) == (low, high)
    backwards = dict(reversed(both.items()))
    assert scores.group_bootstrap(backwards, either, 0) == (low, high)


def test_the_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    hits = 0
    for trial in range(200):
        each = np.clip(rng.normal(0.6, 0.2, 40), 0, 1)
        either = {str(i): 1000 for i in range(40)}
        both = {str(i): round(1000 * share) for i, share in enumerate(each)}
        low, high = scores.group_bootstrap(both, either, trial, draws=300)
        # The mean of the clipped shares lies within a thousandth of 0.594.
        hits += low <= 0.594 <= high
    assert 0.88 <= hits / 200 <= 0.99


def test_the_interval_of_one_place_is_a_point() -> None:
    assert scores.group_bootstrap({"a": 3}, {"a": 4}, 0) == (0.75, 0.75)


def test_places_without_water_do_not_pull_the_interval_down() -> None:
    both, either = {"wet": 9, "dry": 0}, {"wet": 10, "dry": 0}
    assert scores.group_bootstrap(both, either, 0) == (0.9, 0.9)
    assert all(map(math.isnan, scores.group_bootstrap({"dry": 0}, {"dry": 0}, 0)))


@given(PIXELS)
def test_risk_by_sorting(found: Pixels) -> None:
    uncertainty, wrong = arrays(found)
    ranked = [bool(w) for _, w in sorted(zip(uncertainty, wrong, strict=True), key=lambda x: x[0])]
    risks = [sum(ranked[: k + 1]) / (k + 1) for k in range(len(ranked))]
    assert scores.area_under_risk(uncertainty, wrong) == pytest.approx(np.mean(risks))
    coverage, risk = scores.risk_coverage(uncertainty, wrong)
    assert coverage[-1] == 1
    assert risk[-1] == pytest.approx(wrong.mean())
    for share, value in zip(coverage, risk, strict=True):
        assert value == pytest.approx(risks[round(share * len(ranked)) - 1])


def test_reliability_of_an_honest_forecast() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(100_000)
    said, seen = scores.reliability(p, rng.random(p.size) < p)
    assert np.abs(said - seen).max() < 0.02
    assert (np.diff(said) > 0).all()


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1)],
)
def test_the_interval_of_a_share(hits: int, of: int, low: float, high: float) -> None:
    """Newcombe 1998, method 3."""
    assert scores.wilson(hits, of) == pytest.approx((low, high), abs=1e-3)
