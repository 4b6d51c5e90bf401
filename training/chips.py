"""Chips: small labelled images in a *chip folder*, the project's one training format.

A folder holds ``dataset.toml`` (bands, scale, offset, gsd_m, classes), ``images/<id>.tif``,
``labels/<id>.tif`` and optionally ``index.csv`` with the columns ``id`` and ``group``. Chips of
one group show one place and are never divided between splits; ``splits.toml`` may say which place
is in which, see `training.splits`.
"""

from __future__ import annotations

import csv
import hashlib
import math
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio

from onboard import formats
from onboard.errors import DatasetError
from onboard.rasters import READ_ERRORS, first_line, name_of, reaching, unlocated_is_fine
from onboard.remote import Remote
from onboard.sensor import Sensor

UNKNOWN = 255
LEFT_OUT = "left out"
"""What ``unlabelled`` says in the ``dataset.toml`` of a folder that is labelled bit by bit."""
CLASS_NAMES = ("land", "water", "cloud", "cloud_shadow", "ignore")
FMASK_CLOUD_BIT = 1
FMASK_ADJACENT_BIT = 2
FMASK_FILL = 255


@dataclass(frozen=True)
class Chip:
    """One labelled image.

    Attributes:
        id: file stem.
        group: place; chips of one group never stand on both sides of a split.
        reflectance: float32 ``(H, W, bands)`` in the sensor's band order, 0…1 and a bit beyond.
        water: uint8 ``(H, W)``: 1 water, 0 not, `UNKNOWN` where unlabelled or labelled cloud.
        cloud: uint8 ``(H, W)``: 1 cloud, 0 clear, `UNKNOWN` where the set does not say.
        soft: float32 ``(H, W, 2)``: what training aims at instead, 0…1 or `UNKNOWN`; None where
            that is the labels. See `training.distil`.
    """

    id: str
    group: str
    reflectance: npt.NDArray[np.float32]
    water: npt.NDArray[np.uint8]
    cloud: npt.NDArray[np.uint8]
    soft: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True)
class ChipFolder:
    """A chip folder's description; chips are read one by one from disk.

    Attributes:
        path: the folder.
        name: from ``dataset.toml``.
        bands: all band names of the images, in file order.
        scale: reflectance per DN.
        offset: reflectance at DN 0.
        gsd_m: ground sample distance in metres.
        classes: label value → class name.
        generated: whether the chips come from ``floodsat synth``, not from a camera.
        ids: chip ids in natural order.
        groups: chip id → group; a set without ``index.csv`` is a single group per chip.
        by_hand: whether it is labelled bit by bit: chips without a label are left out of ``ids``.
        waiting: ids of those.
    """

    path: Path
    name: str
    bands: tuple[str, ...]
    scale: float
    offset: float
    gsd_m: float
    classes: dict[int, str]
    generated: bool
    ids: tuple[str, ...]
    groups: dict[str, str]
    by_hand: bool = False
    waiting: tuple[str, ...] = ()

    @classmethod
    def open(cls, path: Path, unlabelled: bool = False) -> ChipFolder:
        """Read the description of a chip folder.

        Args:
            path: the folder.
            unlabelled: whether it may be without any label yet, or without chips.

        Raises:
            DatasetError: no ``dataset.toml``, nonsense in it or in ``index.csv``, or no chips.
        """
        meta = _Meta(path / "dataset.toml")
        formats.CHIP_FOLDER.check(meta.get("format", 1), f"{path / 'dataset.toml'}:", DatasetError)
        ids = tuple(sorted((p.stem for p in (path / "images").glob("*.tif")), key=_natural))
        if not ids and not unlabelled:
            raise DatasetError(f"{path}: holds no chips; put them there as images/<id>.tif")
        by_hand = meta.by_hand()
        labelled = {p.stem for p in (path / "labels").glob("*.tif")} if by_hand else set(ids)
        waiting = tuple(i for i in ids if i not in labelled)
        ids = tuple(i for i in ids if i in labelled)
        if not ids and not unlabelled:
            raise DatasetError(
                f"{path}: none of its {len(waiting)} chips is labelled yet; label them in QGIS and "
                f"run 'floodsat labels {path}', see docs/labelling.md"
            )
        return cls(
            path=path,
            name=str(meta.get("name")),
            bands=meta.bands(),
            scale=meta.number("scale", 1.0, positive=True),
            offset=meta.number("offset", 0.0),
            gsd_m=meta.number("gsd_m", positive=True),
            classes=meta.classes(),
            generated=bool(meta.get("generated", False)),
            ids=ids,
            groups=_read_groups(path / "index.csv", ids),
            by_hand=by_hand,
            waiting=waiting,
        )

    def only(self, chip_id: str) -> ChipFolder:
        """The folder with one chip of it, small enough to be sent to where it is read."""
        group = {chip_id: self.groups[chip_id]}
        return replace(self, path=self.path.resolve(), ids=(chip_id,), groups=group, waiting=())

    def check_sensor(self, sensor: Sensor) -> None:
        """Raise `DatasetError` unless the set has every band of ``sensor``."""
        missing = [band for band in sensor.bands if band not in self.bands]
        if missing:
            raise DatasetError(
                f"{self.path}: lacks the band {missing[0]!r} (it has {', '.join(self.bands)}); "
                "add it, or correct the names in dataset.toml"
            )

    def files(self, chip_id: str) -> tuple[Path, Path]:
        """Where a chip's image and its label are."""
        name = f"{chip_id}.tif"
        return self.path / "images" / name, self.path / "labels" / name

    def label(self, chip_id: str) -> npt.NDArray[Any]:
        """Label values ``(H, W)`` as they are stored.

        Raises:
            DatasetError: missing or unreadable, or not of one band.
        """
        return np.asarray(_read_raster(self.files(chip_id)[1], 1)[0])

    def raw(self, chip_id: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Samples ``(bands, H, W)`` and label values ``(H, W)`` as they are stored.

        Raises:
            DatasetError: missing or unreadable, a wrong number of bands, or label and image
                differ in shape.
        """
        image_path, label_path = self.files(chip_id)
        image, label = _read_raster(image_path, len(self.bands)), self.label(chip_id)
        if image.shape[1:] != label.shape:
            raise DatasetError(
                f"{label_path}: is {label.shape[1]}×{label.shape[0]} pixels, its image "
                f"{image.shape[2]}×{image.shape[1]}; cut them alike"
            )
        return image, label

    def check_values(self, label: npt.NDArray[Any], path: Path) -> None:
        """Raise `DatasetError` if a label ``(H, W)`` holds a value that has no class."""
        strange = sorted(set(np.unique(label).tolist()) - set(self.classes) - {UNKNOWN})
        if strange:
            raise DatasetError(
                f"{path}: holds the value {strange[0]}, which dataset.toml gives no class; "
                "add it to [classes]"
            )

    def read(self, chip_id: str, sensor: Sensor) -> Chip:
        """Read one chip.

        Raises:
            DatasetError: missing or unreadable, a wrong number of bands, label and image differ
                in shape, a value without a class, or samples that are not finite.
        """
        image_path, label_path = self.files(chip_id)
        image, label = self.raw(chip_id)
        reflectance = self._reflectance(image, sensor)
        if not np.isfinite(reflectance).all():
            raise DatasetError(f"{image_path}: holds NaN or infinity; mend it or take it out")
        water, cloud = self._targets(label, label_path)
        if "cloud" not in self.classes.values() and "fmask_qa" in self.bands:
            cloud = _fmask_cloud(image[self.bands.index("fmask_qa")])
        return Chip(
            chip_id,
            self.groups[chip_id],
            np.ascontiguousarray(reflectance.transpose(1, 2, 0)),
            water,
            cloud,
        )

    def _reflectance(self, image: npt.NDArray[Any], sensor: Sensor) -> npt.NDArray[np.float32]:
        picked = image[[self.bands.index(band) for band in sensor.bands]]
        # What overflows float32 becomes infinite, which the caller refuses.
        with np.errstate(over="ignore", invalid="ignore"):
            found = picked.astype(np.float32) * np.float32(self.scale) + np.float32(self.offset)
        return np.asarray(found, np.float32)

    def _targets(
        self, label: npt.NDArray[Any], path: Path
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        self.check_values(label, path)
        knows_cloud = "cloud" in self.classes.values()
        water = np.full(label.shape, UNKNOWN, np.uint8)
        cloud = np.full(label.shape, UNKNOWN, np.uint8)
        for value, name in self.classes.items():
            here = label == value
            if name in ("land", "water", "cloud_shadow"):
                water[here] = name == "water"
                if knows_cloud:
                    cloud[here] = 0
            elif name == "cloud":
                cloud[here] = 1
        return water, cloud

    def content_hash(self) -> str:
        """SHA-256 over names and bytes of the files that are read, for a run's provenance."""
        digest = hashlib.sha256()
        tables = [self.path / name for name in ("dataset.toml", "index.csv", "splits.toml")]
        rasters = [self.path / part / f"{i}.tif" for part in ("images", "labels") for i in self.ids]
        for path in sorted(tables + rasters):
            try:
                data = path.read_bytes()
            except (FileNotFoundError, IsADirectoryError):
                # Some tables need not be there; a chip that is not, reading it will tell.
                continue
            digest.update(str(path.relative_to(self.path)).encode() + b"\0")
            digest.update(hashlib.sha256(data).digest())
        return digest.hexdigest()


def _natural(stem: str) -> tuple[int, int, str]:
    return (0, int(stem), stem) if stem.isdigit() else (1, 0, stem)


class _Meta:
    """The values of a ``dataset.toml``, each checked when it is asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values = _read_toml(path)

    def get(self, key: str, default: Any = None) -> Any:
        value = self._values.get(key, default)
        if value is None:
            raise DatasetError(f"{self._path}: the key {key!r} is missing; add it")
        return value

    def number(self, key: str, default: float | None = None, positive: bool = False) -> float:
        value = self.get(key, default)
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number) or (positive and number <= 0):
            kind = "number above 0" if positive else "number"
            raise DatasetError(f"{self._path}: {key} = {value!r} is no {kind}; write one")
        return number

    def bands(self) -> tuple[str, ...]:
        bands = self.get("bands")
        if not (isinstance(bands, list) and bands and all(isinstance(b, str) for b in bands)):
            raise DatasetError(
                f"{self._path}: bands = {bands!r} is no list of names; name the bands of the "
                "images in order"
            )
        return tuple(bands)

    def by_hand(self) -> bool:
        word = self._values.get("unlabelled")
        if word not in (None, LEFT_OUT):
            raise DatasetError(
                f"{self._path}: unlabelled = {word!r}; write {LEFT_OUT!r}, or leave the line away"
            )
        return word == LEFT_OUT

    def classes(self) -> dict[int, str]:
        table = self.get("classes")
        if not isinstance(table, dict):
            raise DatasetError(
                f"{self._path}: classes = {table!r} is no table; write lines such as "
                '1 = "water" under [classes]'
            )
        for value, name in table.items():
            if not value.removeprefix("-").isdecimal():
                raise DatasetError(
                    f"{self._path}: the class value {value!r} is no whole number; write the "
                    "numbers that stand in labels/"
                )
            if name not in CLASS_NAMES:
                raise DatasetError(
                    f"{self._path}: unknown class {name!r}; known are {', '.join(CLASS_NAMES)}"
                )
        return {int(value): str(name) for value, name in table.items()}


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise DatasetError(
            f"{path.parent}: is no chip folder ({path.name}: {error.strerror}); name a folder "
            "with dataset.toml, images and labels"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: is not valid TOML ({error}); mend it") from error


def index_ids(path: Path) -> set[str]:
    """The chips that an ``index.csv`` names; none where there is no such file."""
    return {row["id"] for row in read_rows(path)} if path.exists() else set()


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of an ``index.csv``.

    Raises:
        DatasetError: it is no text with commas.
    """
    try:
        # Spreadsheets put a byte order mark before the first column's name.
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(
            f"{path}: cannot be read as UTF-8 text with commas ({error}); save it as that"
        ) from error


def _read_groups(path: Path, ids: tuple[str, ...]) -> dict[str, str]:
    if not path.exists():
        return {chip: chip for chip in ids}
    rows = read_rows(path)
    for column in ("id", "group"):
        if rows and column not in rows[0]:
            raise DatasetError(f"{path}: has no column {column!r}; it needs id and group")
    groups = {row["id"]: row["group"] for row in rows}
    missing = [chip for chip in ids if not groups.get(chip)]
    if missing:
        raise DatasetError(f"{path}: has no group for the chip {missing[0]!r}; add its row")
    return {chip: groups[chip] for chip in ids}


def _read_raster(path: Path, bands: int) -> npt.NDArray[Any]:
    """All samples ``(bands, H, W)``."""
    # GDAL finds out by itself whether an object is there: one request the less for every chip.
    if not isinstance(path, Remote) and not path.exists():
        raise DatasetError(
            f"{path}: is missing; images and labels need a file of each name, add it or take "
            "its partner out"
        )
    try:
        with (
            unlocated_is_fine(),
            reaching(isinstance(path, Remote)),
            rasterio.open(name_of(path)) as dataset,
        ):
            samples = np.asarray(dataset.read())
    except READ_ERRORS as error:
        if isinstance(path, Remote):
            raise DatasetError(
                f"{path}: cannot be read ({first_line(error)}); put it there whole, or see whether "
                "the store answers"
            ) from error
        raise DatasetError(
            f"{path}: cannot be read as a TIFF ({error}); copy it again from its source"
        ) from error
    if len(samples) != bands:
        raise DatasetError(
            f"{path}: has {len(samples)} bands instead of {bands}; mend it, or the bands in "
            "dataset.toml"
        )
    return samples


def _fmask_cloud(qa: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Cloud from the quality bits of HLS; pixels next to cloud or without data are unknown.

    Source: Harmonized Landsat Sentinel-2 product user guide v2.0, table of Fmask bits.
    """
    filled = ~np.isfinite(qa) | (qa == FMASK_FILL)
    bits = np.where(filled, 0, qa).astype(np.int64)
    cloud = (bits >> FMASK_CLOUD_BIT & 1).astype(np.uint8)
    adjacent = (bits >> FMASK_ADJACENT_BIT & 1) == 1
    return np.where(filled | (adjacent & (cloud == 0)), UNKNOWN, cloud).astype(np.uint8)
