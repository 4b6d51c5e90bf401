"""Grids: where two maps overlap, and one map on the other's grid."""

from __future__ import annotations

import numpy as np
from rasterio import Affine
from rasterio.warp import Resampling, reproject
from rasterio.warp import transform as warp

from ground.palette import U8
from ground.place import F64, crs_of, ground_matrix, pixel_size
from onboard.errors import FrameError
from onboard.georef import Georef
from onboard.rasters import GDAL_ERRORS

OUTSIDE = 254
"""On a map that was brought to another grid: beyond its own edge."""
_SIDES = 32


def pixel_m(georef: Georef) -> float:
    """Side of a square of a pixel's area on the ground, at the middle of a map, in metres.

    Raises:
        FrameError: the map lies nowhere on Earth.
    """
    matrix = ground_matrix(georef)
    if matrix is None:
        raise FrameError("the coordinates lie nowhere on Earth; mend the map's coordinate system")
    width, height = pixel_size(matrix)
    return float(np.sqrt(width * height))


def same_lattice(one: Georef, other: Georef) -> bool:
    """Whether the pixels of two maps lie on each other wherever the maps do."""
    if crs_of(one) != crs_of(other):
        return False
    a, b, _, d, e, _ = one.transform
    if not np.allclose((a, b, d, e), [other.transform[i] for i in (0, 1, 3, 4)], rtol=1e-9):
        return False
    column, row = _position(one, *other.transform[2::3])
    return abs(column - round(column)) < 1e-3 and abs(row - round(row)) < 1e-3


def common_grid(one: Georef, other: Georef) -> Georef | None:
    """The part of the finer of two grids that both maps cover; None where there is none.

    Raises:
        FrameError: one of them lies nowhere on Earth.
    """
    fine, coarse = (one, other) if pixel_m(one) <= pixel_m(other) else (other, one)
    columns, rows = _border_on(coarse, fine)
    good = np.isfinite(columns) & np.isfinite(rows)
    if not good.any():
        return None
    left, top = (max(0, int(np.floor(v[good].min() + 1e-6))) for v in (columns, rows))
    right = min(fine.width, int(np.ceil(columns[good].max() - 1e-6)))
    bottom = min(fine.height, int(np.ceil(rows[good].max() - 1e-6)))
    if right <= left or bottom <= top:
        return None
    a, b, c, d, e, f = fine.transform
    origin = a * left + b * top + c, d * left + e * top + f
    return Georef(right - left, bottom - top, fine.crs, (a, b, origin[0], d, e, origin[1]))


def brought(mask: U8, own: Georef, grid: Georef) -> U8:
    """A class map on another grid, nearest neighbour.

    Args:
        mask: uint8 ``(H, W)`` on ``own``.
        own: its grid.
        grid: the grid that is wanted.

    Returns:
        uint8 of the size of ``grid``; `OUTSIDE` beyond the map's edge.

    Raises:
        FrameError: there is no way between the two coordinate systems.
    """
    out = np.full((grid.height, grid.width), OUTSIDE, np.uint8)
    if same_lattice(own, grid):
        column, row = (round(v) for v in _position(own, *grid.transform[2::3]))
        top, left = max(0, -row), max(0, -column)
        part = mask[max(0, row) : row + grid.height, max(0, column) : column + grid.width]
        out[top : top + part.shape[0], left : left + part.shape[1]] = part
        return out
    try:
        reproject(
            mask,
            out,
            src_transform=Affine(*own.transform),
            src_crs=crs_of(own),
            dst_transform=Affine(*grid.transform),
            dst_crs=crs_of(grid),
            dst_nodata=OUTSIDE,
            resampling=Resampling.nearest,
            # Half a pixel decides in nearest neighbour: no position is interpolated.
            tolerance=0.0,
        )
    except GDAL_ERRORS as error:
        raise FrameError(
            f"no way between the coordinate systems of the two maps ({error}); "
            "warp one of them yourself"
        ) from error
    return out


def _position(georef: Georef, x: float, y: float) -> tuple[float, float]:
    """Column and row of a place on a grid."""
    a, b, c, d, e, f = georef.transform
    column, row = np.linalg.solve([[a, b], [d, e]], [x - c, y - f])
    return float(column), float(row)


def _border_on(other: Georef, grid: Georef) -> tuple[F64, F64]:
    """Columns and rows on ``grid`` of points around the border of another one."""
    along = np.linspace(0.0, 1.0, _SIDES)
    zero, one = np.zeros(_SIDES), np.ones(_SIDES)
    across = np.concatenate([along, one, along, zero]) * other.width
    down = np.concatenate([zero, along, one, along]) * other.height
    a, b, c, d, e, f = other.transform
    x, y = a * across + b * down + c, d * across + e * down + f
    try:
        moved = np.array(warp(crs_of(other), crs_of(grid), x.tolist(), y.tolist()), np.float64)
    except GDAL_ERRORS as error:
        raise FrameError(
            f"no way between the coordinate systems of the two maps ({error}); "
            "warp one of them yourself"
        ) from error
    a, b, c, d, e, f = grid.transform
    columns, rows = np.linalg.solve([[a, b], [d, e]], moved - np.array([[c], [f]]))
    return columns, rows
