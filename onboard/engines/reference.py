"""The reference engine: the network in plain numpy, float64, as slow and as clear as it can be.

Every other engine is held to it. It reads the exported weights and shares no layer code with the
framework that trained them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from onboard.arrays import Array
from onboard.masks import Masks
from onboard.network import CONVS_PER_BLOCK, STEM_STRIDE, Network
from onboard.uncertainty import Moments, bernoulli_entropy

if TYPE_CHECKING:
    from onboard.bundle import Bundle

BATCH_NORM_EPSILON = 1e-3


class ReferenceEngine:
    """Fits `onboard.engines.Engine`; takes tiles of any size that is a multiple of the stride."""

    name = "reference float64"
    tile_size: int | None = None

    def __init__(self, bundle: Bundle) -> None:
        self._network = bundle.network
        self._weights = {k: v.astype(np.float64) for k, v in bundle.weights().items()}

    def run(self, tile: Array, masks: Masks) -> Moments:
        """Moments over all passes of ``masks``; see `onboard.engines.Engine`."""
        return moments(self._network, self._weights, tile, masks)


Weights = Mapping[str, Array]


def moments(network: Network, weights: Weights, tile: Array, masks: Masks) -> Moments:
    """Moments of the core by the definition: every pass, its entropy, then plain means.

    The whole tile is computed and the halo cut off at the very end, so that this also checks what
    faster engines leave out on the way.
    """
    base, features = trunk(network, weights, tile)
    inside = tuple(slice(network.halo, side - network.halo) for side in tile.shape[:2])
    logits = water_logits(network, weights, base, features, masks)
    p = sigmoid(np.stack([logit[inside] for logit in logits]))
    p_cloud = sigmoid(base[..., 1][inside])
    return Moments(p.mean(0), p_cloud, bernoulli_entropy(p).mean(0), (p * p).mean(0))


def trunk(
    network: Network, weights: Weights, tile: Array, seen: dict[str, Array] | None = None
) -> tuple[Array, dict[str, Array]]:
    """Base logits ``(H, W, 2)`` and the features by stride name, ``s2`` … ``s<stride>``.

    ``seen``, if given, is filled with what every convolution makes, behind its ReLU, by its name.
    """
    seen = {} if seen is None else seen
    x = np.asarray(tile, np.float64)
    skips: list[Array] = []
    for level in range(network.depth + 1):
        if level:
            x = max_pool(x)
        x = block(x, weights, f"enc{level}", seen)
        skips.append(x)
    features = {f"s{network.stride}": x}
    for level in range(network.depth - 1, -1, -1):
        x = np.concatenate([repeat(x), skips[level]], axis=-1)
        x = block(x, weights, f"dec{level}", seen)
        features[f"s{network.stride_of(level)}"] = x
    seen["head"] = x @ weights["head/kernel"][0, 0] + weights["head/bias"]
    return spread(seen["head"]), features


def sigmoid(x: Array) -> Array:
    """The logistic function, of any shape; no logit is too large for it."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def spread(x: Array) -> Array:
    """Depth to space: ``(H, W, 4·C)``, rows before columns before channels, to ``(2H, 2W, C)``."""
    height, width, depth = x.shape
    parts = x.reshape(height, width, STEM_STRIDE, STEM_STRIDE, depth // STEM_STRIDE**2)
    return parts.transpose(0, 2, 1, 3, 4).reshape(2 * height, 2 * width, -1)


def water_logits(
    network: Network,
    weights: Weights,
    base: Array,
    features: Mapping[str, Array],
    masks: Masks,
) -> list[Array]:
    """The water logit ``(H, W)`` of every pass."""
    passes = len(masks[network.sites[0].name])
    logits = []
    for k in range(passes):
        logit = base[..., 0]
        for site in network.sites:
            vector = weights[f"correct_{site.name}/kernel"][0, 0, :, 0]
            correction = features[site.name] @ (vector * masks[site.name][k])
            for _ in range(int(np.log2(site.stride))):
                correction = bilinear(correction)
            logit = logit + correction
        logits.append(logit)
    return logits


def block(x: Array, weights: Weights, name: str, seen: dict[str, Array]) -> Array:
    """Convolution, batch normalisation by the stored statistics, ReLU; repeated. ``(H, W, C)``."""
    for i in range(CONVS_PER_BLOCK):
        stem = name == "enc0" and i == 0
        x = conv(x, weights[f"{name}_conv{i}/kernel"], STEM_STRIDE if stem else 1)
        bn = f"{name}_bn{i}"
        scale = weights[f"{bn}/gamma"] / np.sqrt(
            weights[f"{bn}/moving_variance"] + BATCH_NORM_EPSILON
        )
        x = (x - weights[f"{bn}/moving_mean"]) * scale + weights[f"{bn}/beta"]
        x = np.maximum(x, 0.0)
        seen[f"{name}_conv{i}"] = x
    return x


def conv(x: Array, kernel: Array, stride: int = 1) -> Array:
    """Cross-correlation with zero padding: ``(H, W, in)`` × ``(k, k, in, out)``.

    The output has a ``stride``-th of the rows and columns; the padding is even on all sides.
    """
    height, width, _ = x.shape
    side = len(kernel)
    around = (side - stride) // 2
    padded = np.pad(x, ((around, around), (around, around), (0, 0)))
    out = np.zeros((height // stride, width // stride, kernel.shape[-1]))
    for dy in range(side):
        for dx in range(side):
            seen = padded[dy : dy + height : stride, dx : dx + width : stride]
            out += seen @ kernel[dy, dx]
    return out


def max_pool(x: Array) -> Array:
    """2×2 maxima: ``(H, W, C)`` → ``(H/2, W/2, C)``."""
    height, width, channels = x.shape
    blocks = x.reshape(height // 2, 2, width // 2, 2, channels)
    return np.asarray(blocks.max(axis=(1, 3)))


def repeat(x: Array) -> Array:
    """Nearest-neighbour up-sampling by two: ``(H, W, C)`` → ``(2·H, 2·W, C)``."""
    return np.asarray(x.repeat(2, axis=0).repeat(2, axis=1))


def bilinear(x: Array) -> Array:
    """Bilinear up-sampling by two of ``(H, W)``, pixel centres at half integers."""
    for axis in (0, 1):
        x = np.moveaxis(x, axis, 0)
        before = np.concatenate([x[:1], x[:-1]])
        after = np.concatenate([x[1:], x[-1:]])
        pair = np.stack([0.25 * before + 0.75 * x, 0.75 * x + 0.25 * after], axis=1)
        x = np.moveaxis(pair.reshape(-1, *x.shape[1:]), 0, axis)
    return x
