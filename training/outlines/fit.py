"""Fitting the nets: contexts of many masks, a few minutes of gradient descent, whole numbers.

Each mask is seen in several orientations. The nets are fitted in float32, then their weights are
rounded, layer by layer, to as fine steps as the exact sums of `onboard.nets` allow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from onboard import doubts, nets, outlines
from onboard.arrays import Array, Bytes
from onboard.classes import CLOUD, NODATA, WATER
from onboard.nets import LOGIT_STEPS, TOP, Net
from onboard.outlines import Known
from onboard.reduced import NOT_OBSERVED, Scale, block_means, grade, observed_pixels
from training.outlines.corpus import Sample

HIDDEN = (32, 16)
BATCH = 4096
RATE = 4e-3
ROUNDING_SAMPLE = 300_000
NEWTON_STEPS = 25
ORIENTATIONS = (0, 2, 5, 7)
SMALL_ORIENTATIONS = tuple(range(8))


class Contexts(NamedTuple):
    """What a net saw, packed eight bits a byte, and the bits that came."""

    seen: Bytes
    bits: Bytes
    width: int


@dataclass(frozen=True)
class Plan:
    """How long to fit."""

    epochs: int = 12
    seed: int = 0


def turned(array: Array, which: int) -> Array:
    """One of the eight orientations of (H, W)."""
    found = np.rot90(array, which % 4)
    return np.ascontiguousarray(found[:, ::-1] if which >= 4 else found)


def planes(mask: Bytes) -> tuple[Bytes, Bytes, Bytes]:
    """Nodata, cloud and water of a mask ``(H, W)``, each uint8 of 0 and 1, of its shape."""
    nodata, cloud, water = ((mask == value).astype(np.uint8) for value in (NODATA, CLOUD, WATER))
    return nodata, cloud, water


def cover_contexts(samples: Iterable[Sample]) -> Contexts:
    """Of clouds, and of the edges of frames."""
    parts = []
    for one in samples:
        for which in ORIENTATIONS:
            nodata, cloud, _ = planes(turned(one.mask, which))
            if cloud.any():
                parts.append(_packed(*outlines.contexts(cloud, Known(nodata))))
            if nodata.any():
                parts.append(_packed(*outlines.contexts(nodata, Known(np.zeros_like(nodata)))))
    return _joined(parts)


def water_contexts(samples: Iterable[Sample], guided: bool) -> Contexts:
    """Of water, with or without the reference."""
    parts = []
    for one in samples:
        if guided and one.reference is None:
            continue
        for which in ORIENTATIONS:
            nodata, cloud, water = planes(turned(one.mask, which))
            guide = turned(one.reference, which) if guided and one.reference is not None else None
            parts.append(_packed(*outlines.contexts(water, Known(nodata | cloud, guide))))
    return _joined(parts)


def doubt_contexts(
    samples: Iterable[Sample], block: int, entropy: Scale, epistemic: Scale
) -> tuple[Contexts, Contexts]:
    """Of the two maps."""
    first, second = [], []
    levels = len(entropy.values)
    for one in samples:
        for which in SMALL_ORIENTATIONS:
            mask = turned(one.mask, which)
            seen, surface = observed_pixels(mask), doubts.describe(mask, block)
            maps = turned(one.entropy, which), turned(one.epistemic, which)
            low, high = (
                grade(m, seen, block, s) for m, s in zip(maps, (entropy, epistemic), strict=True)
            )
            if (low != NOT_OBSERVED).any():
                first.append(_packed(*doubts.contexts(low, surface, levels)))
                second.append(_packed(*doubts.contexts(high, surface, levels, low)))
    return _joined(first), _joined(second)


def _packed(seen: Array, bits: Bytes) -> Contexts:
    return Contexts(np.packbits(seen.astype(np.uint8), axis=1), bits, seen.shape[1])


def _joined(parts: list[Contexts]) -> Contexts:
    seen, bits = (np.concatenate([part[which] for part in parts]) for which in (0, 1))
    return Contexts(seen, bits, parts[0].width)


def scale_of(samples: Iterable[Sample], field: str, block: int, shares: tuple[float, ...]) -> Scale:
    """A scale with its edges where these shares of the blocks' means lie, to three digits."""
    means = np.concatenate([_means(one, field, block) for one in samples])
    edges = tuple(float(f"{edge:.2g}") for edge in np.quantile(means, shares))
    level = np.searchsorted(edges, means, side="right")
    values = (float(f"{means[level == which].mean():.3g}") for which in range(len(edges) + 1))
    return Scale(edges, tuple(values))


def _means(one: Sample, field: str, block: int) -> Array:
    """Means over blocks, nats, of those with anything observed."""
    found = block_means(getattr(one, field), observed_pixels(one.mask), block)
    return np.asarray(found[~np.isnan(found)])


def fit(contexts: Contexts, plan: Plan, tell: Callable[[str], None] = lambda _: None) -> Net:
    """A net for these contexts."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(plan.seed)
    model = keras.Sequential(
        [
            keras.layers.Input((contexts.width,)),
            keras.layers.Dense(HIDDEN[0], "relu"),
            keras.layers.Dense(HIDDEN[1], "relu"),
            keras.layers.Dense(1),
        ]
    )
    steps = plan.epochs * max(1, len(contexts.bits) // BATCH)
    optimiser = keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(RATE, steps, alpha=0.01)
    )
    loss = keras.losses.BinaryCrossentropy(from_logits=True)

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]  # no types
    def step(seen: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            found = loss(bits, model(seen)[:, 0])
        weights = model.trainable_variables
        optimiser.apply_gradients(zip(tape.gradient(found, weights), weights, strict=True))
        return found

    rng = np.random.default_rng(plan.seed)
    for epoch in range(plan.epochs):
        order = rng.permutation(len(contexts.bits))
        losses = []
        for start in range(0, max(1, len(order) - BATCH + 1), BATCH):
            at = np.resize(order[start : start + BATCH], BATCH)
            losses.append(step(unpacked(contexts, at), contexts.bits[at].astype(np.float32)))
        mean = float(np.mean([float(one) for one in losses]))
        tell(f"epoch {epoch + 1}: {mean / np.log(2):.4f} bits a bit")
    return rounded([layer.get_weights() for layer in model.layers], contexts)


def unpacked(contexts: Contexts, at: Array) -> Array:
    """Contexts as float32 (n, width)."""
    bits = np.unpackbits(contexts.seen[at], axis=1)[:, : contexts.width]
    return np.asarray(bits.astype(np.float32))


def rounded(layers: list[list[Array]], contexts: Contexts) -> Net:
    """Weights in whole numbers: activations fill 0…``TOP``, weights as finely as sums allow.

    The last layer is fitted anew to what the rounded ones before it give.
    """
    sample = np.random.default_rng(0).permutation(len(contexts.bits))[:ROUNDING_SAMPLE]
    values = unpacked(contexts, sample)
    unit, top = 1.0, 1
    made = []
    for weights, bias in layers[:-1]:
        found = np.maximum(values / unit @ weights + bias, 0)
        gain = TOP / float(np.quantile(found, 0.9999))
        weights, bias = weights * gain / unit, bias * gain
        shift = _shift(weights, bias, top)
        whole = [np.rint(part * 2.0**shift).astype(np.int64) for part in (weights, bias)]
        made.append((whole[0], whole[1], shift))
        sums = (values @ whole[0] + whole[1]) / 2.0**shift
        values, unit, top = np.clip(np.floor(sums), 0, TOP), gain, TOP
    weights, bias = last_layer(values, contexts.bits[sample])
    shift = _shift(weights * LOGIT_STEPS, bias * LOGIT_STEPS, TOP)
    gain = LOGIT_STEPS * 2.0**shift
    made.append(
        (np.rint(weights * gain).astype(np.int64), np.rint(bias * gain).astype(np.int64), shift)
    )
    return nets.from_layers(made)


def last_layer(values: Array, bits: Bytes) -> tuple[Array, Array]:
    """The logistic regression of bits on activations: (n, 1) and (1,), by Newton's method."""
    seen = np.column_stack([values / TOP, np.ones(len(values))])
    weights = np.zeros(seen.shape[1])
    ridge = 1e-3 * np.eye(seen.shape[1])
    for _ in range(NEWTON_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(seen @ weights, -30, 30)))
        slope = seen.T @ (bits - chance) - ridge @ weights
        curve = (seen * (chance * (1 - chance))[:, None]).T @ seen + ridge
        weights = weights + np.linalg.solve(curve, slope)
    return (weights[:-1] / TOP)[:, None], weights[-1:]


def _shift(weights: Array, bias: Array, top: int) -> int:
    """The most by which sums may be finer, so that weights are int16 and sums exact."""
    for shift in range(nets.MAX_SHIFT, 0, -1):
        own, other = (np.abs(np.rint(part * 2.0**shift)) for part in (weights, bias))
        if own.max() < 2**15 and (top * own.sum(axis=0) + other).max() < nets.EXACT:
            return shift
    return 0
