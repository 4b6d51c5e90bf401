"""Bringing a public data set into a chip folder, item by item.

The folder is a valid chip folder after every item: index first, then labels, then images. What
was brought, with sizes and checksums, stands in ``fetched/ITEM.json``; an item that has such a
record is done, so a fetch that was stopped, however hard, goes on with the next one.
``fetched/source.json`` fixes set, revision, bands and chip size, which a folder keeps.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt
import rasterio

from onboard import files
from onboard.alone import alone
from onboard.errors import ConfigError, DatasetError, OutputError
from onboard.rasters import check_written, unlocated_is_fine, writing
from training.data import listing
from training.data.download import Client, Remote
from training.data.listing import Item
from training.data.scenes import Coder, Piece, check_bands, code_sen1floods11, code_worldfloods, cut
from training.data.sources import S2_GSD_M, S2_SCALE, SEN1FLOODS11, Source

RECORDS = "fetched"
SOURCE_FILE = "source.json"
ORIGINALS = "originals"
CODERS: dict[str, Coder] = {
    "sen1floods11": code_sen1floods11,
    "worldfloods": code_worldfloods,
}
INDEX_COLUMNS = ("id", "group", "published_split", "date")


@dataclass(frozen=True)
class Order:
    """What is to be fetched.

    Attributes:
        source: the set.
        base_url: where its addresses begin.
        bands: which of Sentinel-2's, in order.
        side: largest side of a chip in pixels.
        limit: most items, or None for all.
        keep: whether the originals stay in ``originals/``.
    """

    source: Source
    base_url: str
    bands: tuple[str, ...]
    side: int
    limit: int | None = None
    keep: bool = False


class Teller(Protocol):
    """Is told how far a fetch is."""

    def listed(self, items: int, done: int, size: int) -> None:
        """The source's list is here: items wanted, items done already, bytes to bring."""

    def brought(self, size: int) -> None:
        """Bytes brought so far."""

    def finished(self, item: Item) -> None:
        """An item's chips are in the folder."""


class Silence:
    """Tells nobody."""

    def listed(self, items: int, done: int, size: int) -> None:
        """Nothing."""

    def brought(self, size: int) -> None:
        """Nothing."""

    def finished(self, item: Item) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Result:
    """What a fetch came to.

    Attributes:
        items: with their chips in the folder.
        chips: in the folder.
        dropped: pieces of scenes without a label.
        failed: one line for each item that could not be used.
    """

    items: int
    chips: int
    dropped: int
    failed: tuple[str, ...]


def fetch(out: Path, order: Order, client: Client, teller: Teller | None = None) -> Result:
    """Bring a set, or the rest of it, into ``out``.

    Raises:
        ConfigError: unknown bands, or the folder holds another fetch.
        FetchError: the source cannot be reached, or is not what is documented.
        OutputError: the folder cannot be written, or another fetch is at work there.
    """
    check_bands(order.bands)
    _check_folder(out)
    files.make_folder(out / RECORDS)
    with alone(out, "fetch"):
        items = _items(out, order, client)
        files.write_text(out / "dataset.toml", describe(order))
        return _Fetch(out, order, client, teller or Silence()).run(items)


def _check_folder(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is a file; name a folder")
    if out.is_dir() and any(out.iterdir()) and not (out / RECORDS).is_dir():
        raise OutputError(f"{out}: holds other files; choose an empty or a new folder")


def _items(out: Path, order: Order, client: Client) -> list[Item]:
    """The items wanted, those of many events first; the folder's settings are fixed here."""
    path = out / RECORDS / SOURCE_FILE
    fixed = {"set": order.source.name, "bands": list(order.bands), "side": order.side}
    if path.exists():
        known = _read_json(path)
        changed = [key for key, value in fixed.items() if known.get(key) != value]
        if changed:
            raise ConfigError(
                f"{out}: holds a fetch with another {changed[0]} ({known.get(changed[0])}); give "
                "the same, or name a new folder"
            )
        revision = str(known["revision"])
    else:
        revision = "v1.1"
        if order.source is not SEN1FLOODS11:
            revision = listing.revision_of(client, order.base_url)
        files.write_text(path, json.dumps({**fixed, "revision": revision}, indent=1) + "\n")
    if order.source is SEN1FLOODS11:
        found = listing.sen1floods11(client, order.base_url)
    else:
        found = listing.worldfloods(client, order.base_url, revision)
    return listing.spread(found)[: order.limit]


class _Fetch:
    """One fetch at work."""

    def __init__(self, out: Path, order: Order, client: Client, teller: Teller) -> None:
        self._out, self._order, self._client, self._teller = out, order, client, teller
        self._records = {
            path.stem: _read_json(path)
            for path in sorted((out / RECORDS).glob("*.json"))
            if path.name != SOURCE_FILE
        }
        self._brought = 0

    def run(self, items: list[Item]) -> Result:
        """All items that have no record yet."""
        missing = [item for item in items if item.id not in self._records]
        size = sum(remote.size or 0 for item in missing for remote in _remotes(item))
        self._teller.listed(len(items), len(items) - len(missing), size)
        failed = []
        for item in missing:
            try:
                self._one(item)
            except DatasetError as error:
                failed.append(str(error))
            self._teller.finished(item)
        records = self._records.values()
        return Result(
            items=len(records),
            chips=sum(len(record["chips"]) for record in records),
            dropped=sum(record["dropped"] for record in records),
            failed=tuple(failed),
        )

    def _one(self, item: Item) -> None:
        folder = self._out / ORIGINALS / item.id
        staged = folder / "chips"
        shutil.rmtree(staged, ignore_errors=True)
        brought = {remote: self._bring(remote, folder) for remote in _remotes(item)}
        record: dict[str, Any] = {
            "id": item.id,
            "group": item.group,
            "published_split": item.part,
            "date": _date(brought[item.meta][0]) if item.meta else "",
            "files": [entry for _, entry in brought.values()],
            "chips": [],
            "dropped": 0,
        }
        code = CODERS[self._order.source.name]
        image, label = brought[item.image][0], brought[item.label][0]
        for piece in cut(image, label, self._order.bands, self._order.side, code):
            if piece is None:
                record["dropped"] += 1
            else:
                name = f"{item.id}{piece.suffix}"
                record["chips"].append(_write_chip(staged, name, piece, self._order.bands))
        self._enter(record, staged)
        if not self._order.keep:
            shutil.rmtree(folder)

    def _bring(self, remote: Remote, folder: Path) -> tuple[Path, dict[str, Any]]:
        start = self._brought
        target = folder / remote.name.replace("/", "__")
        found = self._client.fetch(remote, target, lambda done: self._teller.brought(start + done))
        self._brought = start + found.size
        entry = {"name": remote.name, "bytes": found.size, "sha256": found.sha256}
        published = remote.digest._asdict() if remote.digest else None
        return target, {**entry, "published": published}

    def _enter(self, record: dict[str, Any], staged: Path) -> None:
        """Put an item's chips into the folder, so that it is whole at every moment."""
        self._records[record["id"]] = record
        files.write_text(self._out / "index.csv", _index(self._records.values()))
        for part in ("labels", "images"):
            folder = files.make_folder(self._out / part)
            for chip in record["chips"]:
                name = f"{chip['id']}.tif"
                (staged / part / name).replace(folder / name)
        shutil.rmtree(staged, ignore_errors=True)
        path = self._out / RECORDS / f"{record['id']}.json"
        files.write_text(path, json.dumps(record, indent=1) + "\n")


def verify(out: Path) -> tuple[int, list[str]]:
    """Hold the chips, and the originals that were kept, to their records.

    Returns:
        How many files were held, and a line for each that is missing or another.

    Raises:
        DatasetError: no fetch was made there.
    """
    if not (out / RECORDS / SOURCE_FILE).is_file():
        raise DatasetError(f"{out}: holds no fetched set; 'floodsat data fetch' makes one")
    wanted: dict[Path, str] = {}
    for path in sorted((out / RECORDS).glob("*.json")):
        if path.name != SOURCE_FILE:
            record = _read_json(path)
            for chip in record["chips"]:
                for part in ("images", "labels"):
                    wanted[out / part / f"{chip['id']}.tif"] = chip[part]
            kept = out / ORIGINALS / record["id"]
            if kept.is_dir():
                named = {f["name"].replace("/", "__"): f["sha256"] for f in record["files"]}
                wanted.update({kept / name: found for name, found in named.items()})
    wrong = [
        f"{path}: is {'not what was fetched' if path.is_file() else 'missing'}"
        for path, found in wanted.items()
        if not path.is_file() or _sha256(path) != found
    ]
    return len(wanted), wrong


def describe(order: Order) -> str:
    """The text of ``dataset.toml``."""
    source = order.source
    bands = ", ".join(f'"{band}"' for band in order.bands)
    classes = "".join(f'{value} = "{name}"\n' for value, name in source.classes.items())
    return f"""\
name = "{source.name}"
bands = [{bands}]
scale = {S2_SCALE}
offset = 0.0
gsd_m = {S2_GSD_M:g}
source = "{source.title}. {source.citation}"
licence = "{source.licence}"

[classes]
{classes}"""


def _remotes(item: Item) -> list[Remote]:
    return [remote for remote in (item.meta, item.label, item.image) if remote is not None]


def _date(path: Path) -> str:
    """When the flood map's satellite passed, if its JSON says so in the documented place."""
    try:
        found = json.loads(path.read_text("utf-8")).get("satellite date", "")
    except (OSError, ValueError, AttributeError):
        # The date is an aid to people alone.
        return ""
    return found[:10] if isinstance(found, str) else ""


def _index(records: Iterable[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(INDEX_COLUMNS)
    for record in sorted(records, key=lambda each: str(each["id"])):
        rest = (record["group"], record["published_split"], record["date"])
        writer.writerows((chip["id"], *rest) for chip in record["chips"])
    return text.getvalue()


def _write_chip(folder: Path, name: str, piece: Piece, bands: tuple[str, ...]) -> dict[str, str]:
    """Write image and label; returns the chip's id and their SHA-256."""
    parts = (("images", piece.image, bands), ("labels", piece.label[None], ("class",)))
    found = {"id": name}
    for part, samples, names in parts:
        path = folder / part / f"{name}.tif"
        _write_raster(path, samples, piece, names)
        found[part] = _sha256(path)
    return found


def _write_raster(
    path: Path, samples: npt.NDArray[Any], piece: Piece, names: tuple[str, ...]
) -> None:
    count, height, width = samples.shape
    profile = {"count": count, "height": height, "width": width, "dtype": samples.dtype}
    place = {"crs": piece.crs, "transform": piece.transform}
    files.make_folder(path.parent)
    with unlocated_is_fine(), files.replacing(path) as part:
        with (
            writing(path),
            rasterio.open(
                part, "w", driver="GTiff", compress="deflate", predictor=2, **profile, **place
            ) as out,
        ):
            out.write(samples)
            out.descriptions = names
        check_written(part, path)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{path}: cannot be read as JSON ({error}); delete it, and its item is fetched again"
        ) from error
    if not isinstance(found, dict):
        raise DatasetError(f"{path}: is no record of a fetch; delete it")
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
