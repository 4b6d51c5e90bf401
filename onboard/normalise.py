"""From reflectance to what the network eats: its logarithm, zero mean, unit spread, clipped.

A logarithm turns gains into offsets and band ratios, on which water indices rest, into
differences, which a convolution can take; it also spreads the dark end, where water lies. A small
floor keeps it finite and noise in the dark harmless.

Clipping bounds every activation that follows, so that raw digital numbers or saturated pixels
cannot overflow 16-bit floats on board.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from onboard.arrays import Array


@dataclass(frozen=True)
class Normalisation:
    """``clip((x - mean) / spread, -limit, limit)`` per band.

    ``x`` is ``log(max(reflectance, 0) + floor)``, or with a floor of 0 the reflectance itself.

    Attributes:
        mean: of x, per band.
        spread: of x, per band.
        limit: largest magnitude after normalisation.
        floor: reflectance added before the logarithm is taken; 0 for no logarithm.
    """

    mean: tuple[float, ...]
    spread: tuple[float, ...]
    limit: float = 10.0
    floor: float = 0.0

    def scaled(self, reflectance: Array) -> Array:
        """The reflectance, or its logarithm: float32 of the same shape, a new array."""
        if not self.floor:
            return np.array(reflectance, np.float32)
        x = np.maximum(reflectance, np.float32(0), dtype=np.float32)
        x += np.float32(self.floor)
        return np.asarray(np.log(x, out=x))

    def apply(self, reflectance: Array, valid: Array) -> Array:
        """Normalise; pixels without data become 0, the mean.

        Args:
            reflectance: float32 ``(H, W, bands)``.
            valid: bool ``(H, W)``.

        Returns:
            float32 ``(H, W, bands)`` in ``[-limit, limit]``.
        """
        height, width, bands = reflectance.shape
        # Whole rows at once: numpy is slow where the innermost axis is as short as the bands are.
        mean = np.tile(np.asarray(self.mean, np.float32), width)
        scale = np.tile(np.float32(1.0) / np.asarray(self.spread, np.float32), width)
        x = self.scaled(reflectance.reshape(height, width * bands))
        x -= mean
        x *= scale
        np.clip(x, -self.limit, self.limit, out=x)
        x = x.reshape(height, width, bands)
        if not valid.all():
            x[~valid] = 0.0
        return x

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "mean": list(self.mean),
            "spread": list(self.spread),
            "limit": self.limit,
            "floor": self.floor,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Normalisation:
        """The inverse of `to_json`."""
        return cls(
            tuple(data["mean"]),
            tuple(data["spread"]),
            float(data["limit"]),
            float(data.get("floor", 0.0)),
        )
