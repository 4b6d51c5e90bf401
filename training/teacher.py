"""The yardstick and teacher: a plain U-Net that is trained and compared, and never flies.

Double 3×3 convolutions with batch norm and ReLU from full resolution down, 2×2 max pooling,
bilinear up-sampling, skips by concatenation and a 1×1 head (Ronneberger et al., "U-Net", MICCAI
2015, with padded convolutions). With widths of 64, 128, 256 and 512 it has 7.8 million weights, 80
times those of the network that flies (`onboard.network`). It has no dropout: one pass, no masks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from onboard.network import CONVS_PER_BLOCK, Network, Site
from training.losses import HEADS
from training.network import convolution
from training.prior import Prior

Tensor = Any


@dataclass(frozen=True)
class Teacher(Network):
    """Its shape: stands where the flying one does while a run is trained and judged.

    ``widths`` begin at full resolution; rates mean nothing, for there is no site.
    """

    def stride_of(self, level: int) -> int:
        """Input pixels per feature pixel of a level; level 0 has full resolution."""
        return 1 << level

    @property
    def sites(self) -> list[Site]:
        """None, so there are no masks either."""
        return []

    def to_json(self) -> dict[str, Any]:
        """For the record of a run; `training.export` refuses it by ``teacher``."""
        return {"teacher": True, "bands": self.bands, "widths": list(self.widths)}


def build(teacher: Teacher, prior: Prior | None = None) -> keras.Model:
    """The network as it is trained; with ``prior`` its losses hold the weights' squared norms.

    Input: ``tile`` ``(N, H, W, bands)`` normalised. Output: logits ``(N, H, W, 2)``, water given
    clear sky, and cloud.
    """
    decay = prior.decay() if prior and prior.length_scale else 0.0
    x = tile = keras.Input((None, None, teacher.bands), name="tile")
    skips = []
    for level, width in enumerate(teacher.widths):
        x = _block(layers.MaxPooling2D(2)(x) if level else x, width, f"enc{level}", decay)
        skips.append(x)
    for level in range(len(teacher.widths) - 2, -1, -1):
        x = layers.UpSampling2D(2, interpolation="bilinear", name=f"up{level}")(x)
        x = layers.Concatenate(name=f"skip{level}")([x, skips[level]])
        x = _block(x, teacher.widths[level], f"dec{level}", decay)
    logits = layers.Conv2D(len(HEADS), 1, kernel_regularizer=_ridge(decay), name="head")(x)
    return keras.Model([tile], logits, name="teacher")


def _ridge(decay: float) -> Any:
    return keras.regularizers.L2(decay) if decay else None


def _block(x: Tensor, width: int, name: str, decay: float) -> Tensor:
    for i in range(CONVS_PER_BLOCK):
        x = convolution(x, width, name, i, _ridge(decay))
    return x
