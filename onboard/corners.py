"""Corners: from the four corners of a frame to its grid, and from a grid to its corners.

Corners are the outer corners of the corner pixels, latitude and longitude in degrees on WGS 84,
in the order upper left, upper right, lower right, lower left *of the image*. Their grid is an
affine one in the UTM zone of their middle (polar stereographic, UPS, beyond 84° N and 80° S),
fitted by least squares; four corners over-determine it by two, and what is left over, the
*projective residual*, says how far the frame is from a parallelogram.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from rasterio.warp import transform

from onboard.arrays import Array, Floats
from onboard.errors import FrameError
from onboard.georef import Affine6, Georef
from onboard.rasters import GDAL_ERRORS

WGS84 = "EPSG:4326"
CORNER_NAMES = ("upper_left", "upper_right", "lower_right", "lower_left")
MAX_RESIDUAL = 0.05
"""Of the shorter side: beyond it, no camera that looks at the ground made these corners."""
MIN_ANGLE_DEG = 20.0
"""Between two sides: below it, four corners lie all but on a line."""


class Fit(NamedTuple):
    """A grid fitted to corners.

    Attributes:
        georef: the grid.
        residual_m: root mean square over the four corners of their distance from it, metres.
        residual_px: the same in pixels.
    """

    georef: Georef
    residual_m: float
    residual_px: float


def fit_corners(path: Path, corners: Array, width: int, height: int) -> Fit:
    """The grid of a frame.

    Args:
        path: the file that states the corners, for errors.
        corners: float64 ``(4, 2)``, latitude and longitude.
        width: columns.
        height: rows.

    Raises:
        FrameError: the corners are on no line of sight: crossing, in a line, mirrored, or further
            from a parallelogram than `MAX_RESIDUAL`.
    """
    longitude = unwrapped(corners[:, 1])
    crs = zone_of(float(corners[:, 0].mean()), float(longitude.mean()))
    ground = _project(path, crs, corners[:, 0], corners[:, 1])
    _check_shape(path, ground)
    pixels = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    design = np.column_stack([pixels, np.ones(4)])
    solution = np.linalg.lstsq(design, ground, rcond=None)[0]
    off = np.linalg.norm(design @ solution - ground, axis=1)
    residual = float(np.sqrt((off**2).mean()))
    sides = np.linalg.norm(np.roll(ground, -1, axis=0) - ground, axis=1)
    if residual > MAX_RESIDUAL * sides.min():
        raise FrameError(
            f"{path}: its corners contradict each other: {residual:.0f} m from any parallelogram, "
            f"over {MAX_RESIDUAL:.0%} of the shorter side; mend the one that is wrong"
        )
    (a, d), (b, e), (c, f) = solution.tolist()
    affine: Affine6 = (a, b, c, d, e, f)
    pitch = float(np.sqrt(abs(a * e - b * d)))
    return Fit(Georef(width, height, crs, affine), residual, residual / pitch)


def unwrapped(longitude: Floats) -> Floats:
    """Longitudes ``(N,)`` near the first one, degrees: a frame may lie on the antimeridian."""
    return np.asarray(longitude[0] + (longitude - longitude[0] + 180.0) % 360.0 - 180.0)


def zone_of(latitude: float, longitude: float) -> str:
    """The EPSG code of the UTM zone (UPS near the poles) of a place, WGS 84."""
    if latitude >= 84.0:
        return "EPSG:5041"
    if latitude < -80.0:
        return "EPSG:5042"
    zone = int((longitude + 180.0) % 360.0 // 6.0) + 1
    return f"EPSG:{32600 + zone if latitude >= 0 else 32700 + zone}"


def places_of(georef: Georef) -> Floats | None:
    """Latitude and longitude of a frame's corners, float64 ``(4, 2)`` in degrees.

    None where the frame has no coordinates, or such as lead nowhere on Earth.
    """
    if not georef.located:
        return None
    a, b, c, d, e, f = georef.transform
    w, h = georef.width, georef.height
    cols, rows = np.array([0.0, w, w, 0.0]), np.array([0.0, 0.0, h, h])
    xs, ys = a * cols + b * rows + c, d * cols + e * rows + f
    try:
        longitude, latitude = transform(georef.crs, WGS84, xs.tolist(), ys.tolist())
    except GDAL_ERRORS:
        return None
    places = np.array([latitude, longitude], np.float64).T
    good = np.isfinite(places).all() and (np.abs(places[:, 0]) <= 90.0).all()
    return places if good else None


def _project(path: Path, crs: str, latitude: Array, longitude: Array) -> Floats:
    try:
        x, y = transform(WGS84, crs, longitude.tolist(), latitude.tolist())
    except GDAL_ERRORS as error:
        raise FrameError(f"{path}: its corners lie on no map ({error}); mend them") from error
    ground = np.array([x, y], np.float64).T
    if not np.isfinite(ground).all():
        raise FrameError(f"{path}: its corners are too far apart for one map; mend them")
    return ground


def _check_shape(path: Path, ground: Floats) -> None:
    """Refuse what is no convex quadrilateral that runs clockwise as seen from above."""
    sides = np.roll(ground, -1, axis=0) - ground
    lengths = np.linalg.norm(sides, axis=1)
    if lengths.min() <= 0:
        raise FrameError(f"{path}: two of its corners are one and the same; mend them")
    before, lengths_before = np.roll(sides, 1, axis=0), np.roll(lengths, 1)
    sine = before[:, 0] * sides[:, 1] - before[:, 1] * sides[:, 0]
    sine = sine / (lengths * lengths_before)
    flat = np.sin(np.radians(MIN_ANGLE_DEG))
    if (np.abs(sine) < flat).any():
        raise FrameError(f"{path}: its corners lie all but in a line; mend them")
    if len(set(np.sign(sine))) > 1:
        raise FrameError(
            f"{path}: its sides cross each other; "
            "write the corners upper left, upper right, lower right, lower left"
        )
    if sine[0] > 0:
        raise FrameError(
            f"{path}: its corners run anticlockwise on the ground, a mirror image; "
            "write them upper left, upper right, lower right, lower left"
        )
