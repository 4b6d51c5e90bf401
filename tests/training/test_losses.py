from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from training.losses import (
    HeadIoU,
    TaskUncertainty,
    fixed_weights,
    flood_loss,
    flood_losses,
)

UNKNOWN = 255


def batch(seed: int = 0, side: int = 6) -> tuple[Any, Any]:
    """Targets uint8 with unknown pixels, and logits, ``(2, S, S, 2)``."""
    rng = np.random.default_rng(seed)
    target = rng.choice(np.array([0, 1, UNKNOWN], np.uint8), (2, side, side, 2))
    return target, rng.normal(0, 2, target.shape).astype(np.float32)


def loss_of(target: Any, logits: Any, dice: float = 0.5, cloud: float = 0.5) -> float:
    loss = flood_loss(dice, 0.02, fixed_weights(cloud))
    return float(loss(target, keras.ops.convert_to_tensor(logits)))


def by_definition(target: Any, logits: Any, dice: float, cloud: float, smooth: float) -> float:
    """The loss in float64, pixel by pixel as the words say it."""
    total = 0.0
    for head, weight in ((0, 1.0), (1, cloud)):
        known = target[..., head] != UNKNOWN
        true = target[..., head][known].astype(np.float64)
        p = 1 / (1 + np.exp(-logits[..., head][known].astype(np.float64)))
        soft = np.where(true == 1, 1 - smooth, smooth)
        entropy = -(soft * np.log(p) + (1 - soft) * np.log(1 - p))
        total += weight * entropy.sum() / (known.sum() + 1)
        if head == 0:
            total += dice * (1 - (2 * (p * true).sum() + 1) / (p.sum() + true.sum() + 1))
    return total


@pytest.mark.parametrize(("dice", "cloud", "smooth"), [(0.5, 0.5, 0.02), (0.0, 1.0, 0.0)])
def test_the_loss_is_what_its_definition_says(dice: float, cloud: float, smooth: float) -> None:
    target, logits = batch()
    loss = flood_loss(dice, smooth, fixed_weights(cloud))
    found = float(loss(target, keras.ops.convert_to_tensor(logits)))
    assert found == pytest.approx(by_definition(target, logits, dice, cloud, smooth), rel=1e-5)


def test_unknown_pixels_carry_no_weight() -> None:
    target, logits = batch()
    other = np.where(target == UNKNOWN, logits + 50, logits)
    assert loss_of(target, other) == loss_of(target, logits)
    every = np.full_like(target, UNKNOWN)
    assert np.isfinite(loss_of(every, logits))
    assert loss_of(every, logits) == pytest.approx(loss_of(every, -logits), abs=1e-6)


def test_the_slope_points_at_the_target() -> None:
    """Towards its label a logit lowers the loss, away from it it raises it."""
    target, logits = batch(1, side=3)
    logits = logits / 4
    plain = loss_of(target, logits)
    for at in np.ndindex(target.shape):
        if target[at] == UNKNOWN:
            continue
        for step in (0.1, -0.1):
            moved = logits.copy()
            moved[at] += step
            towards = (step > 0) == (target[at] == 1)
            assert (loss_of(target, moved) < plain) == towards


def test_right_beats_undecided_beats_wrong() -> None:
    target, _ = batch(2)
    right = np.where(target == 1, 3.0, -3.0).astype(np.float32)
    assert loss_of(target, right) < loss_of(target, 0 * right) < loss_of(target, -right)


def test_smoothing_punishes_boasting() -> None:
    target = np.ones((1, 4, 4, 2), np.uint8)
    sure, surer = (np.full(target.shape, v, np.float32) for v in (4.0, 40.0))
    assert loss_of(target, sure, dice=0) < loss_of(target, surer, dice=0)


def test_extreme_logits_stay_finite() -> None:
    target, logits = batch(3)
    assert np.isfinite(loss_of(target, np.sign(logits) * 1e4))


def test_learned_weights_are_the_papers() -> None:
    target, logits = batch(4)
    tasks = TaskUncertainty()
    assert (keras.ops.convert_to_numpy(tasks(logits)) == logits).all()
    losses = [float(part) for part in flood_losses(target, logits, 0.5, 0.02)]
    assert float(tasks.weigh(losses)) == pytest.approx(sum(losses), rel=1e-6)
    tasks.log_variance.assign([0.3, -1.2])
    expected = np.exp(-0.3) * losses[0] + 0.15 + np.exp(1.2) * losses[1] - 0.6
    assert float(tasks.weigh(losses)) == pytest.approx(expected, rel=1e-5)


def test_the_best_learned_weight_is_half_the_inverse_loss() -> None:
    """Where the loss stands still, ``exp(-s) L + s/2`` is least at ``exp(-s) = 1 / (2 L)``."""
    tasks = TaskUncertainty()
    tasks(np.zeros((1, 2, 2, 2), np.float32))
    losses = [0.4, 0.05]
    best = [np.log(2 * loss) for loss in losses]
    tasks.log_variance.assign(best)
    least = float(tasks.weigh(losses))
    for head in (0, 1):
        for step in (0.1, -0.1):
            tasks.log_variance.assign([s + step * (i == head) for i, s in enumerate(best)])
            assert float(tasks.weigh(losses)) > least


@pytest.mark.parametrize("head", [0, 1])
def test_the_metric_is_the_iou_of_all_batches(head: int) -> None:
    metric = HeadIoU(head, "iou")
    both = either = 0
    for seed in range(3):
        target, logits = batch(seed)
        metric.update_state(target, logits)
        known = target[..., head] != UNKNOWN
        said, true = logits[..., head][known] > 0, target[..., head][known] == 1
        both, either = both + (said & true).sum(), either + (said | true).sum()
    assert float(metric.result()) == pytest.approx(both / either, abs=1e-6)


def test_the_metric_where_there_is_nothing_to_find() -> None:
    metric = HeadIoU(0, "iou")
    metric.update_state(np.zeros((1, 4, 4, 2), np.uint8), np.full((1, 4, 4, 2), -1, np.float32))
    assert float(metric.result()) == 1.0
    metric.update_state(np.zeros((1, 4, 4, 2), np.uint8), np.full((1, 4, 4, 2), 1, np.float32))
    assert float(metric.result()) == pytest.approx(0.0, abs=1e-6)
