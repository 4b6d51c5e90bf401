"""From reflectance to what the network eats: zero mean, unit spread, clipped.

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
    """``clip((reflectance - mean) / spread, -limit, limit)`` per band.

    Attributes:
        mean: per band, reflectance.
        spread: per band, reflectance.
        limit: largest magnitude after normalisation.
    """

    mean: tuple[float, ...]
    spread: tuple[float, ...]
    limit: float = 10.0

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
        x = np.subtract(reflectance.reshape(height, width * bands), mean, dtype=np.float32)
        x *= scale
        np.clip(x, -self.limit, self.limit, out=x)
        x = x.reshape(height, width, bands)
        if not valid.all():
            x[~valid] = 0.0
        return x

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {"mean": list(self.mean), "spread": list(self.spread), "limit": self.limit}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Normalisation:
        """The inverse of `to_json`."""
        return cls(tuple(data["mean"]), tuple(data["spread"]), float(data["limit"]))
