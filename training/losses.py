"""What training minimises, written with ``keras.ops`` only.

Targets are uint8 ``(N, H, W, 2)`` (water, cloud) with 255 for unknown; unknown pixels carry no
weight. Predictions are logits of the same shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

Tensor = Any

HEADS = ("water", "cloud")


Total = Callable[[Tensor], Tensor]
"""Sums a tensor over the whole batch, wherever its parts are."""


def _cross_entropy(
    target: Tensor, logit: Tensor, known: Tensor, smoothing: float, total: Total
) -> Tensor:
    soft = target * (1.0 - 2.0 * smoothing) + smoothing
    loss = ops.softplus(logit) - soft * logit
    return total(loss * known) / (total(known) + 1.0)


def _dice(target: Tensor, logit: Tensor, known: Tensor, total: Total) -> Tensor:
    """Soft Dice over the whole batch, so that chips without water do not explode it."""
    p = ops.sigmoid(logit) * known
    both = total(p * target)
    return 1.0 - (2.0 * both + 1.0) / (total(p) + total(target * known) + 1.0)


def flood_losses(
    target: Tensor,
    logits: Tensor,
    dice_weight: float,
    label_smoothing: float,
    total: Total = ops.sum,
) -> tuple[Tensor, Tensor]:
    """The losses of the two heads, water and cloud.

    ``total`` sums over the batch; workers that share one sum over all of them.
    """
    target = ops.cast(target, "float32")
    known = ops.cast(target < 1.5, "float32")
    target = target * known
    water = (target[..., 0], logits[..., 0], known[..., 0])
    cloud = (target[..., 1], logits[..., 1], known[..., 1])
    return (
        _cross_entropy(*water, label_smoothing, total) + dice_weight * _dice(*water, total),
        _cross_entropy(*cloud, label_smoothing, total),
    )


class TaskUncertainty(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Learned homoscedastic uncertainty of the heads, which weighs their losses.

    Kendall, Gal & Cipolla, CVPR 2018, eq. 10: each loss ``L`` becomes ``exp(-s) L + s/2`` with the
    task's log variance ``s``, so that a head whose loss cannot be brought down counts less, and
    no weight has to be set by hand. Logits pass through unchanged.
    """

    def build(self, shape: Any) -> None:
        """One log variance a head, from 0."""
        self.log_variance = self.add_weight(
            name="log_variance", shape=(len(HEADS),), initializer="zeros"
        )
        self.built = True

    def call(self, logits: Tensor) -> Tensor:
        """The logits."""
        return logits

    def weigh(self, losses: Sequence[Tensor]) -> Tensor:
        """The sum of the weighted losses, one a head."""
        s = self.log_variance
        return sum(ops.exp(-s[i]) * loss + s[i] / 2 for i, loss in enumerate(losses))


def flood_loss(
    dice_weight: float,
    label_smoothing: float,
    weigh: Callable[[Sequence[Tensor]], Tensor],
    total: Total = ops.sum,
) -> Callable[[Tensor, Tensor], Tensor]:
    """What a step minimises: the losses of `HEADS`, made one number by ``weigh``."""

    def loss(target: Tensor, logits: Tensor) -> Tensor:
        return weigh(flood_losses(target, logits, dice_weight, label_smoothing, total))

    return loss


def fixed_weights(cloud_weight: float) -> Callable[[Sequence[Tensor]], Tensor]:
    """Weights set by hand: 1 for water, ``cloud_weight`` for cloud."""
    return lambda losses: losses[0] + cloud_weight * losses[1]


class HeadIoU(keras.metrics.Metric):  # type: ignore[misc]  # Keras has no types
    """Intersection over union of one head at probability 1/2, over all known pixels seen."""

    def __init__(self, head: int, name: str) -> None:
        super().__init__(name=name)
        self._head = head
        self._both = self.add_weight(name="both", initializer="zeros")
        self._either = self.add_weight(name="either", initializer="zeros")

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Any = None) -> None:
        """Add one batch."""
        target = ops.cast(y_true[..., self._head], "float32")
        known = ops.cast(target < 1.5, "float32")
        said = ops.cast(y_pred[..., self._head] > 0.0, "float32") * known
        true = target * known
        self._both.assign_add(ops.sum(said * true))
        self._either.assign_add(ops.sum(ops.maximum(said, true)))

    def counts(self) -> tuple[float, float]:
        """Pixels in both and in either."""
        return float(self._both), float(self._either)

    def set_counts(self, counts: Sequence[float]) -> None:
        """Take what `counts` gave, summed over several."""
        self._both.assign(counts[0])
        self._either.assign(counts[1])

    def result(self) -> Tensor:
        """0…1; 1 where neither label nor prediction holds the class."""
        return (self._both + 1e-6) / (self._either + 1e-6)
