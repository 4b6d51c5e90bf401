"""The backdrop: a frame made visible, for people to look at behind a map.

It is for display only. Each band is stretched by itself between its 2nd and 98th percentile,
so colours are not reflectance and must not be measured. Where a mask tells clouds apart, only
what was observed sets the stretch: a few bright clouds would turn the land black.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.enums import Resampling
from rasterio.errors import RasterioError

from ground.palette import U8
from onboard import classes
from onboard.errors import FrameError
from onboard.rasters import unlocated_is_fine

PERCENTILES = (2.0, 98.0)
FEWEST = 100
"""Pixels that a stretch needs, so that percentiles mean something."""


def read_rgb(
    path: Path, bands: tuple[int, int, int], mask: U8 | None = None, limit: int = 1280
) -> U8:
    """Read a frame as a picture, by a decimated read that never holds the whole frame.

    Args:
        path: a raster that GDAL reads.
        bands: numbers of the bands to show as red, green and blue, from 1.
        mask: uint8 ``(H, W)`` of ``onboard.classes`` on the frame's grid, where there is one.
        limit: longest side of the result, in pixels.

    Returns:
        uint8 ``(h, w, 3)``; black where the frame holds no data.

    Raises:
        FrameError: not readable, or a band is missing.
    """
    try:
        with unlocated_is_fine(), rasterio.open(path) as frame:
            samples, valid = _decimated(frame, path, bands, limit)
    except RasterioError as error:
        raise FrameError(f"{path}: cannot be shown ({error}); is it a whole raster?") from error
    return stretch(samples, valid, _observed(mask, valid))


def stretch(
    samples: npt.NDArray[Any],
    valid: npt.NDArray[np.bool_],
    counted: npt.NDArray[np.bool_] | None = None,
) -> U8:
    """Stretch samples ``(3, h, w)`` to a picture, uint8 ``(h, w, 3)``.

    Args:
        samples: of any numeric type.
        valid: bool ``(h, w)``; the rest becomes black.
        counted: bool ``(h, w)``, the valid pixels that set the percentiles; None for all.
    """
    picture = np.zeros((*valid.shape, 3), np.uint8)
    counted = valid if counted is None else counted
    if not counted.any():
        return picture
    for channel, band in enumerate(samples.astype(np.float64)):
        low, high = np.percentile(band[counted], PERCENTILES)
        unit = np.clip((band[valid] - low) / max(high - low, 1e-12), 0.0, 1.0)
        picture[valid, channel] = np.rint(255 * unit)
    return picture


def _observed(mask: U8 | None, valid: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the valid pixels that the mask calls land or water; all where these are too few."""
    if mask is None:
        return valid
    rows, columns = (
        np.arange(small) * large // small
        for small, large in zip(valid.shape, mask.shape, strict=True)
    )
    near = mask[np.ix_(rows, columns)]
    seen = valid & ((near == classes.LAND) | (near == classes.WATER))
    return seen if seen.sum() >= FEWEST else valid


def _decimated(
    frame: Any, path: Path, bands: tuple[int, int, int], limit: int
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    if max(bands) > frame.count:
        raise FrameError(f"{path}: has {frame.count} bands, band {max(bands)} was asked for")
    factor = max(1.0, max(frame.shape) / limit)
    shape = tuple(max(1, round(side / factor)) for side in frame.shape)
    samples = frame.read(bands, out_shape=(3, *shape), resampling=Resampling.average)
    mask = frame.dataset_mask(out_shape=shape)
    return samples, (mask > 0) & np.isfinite(samples).all(axis=0)
