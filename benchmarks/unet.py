"""The yardstick: a plain U-Net of the size that papers on floods use.

Double 3×3 convolutions of 64, 128, 256 and 512 channels with ReLU and folded batch norm, 2×2 max
pooling on the way down, bilinear up-sampling and skips by concatenation on the way up, a 1×1 head
of three classes (Ronneberger et al., "U-Net", MICCAI 2015, with padded convolutions). Its weights
are random, since its speed does not depend on them. It makes one deterministic pass.

Its graph ends as FloodSat's does: the tile's halo is cut off and the logits become moments inside,
so that both are run, tiled and turned into maps by the same code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Span = tuple[int, int]
    Tensor = Any

CONVS_PER_BLOCK = 2
KERNEL = 3
CLASSES = 3


@dataclass(frozen=True)
class UNet:
    """Its shape.

    Attributes:
        bands: input channels.
        widths: feature channels by level, full resolution first.
    """

    bands: int = 4
    widths: tuple[int, ...] = (64, 128, 256, 512)

    @property
    def depth(self) -> int:
        """Index of the coarsest level; level ``i`` has stride ``2**i``."""
        return len(self.widths) - 1

    @property
    def stride(self) -> int:
        """Tile origins and sizes are multiples of this, in pixels."""
        return 1 << self.depth

    @property
    def sites(self) -> tuple[()]:
        """No dropout masks: `onboard.masks.ones` makes none."""
        return ()

    def convolutions(self) -> list[tuple[int, int, int]]:
        """Level, input and output channels of every 3×3 convolution, in the order they run."""
        found, before = [], self.bands
        levels = [*range(self.depth + 1), *range(self.depth - 1, -1, -1)]
        for place, level in enumerate(levels):
            width = self.widths[level]
            # On the way up a block reads what came from below beside the skip.
            given = before + width if place > self.depth else before
            found += [(level, given, width), (level, width, width)]
            before = width
        return found

    @property
    def parameters(self) -> int:
        """Weights and biases; each folded batch norm is the bias of its convolution."""
        blocks = sum(KERNEL**2 * a * b + b for _, a, b in self.convolutions())
        return blocks + self.widths[0] * CLASSES + CLASSES

    @property
    def macs_per_pixel(self) -> float:
        """Multiply-adds of the convolutions for one input pixel."""
        blocks = sum(KERNEL**2 * a * b / (1 << 2 * level) for level, a, b in self.convolutions())
        return blocks + self.widths[0] * CLASSES

    @property
    def receptive_radius(self) -> int:
        """How far, in pixels, an output may depend on the input around it; exact."""
        reach = 0
        for pixel in range(self.stride):
            low, high = self._decoder_span(0, (pixel, pixel))
            reach = max(reach, pixel - low, high - pixel)
        return reach

    def _decoder_span(self, level: int, span: Span) -> Span:
        """First and last input index that a block on the way up depends on, along one axis."""
        if level == self.depth:
            return self._encoder_span(level, span)
        low, high = span[0] - CONVS_PER_BLOCK, span[1] + CONVS_PER_BLOCK
        skip = self._encoder_span(level, (low, high))
        # Half-pixel bilinear: an even index lies between i-1 and i, an odd one i and i+1.
        deep = self._decoder_span(level + 1, ((low - 1) // 2, (high + 1) // 2))
        return min(skip[0], deep[0]), max(skip[1], deep[1])

    def _encoder_span(self, level: int, span: Span) -> Span:
        low, high = span[0] - CONVS_PER_BLOCK, span[1] + CONVS_PER_BLOCK
        return (low, high) if level == 0 else self._encoder_span(level - 1, (2 * low, 2 * high + 1))

    @property
    def halo(self) -> int:
        """The receptive radius, rounded up to the stride, in pixels."""
        return -(-self.receptive_radius // self.stride) * self.stride


def logits_model(unet: UNet, size: int | None, batch: int | None, seed: int) -> Any:
    """The network in Keras: tiles ``(batch, size, size, bands)`` to logits ``(…, 3)``."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    tile = keras.Input(batch_shape=(batch, size, size, unet.bands), name="tile")
    skips, x = [], tile
    for level, width in enumerate(unet.widths):
        x = _block(layers.MaxPooling2D(2)(x) if level else x, width)
        skips.append(x)
    for level in range(unet.depth - 1, -1, -1):
        x = layers.UpSampling2D(2, interpolation="bilinear")(x)
        x = _block(layers.Concatenate()([x, skips[level]]), unet.widths[level])
    return keras.Model(tile, layers.Conv2D(CLASSES, 1, name="head")(x), name="unet")


def _block(x: Tensor, width: int) -> Tensor:
    from keras import layers

    for _ in range(CONVS_PER_BLOCK):
        x = layers.Conv2D(
            width, KERNEL, padding="same", activation="relu", kernel_initializer="he_normal"
        )(x)
    return x


def moments_model(unet: UNet, size: int, batch: int, seed: int) -> Any:
    """`logits_model`, with the moments of its one pass over the tile's core as outputs.

    The three classes are land, water and cloud: water given clear sky is water against land.

    Returns:
        Outputs by name as `onboard.uncertainty.Moments`, each ``(batch, core, core, 1)``.
    """
    import keras
    from keras import layers, ops

    base = logits_model(unet, size, batch, seed)
    core = layers.Cropping2D(unet.halo)(base.output)
    logit = core[..., 1:2] - core[..., :1]
    p = ops.sigmoid(logit)
    q = 1.0 - p
    outputs = {
        "p_water": p,
        "p_cloud": ops.softmax(core)[..., 2:],
        "aleatoric": ops.abs(logit) * ops.minimum(p, q) - ops.log(ops.maximum(p, q)),
        "p_water_2": ops.square(p),
    }
    return keras.Model(base.input, outputs, name="unet_moments")


def tflite(unet: UNet, size: int, batch: int, seed: int) -> bytes:
    """The float32 TFLite file of `moments_model`."""
    import keras

    from training.tflite_model import convert

    try:
        return convert(moments_model(unet, size, batch, seed))
    finally:
        # Or every size that was tried would stay in memory.
        keras.backend.clear_session()
