"""The permanent-water reference: where water always is. Flood is water outside it.

A raster of 0 (dry) and 1 (permanent water), with coordinates, on any grid; what it does not
cover, or marks 255, it does not know. Its *version* is a hash that every product names.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.warp import Resampling, reproject

from onboard.arrays import Array, Bytes, Flags
from onboard.errors import FrameError
from onboard.georef import Georef
from onboard.rasters import GDAL_ERRORS, READ_ERRORS, unlocated_is_fine

DRY, PERMANENT, UNKNOWN = 0, 1, 255
VERSION_BYTES = 16


class Reference(Protocol):
    """What tells flood from water: `PermanentWater`, or several of them as one."""

    @property
    def version(self) -> bytes:
        """A hash that every product names, 16 bytes."""

    def on(self, georef: Georef) -> Bytes:
        """As `PermanentWater.on`."""

    def beyond(self, georef: Georef) -> Flags | None:
        """As `PermanentWater.beyond`."""

    def exact(self, georef: Georef) -> bool:
        """As `PermanentWater.exact`."""


class PermanentWater:
    """A reference raster on disk.

    Attributes:
        path: the file.
        version: the first 16 bytes of the file's SHA-256. No library words a coordinate system
            the same way in every release, so the bytes are what both sides compare.

    Raises:
        FrameError: unreadable, without coordinates, or with values other than 0, 1 and 255.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # Once: what is flown with is what the version names, even if the file is replaced now.
        data = _bytes_of(path)
        raster, self._crs, self._transform = _read(path, data)
        strange = set(np.unique(raster).tolist()) - {DRY, PERMANENT, UNKNOWN}
        if strange:
            raise FrameError(
                f"{path}: holds the value {min(strange)}; a permanent-water reference holds "
                "0, 1 and 255 only"
            )
        self._raster = raster.astype(np.uint8)
        self.version = hashlib.sha256(data).digest()[:VERSION_BYTES]

    def on(self, georef: Georef) -> Bytes:
        """The reference on a frame's grid, nearest neighbour.

        Returns:
            uint8 ``(H, W)``: 0, 1, or 255 where it does not know.
        """
        out = np.full((georef.height, georef.width), UNKNOWN, np.uint8)
        if self.exact(georef):
            self._sample(georef, out)
            return out
        try:
            self._warp(georef, out)
        except GDAL_ERRORS:
            # The frame's coordinates lead nowhere on Earth: the reference knows nothing there.
            out[:] = UNKNOWN
        return out

    def exact(self, georef: Georef) -> bool:
        """Whether `on` is the same to the last pixel everywhere: nothing is projected.

        Elsewhere it depends on the releases of PROJ and GDAL, and a mask that was coded against
        it might not be decoded on the ground.
        """
        if not georef.located:
            return False
        try:
            return bool(CRS.from_user_input(georef.crs) == self._crs)
        except (*GDAL_ERRORS, CRSError):
            return False

    def _sample(self, georef: Georef, out: Bytes) -> None:
        """`on` within one CRS: a pixel is what lies under its centre."""
        a, b, c, d, e, f = georef.transform
        p, q, r, s, t, u = self._transform[:6]
        scale = p * t - q * s
        cols = np.arange(georef.width) + 0.5
        height, width = self._raster.shape
        for row in range(georef.height):
            # Step by step in float64, which rounds alike everywhere.
            x = a * cols + (b * (row + 0.5) + c) - r
            y = d * cols + (e * (row + 0.5) + f) - u
            col_in, row_in = np.floor((t * x - q * y) / scale), np.floor((p * y - s * x) / scale)
            inside = (col_in >= 0) & (col_in < width) & (row_in >= 0) & (row_in < height)
            at = row_in[inside].astype(np.intp), col_in[inside].astype(np.intp)
            out[row, inside] = self._raster[at]

    def _warp(self, georef: Georef, out: Bytes) -> None:
        reproject(
            self._raster,
            out,
            src_transform=self._transform,
            src_crs=self._crs,
            src_nodata=UNKNOWN,
            dst_transform=rasterio.Affine(*georef.transform),
            dst_crs=georef.crs,
            dst_nodata=UNKNOWN,
            resampling=Resampling.nearest,
        )

    def beyond(self, georef: Georef) -> Flags | None:
        """Where water would be flood: outside the reference.

        Args:
            georef: the frame's grid.

        Returns:
            bool ``(H, W)``; None where the frame has no coordinates or lies partly outside the
            reference: then nothing may be called flood.
        """
        if not georef.located:
            return None
        own = self.on(georef)
        return None if (own == UNKNOWN).any() else np.asarray(own == DRY)


def _bytes_of(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(path) from error
    if not data:
        # An empty file in memory would be opened for writing.
        raise _unreadable(path)
    return data


def _read(path: Path, data: bytes) -> tuple[Array, Any, Any]:
    """First band, CRS and transform of a GeoTIFF in memory; errors name ``path``."""
    try:
        with (
            unlocated_is_fine(),
            rasterio.MemoryFile(data) as memory,
            memory.open(driver="GTiff") as dataset,
        ):
            if dataset.crs is None:
                raise FrameError(
                    f"{path}: has no coordinates; a permanent-water reference needs a CRS"
                )
            return dataset.read(1), dataset.crs, dataset.transform
    except READ_ERRORS as error:
        raise _unreadable(path) from error


def _unreadable(path: Path) -> FrameError:
    return FrameError(f"{path}: is not a readable GeoTIFF; give the permanent-water reference")
