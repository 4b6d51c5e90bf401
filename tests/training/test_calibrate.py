from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from training.calibrate import (
    GRID,
    SENSITIVE_RECALL,
    balanced_threshold,
    best_threshold,
    calibrate,
    fit_temperature,
    sensitive_threshold,
)

UNKNOWN = 255

PIXELS = st.lists(st.tuples(st.floats(0, 1, width=32), st.integers(0, 1)), min_size=1, max_size=60)
Pixels = list[tuple[float, int]]


def arrays(pixels: Pixels) -> tuple[Any, Any]:
    return (
        np.array([p for p, _ in pixels], np.float32),
        np.array([t for _, t in pixels], np.uint8),
    )


def labelled(count: int, seed: int = 0) -> tuple[Any, Any]:
    """True logits, and labels drawn by them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, count)
    return logits, (rng.uniform(0, 1, count) < expit(logits)).astype(np.uint8)


@pytest.mark.parametrize("tau", [0.5, 1.0, 2.5])
def test_the_temperature_recovers_a_known_scaling(tau: float) -> None:
    logits, water = labelled(100_000)
    passes = np.repeat(tau * logits[None], 3, axis=0)
    assert fit_temperature(passes, water) == pytest.approx(tau, rel=0.03)


def test_the_temperature_is_that_of_the_mean_over_passes() -> None:
    """Passes that scatter are less sure together than each alone."""
    logits, water = labelled(20_000)
    scatter = np.random.default_rng(1).normal(0, 3, (10, logits.size))
    tau = fit_temperature(2 * logits + scatter, water)

    def nll(at: float) -> float:
        p = expit((2 * logits + scatter) / at).mean(axis=0)
        return float(-np.mean(np.log(np.where(water == 1, p, 1 - p))))

    assert nll(tau) <= min(nll(at) for at in np.linspace(0.5, 4, 36)) + 1e-6


def test_the_temperature_stays_within_its_bounds() -> None:
    logits, water = labelled(1000)
    assert 0.3 <= fit_temperature(-5 * logits[None], water) <= 5.0
    assert 0.3 <= fit_temperature(1e4 * (2.0 * water - 1)[None], water) <= 5.0


@given(PIXELS)
def test_the_balanced_threshold_is_the_best_on_the_grid(pixels: Pixels) -> None:
    found = best_threshold(*arrays(pixels))
    if not any(t for _, t in pixels):
        assert found == 0.5
        return

    def iou(threshold: float) -> float:
        said = [np.float32(p) >= np.float32(threshold) for p, _ in pixels]
        both = sum(s and t == 1 for s, (_, t) in zip(said, pixels, strict=True))
        either = sum(s or t == 1 for s, (_, t) in zip(said, pixels, strict=True))
        return float(both / either)

    assert found in GRID
    assert iou(found) == max(iou(t) for t in GRID)


@given(PIXELS)
def test_the_sensitive_threshold_always_reaches_its_recall(pixels: Pixels) -> None:
    p, water = arrays(pixels)
    found = sensitive_threshold(p, water)
    truly = p[water == 1]
    if not truly.size:
        assert found == 0.5
        return

    def recall(threshold: float) -> float:
        return float(np.mean(truly >= threshold))

    assert recall(found) >= SENSITIVE_RECALL
    assert all(recall(t) < SENSITIVE_RECALL for t in GRID if t > found)


def test_water_that_hardly_shows_is_still_found() -> None:
    p = np.linspace(0.0001, 0.015, 200).astype(np.float32)
    found = sensitive_threshold(p, np.ones(200, np.uint8))
    assert 0 < found < GRID[0]
    assert np.mean(p >= found) == pytest.approx(SENSITIVE_RECALL, abs=0.006)


def chip(seed: int, tau: float) -> tuple[Any, Any, Any]:
    """Water logits of two passes, water labels, cloud labels."""
    logits, water = labelled(64 * 64, seed)
    return tau * np.repeat(logits.reshape(1, 64, 64), 2, axis=0), water.reshape(64, 64), None


def test_generated_chips_decide_on_cloud_but_not_on_water() -> None:
    real, generated = chip(1, 2.0), chip(2, 0.4)
    unknown = np.full((64, 64), UNKNOWN, np.uint8)
    cloud = np.zeros((64, 64), np.uint8)
    cloud[:20] = 1
    cloud_logit = np.where(cloud == 1, 1.0, 0.2)
    found = calibrate(
        lambda index: ((real, generated)[index][0], cloud_logit),
        [(real[1], unknown), (generated[1], cloud)],
        [True, False],
        ["real", "generated"],
    )
    assert found.temperature == pytest.approx(2.0, rel=0.15)
    assert found.pixels == 64 * 64
    assert expit(0.2) < found.cloud <= expit(1.0)
    assert found.sensitive <= 0.5


@pytest.mark.parametrize(("rows", "real_decides"), [(160, True), (10, False)])
def test_enough_real_cloud_decides_alone(rows: int, real_decides: bool) -> None:
    """Real clouds show at a logit of -2 already, generated ones, which are more, from 1 on."""
    logits, water = (np.tile(part, (1, 4, 4)) for part in chip(5, 1.0)[:2])
    water = water[0]
    cloud = np.zeros((256, 256), np.uint8)
    cloud[:rows] = 1
    more = np.zeros_like(cloud)
    more[:200] = 1
    real, generated = np.where(cloud == 1, -2.0, -4.0), np.where(more == 1, 1.0, -1.0)
    found = calibrate(
        lambda index: (logits, (real, generated)[index]),
        [(water, cloud), (np.full_like(water, UNKNOWN), more)],
        [True, False],
        ["real", "generated"],
    )
    assert (found.cloud <= expit(-2.0)) == real_decides


def test_unknown_pixels_decide_nothing() -> None:
    logits, water, _ = chip(3, 1.5)
    cloud = np.zeros((64, 64), np.uint8)
    cloud[0, 0] = 1

    def with_noise(noise: float) -> Any:
        own = logits.copy()
        own[:, 40:] = noise
        clouds = np.where(np.arange(64)[:, None] >= 40, noise, 0.3 * np.ones((64, 64)))
        known = [labels.copy() for labels in (water, cloud)]
        for labels in known:
            labels[40:] = UNKNOWN
        return calibrate(lambda index: (own, clouds), [(known[0], known[1])], [True], ["place"])

    assert with_noise(30.0) == with_noise(-30.0)
    assert with_noise(1.0).pixels == 40 * 64


def test_without_labelled_cloud_its_threshold_is_a_half() -> None:
    logits, water, _ = chip(4, 1.0)
    unknown = np.full((64, 64), UNKNOWN, np.uint8)
    found = calibrate(lambda index: (logits, logits[0]), [(water, unknown)], [True], ["place"])
    assert found.cloud == 0.5
    assert set(found.to_json()) == {"temperature", "balanced", "sensitive", "cloud", "pixels"}


def places_whose_best_thresholds(*best: float) -> tuple[Any, Any, Any]:
    """Places of 400 pixels each; in one all water lies above its own threshold, all land below."""
    p = np.tile(np.linspace(0.0025, 0.9975, 400), len(best))
    where = np.repeat(np.arange(len(best)), 400)
    water = (p >= np.asarray(best)[where]).astype(np.uint8)
    return p, water, where


def test_places_that_disagree_leave_the_threshold_near_a_half() -> None:
    """Pooled, the best is a low one; without the last place it would be another."""
    p, water, where = places_whose_best_thresholds(0.2, 0.3, 0.6, 0.7, 0.05)
    best, careful = best_threshold(p, water), balanced_threshold(p, water, where)
    assert abs(careful - 0.5) < abs(best - 0.5)


def test_places_that_agree_fix_the_threshold() -> None:
    p, water, where = places_whose_best_thresholds(0.25, 0.25, 0.25, 0.25)
    assert balanced_threshold(p, water, where) == pytest.approx(0.25, abs=0.011)


def test_a_single_place_decides_alone() -> None:
    p, water, where = places_whose_best_thresholds(0.8)
    assert balanced_threshold(p, water, where) == pytest.approx(0.8, abs=0.011)


def test_the_balanced_threshold_without_water_is_a_half() -> None:
    p = np.linspace(0, 1, 50)
    assert balanced_threshold(p, np.zeros(50, np.uint8), np.zeros(50, np.int64)) == 0.5


def test_a_sample_of_many_pixels_decides_as_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chips come one by one from a generator; the limit changes the thresholds hardly at all."""
    rng = np.random.default_rng(4)
    true = [rng.normal(0, 2, (64, 64)) for _ in range(60)]
    water = [(rng.uniform(0, 1, t.shape) < expit(t)).astype(np.uint8) for t in true]

    def decided() -> Any:
        return calibrate(
            lambda index: (np.repeat(1.6 * true[index][None], 4, axis=0), true[index]),
            ((label, label) for label in water),
            [True] * 60,
            [f"place {index % 20}" for index in range(60)],
        )

    whole = decided()
    assert whole.pixels == 60 * 64 * 64
    monkeypatch.setattr("training.calibrate.MOST_PIXELS", 20_000)
    sampled = decided()
    assert sampled.pixels == 20_000
    assert sampled.temperature == pytest.approx(whole.temperature, rel=0.05)
    assert sampled.sensitive == pytest.approx(whole.sensitive, abs=0.03)
    assert sampled.cloud == pytest.approx(whole.cloud, abs=0.05)


def test_memory_does_not_grow_with_the_chips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit, four times the chips take what a quarter of them took."""
    import tracemalloc

    monkeypatch.setattr("training.calibrate.MOST_PIXELS", 40_000)
    label = (np.arange(64 * 64).reshape(64, 64) % 3 == 0).astype(np.uint8)
    passes = np.random.default_rng(0).normal(0, 2, (10, 64, 64)).astype(np.float32)

    def peak(chips: int) -> int:
        tracemalloc.start()
        calibrate(
            lambda index: (passes.copy(), passes[0].copy()),
            ((label.copy(), label.copy()) for _ in range(chips)),
            [True] * chips,
            [f"place {index % 5}" for index in range(chips)],
        )
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(160) < 1.1 * peak(40)
