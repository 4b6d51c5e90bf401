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
from training.heteroscedastic import marginal_logit
from training.placement import corrected_sites, is_heteroscedastic, masked_blocks
from training.prior import Prior

Tensor = Any

START_LOG_VARIANCE = -2.0


def _ridge(prior: Prior | None, keep: float = 1.0) -> Any:
    """The prior's squared norm as a Keras regulariser."""
    return keras.regularizers.L2(prior.decay(keep)) if prior and prior.length_scale else None


def convolution(
    x: Tensor, width: int, block: str, i: int, ridge: Any, kernel: int = 3, stride: int = 1
) -> Tensor:
    """A padded convolution, batch norm and ReLU, the ``i``-th of a block.

    Args:
        x: features ``(N, H, W, C)``.
        width: channels that it makes.
        block: its name, which the layers' names begin with.
        i: from 0.
        ridge: Keras regulariser of the kernel, or None.
        kernel: side of the kernel, pixels.
        stride: pixels.

    Returns:
        ``(N, H/stride, W/stride, width)``.
    """
    x = layers.Conv2D(
        width,
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_regularizer=ridge,
        name=f"{block}_conv{i}",
    )(x)
    x = layers.BatchNormalization(momentum=0.95, epsilon=BATCH_NORM_EPSILON, name=f"{block}_bn{i}")(
        x
    )
    return layers.ReLU(name=f"{block}_relu{i}")(x)


class _Trunk:
    """Makes the blocks one by one, and lets masks act on the features of those that have some."""

    def __init__(self, network: Network, masks: dict[str, Tensor], prior: Prior | None) -> None:
        self._network, self._prior = network, prior
        masked = masked_blocks(network)
        self._masks = {name: mask for name, mask in masks.items() if name in masked}
        self._keep = {site.name: site.keep for site in network.sites if site.name in masked}

    def block(self, x: Tensor, width: int, name: str, inputs: tuple[str, ...]) -> Tensor:
        """Convolutions on ``x``, which the blocks ``inputs`` made."""
        for i in range(CONVS_PER_BLOCK):
            stem = name == "enc0" and i == 0
            ridge = _ridge(self._prior, self.keep(inputs) if i == 0 else 1.0)
            kernel, stride = (STEM_KERNEL, STEM_STRIDE) if stem else (3, 1)
            x = convolution(x, width, name, i, ridge, kernel, stride)
        return ops.multiply(x, self._masks[name]) if name in self._masks else x

    def keep(self, inputs: tuple[str, ...]) -> float:
        """How likely a channel that a layer reads is kept; the mean where it reads two blocks."""
        return float(np.mean([self._keep.get(name, 1.0) for name in inputs or ("",)]))


def _trunk(
    tile: Tensor, network: Network, masks: dict[str, Tensor], prior: Prior | None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Base logits ``(N, H, W, 2)`` and features by site, from normalised tiles.

    A heteroscedastic network has a third logit, the logarithm of the water logit's variance.
    """
    trunk = _Trunk(network, masks, prior)
    skips = []
    x, before = tile, ""
    for level, width in enumerate(network.widths):
        if level:
            x = layers.MaxPooling2D(2, name=f"pool{level}")(x)
        x = trunk.block(x, width, f"enc{level}", (before,))
        before = f"enc{level}"
        skips.append(x)
    features = {f"s{network.stride}": x}
    for level in range(network.depth - 1, -1, -1):
        x = layers.UpSampling2D(2, interpolation="nearest", name=f"up{level}")(x)
        x = layers.Concatenate(name=f"skip{level}")([x, skips[level]])
        x = trunk.block(x, network.widths[level], f"dec{level}", (before, f"enc{level}"))
        before = f"dec{level}"
        features[f"s{network.stride_of(level)}"] = x
    ridge = _ridge(prior, trunk.keep((before,)))
    heads = [layers.Conv2D(2 * STEM_STRIDE**2, 1, kernel_regularizer=ridge, name="head")]
    if is_heteroscedastic(network):
        # Small at first, so that training begins as without it.
        start = keras.initializers.Constant(START_LOG_VARIANCE)
        heads.append(
            layers.Conv2D(
                STEM_STRIDE**2,
                1,
                kernel_regularizer=ridge,
                bias_initializer=start,
                name="head_variance",
            )
        )
    logits = [ops.nn.depth_to_space(head(x), STEM_STRIDE) for head in heads]
    return ops.concatenate(logits, axis=-1) if len(logits) > 1 else logits[0], features


def _correction_layers(network: Network, prior: Prior | None) -> dict[str, layers.Layer]:
    return {
        site.name: layers.Conv2D(
            1,
            1,
            use_bias=False,
            kernel_regularizer=_ridge(prior, site.keep),
            name=f"correct_{site.name}",
        )
        for site in corrected_sites(network)
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
    for site in corrected_sites(network):
        own = convs[site.name](ops.multiply(features[site.name], masks[site.name]))
        total = own if total is None else ops.add(total, own)
        total = layers.UpSampling2D(2, interpolation="bilinear", name=f"lift_{site.name}")(total)
    for i in range(corrected_sites(network)[-1].stride.bit_length() - 2):
        total = layers.UpSampling2D(2, interpolation="bilinear", name=f"lift_{i}")(total)
    return total


def build(network: Network, prior: Prior | None = None) -> keras.Model:
    """The network as it is trained; with ``prior`` its losses hold the weights' squared norms.

    Inputs: ``tile`` ``(N, H, W, bands)`` normalised, and ``mask_<site>`` ``(N, 1, 1, C)`` for
    every site. Output: logits ``(N, H, W, 2)``, water given clear sky, and cloud. Of a
    heteroscedastic network the water logit is that of the probability over its noise, and a third
    channel gives the logarithm of the noise's variance (`training.heteroscedastic`).
    """
    tile = keras.Input((None, None, network.bands), name="tile")
    masks = {
        site.name: keras.Input((None, None, site.channels), name=f"mask_{site.name}")
        for site in network.sites
    }
    base, features = _trunk(tile, network, masks, prior)
    water = base[..., :1]
    if corrected_sites(network):
        water = ops.add(water, _correct(network, features, masks, prior))
    if is_heteroscedastic(network):
        water = marginal_logit(water, base[..., 2:])
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
