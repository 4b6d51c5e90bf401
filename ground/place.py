"""The place of a frame: what its pixels measure on the ground and where they are on Earth.

Everything follows from the *ground matrix*, metres east and north per column and per row at the
frame's centre, on the WGS 84 ellipsoid. It holds for any CRS (projected, geographic, rotated,
Web Mercator with its stretched metres), and so do the scale bar and the north arrow made of it.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.warp import transform as warp

from onboard.errors import ProductError
from onboard.georef import Georef

F64 = npt.NDArray[np.float64]

WGS84_A = 6378137.0
WGS84_F = 1 / 298.257223563
WGS84_E2 = 0.00669437999014
"""Semi-major axis in metres, flattening and first eccentricity squared (NGA.STND.0036, 3.1)."""


def crs_of(georef: Georef) -> CRS | None:
    """Return the frame's CRS, None where it has no coordinates.

    Raises:
        ProductError: the text names no CRS that PROJ knows.
    """
    if not georef.located:
        return None
    try:
        return CRS.from_user_input(georef.crs)
    except CRSError as error:
        raise ProductError(
            f"CRS {georef.crs[:60]!r}: unknown to PROJ; fly the frame with an EPSG code or WKT"
        ) from error


def coarser(georef: Georef, block: int) -> Georef:
    """Return the grid whose pixels are ``block × block`` pixels of ``georef``.

    The last row and column may reach beyond the frame: the grid covers it whole.
    """
    a, b, c, d, e, f = georef.transform
    return Georef(
        -(-georef.width // block),
        -(-georef.height // block),
        georef.crs,
        (a * block, b * block, c, d * block, e * block, f),
    )


def pixel_to_crs(georef: Georef, columns: F64, rows: F64) -> tuple[F64, F64]:
    """Map pixel positions (0, 0 = upper left corner) to x and y in units of the CRS."""
    a, b, c, d, e, f = georef.transform
    return a * columns + b * rows + c, d * columns + e * rows + f


def pixel_to_lonlat(georef: Georef, columns: F64, rows: F64) -> tuple[F64, F64]:
    """Map pixel positions to longitude and latitude in degrees, WGS 84, arrays of any one shape.

    Raises:
        ProductError: the frame has no coordinates, or its CRS is unknown.
    """
    crs = crs_of(georef)
    if crs is None:
        raise ProductError("a frame without coordinates has no longitude and latitude")
    x, y = pixel_to_crs(georef, columns, rows)
    lon, lat = warp(crs, CRS.from_epsg(4326), x.ravel(), y.ravel())
    return np.reshape(lon, x.shape), np.reshape(lat, y.shape)


def metres_per_degree(latitude: float) -> tuple[float, float]:
    """Return metres per degree of longitude and of latitude at ``latitude`` degrees."""
    sine = math.sin(math.radians(latitude))
    w2 = 1.0 - WGS84_E2 * sine * sine
    normal = WGS84_A / math.sqrt(w2)
    meridian = normal * (1.0 - WGS84_E2) / w2
    degree = math.pi / 180.0
    return normal * math.cos(math.radians(latitude)) * degree, meridian * degree


def ground_matrix(georef: Georef) -> F64 | None:
    """Measure the frame's pixels on the ground, at its centre.

    Returns:
        float64 ``(2, 2)``: rows are metres east and north, columns are one step in column and
        in row. None where the frame has no coordinates or its centre is not on Earth.
    """
    if not georef.located:
        return None
    column, row, step = georef.width / 2, georef.height / 2, 8.0
    columns = column + np.array([-step, step, 0.0, 0.0])
    rows = row + np.array([0.0, 0.0, -step, step])
    lon, lat = pixel_to_lonlat(georef, columns, rows)
    if not np.isfinite([*lon, *lat]).all():
        return None
    east, north = metres_per_degree(float(lat.mean()))
    # Across the antimeridian the difference jumps by a turn.
    turn = (np.array([lon[1] - lon[0], lon[3] - lon[2]]) + 180.0) % 360.0 - 180.0
    rise = np.array([lat[1] - lat[0], lat[3] - lat[2]])
    matrix: F64 = np.stack([turn * east, rise * north]) / (2 * step)
    return matrix if abs(np.linalg.det(matrix)) > 0.0 else None


def pixel_size(matrix: F64) -> tuple[float, float]:
    """Return a pixel's width and height, metres, of the ``(2, 2)`` that `ground_matrix` gives."""
    return float(np.hypot(*matrix[:, 0])), float(np.hypot(*matrix[:, 1]))


def north(matrix: F64) -> tuple[float, float]:
    """Return the direction of north as a unit step (columns, rows) on the picture."""
    step = np.linalg.solve(matrix, np.array([0.0, 1.0]))
    # Pictures are drawn with pixels as tall and wide as they are on the ground.
    across, down = step * pixel_size(matrix)
    length = math.hypot(across, down)
    return across / length, down / length


def round_length(limit: float) -> float:
    """Return the largest 1, 2 or 5 times a power of ten that is not above ``limit``."""
    decade = 10.0 ** math.floor(math.log10(limit))
    return max(m * decade for m in (1.0, 2.0, 5.0) if m * decade <= limit * (1 + 1e-9))


def metres_text(metres: float) -> str:
    """Write a length with the unit that reads best: ``500 m``, ``2 km``."""
    return f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"


def lonlat_text(lon: float, lat: float) -> str:
    """Write a position as ``12.3457° N, 98.7654° W``."""
    east, north_ = "E" if lon >= 0 else "W", "N" if lat >= 0 else "S"
    return f"{abs(lat):.4f}° {north_}, {abs(lon):.4f}° {east}"
