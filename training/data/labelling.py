"""Labelling: a chip folder that grows with every delivery and that a person labels.

What the satellite sent becomes ``images/`` and, as a first guess, ``guesses/``: what the network
made of each chip. A person corrects it in QGIS with polygons (`training.data.layers`) and sets the
chip's status to *done*. Only then is there a file in ``labels/``, and only what is there is trained
on: a chip nobody looked at cannot slip into a training.

What a person made is never overwritten. A label that this module wrote is known by its SHA-256 in
``index.csv``; one that is otherwise, or was put there by hand, is a person's and stays.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import ColorInterp

from onboard import files
from onboard.chip import Chip
from onboard.classes import CLOUD, LAND, NODATA, WATER
from onboard.errors import DatasetError, OutputError
from onboard.georef import Georef
from onboard.product import pixel_area_m2
from onboard.rasters import GDAL_ERRORS, READ_ERRORS, check_written, unlocated_is_fine
from onboard.sensor import SENSORS
from training.chips import LEFT_OUT, ChipFolder, read_rows
from training.data import layers
from training.data.layers import DONE, FILE, OPEN, SKIP, U8, Place

PLACE_KM = 25.0
"""Chips nearer than this to one of a group belong to it: they never stand in two splits."""
SAME_GSD = 0.1
"""Share by which the pixels of one folder may differ in size."""
COLUMNS = (
    "id", "group", "status", "by", "sensor", "acquired_ms", "latitude", "longitude", "worth",
    "epistemic", "scene_id", "row", "col", "model_id", "label_sha256",
)  # fmt: skip
BY_PERSON, BY_GUESS, BY_HAND = "corrections", "guess", "hand"
"""How a label came about: polygons over the guess, the guess unseen, a file of a person's own."""
COLOURS = {
    LAND: (232, 223, 202, 255),
    WATER: (11, 97, 164, 255),
    CLOUD: (176, 178, 184, 255),
    NODATA: (0, 0, 0, 0),
}

Row = dict[str, str]


@dataclass(frozen=True)
class Standing:
    """Where the labelling of a folder stands.

    Attributes:
        added: chips that this delivery brought.
        known: chips of it that were there already.
        states: status → number of chips.
        labels: chips that a training gets.
        notes: what a person should know.
    """

    added: tuple[str, ...]
    known: tuple[str, ...]
    states: Mapping[str, int]
    labels: int
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "added": list(self.added),
            "known": list(self.known),
            "states": dict(self.states),
            "labels": self.labels,
            "notes": list(self.notes),
        }


def update(folder: Path, delivered: Sequence[Chip] = (), guesses: bool = False) -> Standing:
    """Add a delivery to a labelling folder and take over what a person did since.

    Doing it twice changes nothing.

    Args:
        folder: of chips; made where it is not there.
        delivered: chips for labelling.
        guesses: whether the first guess becomes the label of chips nobody has looked at.

    Raises:
        DatasetError: the folder is no labelling folder, a chip does not fit into it, or a layer
            holds what makes no sense. Nothing was written then.
        OutputError: the folder cannot be written.
    """
    for part in ("", "images", "guesses", "labels"):
        files.remove_parts(folder / part)
    _check(folder, delivered)
    rows = _read_index(folder)
    marked = layers.statuses(folder / FILE)
    drawn = layers.corrections(folder / FILE)
    added, known = _sort(rows, delivered)
    # From here on things are written; each file appears whole, and a second run completes them.
    if not (folder / "dataset.toml").exists():
        _begin(folder, delivered[0])
    for chip in added:
        _write_chip(folder, chip)
        rows[chip.stem] = _row(chip, rows)
    _write_layers(folder, rows, added)
    notes = [note for row in rows.values() for note in _settle(folder, row, marked, drawn, guesses)]
    _write_index(folder, rows)
    return Standing(
        tuple(chip.stem for chip in added),
        tuple(known),
        Counter(row["status"] for row in rows.values()),
        sum((folder / "labels" / f"{name}.tif").exists() for name in rows),
        tuple(notes),
    )


# --- the delivery ---------------------------------------------------------------------------


def _check(folder: Path, delivered: Sequence[Chip]) -> None:
    """Refuse what does not belong into one folder."""
    if (folder / "dataset.toml").exists():
        there = ChipFolder.open(folder, unlabelled=True)
        if not there.by_hand:
            raise DatasetError(
                f"{folder}: is a chip folder of its own, not one for labelling; choose a new folder"
            )
        bands, gsd_m = there.bands, there.gsd_m
    elif not delivered:
        raise DatasetError(
            f"{folder}: is no labelling folder yet; name what 'floodsat receive' wrote as well"
        )
    elif folder.exists() and any(folder.iterdir()):
        raise DatasetError(f"{folder}: holds other files; choose an empty or a new folder")
    else:
        bands, gsd_m = delivered[0].bands, gsd_of(delivered[0])
    for chip in delivered:
        if chip.bands != bands:
            raise DatasetError(
                f"{folder}: holds the bands {', '.join(bands)}, the chip {chip.stem} has "
                f"{', '.join(chip.bands)}; choose a folder of its own for it"
            )
        if abs(gsd_of(chip) / gsd_m - 1) > SAME_GSD:
            raise DatasetError(
                f"{folder}: its pixels are {gsd_m:g} m wide, those of the chip {chip.stem} "
                f"{gsd_of(chip):g} m; choose a folder of its own for it"
            )


def gsd_of(chip: Chip) -> float:
    """Ground sample distance in metres: of its grid, else of its sensor."""
    area = pixel_area_m2(chip.georef)
    if area is not None:
        return round(float(np.sqrt(area)), 3)
    sensor = SENSORS.get(chip.sensor)
    return 30.0 if sensor is None else sensor.gsd_m


def _sort(rows: Mapping[str, Row], delivered: Sequence[Chip]) -> tuple[list[Chip], list[str]]:
    """Chips that are new, and ids of those that are there; one tile of one frame is one chip."""
    tiles = {(row["scene_id"], row["row"], row["col"]) for row in rows.values()}
    added, known = [], []
    for chip in delivered:
        tile = chip.scene_id.hex(), str(chip.row), str(chip.col)
        if chip.stem in rows or tile in tiles:
            known.append(chip.stem)
            continue
        tiles.add(tile)
        added.append(chip)
    return added, known


def _begin(folder: Path, chip: Chip) -> None:
    """The folder's description."""
    name = folder.resolve().name
    lines = [
        f"name = {json.dumps(name)}",
        f"bands = {json.dumps(list(chip.bands))}",
        "scale = 1.0",
        "offset = 0.0",
        f"gsd_m = {gsd_of(chip)}",
        f"# Chips without a file in labels/ are {LEFT_OUT}: a person has not accepted them yet.",
        f"unlabelled = {json.dumps(LEFT_OUT)}",
        'source = "Chips for labelling, sent by the satellite; labelled by hand."',
        "",
        "[classes]",
        f'{LAND} = "land"',
        f'{WATER} = "water"',
        f'{CLOUD} = "cloud"',
        f'{NODATA} = "ignore"',
    ]
    files.write_text(folder / "dataset.toml", "\n".join(lines) + "\n")
    files.make_folder(folder / "labels")


def _write_chip(folder: Path, chip: Chip) -> None:
    """Image and first guess of a chip. Samples that are no number become 0 and have no label."""
    reflectance = chip.reflectance
    good = np.isfinite(reflectance).all(axis=-1)
    bands = np.where(good[..., None], reflectance, 0).astype(np.float32).transpose(2, 0, 1)
    guess = np.where(good & bands.any(axis=0), chip.mask, NODATA).astype(np.uint8)
    path = folder / "images" / f"{chip.stem}.tif"
    with _raster(path, chip.georef, "float32", len(bands)) as tif:
        tif.write(bands)
        tif.descriptions = chip.bands
        # QGIS shows the bands as what they are said to be.
        colours = {"blue": ColorInterp.blue, "green": ColorInterp.green, "red": ColorInterp.red}
        tif.colorinterp = [colours.get(band, ColorInterp.undefined) for band in chip.bands]
    _write_label(folder / "guesses" / f"{chip.stem}.tif", chip.georef, guess)


def _write_label(path: Path, georef: Georef, label: U8) -> None:
    with _raster(path, georef, "uint8", 1, nodata=NODATA) as tif:
        tif.write(label, 1)
        tif.write_colormap(1, COLOURS)


@contextmanager
def _raster(path: Path, georef: Georef, dtype: str, count: int, **more: Any) -> Iterator[Any]:
    """Open a GeoTIFF that appears at ``path`` only when it is whole."""
    place = {"crs": georef.crs, "transform": rasterio.Affine(*georef.transform)}
    profile = {
        "driver": "GTiff",
        "compress": "deflate",
        "dtype": dtype,
        "count": count,
        "width": georef.width,
        "height": georef.height,
        **(place if georef.located else {}),
        **more,
    }
    try:
        with files.replacing(path) as part, unlocated_is_fine():
            quiet = rasterio.Env(GDAL_PAM_ENABLED=False)
            with quiet, rasterio.open(part, "w", **profile) as tif:
                yield tif
            check_written(part, path)
    except GDAL_ERRORS as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{path}: cannot be written ({error}); choose another folder") from error


# --- the index and the layers ---------------------------------------------------------------


def _row(chip: Chip, rows: Mapping[str, Row]) -> Row:
    place = layers.place_of(chip.georef)
    values = {
        "id": chip.stem,
        "group": _group(chip, place, rows),
        "status": OPEN,
        "by": "",
        "sensor": chip.sensor,
        "acquired_ms": "" if chip.acquired_ms is None else str(chip.acquired_ms),
        "latitude": "" if place is None else f"{place.latitude:.6f}",
        "longitude": "" if place is None else f"{place.longitude:.6f}",
        "worth": f"{chip.worth:.6g}",
        "epistemic": f"{chip.epistemic:.6g}",
        "scene_id": chip.scene_id.hex(),
        "row": str(chip.row),
        "col": str(chip.col),
        "model_id": chip.model_id.hex(),
        "label_sha256": "",
    }
    return {name: values[name] for name in COLUMNS}


def _group(chip: Chip, place: Place | None, rows: Mapping[str, Row]) -> str:
    """The place that a chip shows: that of its frame, of a chip nearby, or one of its own."""
    scene = chip.scene_id.hex()
    for row in rows.values():
        if row["scene_id"] == scene:
            return row["group"]
    if place is None:
        return f"scene-{scene[:12]}"
    near = [
        (place.km_to(Place(float(row["latitude"]), float(row["longitude"]))), row["group"])
        for row in rows.values()
        if row["latitude"]
    ]
    if near and min(near)[0] <= PLACE_KM:
        return min(near)[1]
    north, east = "N" if place.latitude >= 0 else "S", "E" if place.longitude >= 0 else "W"
    return f"{abs(place.latitude):.3f}{north}-{abs(place.longitude):.3f}{east}"


def _read_index(folder: Path) -> dict[str, Row]:
    path = folder / "index.csv"
    if not path.exists():
        return {}
    rows = read_rows(path)
    lacking = [name for name in COLUMNS if rows and name not in rows[0]]
    if lacking:
        raise DatasetError(
            f"{path}: has no column {lacking[0]!r}; it is kept by 'floodsat labels', restore it"
        )
    return {row["id"]: {name: row[name] or "" for name in COLUMNS} for row in rows}


def _write_index(folder: Path, rows: Mapping[str, Row]) -> None:
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows.values())
    path = folder / "index.csv"
    if not path.exists() or path.read_text("utf-8") != text.getvalue():
        files.write_text(path, text.getvalue())


def _write_layers(folder: Path, rows: Mapping[str, Row], added: Sequence[Chip]) -> None:
    """Outlines of new chips; what a person wrote there stays as it is."""
    shapes = {chip.stem: layers.outline(chip.georef) for chip in added}
    layers.add(
        folder / FILE,
        [
            layers.Marked(name, OPEN, row["group"], float(row["worth"]), shapes.get(name))
            for name, row in rows.items()
        ],
    )


# --- labels ---------------------------------------------------------------------------------


def _settle(
    folder: Path,
    row: Row,
    marked: Mapping[str, str],
    drawn: list[layers.Correction],
    guesses: bool,
) -> Iterator[str]:
    """Bring one chip's label into line with its status; yields what a person should know."""
    name = row["id"]
    path = folder / "labels" / f"{name}.tif"
    status = row["status"] = marked.get(name, OPEN)
    wanted = status == DONE or (status == OPEN and guesses)
    guess, georef = _read_label(folder / "guesses" / f"{name}.tif")
    label = layers.burned(guess, georef, drawn, folder / FILE) if status == DONE else guess
    there = path.exists()
    same = there and wanted and np.array_equal(_read_label(path)[0], label)
    if there and not same and hashed(path) != row["label_sha256"]:
        if row["by"] != BY_HAND:
            yield f"{path}: was made or changed by hand; it stays as it is"
        row.update(by=BY_HAND, label_sha256="")
        if status == SKIP:
            yield f"{path}: its chip is to be skipped; take the label away, it would be trained on"
        return
    if wanted and not same:
        _write_label(path, georef, label)
    if not wanted:
        # Ours, and not accepted any more.
        path.unlink(missing_ok=True)
    by = BY_PERSON if status == DONE else BY_GUESS
    row.update(by=by if wanted else "", label_sha256=hashed(path) if wanted else "")


def hashed(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read_label(path: Path) -> tuple[U8, Georef]:
    try:
        with unlocated_is_fine(), rasterio.open(path) as tif:
            mask: U8 = tif.read(1)
            a, b, c, d, e, f, *_ = tif.transform
            code = None if tif.crs is None else tif.crs.to_epsg()
            crs = "" if tif.crs is None else f"EPSG:{code}" if code else tif.crs.to_wkt()
    except READ_ERRORS as error:
        raise DatasetError(f"{path}: cannot be read ({error}); deliver its chip again") from error
    return mask, Georef(mask.shape[1], mask.shape[0], crs, (a, b, c, d, e, f))
