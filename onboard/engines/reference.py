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
from onboard.network import CONVS_PER_BLOCK, Network
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
    """Moments by the definition: every pass, its entropy, then plain means."""
    base, features = trunk(network, weights, tile)
    p = 1 / (1 + np.exp(-np.stack(list(water_logits(network, weights, base, features, masks)))))
    p_cloud = 1 / (1 + np.exp(-base[..., 1]))
    return Moments(p.mean(0), p_cloud, bernoulli_entropy(p).mean(0), (p * p).mean(0))


def trunk(network: Network, weights: Weights, tile: Array) -> tuple[Array, dict[str, Array]]:
    """Base logits ``(H, W, 2)`` and the features by stride name, ``s1`` … ``s<stride>``."""
    x = np.asarray(tile, np.float64)
    skips: list[Array] = []
    for level in range(network.depth + 1):
        if level:
            x = max_pool(x)
        x = block(x, weights, f"enc{level}")
        skips.append(x)
    features = {f"s{network.stride}": x}
    for level in range(network.depth - 1, -1, -1):
        x = np.concatenate([repeat(x), skips[level]], axis=-1)
        x = block(x, weights, f"dec{level}")
        features[f"s{2**level}"] = x
    base = x @ weights["head/kernel"][0, 0] + weights["head/bias"]
    return base, features


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


def block(x: Array, weights: Weights, name: str) -> Array:
    """Convolution, batch normalisation by the stored statistics, ReLU; repeated."""
    for i in range(CONVS_PER_BLOCK):
        x = conv3(x, weights[f"{name}_conv{i}/kernel"])
        bn = f"{name}_bn{i}"
        scale = weights[f"{bn}/gamma"] / np.sqrt(
            weights[f"{bn}/moving_variance"] + BATCH_NORM_EPSILON
        )
        x = (x - weights[f"{bn}/moving_mean"]) * scale + weights[f"{bn}/beta"]
        x = np.maximum(x, 0.0)
    return x


def conv3(x: Array, kernel: Array) -> Array:
    """3×3 cross-correlation with zero padding: ``(H, W, in)`` × ``(3, 3, in, out)``."""
    height, width, _ = x.shape
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    out = np.zeros((height, width, kernel.shape[-1]))
    for dy in range(3):
        for dx in range(3):
            out += padded[dy : dy + height, dx : dx + width] @ kernel[dy, dx]
    return out


def max_pool(x: Array) -> Array:
    """2×2 maxima."""
    height, width, channels = x.shape
    blocks = x.reshape(height // 2, 2, width // 2, 2, channels)
    return np.asarray(blocks.max(axis=(1, 3)))


def repeat(x: Array) -> Array:
    """Nearest-neighbour up-sampling by two."""
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
