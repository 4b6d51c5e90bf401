"""Scenes: the frames of a replay as files, with what is really there, made once and then kept.

A recipe goes through ``floodsat synth``; a file is laid over the place that the scenario names.
Either way the frame is an ordinary GeoTIFF in UTM with its time, as a camera would deliver it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.crs import CRS
from rasterio.warp import transform

from ground.replay.captures import Capture
from onboard import files
from onboard.classes import WATER
from onboard.errors import ConfigError, FrameError
from onboard.georef import Georef
from onboard.rasters import READ_ERRORS, lossless, unlocated_is_fine
from onboard.sensor import VNIR4, Sensor
from training.synth.recipe import RECIPE_TAG, Recipe

Samples = npt.NDArray[Any]

MADE = 1
"""Counts up when the same capture gives another file."""
SIDE = 256
"""Pixels of a generated frame's side where its recipe says nothing: 7.7 km at 30 m."""
GSD_M = 30.0
META = "scene.json"
ZSTD_LEVEL = 9
MADE_BANDS = VNIR4.bands


@dataclass(frozen=True)
class Scene:
    """A frame's files.

    Attributes:
        capture: what was asked for.
        folder: that holds them.
        shape: rows and columns.
        sample_bytes: of the raw samples.
        lossless_bytes: of the frame as a GeoTIFF that loses nothing: Zstandard over horizontal
            differences.
        flood_all_km2: flood by the truth, under clouds too; None where not known.
    """

    capture: Capture
    folder: Path
    shape: tuple[int, int]
    sample_bytes: int
    lossless_bytes: int
    flood_all_km2: float | None

    @property
    def frame(self) -> Path:
        """The frame."""
        return self.folder / "frame.tif"

    @property
    def truth(self) -> Path | None:
        """Classes of what is really there; None where nobody knows."""
        path = self.folder / "truth.tif"
        return path if path.is_file() else None

    @property
    def permanent(self) -> Path | None:
        """Where water always is; None where nobody knows."""
        path = self.folder / "permanent.tif"
        return path if path.is_file() else None


def is_generated(scene: Scene) -> bool:
    """Whether a frame was generated: by a recipe, or as the tags of its file say."""
    path = scene.capture.file
    if path is None:
        return True
    with unlocated_is_fine(), rasterio.open(path) as source:
        return RECIPE_TAG in source.tags()


def scenes(
    captures: Sequence[Capture],
    sensor: Sensor,
    cache: Path,
    jobs: int = 1,
    tell: Callable[[int, int], None] = lambda done, of: None,
) -> list[Scene]:
    """The files of every capture, made where the cache lacks them.

    Args:
        captures: what is taken.
        sensor: of the bundle; a frame has its bands.
        cache: folder that keeps them from one replay to the next.
        jobs: processes that make them at once.
        tell: takes how many are there, and of how many.

    Raises:
        ConfigError: a recipe makes no sense, or the sensor is none that is generated.
        FrameError: a file cannot be read.
        ModuleNotFoundError: a recipe needs a package that is not installed here.
    """
    for one in captures:
        if one.file is None:
            _recipe(one, sensor.bands)
    missing = [one for one in captures if not (_folder(cache, one) / META).is_file()]
    make = partial(_make, cache=cache, bands=sensor.bands)
    for count, _ in enumerate(_mapped(make, missing, jobs), 1):
        tell(len(captures) - len(missing) + count, len(captures))
    return [_read(one, _folder(cache, one)) for one in captures]


def _mapped(make: Callable[[Capture], None], todo: list[Capture], jobs: int) -> Any:
    if min(jobs, len(todo)) <= 1:
        return map(make, todo)
    # Spawned: a fork would take threads of rasterio and of the engine along.
    pool = ProcessPoolExecutor(min(jobs, len(todo)), get_context("spawn"))
    return _drained(pool, make, todo)


def _drained(pool: ProcessPoolExecutor, make: Callable[[Capture], None], todo: Any) -> Any:
    try:
        yield from pool.map(make, todo)
    finally:
        pool.shutdown(cancel_futures=True)


def _folder(cache: Path, capture: Capture) -> Path:
    """Where a capture's files are kept: the same place for the same content."""
    sources = [
        None if path is None else hashlib.sha256(_bytes_of(path)).hexdigest()
        for path in (capture.file, capture.truth, capture.permanent)
    ]
    place = (capture.latitude, capture.longitude, capture.time.isoformat())
    part = (capture.window, capture.turn)
    key = json.dumps([MADE, place, sources, part, dict(capture.recipe)], sort_keys=True)
    return cache / "frames" / hashlib.sha256(key.encode()).hexdigest()[:24]


def _bytes_of(path: Path) -> bytes:
    """The bytes of a file that a scenario names.

    Raises:
        FrameError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise FrameError(f"{path}: cannot be read ({error.strerror}); name another file") from error


def _read(capture: Capture, folder: Path) -> Scene:
    meta = json.loads((folder / META).read_text("utf-8"))
    return Scene(
        capture,
        folder,
        (meta["height"], meta["width"]),
        meta["sample_bytes"],
        meta["lossless_bytes"],
        meta["flood_all_km2"],
    )


def _make(capture: Capture, cache: Path, bands: tuple[str, ...]) -> None:
    """Make the files of one capture, all or none."""
    drawn = _drawn(capture, bands) if capture.file is None else _cut(capture, bands)
    height, width = drawn.samples.shape[1:]
    georef = grid_at(capture.latitude, capture.longitude, height, width, drawn.gsd_m)
    tags = {"ACQUIRED": capture.time.isoformat(), "ACQUIRED_QUALITY": "gnss"}
    folder = _folder(cache, capture)
    files.make_folder(folder.parent)
    with files.replacing_folder(folder) as part:
        _write(part / "frame.tif", drawn.samples, georef, bands, tags, nodata=0)
        if drawn.truth is not None:
            _write(part / "truth.tif", drawn.truth[None], georef, ("class",), {}, nodata=255)
        if drawn.permanent is not None:
            names = ("permanent_water",)
            _write(part / "permanent.tif", drawn.permanent[None], georef, names, {}, nodata=None)
        meta = {
            "height": height,
            "width": width,
            "sample_bytes": drawn.samples.nbytes,
            "lossless_bytes": (part / "frame.tif").stat().st_size,
            "flood_all_km2": drawn.flood_all_km2,
        }
        (part / META).write_text(json.dumps(meta) + "\n", "utf-8")


@dataclass(frozen=True)
class Drawn:
    """A frame's arrays.

    Attributes:
        samples: ``(bands, H, W)`` as stored.
        gsd_m: metres a pixel.
        truth: uint8 ``(H, W)`` of ``onboard.classes``, or None.
        permanent: uint8 ``(H, W)``, 1 is permanent water, or None.
        flood_all_km2: see `Scene`.
    """

    samples: Samples
    gsd_m: float
    truth: Samples | None
    permanent: Samples | None
    flood_all_km2: float | None


def _drawn(capture: Capture, bands: tuple[str, ...]) -> Drawn:
    """A frame by its recipe."""
    # Here and not above: it needs scipy, which only the development environment has.
    from training.synth.frame import synthesise

    recipe = _recipe(capture, bands)
    made = synthesise(recipe)
    flood = (made.surface_water == 1) & (made.permanent == 0)
    area = float(flood.sum()) * recipe.gsd_m**2 / 1e6
    samples = np.ascontiguousarray(np.moveaxis(made.dn, 2, 0))
    return Drawn(samples, recipe.gsd_m, made.label, made.permanent, area)


def _recipe(capture: Capture, bands: tuple[str, ...]) -> Recipe:
    """The recipe of a capture that is generated.

    Raises:
        ConfigError: it makes no sense, or the sensor is none that is generated.
    """
    if bands != MADE_BANDS:
        raise ConfigError(
            f"frame {capture.name!r}: frames are generated with the bands {', '.join(MADE_BANDS)}, "
            f"the bundle's sensor has {', '.join(bands)}; name files instead of recipes"
        )
    try:
        return Recipe(**{"width": SIDE, "height": SIDE, **capture.recipe})
    except (ConfigError, TypeError) as error:
        raise ConfigError(f"frame {capture.name!r}: its recipe makes no sense: {error}") from error


def _cut(capture: Capture, bands: tuple[str, ...]) -> Drawn:
    """A frame out of a file, or a window of it."""
    assert capture.file is not None
    samples, gsd_m = _raster(capture.file, capture, len(bands))
    others: list[Samples | None] = []
    for path in (capture.truth, capture.permanent):
        one = None if path is None else _raster(path, capture, 1)[0][0]
        if one is not None and one.shape != samples.shape[1:]:
            raise FrameError(f"{path}: is {one.shape}, its frame {samples.shape[1:]}; cut it alike")
        others.append(one)
    return Drawn(samples, gsd_m, others[0], others[1], None)


def _raster(path: Path, capture: Capture, count: int) -> tuple[Samples, float]:
    """The bands of a file, cut and turned as the scenario says, and metres a pixel."""
    try:
        with unlocated_is_fine(), rasterio.open(path) as source:
            if source.count < count:
                raise FrameError(f"{path}: has {source.count} bands, {count} are needed")
            data, gsd_m = source.read(list(range(1, count + 1))), abs(source.transform.a)
            metric = source.crs is not None and source.crs.is_projected
    except READ_ERRORS as error:
        raise FrameError(f"{path}: cannot be read as a raster; name a GeoTIFF") from error
    if capture.window is not None:
        row, col, height, width = capture.window
        data = data[:, row : row + height, col : col + width]
        if data.shape[1:] != (height, width):
            raise FrameError(
                f"{path}: the window {list(capture.window)} reaches beyond it; make it smaller"
            )
    data = np.rot90(data, capture.turn % 4, (1, 2))
    data = data[:, :, ::-1] if capture.turn >= 4 else data
    return np.ascontiguousarray(data), gsd_m if metric else GSD_M


def grid_at(latitude: float, longitude: float, height: int, width: int, gsd_m: float) -> Georef:
    """A grid in the UTM zone of a place, its middle there, on whole pixels of the zone."""
    zone = int((longitude + 180) // 6) % 60 + 1
    crs = f"EPSG:{(32600 if latitude >= 0 else 32700) + zone}"
    (east,), (north,) = transform(CRS.from_epsg(4326), crs, [longitude], [latitude])
    west = math.floor(east / gsd_m - width / 2) * gsd_m
    top = math.floor(north / gsd_m + height / 2) * gsd_m
    return Georef(width, height, crs, (gsd_m, 0.0, west, 0.0, -gsd_m, top))


def _write(
    path: Path,
    planes: Samples,
    georef: Georef,
    names: tuple[str, ...],
    tags: dict[str, str],
    nodata: int | None,
) -> None:
    profile = lossless(planes, georef, nodata, ZSTD_LEVEL)
    with rasterio.open(path, "w", **profile) as out:
        out.write(planes)
        out.descriptions = names
        out.update_tags(**tags)


@dataclass(frozen=True)
class Truth:
    """What is really in a frame; arrays ``(H, W)``.

    Attributes:
        classes: uint8 of ``onboard.classes``.
        flood: bool, water outside permanent water, where the sky is clear.
        permanent: bool.
        pixel_km2: area of a pixel.
    """

    classes: Samples
    flood: npt.NDArray[np.bool_]
    permanent: npt.NDArray[np.bool_]
    pixel_km2: float

    @property
    def flood_km2(self) -> float:
        """Flood in the clear part of the frame."""
        return float(self.flood.sum()) * self.pixel_km2


def truth_of(scene: Scene) -> Truth | None:
    """The truth of a scene; None where nobody knows it."""
    if scene.truth is None:
        return None
    with rasterio.open(scene.truth) as source:
        classes, area = source.read(1), abs(source.transform.a * source.transform.e) / 1e6
    permanent = np.zeros(classes.shape, bool)
    if scene.permanent is not None:
        with rasterio.open(scene.permanent) as source:
            permanent = source.read(1) == 1
    return Truth(classes, (classes == WATER) & ~permanent, permanent, area)


def grid_of(scene: Scene) -> Georef:
    """The grid of a scene's files."""
    with rasterio.open(scene.frame) as source:
        affine = source.transform
        transform6 = (affine.a, affine.b, affine.c, affine.d, affine.e, affine.f)
        return Georef(source.width, source.height, source.crs.to_string(), transform6)
