"""NDWI, the normalised difference water index (McFeeters 1996): what one ratio sees of water."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from onboard.sensor import Sensor

Floats = npt.NDArray[np.floating[Any]]


def ndwi(reflectance: Floats, sensor: Sensor) -> Floats | None:
    """``(green - nir) / (green + nir)`` of reflectance ``(…, bands)``; None without those bands."""
    if not {"green", "nir"} <= set(sensor.bands):
        return None
    green, nir = (reflectance[..., sensor.bands.index(band)] for band in ("green", "nir"))
    both = green + nir
    return np.asarray((green - nir) / np.where(np.abs(both) < 1e-6, 1e-6, both))
