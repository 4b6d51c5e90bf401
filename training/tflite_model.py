"""The network as a TFLite graph: the moments of K passes over the core of one tile.

The same function as `training.network` trains, rearranged for CPUs, exactly:

- batch normalisation is folded, and convolutions behind an up-sampling run before it, so that
  nothing large is ever only copied;
- the stem is a 3×3 convolution of 2×2 groups of pixels;
- the corrections of some passes are one product of the features with the masked weight vectors,
  and these passes lie side by side as channels from there on; not all at once, for at full
  resolution every pass takes memory;
- from the bottleneck on only the core is computed, see `onboard.network.Network.margin`.

Every operation is one that XNNPACK runs, so the graph stays in one piece.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from onboard.network import CONVS_PER_BLOCK, STEM_KERNEL, STEM_STRIDE, Network
from onboard.quiet import STDERR, STDOUT, quiet
from training.folding import Floats, Weights, before_doubling, folded, of_groups

Tensor = Any

GROUP = 5
"""Passes that are computed side by side."""


def build(network: Network, weights: Weights, passes: int, tile: int) -> keras.Model:
    """The graph in Keras, weights set.

    Args:
        network: its shape.
        weights: as exported, by name.
        passes: K, how many passes every call computes.
        tile: S, side of the tile in pixels, a multiple of the stride.

    Returns:
        Inputs: ``tile`` ``(1, S, S, bands)`` normalised, and ``mask_<site>`` ``(K, C)`` for every
        site. Outputs by name, each ``(1, S - 2·halo, S - 2·halo, 1)``: ``p_water``, ``p_cloud``,
        ``aleatoric`` (mean entropy, nats), ``p_water_2`` (mean of squares).
    """
    image = keras.Input(batch_shape=(1, tile, tile, network.bands), name="tile")
    given = {
        s.name: keras.Input(batch_shape=(passes, s.channels), name=f"mask_{s.name}")
        for s in network.sites
    }
    features = _features(network, weights, image)
    finest = _crop(features[0], network.margin(0))
    kernel, bias = weights["head/kernel"], weights["head/bias"]
    water, cloud = (
        _spread(_conv(finest, kernel[..., i::2], bias[i::2], f"head_{name}", relu=False))
        for i, name in enumerate(("water", "cloud"))
    )
    groups = passes // GROUP if passes % GROUP == 0 else 1
    sums: dict[str, Tensor] = {}
    for number, part in enumerate(_parts(given, groups)):
        correction = _correction(network, weights, features, part, f"group{number}")
        found = _moments(ops.add(water, correction), passes // groups, 1.0 / passes)
        sums = {k: ops.add(sums[k], v) if sums else v for k, v in found.items()}
    outputs = {**sums, "p_cloud": ops.sigmoid(cloud)}
    return keras.Model([image, *given.values()], outputs, name="floodsat_moments")


def _parts(given: dict[str, Tensor], groups: int) -> list[dict[str, Tensor]]:
    """The masks of every group of passes."""
    if groups == 1:
        return [given]
    return [
        {
            # Not split: the quantiser cannot keep its hands off operations of several outputs.
            name: ops.slice(mask, (number * GROUP, 0), (GROUP, mask.shape[1]))
            for name, mask in given.items()
        }
        for number in range(groups)
    ]


def convert(model: keras.Model) -> bytes:
    """The model as a float32 TFLite file."""
    import tensorflow as tf

    # The converter chatters.
    with quiet(STDOUT, STDERR):
        content: bytes = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    return content


def _conv(
    x: Tensor,
    kernel: Floats,
    bias: Floats | None,
    name: str,
    relu: bool = True,
) -> Tensor:
    """A convolution with its weights in it, padded to keep the size."""
    layer = layers.Conv2D(
        kernel.shape[-1],
        kernel.shape[:2],
        padding="same",
        use_bias=bias is not None,
        activation="relu" if relu else None,
        name=name,
    )
    out = layer(x)
    layer.set_weights([kernel] if bias is None else [kernel, bias])
    return out


def _spread(x: Tensor) -> Tensor:
    return ops.nn.depth_to_space(x, STEM_STRIDE)


def _crop(x: Tensor, pixels: int) -> Tensor:
    return x[:, pixels:-pixels, pixels:-pixels, :] if pixels else x


def _block(x: Tensor, weights: Weights, name: str, first: int = 0) -> Tensor:
    for i in range(first, CONVS_PER_BLOCK):
        kernel, bias = folded(weights, name, i)
        if len(kernel) == STEM_KERNEL:
            x, kernel = ops.nn.space_to_depth(x, STEM_STRIDE), of_groups(kernel)
        x = _conv(x, kernel, bias, f"{name}_conv{i}")
    return x


def _up(deep: Tensor, skip: Tensor, weights: Weights, name: str) -> Tensor:
    """A decoder block: its first convolution reads the doubled ``deep`` beside ``skip``."""
    kernel, bias = folded(weights, name, 0)
    below = deep.shape[-1]
    low = _conv(deep, before_doubling(kernel[:, :, :below]), None, f"{name}_deep", relu=False)
    high = _conv(skip, kernel[:, :, below:], bias, f"{name}_skip", relu=False)
    x = layers.ReLU(name=f"{name}_relu0")(ops.add(_spread(low), high))
    return _block(x, weights, name, first=1)


def _features(network: Network, weights: Weights, tile: Tensor) -> dict[int, Tensor]:
    """Level → features over the core and the level's margin."""
    skips, x = [], tile
    for level in range(network.depth + 1):
        if level:
            x = layers.MaxPooling2D(2, name=f"pool{level}")(x)
        x = _block(x, weights, f"enc{level}")
        skips.append(_crop(x, network.cut(level)))
    found = {network.depth: skips[-1]}
    deep = skips[-1]
    for level in range(network.depth - 1, -1, -1):
        found[level] = _up(deep, skips[level], weights, f"dec{level}")
        deep = _crop(found[level], network.margin(level) - CONVS_PER_BLOCK)
    return found


def _correction(
    network: Network,
    weights: Weights,
    features: dict[int, Tensor],
    given: dict[str, Tensor],
    group: str,
) -> Tensor:
    """The corrections of a group's passes as channels; coarse ones ride on finer ones."""
    total, level = None, network.depth
    for site in network.sites:
        vector = weights[f"correct_{site.name}/kernel"][0, 0, :, 0]
        masked = ops.transpose(ops.multiply(given[site.name], vector[None]))
        near = _crop(features[level], network.margin(level) - CONVS_PER_BLOCK)
        own = ops.matmul(near, masked)
        total = own if total is None else ops.add(total, own)
        total = _double(total, f"{site.name}_{group}", level)
        level -= 1
    for finer in range(level, -1, -1):
        total = _double(total, f"{finer}_{group}", finer)
    return total


def _double(x: Tensor, name: str, level: int) -> Tensor:
    """Bilinear up-sampling; keeps the pixels around the core that the next one needs."""
    x = layers.UpSampling2D(2, interpolation="bilinear", name=f"lift_{name}")(x)
    # All of the doubled margin goes at full resolution; before it, half stays.
    return _crop(x, CONVS_PER_BLOCK if level else 2 * CONVS_PER_BLOCK)


def _moments(logit: Tensor, passes: int, share: float) -> dict[str, Tensor]:
    """``H = -log m + |l|·(1-m)`` with ``m = max(p, 1-p)``, then sums over passes of that share."""
    mean = np.full((1, 1, passes, 1), share, np.float32)
    p = ops.sigmoid(logit)
    q = ops.subtract(1.0, p)
    surest, least = ops.maximum(p, q), ops.minimum(p, q)
    doubt = ops.multiply(ops.abs(logit), least)
    return {
        "p_water": ops.conv(p, mean),
        "aleatoric": ops.subtract(ops.conv(doubt, mean), ops.conv(ops.log(surest), mean)),
        "p_water_2": ops.conv(ops.square(p), mean),
    }
