"""Longitude and latitude as RFC 7946 wants them: from a frame's pixels to GeoJSON geometry.

A polygon on a frame is bent onto WGS 84 with points along its long edges. One that crosses the
antimeridian is cut there into parts (RFC 7946, 3.1.9), so that none of them crosses it. On a frame
that holds a pole, polygons are cut along the antimeridian in a plane around the pole, where
meridians are straight; one that holds the pole itself gets an edge along latitude ±90, for a pole
has every longitude.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS, Geod, Transformer
from pyproj.exceptions import ProjError
from shapely.geometry import MultiPolygon, Polygon, box
from shapely.geometry.polygon import orient

from ground.place import F64, WGS84_A, WGS84_F, crs_of, pixel_to_crs
from onboard.errors import ProductError
from onboard.georef import Georef

Box = tuple[float, float, float, float]
"""West, south, east and north in degrees; west is beyond east across the antimeridian."""
Geometry: TypeAlias = Polygon | MultiPolygon

WGS84 = "OGC:CRS84"
STEP = 64.0
"""Pixels between two points of an edge: a straight edge bends by far less than a pixel over it."""
STEP_AT_POLE = 1.0
MIN_PIXEL_M = 1e-3
"""Side of a pixel on the ground, in metres; below it, a grid is no camera's."""
_SIDES = 32
_GEOD = Geod(a=WGS84_A, f=WGS84_F)
_FULL_TURN = 360.0


class Globe:
    """A frame's grid on WGS 84.

    Attributes:
        georef: the grid.
        digits: decimals of a degree that are written: a fiftieth of a pixel or finer, 6 at least
            (RFC 7946, 11.2).
        pole: 90.0 or -90.0 where the frame holds that pole, else None.

    Raises:
        ProductError: the grid has no coordinates, or such as lie nowhere on Earth.
    """

    def __init__(self, georef: Georef) -> None:
        if not georef.located:
            raise ProductError("a frame without coordinates has no longitude and latitude")
        self.georef = georef
        self._crs = _crs(georef)
        self._geographic = self._crs.is_geographic
        self._forward = _transformer(georef, self._crs, WGS84)
        self._check_border()
        middle = np.array([[georef.width / 2, georef.height / 2]])
        self._middle = float(self._project(middle)[0, 0])
        self.pole = self._find_pole()
        self._check_reach()
        self.digits = _digits(_pixel_m(self))

    def lonlat(self, points: F64) -> F64:
        """Pixel positions ``(n, 2)``, column and row, as longitude and latitude in degrees.

        Longitudes are unwrapped: as near to that of the frame's centre as can be.
        """
        found = self._project(points)
        if not self._geographic:
            middle = self._middle
            found[:, 0] = middle + (found[:, 0] - middle + 180.0) % _FULL_TURN - 180.0
        return found

    def _project(self, points: F64) -> F64:
        # What overflows is no place on Earth, and is refused as such.
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(self._project_quietly(points))

    def _project_quietly(self, points: F64) -> F64:
        x, y = pixel_to_crs(self.georef, points[:, 0], points[:, 1])
        if self._geographic:
            # PROJ wraps longitudes; a grid in degrees may go on beyond 180.
            wrapped: F64 = _transformed(self._forward, x, y)
            turns = np.round((x - wrapped[:, 0]) / _FULL_TURN)
            wrapped[:, 0] += _FULL_TURN * turns
            return wrapped
        return _transformed(self._forward, x, y)

    def _check_border(self) -> None:
        a, b, _, d, e, _ = self.georef.transform
        if not abs(a * e - b * d) > 0.0:
            raise ProductError(
                "the frame's pixels have no size on its grid; mend the camera's geolocation"
            )
        found = self._project(border(self.georef))
        if not np.isfinite(found).all():
            raise ProductError(
                f"the frame's coordinates lie nowhere on Earth in {_name(self.georef)}; "
                "mend its coordinate system or its transform"
            )
        worst = float(found[np.abs(found[:, 1]).argmax(), 1])
        if abs(worst) > 90.0 + 1e-9:
            raise ProductError(
                f"the frame reaches latitude {worst:g}°, beyond the pole; "
                "mend the camera's geolocation"
            )
        if np.abs(found[:, 0]).max() > 2 * _FULL_TURN:
            raise ProductError(
                f"the frame reaches longitude {found[:, 0].max():g}°; mend the camera's geolocation"
            )

    def _check_reach(self) -> None:
        if self.pole is None:
            found = self.lonlat(border(self.georef))
            width = float(np.ptp(found[:, 0]))
            steps = np.abs(np.diff(found[:, 0], append=found[:1, 0]))
            if width > _FULL_TURN or (not self._geographic and steps.max() > 90.0):
                raise ProductError(
                    f"the frame reaches around {width:.0f}° of longitude; "
                    "mend its coordinate system or its transform"
                )
        if _pixel_m(self) < MIN_PIXEL_M:
            raise ProductError(
                "the frame's pixels have no size on the ground; mend the camera's geolocation"
            )

    def _find_pole(self) -> float | None:
        if self._geographic:
            return None
        inverse = _transformer(self.georef, WGS84, self._crs)
        a, b, c, d, e, f = self.georef.transform
        for pole in (90.0, -90.0):
            x, y = _transformed(inverse, np.zeros(1), np.full(1, pole))[0]
            if not (np.isfinite(x) and np.isfinite(y)):
                continue
            column, row = np.linalg.solve([[a, b], [d, e]], [x - c, y - f])
            inside = -1 <= column <= self.georef.width + 1 and -1 <= row <= self.georef.height + 1
            # Some projections send a pole into their middle; only a way there and back proves it.
            if inside and abs(self._project(np.array([[column, row]]))[0, 1] - pole) < 1e-6:
                return pole
        return None

    def geometry(self, shape: Polygon) -> tuple[Geometry, float]:
        """A polygon in pixels (column, row) as one in longitude and latitude, and its area.

        Returns:
            A polygon, or several where it was cut; valid, rounded to ``digits``, with exterior
            rings anticlockwise and holes clockwise (RFC 7946, 3.1.6). Its area on the ellipsoid
            WGS 84 in square metres, before it was cut and rounded.
        """
        if self.pole is None:
            bent = shapely.transform(shapely.segmentize(shape, STEP), self.lonlat)
            parts = _cut(bent)
        else:
            fine = shapely.segmentize(shape, STEP_AT_POLE)
            bent = shapely.transform(fine, self._project)
            parts = _around(shapely.transform(fine, self._plane), self.pole)
        rounded = [self._rounded(part) for part in parts]
        whole = rounded[0] if len(rounded) == 1 else shapely.union_all(rounded)
        return _clean(whole, parts), _polygon_m2(bent)

    def _rounded(self, part: Polygon) -> Any:
        moved = shapely.transform(part, lambda points: np.round(points, self.digits) + 0.0)
        return moved if moved.is_valid else shapely.make_valid(moved)

    def _plane(self, points: F64) -> F64:
        """Pixel positions in a plane around the pole: degrees from it, along each longitude."""
        found = self._project(points)
        reach, turn = 90.0 - np.abs(found[:, 1]), np.radians(found[:, 0])
        return np.stack([reach * np.cos(turn), reach * np.sin(turn)], axis=1)


def border(georef: Georef) -> F64:
    """Pixel positions around a frame's border, float64 ``(n, 2)``, columns and rows."""
    width, height = georef.width, georef.height
    corners = [(0, 0), (width, 0), (width, height), (0, height), (0, 0)]
    sides = [
        np.linspace(one, other, _SIDES, endpoint=False)
        for one, other in itertools.pairwise(corners)
    ]
    return np.asarray(np.concatenate(sides), np.float64)


def frame_of(georef: Georef) -> Polygon:
    """A frame's border as a polygon in pixels."""
    return box(0.0, 0.0, float(georef.width), float(georef.height))


def bounds(geometries: Sequence[Geometry]) -> Box | None:
    """The bounding box of geometries (RFC 7946, 5): west, south, east, north.

    Parts on both sides of the antimeridian give a box whose west is beyond its east (5.2), one
    that goes all the way around is -180 to 180 (5.3).
    """
    parts = [part for one in geometries for part in shapely.get_parts(one)]
    if not parts:
        return None
    boxes = np.array([part.bounds for part in parts])
    south, north = float(boxes[:, 1].min()), float(boxes[:, 3].max())
    west, east = _arc(boxes[:, 0], boxes[:, 2])
    return west, south, east, north


def _arc(wests: F64, easts: F64) -> tuple[float, float]:
    """The shortest arc of longitude that holds all arcs: its ends are those of the widest gap."""
    order = np.argsort(wests)
    wests, reached = wests[order], np.maximum.accumulate(easts[order])
    gaps = np.append(wests[1:], wests[0] + _FULL_TURN) - reached
    widest = int(gaps.argmax())
    if gaps[widest] <= 0.0:
        return -180.0, 180.0
    if widest == len(gaps) - 1:
        return float(wests[0]), float(reached[-1])
    # The gap is in the middle only where both sides touch the antimeridian: else it is not crossed.
    if wests[0] > -180.0 or reached[-1] < 180.0:
        return float(wests[0]), float(reached[-1])
    return float(wests[widest + 1]), float(reached[widest])


def _crs(georef: Georef) -> CRS:
    crs_of(georef)
    try:
        crs = CRS.from_user_input(georef.crs)
        if crs.is_geographic or crs.is_projected:
            return crs
        raise ProductError(
            f"CRS {_name(georef)}: is no map of the Earth's surface; "
            "fly the frame with a projected or geographic one"
        )
    except ProjError as error:
        raise ProductError(
            f"CRS {_name(georef)}: unknown to PROJ; fly the frame with an EPSG code or WKT"
        ) from error


def _transformer(georef: Georef, source: CRS | str, target: CRS | str) -> Transformer:
    try:
        return Transformer.from_crs(source, target, always_xy=True)
    except ProjError as error:
        raise ProductError(
            f"CRS {_name(georef)}: has no way to longitude and latitude; "
            "fly the frame with an EPSG code or WKT of a place on Earth"
        ) from error


def _transformed(transformer: Transformer, x: F64, y: F64) -> F64:
    """Points ``(n, 2)`` in the target's coordinates, infinite where there is no way."""
    # pyproj takes an array of one value for a number, and NumPy warns of that.
    twice = (np.append(x, x[:1]), np.append(y, y[:1]))
    found: F64 = np.stack(transformer.transform(*twice), axis=1)
    return found[:-1]


def _name(georef: Georef) -> str:
    return repr(georef.crs[:60])


def _pixel_m(globe: Globe) -> float:
    """The shorter side of the pixel in a frame's middle, in metres on the ground."""
    column, row = globe.georef.width / 2, globe.georef.height / 2
    points = np.array([[column, row], [column + 1, row], [column, row + 1]])
    lon, lat = globe._project(points).T
    _, _, sides = _GEOD.inv(lon[[0, 0]], lat[[0, 0]], lon[1:], lat[1:])
    return float(min(sides))


def _digits(pixel_m: float) -> int:
    degree = 2 * math.pi * WGS84_A / _FULL_TURN
    return min(12, max(6, math.ceil(math.log10(50 * degree / pixel_m))))


def _polygon_m2(bent: Polygon) -> float:
    return _ring_m2(bent.exterior) - sum(_ring_m2(ring) for ring in bent.interiors)


def _ring_m2(ring: Any) -> float:
    lon, lat = shapely.get_coordinates(ring).T
    return abs(_GEOD.polygon_area_perimeter(lon, lat)[0])


def _cut(bent: Polygon) -> list[Polygon]:
    """Parts of a polygon with unwrapped longitudes, each within ±180."""
    west, south, east, north = bent.bounds
    first, last = math.floor((west + 180.0) / _FULL_TURN), math.ceil((east + 180.0) / _FULL_TURN)
    parts: list[Polygon] = []
    for turn in range(first, max(last, first + 1)):
        shift = turn * _FULL_TURN
        window = box(shift - 180.0, south - 1.0, shift + 180.0, north + 1.0)
        whole = west >= shift - 180.0 and east <= shift + 180.0
        piece = bent if whole else _polygons(_valid(bent).intersection(window))
        parts += _shifted(piece, shift)
    return parts


def _shifted(piece: Any, shift: float) -> list[Polygon]:
    move = np.array([shift, 0.0])
    moved = piece if not shift else shapely.transform(piece, lambda points: points - move)
    return list(shapely.get_parts(moved))


def _around(flat: Polygon, pole: float) -> list[Polygon]:
    """Parts of a polygon in the plane around a pole, one at most in each quarter turn."""
    far = 1000.0
    flat = _valid(flat)
    parts: list[Polygon] = []
    for quarter in range(-2, 2):
        start = 90.0 * quarter
        one, two = np.radians([start, start + 90.0])
        reach = np.array([[np.cos(one), np.sin(one)], [np.cos(two), np.sin(two)]]).round() * far
        window = box(*np.minimum(0, reach).min(axis=0), *np.maximum(0, reach).max(axis=0))
        piece = _polygons(flat.intersection(window))
        for part in shapely.get_parts(piece):
            rings = [_unrolled(ring, pole, start) for ring in (part.exterior, *part.interiors)]
            parts.append(Polygon(rings[0], rings[1:]))
    return parts


def _unrolled(ring: Any, pole: float, start: float) -> npt.NDArray[np.float64]:
    """A ring of the plane within one quarter turn as longitudes and latitudes."""
    points = shapely.get_coordinates(ring)
    reach = np.hypot(*points.T)
    turn = np.degrees(np.arctan2(points[:, 1], points[:, 0]))
    # On the antimeridian either sign may come out: both mean the side of this quarter.
    middle = start + 45.0
    turn = np.clip(middle + (turn - middle + 180.0) % _FULL_TURN - 180.0, start, start + 90.0)
    out: list[tuple[float, float]] = []
    for i, (distance, longitude) in enumerate(zip(reach[:-1], turn[:-1], strict=True)):
        if distance > 1e-12:
            out.append((longitude, math.copysign(90.0 - distance, pole)))
            continue
        before, after = turn[:-1][i - 1], turn[:-1][(i + 1) % (len(turn) - 1)]
        out += [(before, pole), (after, pole)]
    return np.array([*out, out[0]])


def _polygons(found: Any) -> MultiPolygon:
    """The polygons of a geometry; the lines and points where others touch are dropped."""
    parts = shapely.get_parts(found)
    inner = [piece for part in parts for piece in shapely.get_parts(part)]
    return MultiPolygon([one for one in inner if one.geom_type == "Polygon" and not one.is_empty])


def _valid(shape: Any) -> Any:
    return shape if shape.is_valid else shapely.make_valid(shape)


def _clean(found: Any, parts: Sequence[Polygon]) -> Geometry:
    if isinstance(found, Polygon) and not found.is_empty:
        return orient(found)
    kept = [orient(part) for part in _polygons(found).geoms]
    # Nothing so small that rounding flattens it may get lost: it is written unrounded.
    kept = kept or [orient(part) for part in parts]
    return kept[0] if len(kept) == 1 else MultiPolygon(kept)
