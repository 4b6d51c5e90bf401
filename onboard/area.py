"""Area: a box of longitudes and latitudes, for commands about places.

West, south, east and north in degrees WGS 84; a box whose west is beyond its east crosses the
date line.
"""

from __future__ import annotations

from onboard.georef import Georef

Area = tuple[float, float, float, float]


def contains(area: Area, latitude: float, longitude: float) -> bool:
    """Whether a place lies in an area."""
    west, south, east, north = area
    across = west <= longitude <= east if west <= east else longitude >= west or longitude <= east
    return south <= latitude <= north and across


def meets(area: Area, grid: Georef) -> bool | None:
    """Whether a frame reaches into an area; None where the frame has no place on Earth."""
    from rasterio.crs import CRS
    from rasterio.errors import CRSError
    from rasterio.warp import transform_bounds

    if not grid.located:
        return None
    a, b, c, d, e, f = grid.transform
    corners = [(col, row) for col in (0, grid.width) for row in (0, grid.height)]
    xs = [a * col + b * row + c for col, row in corners]
    ys = [d * col + e * row + f for col, row in corners]
    try:
        west, south, east, north = transform_bounds(
            CRS.from_string(grid.crs), CRS.from_epsg(4326), min(xs), min(ys), max(xs), max(ys)
        )
    except (CRSError, ValueError):
        return None
    return overlap(area, (west, south, east, north))


def overlap(one: Area, other: Area) -> bool:
    """Whether two boxes share a place; either may cross the date line."""
    if other[3] < one[1] or other[1] > one[3]:
        return False
    # Two arcs of longitude meet where one begins within the other.
    return _within(one[0], one[2], other[0]) or _within(other[0], other[2], one[0])


def _within(west: float, east: float, longitude: float) -> bool:
    return west <= longitude <= east if west <= east else longitude >= west or longitude <= east
