"""Chips: small labelled images in a *chip folder*, the project's one training format.

A folder holds ``dataset.toml`` (bands, scale, offset, gsd_m, classes), ``images/<id>.tif``,
``labels/<id>.tif`` and optionally ``index.csv`` with the columns ``id`` and ``group``. Chips of
one group show one place and are never divided between splits.
"""

from __future__ import annotations

import csv
import hashlib
import tomllib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from onboard.errors import DatasetError
from onboard.sensor import Sensor

UNKNOWN = 255
CLASS_NAMES = ("land", "water", "cloud", "cloud_shadow", "ignore")
FMASK_CLOUD_BIT = 1
FMASK_ADJACENT_BIT = 2


@dataclass(frozen=True)
class Chip:
    """One labelled image.

    Attributes:
        id: file stem.
        group: place; chips of one group never stand on both sides of a split.
        reflectance: float32 ``(H, W, bands)`` in the sensor's band order, 0…1 and a bit beyond.
        water: uint8 ``(H, W)``: 1 water, 0 not, `UNKNOWN` where unlabelled or under cloud.
        cloud: uint8 ``(H, W)``: 1 cloud, 0 clear, `UNKNOWN` where the set does not say.
    """

    id: str
    group: str
    reflectance: npt.NDArray[np.float32]
    water: npt.NDArray[np.uint8]
    cloud: npt.NDArray[np.uint8]


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

    @classmethod
    def open(cls, path: Path) -> ChipFolder:
        """Read the description of a chip folder.

        Raises:
            DatasetError: no ``dataset.toml``, nonsense in it, or no chips.
        """
        meta = _read_toml(path / "dataset.toml")
        ids = tuple(sorted((p.stem for p in (path / "images").glob("*.tif")), key=_natural))
        if not ids:
            raise DatasetError(f"{path}: holds no chips; expected images/<id>.tif")
        try:
            classes = {int(value): str(name) for value, name in meta["classes"].items()}
            folder = cls(
                path=path,
                name=str(meta["name"]),
                bands=tuple(meta["bands"]),
                scale=float(meta.get("scale", 1.0)),
                offset=float(meta.get("offset", 0.0)),
                gsd_m=float(meta["gsd_m"]),
                classes=classes,
                generated=bool(meta.get("generated", False)),
                ids=ids,
                groups=_read_groups(path / "index.csv", ids),
            )
        except KeyError as error:
            raise DatasetError(f"{path / 'dataset.toml'}: the key {error} is missing") from error
        unknown = sorted(set(classes.values()) - set(CLASS_NAMES))
        if unknown:
            raise DatasetError(
                f"{path / 'dataset.toml'}: unknown class {unknown[0]!r}; "
                f"known are {', '.join(CLASS_NAMES)}"
            )
        return folder

    def check_sensor(self, sensor: Sensor) -> None:
        """Raise `DatasetError` unless the set has every band of ``sensor``."""
        missing = [band for band in sensor.bands if band not in self.bands]
        if missing:
            raise DatasetError(
                f"{self.path}: lacks the band {missing[0]!r}; it has {', '.join(self.bands)}"
            )

    def read(self, chip_id: str, sensor: Sensor) -> Chip:
        """Read one chip.

        Raises:
            DatasetError: unreadable, label and image differ in shape, a value without a class,
                or samples that are not finite.
        """
        image_path = self.path / "images" / f"{chip_id}.tif"
        label_path = self.path / "labels" / f"{chip_id}.tif"
        image, label = _read_raster(image_path), _read_raster(label_path)[0]
        if image.shape[0] != len(self.bands):
            raise DatasetError(
                f"{image_path}: has {image.shape[0]} bands, dataset.toml names {len(self.bands)}"
            )
        if image.shape[1:] != label.shape:
            raise DatasetError(
                f"{label_path}: is {label.shape[1]}×{label.shape[0]} pixels, its image "
                f"{image.shape[2]}×{image.shape[1]}; cut them alike"
            )
        picked = image[[self.bands.index(band) for band in sensor.bands]]
        if not np.isfinite(picked).all():
            raise DatasetError(f"{image_path}: holds NaN or infinity; mend it or take it out")
        reflectance = picked.astype(np.float32) * np.float32(self.scale) + np.float32(self.offset)
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

    def _targets(
        self, label: npt.NDArray[Any], path: Path
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        strange = sorted(set(np.unique(label).tolist()) - set(self.classes) - {UNKNOWN})
        if strange:
            raise DatasetError(
                f"{path}: holds the value {strange[0]}, which dataset.toml gives no class"
            )
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
        """SHA-256 over names and bytes of all files, for a run's provenance."""
        digest = hashlib.sha256()
        for path in sorted(p for p in self.path.rglob("*") if p.is_file()):
            digest.update(str(path.relative_to(self.path)).encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()


def _natural(stem: str) -> tuple[int, int, str]:
    return (0, int(stem), stem) if stem.isdigit() else (1, 0, stem)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise DatasetError(
            f"{path.parent}: is no chip folder ({path.name}: {error.strerror})"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: is not valid TOML ({error})") from error


def _read_groups(path: Path, ids: tuple[str, ...]) -> dict[str, str]:
    if not path.exists():
        return {chip: chip for chip in ids}
    with path.open(encoding="utf-8", newline="") as lines:
        rows = {row["id"]: row["group"] for row in csv.DictReader(lines)}
    missing = [chip for chip in ids if chip not in rows]
    if missing:
        raise DatasetError(f"{path}: has no row for the chip {missing[0]!r}")
    return {chip: rows[chip] for chip in ids}


def _read_raster(path: Path) -> npt.NDArray[Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as dataset:
                return np.asarray(dataset.read())
    except RasterioError as error:
        raise DatasetError(f"{path}: cannot be read as a TIFF ({error})") from error


def _fmask_cloud(qa: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Cloud from the quality bits of HLS; pixels next to cloud are left unknown."""
    bits = qa.astype(np.int64)
    cloud = (bits >> FMASK_CLOUD_BIT & 1).astype(np.uint8)
    adjacent = bits >> FMASK_ADJACENT_BIT & 1
    return np.where((adjacent == 1) & (cloud == 0), UNKNOWN, cloud).astype(np.uint8)
