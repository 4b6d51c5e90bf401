"""Dead pixels: detector elements that do not answer, and what stands in for their samples.

A dead sample is filled within its own band from the nearest live samples of its row and column, at
most `REACH` pixels away: linear interpolation along either, the two weighted by the inverse square
of the gap that they bridge. A single dead element gets the mean of its four neighbours, a dead line
is interpolated across. What has no live neighbour so near is a hole, and has no data.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio

from onboard.arrays import Array, Flags
from onboard.errors import ConfigError, FrameError
from onboard.rasters import GDAL_ERRORS, unlocated_is_fine

REACH = 3
MAX_MAP_BYTES = 2**26
MAX_MAP_PIXELS = 2**27
_STEPS = ((0, -1), (0, 1), (-1, 0), (1, 0))
_OPPOSITE = (1, 0, 3, 2)
# Stands for the distance of a neighbour that there is none: the other side then weighs little.
_NOWHERE = 4 * REACH


@dataclass(frozen=True, eq=False)
class DeadMap:
    """Which elements are dead.

    Attributes:
        path: the file.
        height: rows of the detector; 1 for a line scanner, whose one row makes every row.
        width: columns of the detector.
        elements: band → int64 ``(n, 2)``, row and column of every dead element, by row.
    """

    path: Path
    height: int
    width: int
    elements: dict[str, Array]

    def fit(self, frame: Path, height: int, width: int) -> None:
        """Make sure that a frame of this size comes from this detector.

        Raises:
            FrameError: the sizes differ.
        """
        if self.width != width or self.height not in (1, height):
            raise FrameError(
                f"{frame}: has {width}×{height} pixels, the dead-pixel map {self.path} "
                f"{self.width}×{self.height}; give the profile of the camera that took it"
            )

    def of(self, band: str, height: int) -> Array:
        """Dead samples of one band in a frame of ``height`` rows, int64 ``(n, 2)``, by row."""
        own = self.elements[band]
        if self.height > 1 or not own.size:
            return own
        rows = np.repeat(np.arange(height), len(own))
        return np.stack([rows, np.tile(own[:, 1], height)], axis=1)


def read_dead(path: Path, digest: str, bands: tuple[str, ...]) -> DeadMap:
    """Read a map: a TIFF of uint8, 0 live and 1 dead, one plane a band, named by it.

    Args:
        path: the file.
        digest: its SHA-256 in hexadecimal digits, as the profile names it.
        bands: those that the profile calibrates.

    Raises:
        ConfigError: unreadable, another file than the one meant, or not such a raster.
    """
    try:
        if path.stat().st_size > MAX_MAP_BYTES:
            raise ConfigError(f"{path}: has more than {MAX_MAP_BYTES} bytes; give a dead-pixel map")
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        why = error.strerror or error
        raise ConfigError(
            f"{path}: cannot be read ({why}); lay the dead-pixel map there"
        ) from error
    if found != digest.lower():
        raise ConfigError(
            f"{path}: is not the dead-pixel map that the profile names (SHA-256 {found[:12]}…, "
            f"not {digest[:12]}…); send both again"
        )
    try:
        with unlocated_is_fine(), rasterio.open(str(path), driver="GTiff") as raster:
            return _parse(path, raster, bands)
    except GDAL_ERRORS as error:
        raise ConfigError(f"{path}: is no readable TIFF; write the dead-pixel map anew") from error


def _parse(path: Path, raster: Any, bands: tuple[str, ...]) -> DeadMap:
    height, width = raster.height, raster.width
    names = [(name or "").strip().lower() for name in raster.descriptions]
    if height * width > MAX_MAP_PIXELS:
        raise ConfigError(f"{path}: claims {width}×{height} elements; give a dead-pixel map")
    elements = {}
    for band in bands:
        if band not in names:
            raise ConfigError(f"{path}: has no plane {band!r}; name one plane after every band")
        plane = raster.read(names.index(band) + 1)
        if plane.dtype != np.uint8 or plane.max() > 1:
            raise ConfigError(f"{path}: holds other values than 0 and 1; write it as uint8")
        elements[band] = np.argwhere(plane)
    return DeadMap(path, height, width, elements)


class Fill(NamedTuple):
    """How the dead samples of one band are filled; by row.

    Attributes:
        rows: int64 ``(n,)``.
        cols: int64 ``(n,)``.
        reach: int64 ``(n, 4)``, distance to the nearest live sample to the left, right, above and
            below; 0 where there is none within `REACH`.
    """

    rows: Array
    cols: Array
    reach: Array

    def within(self, rows: tuple[int, int], cols: tuple[int, int]) -> Fill:
        """Those in a window, as indices into it; ``rows`` and ``cols`` are its first and end."""
        low, high = np.searchsorted(self.rows, rows)
        part = [array[low:high] for array in self]
        keep = (part[1] >= cols[0]) & (part[1] < cols[1])
        return Fill(part[0][keep] - rows[0], part[1][keep] - cols[0], part[2][keep])


def plan_fill(dead: Array, height: int, width: int) -> Fill:
    """How to fill ``dead``, int64 ``(n, 2)`` by row, in a band of ``height`` × ``width``."""
    # A border that is never live spares every bound.
    live = np.zeros((height + 2 * REACH, width + 2 * REACH), bool)
    live[REACH:-REACH, REACH:-REACH] = True
    rows, cols = dead[:, 0], dead[:, 1]
    live[rows + REACH, cols + REACH] = False
    reach = np.zeros((len(dead), len(_STEPS)), np.int64)
    for far in range(REACH, 0, -1):
        for side, (down, right) in enumerate(_STEPS):
            hit = live[rows + REACH + far * down, cols + REACH + far * right]
            reach[hit, side] = far
    return Fill(rows, cols, reach)


def fill_band(image: Array, valid: Flags, fill: Fill) -> Flags:
    """Fill the dead samples of one band in place.

    Args:
        image: float32 ``(h, w)``, with a margin of `REACH` where the frame goes on.
        valid: bool ``(h, w)``, where there is data to fill from.
        fill: of this window. Neighbours beyond the window do not count.

    Returns:
        bool ``(n,)``, whether each was filled.
    """
    values, far = (np.zeros(fill.reach.shape, np.float32) for _ in range(2))
    height, width = image.shape
    for side, (down, right) in enumerate(_STEPS):
        reach = fill.reach[:, side]
        rows, cols = fill.rows + reach * down, fill.cols + reach * right
        inside = (reach > 0) & (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
        rows, cols = np.where(inside, rows, 0), np.where(inside, cols, 0)
        inside &= valid[rows, cols]
        values[:, side] = np.where(inside, image[rows, cols], 0)
        far[:, side] = np.where(inside, reach, _NOWHERE)
    weights = np.where(far < _NOWHERE, far[:, _OPPOSITE], 0) / (far + far[:, _OPPOSITE]) ** 3
    total = weights.sum(axis=1)
    filled = total > 0
    means = (weights * values).sum(axis=1) / np.where(filled, total, 1)
    image[fill.rows, fill.cols] = means
    return np.asarray(filled)
