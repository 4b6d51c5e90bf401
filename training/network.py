"""The network in Keras, written with ``keras.ops`` and layers only, so any backend can train it.

Logits for a batch of tiles, each with masks of its own. What engines run is written by
`training.tflite_model` and `training.onnx_model` from the trained weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from onboard.engines.reference import BATCH_NORM_EPSILON
from onboard.errors import ConfigError
from onboard.network import CONVS_PER_BLOCK, STEM_KERNEL, STEM_STRIDE, Network
from training.prior import Prior

Tensor = Any


def _ridge(prior: Prior | None, keep: float = 1.0) -> Any:
    """The prior's squared norm as a Keras regulariser."""
    return keras.regularizers.L2(prior.decay(keep)) if prior and prior.length_scale else None


def _block(x: Tensor, width: int, name: str, prior: Prior | None) -> Tensor:
    for i in range(CONVS_PER_BLOCK):
        stem = name == "enc0" and i == 0
        x = layers.Conv2D(
            width,
            STEM_KERNEL if stem else 3,
            strides=STEM_STRIDE if stem else 1,
            padding="same",
            use_bias=False,
            kernel_regularizer=_ridge(prior),
            name=f"{name}_conv{i}",
        )(x)
        x = layers.BatchNormalization(
            momentum=0.95, epsilon=BATCH_NORM_EPSILON, name=f"{name}_bn{i}"
        )(x)
        x = layers.ReLU(name=f"{name}_relu{i}")(x)
    return x


def _trunk(tile: Tensor, network: Network, prior: Prior | None) -> tuple[Tensor, dict[str, Tensor]]:
    """Base logits ``(N, H, W, 2)`` and the sites' features, from normalised tiles."""
    skips = []
    x = tile
    for level, width in enumerate(network.widths):
        if level:
            x = layers.MaxPooling2D(2, name=f"pool{level}")(x)
        x = _block(x, width, f"enc{level}", prior)
        skips.append(x)
    features = {f"s{network.stride}": x}
    for level in range(network.depth - 1, -1, -1):
        x = layers.UpSampling2D(2, interpolation="nearest", name=f"up{level}")(x)
        x = layers.Concatenate(name=f"skip{level}")([x, skips[level]])
        x = _block(x, network.widths[level], f"dec{level}", prior)
        features[f"s{network.stride_of(level)}"] = x
    head = layers.Conv2D(2 * STEM_STRIDE**2, 1, kernel_regularizer=_ridge(prior), name="head")
    return ops.nn.depth_to_space(head(x), STEM_STRIDE), features


def _correction_layers(network: Network, prior: Prior | None) -> dict[str, layers.Layer]:
    return {
        site.name: layers.Conv2D(
            1,
            1,
            use_bias=False,
            kernel_regularizer=_ridge(prior, site.keep),
            name=f"correct_{site.name}",
        )
        for site in network.sites
    }


def _correct(
    network: Network,
    features: dict[str, Tensor],
    masks: dict[str, Tensor],
    prior: Prior | None,
) -> Tensor:
    """Sum of the up-sampled corrections ``(N, H, W, 1)``; coarse ones ride on finer ones."""
    convs = _correction_layers(network, prior)
    total = None
    for site in network.sites:
        own = convs[site.name](ops.multiply(features[site.name], masks[site.name]))
        total = own if total is None else ops.add(total, own)
        total = layers.UpSampling2D(2, interpolation="bilinear", name=f"lift_{site.name}")(total)
    for i in range(network.sites[-1].stride.bit_length() - 2):
        total = layers.UpSampling2D(2, interpolation="bilinear", name=f"lift_{i}")(total)
    return total


def build(network: Network, prior: Prior | None = None) -> keras.Model:
    """The network as it is trained; with ``prior`` its losses hold the weights' squared norms.

    Inputs: ``tile`` ``(N, H, W, bands)`` normalised, and ``mask_<site>`` ``(N, 1, 1, C)`` for
    every site. Output: logits ``(N, H, W, 2)``, water given clear sky, and cloud.
    """
    tile = keras.Input((None, None, network.bands), name="tile")
    masks = {
        site.name: keras.Input((1, 1, site.channels), name=f"mask_{site.name}")
        for site in network.sites
    }
    base, features = _trunk(tile, network, prior)
    water = ops.add(base[..., :1], _correct(network, features, masks, prior))
    logits = ops.concatenate([water, base[..., 1:]], axis=-1)
    return keras.Model([tile, *masks.values()], logits, name="floodsat")


def weight_arrays(model: keras.Model) -> dict[str, npt.NDArray[np.float32]]:
    """Every weight by ``<layer>/<variable>``, float32, batch-norm statistics included."""
    found = {}
    for layer in model.layers:
        for variable in layer.weights:
            found[f"{layer.name}/{variable.name}"] = np.asarray(variable, dtype=np.float32)
    return found


def set_weight_arrays(model: keras.Model, arrays: Mapping[str, npt.NDArray[np.float32]]) -> None:
    """The inverse of `weight_arrays`.

    Raises:
        ConfigError: a weight is missing, or of another shape.
    """
    for layer in model.layers:
        names = [f"{layer.name}/{variable.name}" for variable in layer.weights]
        shapes = [tuple(variable.shape) for variable in layer.weights]
        if any(name not in arrays for name in names) or shapes != [
            arrays[name].shape for name in names
        ]:
            raise ConfigError(
                f"the layer {layer.name} has another shape than in the run to start from; give "
                "the same widths and sensor"
            )
        layer.set_weights([arrays[name] for name in names])
