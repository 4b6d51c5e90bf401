"""Opening and writing rasters so that GDAL's ways of failing become ours.

GDAL writes lazily: a full disk shows when a file is closed, and then only on standard error. What
was written is therefore read back before it is renamed into place.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.session import DummySession

from onboard.arrays import Array
from onboard.errors import FloodsatError, OutputError
from onboard.georef import Georef
from onboard.remote import Remote, gdal_options

# GDAL would take a twentieth of the machine for blocks that we read once. Read when it first needs
# to know, so that it holds for every raster.
os.environ.setdefault("GDAL_CACHEMAX", "16")

# rasterio 1.3 raises its I/O error as an OSError of no common root.
READ_ERRORS = (RasterioError, OSError)
GDAL_ERRORS = (*READ_ERRORS, CPLE_BaseError)


def reaching(far: bool) -> rasterio.Env:
    """What has to be entered to read a raster, here or in a store; by every thread for itself.

    Without it GDAL complains on standard error, and knows no store but Amazon's.
    """
    options = gdal_options(os.environ) if far else {}
    # GDAL finds credentials by itself; boto3 need not be there.
    return rasterio.Env(session=DummySession(), **options)


def first_line(error: BaseException) -> str:
    """What GDAL says went wrong."""
    # rasterio says only that reading failed; what GDAL said of it is the cause.
    lines = str(error.__cause__ or error).splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")


def name_of(path: Path) -> str:
    """What GDAL calls a file or an object."""
    return path.gdal if isinstance(path, Remote) else str(path)


@contextlib.contextmanager
def unlocated_is_fine() -> Iterator[None]:
    """Open or make a raster without coordinates quietly; our own notes say so instead."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def lossless(planes: Array, georef: Georef, nodata: int | None, level: int) -> dict[str, Any]:
    """What `rasterio.open` wants for a GeoTIFF that loses nothing and is small.

    Args:
        planes: ``(bands, H, W)``, integers: Zstandard over horizontal differences.
        georef: their grid; it has coordinates.
        nodata: value that stands for none; None where every value counts.
        level: of Zstandard, 1…22.
    """
    return {
        "driver": "GTiff",
        "dtype": planes.dtype.name,
        "count": planes.shape[0],
        "height": georef.height,
        "width": georef.width,
        "crs": georef.crs,
        "transform": rasterio.Affine(*georef.transform),
        "nodata": nodata,
        "compress": "zstd",
        "predictor": 2,
        "zstd_level": level,
        "interleave": "pixel",
    }


@contextlib.contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turn GDAL's errors into one that names ``target``."""
    try:
        yield
    except GDAL_ERRORS as error:
        if isinstance(error, FloodsatError):
            raise
        raise _failed(target) from error


def check_written(part: Path, target: Path) -> None:
    """Read a raster back, block by block.

    Args:
        part: the file to read, not yet in its place.
        target: the name for the error.

    Raises:
        OutputError: it is not whole.
    """
    try:
        with unlocated_is_fine(), rasterio.open(str(part)) as raster:
            for _, window in raster.block_windows(1):
                raster.read(window=window)
    except GDAL_ERRORS as error:
        raise _failed(target) from error


def _failed(target: Path) -> OutputError:
    return OutputError(f"{target}: cannot be written whole; free space or choose another folder")
