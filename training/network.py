"""The network in Keras, written with ``keras.ops`` and layers only, so any backend can train it.

Two views of the same layers: `build` gives logits for a batch of tiles, each with masks of its
own (training); `moments_model` gives the moments of K passes over one tile (export), with
everything that does not depend on the masks computed once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from onboard.network import CONVS_PER_BLOCK, Network

Tensor = Any


def _block(x: Tensor, width: int, name: str) -> Tensor:
    for i in range(CONVS_PER_BLOCK):
        x = layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"{name}_conv{i}")(x)
        x = layers.BatchNormalization(momentum=0.95, epsilon=1e-3, name=f"{name}_bn{i}")(x)
        x = layers.ReLU(name=f"{name}_relu{i}")(x)
    return x


@dataclass(frozen=True)
class Trunk:
    """The deterministic part: base logits ``(N, H, W, 2)`` and the sites' features."""

    base: Tensor
    features: dict[str, Tensor]


def trunk(tile: Tensor, network: Network) -> Trunk:
    """Encoder, decoder and head over normalised tiles ``(N, H, W, bands)``."""
    skips = []
    x = tile
    for level, width in enumerate(network.widths):
        if level:
            x = layers.MaxPooling2D(2, name=f"pool{level}")(x)
        x = _block(x, width, f"enc{level}")
        skips.append(x)
    features = {f"s{network.stride}": x}
    for level in range(network.depth - 1, -1, -1):
        x = layers.UpSampling2D(2, interpolation="nearest", name=f"up{level}")(x)
        x = layers.Concatenate(name=f"skip{level}")([x, skips[level]])
        x = _block(x, network.widths[level], f"dec{level}")
        features[f"s{2**level}"] = x
    base = layers.Conv2D(2, 1, name="head")(x)
    return Trunk(base, {s.name: features[s.name] for s in network.sites})


def _correction_layers(network: Network) -> dict[str, layers.Layer]:
    return {
        site.name: layers.Conv2D(1, 1, use_bias=False, name=f"correct_{site.name}")
        for site in network.sites
    }


def _correct(network: Network, features: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
    """Sum of the up-sampled corrections ``(N, H, W, 1)``; coarse ones ride on finer ones."""
    convs = _correction_layers(network)
    total = None
    for site in network.sites:
        own = convs[site.name](ops.multiply(features[site.name], masks[site.name]))
        total = own if total is None else ops.add(total, own)
        total = layers.UpSampling2D(2, interpolation="bilinear", name=f"lift_{site.name}")(total)
    for i in range(int(np.log2(network.sites[-1].stride)) - 1):
        total = layers.UpSampling2D(2, interpolation="bilinear", name=f"lift_{i}")(total)
    return total


def build(network: Network) -> keras.Model:
    """The training view.

    Inputs: ``tile`` ``(N, H, W, bands)`` normalised, and ``mask_<site>`` ``(N, 1, 1, C)`` for
    every site. Output: logits ``(N, H, W, 2)``, water given clear sky, and cloud.
    """
    tile = keras.Input((None, None, network.bands), name="tile")
    masks = {
        site.name: keras.Input((1, 1, site.channels), name=f"mask_{site.name}")
        for site in network.sites
    }
    deep = trunk(tile, network)
    water = ops.add(deep.base[..., :1], _correct(network, deep.features, masks))
    logits = ops.concatenate([water, deep.base[..., 1:]], axis=-1)
    return keras.Model([tile, *masks.values()], logits, name="floodsat")


def moments_model(network: Network, passes: int, tile_size: int) -> keras.Model:
    """The export view: the moments of ``passes`` passes over one tile.

    The mean entropy of K Bernoullis is taken with one logarithm a pixel: with
    ``m = max(p, 1-p) = sigmoid(|l|)``, ``H = -log m + |l|·(1-m)``, and the logarithms of the K
    passes add up to the logarithm of a product that lies in ``[2**-K, 1]``.

    Inputs: ``tile`` ``(1, S, S, bands)``, ``mask_<site>`` ``(K, 1, 1, C)``. Outputs by name, each
    ``(1, S, S, 1)``: ``p_water``, ``p_cloud``, ``aleatoric`` (mean entropy, nats), ``p_water_2``
    (mean of squares).
    """
    tile = keras.Input(batch_shape=(1, tile_size, tile_size, network.bands), name="tile")
    masks = {
        name: keras.Input(batch_shape=shape, name=name)
        for name, shape in network.mask_shapes(passes).items()
    }
    deep = trunk(tile, network)
    own = {site.name: masks[f"mask_{site.name}"] for site in network.sites}
    logit = ops.add(deep.base[..., :1], _correct(network, deep.features, own))
    p = ops.sigmoid(logit)
    q = ops.subtract(1.0, p)
    surest = ops.prod(ops.maximum(p, q), axis=0, keepdims=True)
    doubt = ops.sum(ops.abs(logit) * ops.minimum(p, q), axis=0, keepdims=True)
    outputs = {
        "p_water": ops.mean(p, axis=0, keepdims=True),
        "p_cloud": ops.sigmoid(deep.base[..., 1:]),
        "aleatoric": ops.multiply(ops.subtract(doubt, ops.log(surest)), 1.0 / passes),
        "p_water_2": ops.mean(ops.square(p), axis=0, keepdims=True),
    }
    return keras.Model([tile, *masks.values()], outputs, name="floodsat_moments")


def weight_arrays(model: keras.Model) -> dict[str, npt.NDArray[np.float32]]:
    """Every weight by ``<layer>/<variable>``, float32, batch-norm statistics included."""
    found = {}
    for layer in model.layers:
        for variable in layer.weights:
            found[f"{layer.name}/{variable.name}"] = np.asarray(variable, dtype=np.float32)
    return found


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Give ``target`` the weights of ``source``, layer by layer name."""
    for layer in target.layers:
        if layer.weights:
            layer.set_weights(source.get_layer(layer.name).get_weights())
