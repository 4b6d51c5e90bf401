"""The catalogue: every map of a folder, found by time, place and name.

It is a static STAC catalogue: ``collection.json`` points to one catalogue for each day of
acquisition, ``days/2026-07-14.json``, and that to the items of the day, which lie beside their
files. An item is added by writing it, its day and, where a day is new or the extent grows, the
collection: never all of the others. What a day says of its items (time and box) is enough to look
one up without opening it.

Whoever adds holds a lock; several receptions may add at once. Before anything is written, the
names of what is added go to a journal, and whoever comes next finishes what a kill left undone.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ground.stac import COLLECTION, EVER, VERSION, time_text
from onboard.area import Area, overlap
from onboard.errors import OutputError, ProductError
from onboard.files import make_folder, write_text
from onboard.product import Product, unpack
from onboard.reference_water import Reference

ROOT = "collection.json"
DAYS = "days"
LOCK = ".catalogue.lock"
JOURNAL = ".catalogue.journal"
UNDATED = "undated"
MAX_JSON = 2**27
WORLD = (-180.0, -90.0, 180.0, 90.0)
_JSON = "application/json"
_GEOJSON = "application/geo+json"


@dataclass(frozen=True)
class Entry:
    """One map of a catalogue.

    Attributes:
        stem: its name; every file of it begins with it.
        folder: where its files lie.
        acquired: when the frame was taken, in UTC; None where unknown.
        box: west, south, east and north in degrees; None for a frame without coordinates.
        subject: ``"flood"`` or ``"water"``.
    """

    stem: str
    folder: Path
    acquired: datetime | None
    box: Area | None
    subject: str

    def item(self) -> dict[str, Any]:
        """Its STAC item.

        Raises:
            OutputError: it is missing or damaged.
        """
        return read_json(self.folder / f"{self.stem}.json")

    def asset(self, name: str) -> Path:
        """The file of an asset: ``classes``, ``uncertainty``, ``areas``, ``product`` or another.

        Raises:
            OutputError: the item has none of that name.
        """
        assets = self.item().get("assets", {})
        if name not in assets:
            raise OutputError(
                f"{self.folder / self.stem}.json: has no asset {name!r}; it has "
                f"{', '.join(assets) or 'none'}"
            )
        return self.folder / str(assets[name]["href"])

    def product(self, reference: Reference | None = None) -> Product:
        """The product as it was received.

        Args:
            reference: permanent water, which some products are coded against.

        Raises:
            OutputError: its file is not in the catalogue.
            ProductError: it is damaged, or coded against another reference.
        """
        path = self.asset("product")
        try:
            return unpack(path.read_bytes(), reference)
        except OSError as error:
            raise ProductError(f"{path}: cannot be read; receive it again") from error


class Catalogue:
    """The catalogue of a folder; reading takes no lock.

    Attributes:
        folder: where the maps are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __iter__(self) -> Iterator[Entry]:
        return self.find()

    def find(
        self,
        start: datetime | None = None,
        end: datetime | None = None,
        area: Area | None = None,
    ) -> Iterator[Entry]:
        """Maps by time and place, in order of time; those without a time come last.

        Args:
            start: not before then, with a time zone.
            end: not after then.
            area: whose frame reaches into this box of degrees. A frame without coordinates is in
                no area, one without a time in no span.

        Raises:
            OutputError: the catalogue is damaged.
        """
        for day in self.days(start, end):
            found = [entry for entry in self._day(day) if _matches(entry, start, end, area)]
            yield from sorted(found, key=lambda one: (str(one.acquired), one.stem))

    def entry(self, stem: str) -> Entry | None:
        """The map of that name; None where the catalogue has none.

        Raises:
            OutputError: its item is damaged.
        """
        path = self.folder / f"{stem}.json"
        return entry_of(read_json(path), self.folder) if path.is_file() else None

    def days(self, start: datetime | None = None, end: datetime | None = None) -> list[str]:
        """Names of the days that have maps, in order, the undated ones last.

        Args:
            start: not before the day of it.
            end: not after the day of it.
        """
        first = "" if start is None else _utc(start).date().isoformat()
        last = "~" if end is None else _utc(end).date().isoformat()
        bounded = start is not None or end is not None
        return sorted(
            name
            for name in self._day_names()
            if (first <= name <= last) and not (bounded and name.startswith(UNDATED))
        )

    def add(self, items: Iterable[dict[str, Any]]) -> list[Entry]:
        """Add items, or put them in the place of those of the same name.

        Adding what is there already writes nothing. Either all of it is found afterwards, or,
        after a kill, by the time the next one adds.

        Args:
            items: as `ground.stac.item` makes them, of files that lie in ``folder``.

        Raises:
            OutputError: the folder cannot be written, or the catalogue is damaged.
        """
        made = {str(one["id"]): one for one in items}
        make_folder(self.folder)
        with self._locked():
            self._finish()
            new = [stem for stem, one in made.items() if self._is_new(stem, one)]
            if new:
                write_text(self.folder / JOURNAL, text_of({"items": new}))
                for stem in new:
                    write_text(self.folder / f"{stem}.json", text_of(made[stem]))
                self._finish()
        return [entry_of(one, self.folder) for one in made.values()]

    def repair(self) -> None:
        """Finish what a kill left undone; nothing to do is no error."""
        if self.folder.is_dir():
            with self._locked():
                self._finish()

    def _is_new(self, stem: str, item: dict[str, Any]) -> bool:
        path = self.folder / f"{stem}.json"
        if not path.is_file() or path.read_text("utf-8") != text_of(item):
            return True
        return not any(one.stem == stem for one in self._day(day_of(item)))

    def _finish(self) -> None:
        """List what the journal names, as far as it was written, and let go of the journal."""
        journal = self.folder / JOURNAL
        if not journal.is_file():
            return
        stems = [str(stem) for stem in read_json(journal)["items"]]
        items = [read_json(self.folder / f"{stem}.json") for stem in stems
                 if (self.folder / f"{stem}.json").is_file()]  # fmt: skip
        by_day: dict[str, list[dict[str, Any]]] = {}
        for item in items:
            by_day.setdefault(day_of(item), []).append(item)
        for day, added in by_day.items():
            self._write_day(day, added)
        self._write_root(list(by_day), items)
        journal.unlink()

    def _write_day(self, day: str, items: list[dict[str, Any]]) -> None:
        path = self.folder / DAYS / f"{day}.json"
        links = (
            {one["href"]: one for one in _links(read_json(path), "item")} if path.is_file() else {}
        )
        for item in items:
            link = item_link(item)
            links[link["href"]] = link
        write_text(path, text_of(list_of_day(day, [links[href] for href in sorted(links)])))

    def _write_root(self, days: list[str], items: list[dict[str, Any]]) -> None:
        path = self.folder / ROOT
        before = read_json(path) if path.is_file() else None
        known = [] if before is None else [one["href"] for one in _links(before, "child")]
        children = sorted({*known, *(f"./{DAYS}/{day}.json" for day in days)})
        boxes, times = _extent(before)
        boxes += [one["bbox"] for one in items if "bbox" in one]
        times += [when for when in (_acquired(one) for one in items) if when is not None]
        after = collection_of(children, boxes, times)
        if after != before:
            write_text(path, text_of(after))

    def _day_names(self) -> list[str]:
        path = self.folder / ROOT
        if not path.is_file():
            return []
        return [Path(one["href"]).stem for one in _links(read_json(path), "child")]

    def _day_links(self, day: str) -> list[dict[str, Any]]:
        path = self.folder / DAYS / f"{day}.json"
        return _links(read_json(path), "item") if path.is_file() else []

    def _day(self, day: str) -> Iterator[Entry]:
        for link in self._day_links(day):
            yield Entry(
                Path(link["href"]).stem,
                self.folder,
                _time(link.get("datetime")),
                _box(link.get("bbox")),
                str(link.get("floodsat:subject", "water")),
            )

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            handle = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise OutputError(
                f"{self.folder}: the catalogue cannot be locked ({error.strerror}); "
                "choose a folder that you may write to"
            ) from error
        try:
            # Let go of by the system however this process ends.
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def day_of(item: dict[str, Any]) -> str:
    """The day that an item belongs to, by its time and id alone."""
    when = _acquired(item)
    # Undated ones are divided by their name, so that no list grows without end.
    return f"{UNDATED}-{str(item['id'])[:2]}" if when is None else when.date().isoformat()


def day_name(acquired: datetime | None, stem: str) -> str:
    """The day of a map that is yet to be described; as `day_of`."""
    return f"{UNDATED}-{stem[:2]}" if acquired is None else acquired.date().isoformat()


def _matches(entry: Entry, start: datetime | None, end: datetime | None, area: Area | None) -> bool:
    if start is not None and (entry.acquired is None or entry.acquired < start):
        return False
    if end is not None and (entry.acquired is None or entry.acquired > end):
        return False
    return area is None or (entry.box is not None and overlap(area, entry.box))


def entry_of(item: dict[str, Any], folder: Path) -> Entry:
    """What a catalogue says of an item."""
    subject = str(item["properties"].get("floodsat:subject", "water"))
    return Entry(str(item["id"]), folder, _acquired(item), _box(item.get("bbox")), subject)


def item_link(item: dict[str, Any]) -> dict[str, Any]:
    """An item's line in the list of its day."""
    properties = item["properties"]
    return {
        "rel": "item",
        "href": f"../{item['id']}.json",
        "type": _GEOJSON,
        "title": properties.get("title", item["id"]),
        "datetime": properties["datetime"],
        **({"bbox": item["bbox"]} if "bbox" in item else {}),
        "floodsat:subject": properties.get("floodsat:subject", "water"),
    }


def list_of_day(day: str, links: list[dict[str, Any]]) -> dict[str, Any]:
    """The list of a day."""
    return {
        "type": "Catalog",
        "stac_version": VERSION,
        "id": day,
        "title": day,
        "description": f"FloodSat maps of {day}",
        "links": [
            {"rel": "root", "href": f"../{ROOT}", "type": _JSON},
            {"rel": "parent", "href": f"../{ROOT}", "type": _JSON},
            *links,
        ],
    }


def collection_of(
    children: list[str], boxes: list[list[float]], times: list[datetime]
) -> dict[str, Any]:
    """The list of all days, with the boxes and times that it covers."""
    span: list[str | None] = [None, None]
    if times:
        span = [time_text(min(times)), time_text(max(times))]
    return {
        "type": "Collection",
        "stac_version": VERSION,
        "id": COLLECTION,
        "title": "FloodSat maps",
        "description": (
            "Water and flood maps with their uncertainty, segmented on board or from an archive. "
            "Cloud and no data are not observed: never read them as dry."
        ),
        "license": "other",
        "extent": {
            "spatial": {"bbox": [list(_around(boxes))]},
            "temporal": {"interval": [span]},
        },
        "links": [
            {"rel": "root", "href": f"./{ROOT}", "type": _JSON},
            *({"rel": "child", "href": one, "type": _JSON} for one in children),
        ],
    }


def _extent(collection: dict[str, Any] | None) -> tuple[list[list[float]], list[datetime]]:
    """Boxes and times that a collection covers so far, as far as it says any."""
    if collection is None:
        return [], []
    extent = collection["extent"]
    times = [_time(one) for one in extent["temporal"]["interval"][0]]
    # A collection of nothing but frames without coordinates covers the world: for want of a place.
    boxes = [one for one in extent["spatial"]["bbox"] if tuple(one) != WORLD]
    return boxes, [one for one in times if one is not None]


def _around(boxes: list[list[float]]) -> Area:
    """One box that holds all; the world where there is none."""
    if not boxes:
        return WORLD
    crosses = any(west > east for west, _, east, _ in boxes)
    return (
        -180.0 if crosses else min(box[0] for box in boxes),
        min(box[1] for box in boxes),
        180.0 if crosses else max(box[2] for box in boxes),
        max(box[3] for box in boxes),
    )


def _acquired(item: dict[str, Any]) -> datetime | None:
    return _time(item["properties"].get("datetime"))


def _time(text: str | None) -> datetime | None:
    return None if text is None or text in EVER else datetime.fromisoformat(text)


def _utc(when: datetime) -> datetime:
    return when.astimezone(UTC)


def _box(values: list[float] | None) -> Area | None:
    if values is None:
        return None
    west, south, east, north = values
    return west, south, east, north


def _links(found: dict[str, Any], rel: str) -> list[dict[str, Any]]:
    return [link for link in found.get("links", ()) if link.get("rel") == rel]


def text_of(found: dict[str, Any]) -> str:
    """JSON as a catalogue writes it."""
    return json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: Path) -> dict[str, Any]:
    """Read it again; a damaged one is an `OutputError`."""
    try:
        if path.stat().st_size > MAX_JSON:
            raise ValueError("too long")
        found = json.loads(path.read_text("utf-8"))
        if not isinstance(found, dict):
            raise ValueError("no object")
        return found
    except (OSError, ValueError) as error:
        raise OutputError(
            f"{path}: the catalogue is damaged there ({error}); move the file away and receive "
            "its products again"
        ) from error
