"""Layers: what a person edits in QGIS, in one GeoPackage.

``labelling.gpkg`` has two layers. *chips* holds the outline of every chip with its ``status``,
which a person sets; *corrections* the polygons that a person draws where the first guess is wrong,
each with its ``class``. A GeoPackage is a SQLite file: it is written in transactions, also while
somebody has it open.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import shapely
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.features import rasterize
from rasterio.warp import transform_geom
from shapely.geometry import Polygon, mapping

from onboard import files
from onboard.classes import CLOUD, LAND, NODATA, WATER
from onboard.corners import places_of, unwrapped
from onboard.errors import DatasetError
from onboard.georef import Georef
from onboard.rasters import GDAL_ERRORS

FILE = "labelling.gpkg"
OPEN, DONE, SKIP = "open", "done", "skip"
STATUSES = (OPEN, DONE, SKIP)
CLASSES = {"land": LAND, "water": WATER, "cloud": CLOUD, "unlabelled": NODATA}
SRS = 4326
WGS84 = "OGC:CRS84"
ENVELOPES = {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}
"""Code of an envelope → its bytes (OGC 12-128, table 6)."""
LOCK_SECONDS = 5.0
EARTH_KM = 6371.0088

U8 = npt.NDArray[np.uint8]


class Place(NamedTuple):
    """The middle of a chip, degrees on WGS 84."""

    latitude: float
    longitude: float

    def km_to(self, other: Place) -> float:
        """Distance on the sphere (haversine)."""
        one, two = math.radians(self.latitude), math.radians(other.latitude)
        turn = math.radians(other.longitude - self.longitude)
        part = math.sin((two - one) / 2) ** 2
        part += math.cos(one) * math.cos(two) * math.sin(turn / 2) ** 2
        return 2 * EARTH_KM * math.asin(math.sqrt(min(1.0, part)))


def place_of(georef: Georef) -> Place | None:
    """The middle of a chip; None where it has no place on Earth."""
    corners = places_of(georef)
    if corners is None:
        return None
    middle = (float(unwrapped(corners[:, 1]).mean()) + 180.0) % 360.0 - 180.0
    return Place(float(corners[:, 0].mean()), middle)


def outline(georef: Georef) -> Polygon | None:
    """A chip's outline, longitude and latitude; None where it has no place on Earth."""
    corners = places_of(georef)
    # Clockwise as the image has them; a polygon runs the other way.
    return None if corners is None else Polygon([(lon, lat) for lat, lon in corners[::-1]])


# --- the file -------------------------------------------------------------------------------


class Marked(NamedTuple):
    """A chip as it stands in the layer.

    Attributes:
        chip: its id.
        status: one of `STATUSES`.
        group: the place that it shows.
        worth: of a label for it, nats.
        shape: its outline, or None.
    """

    chip: str
    status: str
    group: str
    worth: float
    shape: Polygon | None


def add(path: Path, new: Sequence[Marked]) -> None:
    """Add chips to the layer of them; those that are there stay as a person left them.

    Raises:
        DatasetError: the file is no GeoPackage of ours, or is locked.
        OutputError: it cannot be written.
    """
    if not path.exists():
        with files.replacing(path) as part, _open(part) as base:
            base.executescript(_SCHEMA)
            base.execute(
                "INSERT INTO gpkg_spatial_ref_sys VALUES (?, ?, ?, ?, ?, ?)",
                ("WGS 84", SRS, "EPSG", SRS, CRS.from_epsg(SRS).to_wkt(), None),
            )
    with _open(path) as base:
        there = {name for (name,) in base.execute("SELECT id FROM chips")}
        base.executemany(
            "INSERT INTO chips (geom, id, status, place, worth) VALUES (?, ?, ?, ?, ?)",
            [
                (None if one.shape is None else _packed(one.shape), *one[:4])
                for one in new
                if one.chip not in there
            ],
        )


@contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    """A GeoPackage; what is done to it is done whole or not at all."""
    try:
        base = sqlite3.connect(path, timeout=LOCK_SECONDS)
        try:
            with base:
                yield base
        finally:
            base.close()
    except sqlite3.Error as error:
        raise DatasetError(
            f"{path}: cannot be used ({error}); save and close it in QGIS, or restore it"
        ) from error


def _packed(shape: Polygon) -> bytes:
    """A geometry as a GeoPackage holds it: a header without envelope, and WKB (OGC 12-128)."""
    return b"GP\0\1" + SRS.to_bytes(4, "little") + bytes(shapely.to_wkb(shape, byte_order=1))


def _unpacked(path: Path, blob: bytes) -> Any:
    envelope = ENVELOPES.get(blob[3] >> 1 & 7, 0) if blob[:2] == b"GP" and len(blob) > 8 else None
    try:
        if envelope is None:
            raise ValueError("no geometry of a GeoPackage")
        return shapely.from_wkb(blob[8 + envelope :])
    except (ValueError, shapely.errors.ShapelyError) as error:
        raise DatasetError(
            f"{path}: a polygon is damaged ({error}); delete it in QGIS and draw it again"
        ) from error


_SCHEMA = """
PRAGMA application_id = 1196444487;
PRAGMA user_version = 10200;
CREATE TABLE gpkg_spatial_ref_sys (srs_name TEXT NOT NULL, srs_id INTEGER PRIMARY KEY,
    organization TEXT NOT NULL, organization_coordsys_id INTEGER NOT NULL,
    definition TEXT NOT NULL, description TEXT);
INSERT INTO gpkg_spatial_ref_sys VALUES
    ('Undefined Cartesian', -1, 'NONE', -1, 'undefined', NULL),
    ('Undefined geographic', 0, 'NONE', 0, 'undefined', NULL);
CREATE TABLE gpkg_contents (table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL,
    identifier TEXT UNIQUE, description TEXT DEFAULT '',
    last_change DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')),
    min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE, srs_id INTEGER);
CREATE TABLE gpkg_geometry_columns (table_name TEXT NOT NULL PRIMARY KEY,
    column_name TEXT NOT NULL, geometry_type_name TEXT NOT NULL, srs_id INTEGER NOT NULL,
    z TINYINT NOT NULL, m TINYINT NOT NULL);
CREATE TABLE chips (fid INTEGER PRIMARY KEY AUTOINCREMENT, geom POLYGON, id TEXT UNIQUE NOT NULL,
    status TEXT, place TEXT, worth DOUBLE);
CREATE TABLE corrections (fid INTEGER PRIMARY KEY AUTOINCREMENT, geom POLYGON, class TEXT);
INSERT INTO gpkg_contents (table_name, data_type, identifier, srs_id) VALUES
    ('chips', 'features', 'chips', 4326), ('corrections', 'features', 'corrections', 4326);
INSERT INTO gpkg_geometry_columns VALUES
    ('chips', 'geom', 'POLYGON', 4326, 0, 0), ('corrections', 'geom', 'POLYGON', 4326, 0, 0);
"""
"""A GeoPackage of two layers (OGC 12-128r18, clauses 1.1 and 2.1), and nothing more."""


# --- what a person did ----------------------------------------------------------------------


def statuses(path: Path) -> dict[str, str]:
    """Chip → status, as a person set it; none where there is no file yet.

    Raises:
        DatasetError: the file is no GeoPackage of ours, or a status is unknown.
    """
    if not path.exists():
        return {}
    found: dict[str, str] = {}
    with _open(path) as base:
        rows = base.execute("SELECT id, status FROM chips ORDER BY fid").fetchall()
    for chip, text in rows:
        status = str(text or OPEN).strip().lower()
        if status not in STATUSES:
            raise DatasetError(
                f"{path}: the chip {chip} has the status {status!r}; "
                f"write one of {', '.join(STATUSES)}"
            )
        found[str(chip)] = status
    return found


class Correction(NamedTuple):
    """A polygon that a person drew.

    Attributes:
        shape: longitude and latitude.
        value: the label that its pixels get.
    """

    shape: Any
    value: int


def corrections(path: Path) -> list[Correction]:
    """The polygons, in the order in which they were drawn; none where there is no file yet.

    Raises:
        DatasetError: the file is no GeoPackage of ours, or a polygon has no class.
    """
    if not path.exists():
        return []
    with _open(path) as base:
        rows = base.execute("SELECT fid, geom, class FROM corrections ORDER BY fid").fetchall()
    found = []
    for number, blob, text in rows:
        name = str(text or "").strip().lower()
        if name not in CLASSES:
            raise DatasetError(
                f"{path}: polygon {number} of the layer corrections has the class {name!r}; "
                f"write one of {', '.join(CLASSES)}"
            )
        if blob is not None:
            found.append(Correction(_unpacked(path, bytes(blob)), CLASSES[name]))
    return found


def burned(guess: U8, georef: Georef, drawn: list[Correction], path: Path) -> U8:
    """A first guess with a person's corrections; a pixel is that of the last polygon on it.

    Args:
        guess: uint8 ``(H, W)``.
        georef: its grid.
        drawn: the polygons.
        path: the layer, for errors.

    Raises:
        DatasetError: a polygon cannot be brought onto the chip's grid.
    """
    label = guess.copy()
    if not (georef.located and drawn):
        return label
    try:
        crs = CRS.from_user_input(georef.crs)
        near = [one for one in drawn if _near(one.shape, georef)]
        shapes = [(transform_geom(WGS84, crs, mapping(one.shape)), one.value) for one in near]
        if shapes:
            rasterize(shapes, out=label, transform=Affine(*georef.transform))
    except (*GDAL_ERRORS, CRSError, ValueError, TypeError, KeyError) as error:
        raise DatasetError(
            f"{path}: a polygon is no shape on the map ({error}); delete it and draw it again"
        ) from error
    return label


def _near(shape: Any, georef: Georef) -> bool:
    """Whether a polygon may touch a chip, by their boxes."""
    corners = places_of(georef)
    if corners is None or shape.is_empty:
        return False
    west, south, east, north = shape.bounds
    longitude = unwrapped(corners[:, 1])
    # On the antimeridian the two may be a turn apart.
    turn = 360.0 * round((float(longitude.mean()) - (west + east) / 2) / 360.0)
    across = east + turn >= longitude.min() and west + turn <= longitude.max()
    return bool(across and north >= corners[:, 0].min() and south <= corners[:, 0].max())
