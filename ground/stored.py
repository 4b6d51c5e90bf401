"""A catalogue in an object store: many may add to it at once, and nothing can be locked.

It is laid out as `ground.catalogue` has it, with one object more for each map:
``days/2026-07-14/<stem>.json``, its line in the list of that day. An object is written in one step
and is of one map alone, so who adds never overwrites what another added; and lists are made of what
the store says is there, never of what a list said before.

What is promised, of a store whose listings are up to date, as those of Amazon and of the common
servers are:

- a map that was added is found by `StoredCatalogue` from then on, whoever else adds or is killed;
- the lists for other readers of STAC, ``days/<day>.json`` and ``collection.json``, name it as soon
  as no one is adding: who has written a list looks whether more has come meanwhile, and writes it
  again. Who is killed in between is made up for by the next to add to that day, or by `repair`.

Such a collection claims the whole world: a narrower box would need every item to be read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, time
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ground.archive.items import FRAME, SCENE
from ground.catalogue import (
    DAYS,
    ROOT,
    UNDATED,
    Catalogue,
    Entry,
    collection_of,
    day_of,
    entry_of,
    item_link,
    list_of_day,
    read_json,
    text_of,
)
from onboard.errors import OutputError
from onboard.files import make_folder, write_text
from onboard.remote import Remote


class Published(NamedTuple):
    """What was brought to a store.

    Attributes:
        maps: that the folder's catalogue names.
        sent: files of theirs that were put there, the items among them.
        known: those that were there already with the same content.
    """

    maps: int
    sent: int
    known: int

    def __str__(self) -> str:
        return f"{self.maps} maps, {self.sent} files sent, {self.known} known"


class StoredCatalogue(Catalogue):
    """The catalogue of a prefix of an object store; found and read as one of a folder is.

    Attributes:
        folder: where the maps are.
    """

    folder: Remote

    def __init__(self, folder: Remote) -> None:
        super().__init__(folder)

    def add(self, items: Iterable[dict[str, Any]]) -> list[Entry]:
        """Add items, or put them in the place of those of the same name.

        Args:
            items: as `ground.stac.item` makes them, of files that lie there already.

        Raises:
            OutputError: the catalogue is damaged.
            StoreError: the store does not answer, or refuses.
        """
        made = {str(one["id"]): one for one in items}
        make_folder(self.folder)
        self._enter(made)
        return [entry_of(one, self.folder) for one in made.values()]

    def _enter(self, made: dict[str, dict[str, Any]]) -> int:
        """Write items and lists; returns how many items were not there like that."""
        new = 0
        for stem, one in made.items():
            new += _put(self.folder / f"{stem}.json", text_of(one))
            # After the item: what is listed is there.
            _put(self._line(day_of(one), stem), text_of(item_link(one)))
        for day in sorted({day_of(one) for one in made.values()}):
            self._list_day(day)
        if made:
            self._list_days()
        return new

    def repair(self) -> None:
        """Write the lists anew where one that added was killed."""
        for day in self._day_names():
            self._list_day(day)
        self._list_days()

    def publish(self, source: Catalogue, tell: Callable[[], object] = lambda: None) -> Published:
        """Bring every map of a folder's catalogue here: its files first, then its item.

        What is here with the same content is not sent again; so one that was stopped is gone on
        with by publishing once more. The maps of a day are found as soon as all of them are here.
        A map that is replaced is younger than its item until then.

        Args:
            source: of a folder; nothing is written there.
            tell: called after the files of each map.

        Raises:
            OutputError: a file that an item names is not in the folder or not as it says, a map of
                that name is here of another frame, or the catalogue is damaged.
            StoreError: the store does not answer, or refuses.
        """
        make_folder(self.folder)
        maps, sent, known = 0, 0, 0
        for _, items in groupby(map(_item, source), day_of):
            made = {}
            for item in items:
                self._check_frame(item, source.folder)
                for path, checksum in _files(item, source.folder):
                    came = self._bring(path, checksum)
                    sent, known = sent + came, known + (not came)
                made[str(item["id"])] = item
                tell()
            new = self._enter(made)
            maps, sent, known = maps + len(made), sent + new, known + len(made) - new
        return Published(maps, sent, known)

    def _bring(self, path: Path, checksum: str | None) -> bool:
        """Put a file here; False where it is here already."""
        if not path.is_file():
            raise OutputError(f"{path}: is missing, though its item names it; make its maps anew")
        before, digest = _state(path), _digest(path)
        # A multihash ends with the digest.
        if checksum is not None and not str(checksum).endswith(digest):
            raise _not_as_described(path)
        target = self.folder / path.name
        if target.sha256() == digest:
            return False
        target.upload(path, digest)
        if _state(path) != before:
            raise _not_as_described(path)
        return True

    def _check_frame(self, item: dict[str, Any], source: Path) -> None:
        """Refuse a map of another frame in the place of one that is here."""
        name = f"{item['id']}.json"
        try:
            before = json.loads((self.folder / name).read_bytes())
            (scene, frame), (new_scene, new_frame) = _frame(before), _frame(item)
        except FileNotFoundError:
            return
        except (ValueError, LookupError, TypeError, AttributeError):
            # What is damaged there is mended by what comes.
            return
        # As an archive has it: the same path may have got other samples.
        if scene != new_scene and frame != new_frame:
            raise OutputError(
                f"{self.folder / name}: is of another frame ({frame}) than {source / name} "
                f"({new_frame}), and would be lost; publish to another prefix"
            )

    def _line(self, day: str, stem: str) -> Remote:
        return self.folder / DAYS / day / f"{stem}.json"

    def _day_names(self) -> list[str]:
        # A day is there by the lines within; its list for others, a file, has a suffix.
        return [one.name for one in (self.folder / DAYS).glob("*") if one.suffix != ".json"]

    def _day_links(self, day: str) -> list[dict[str, Any]]:
        return [read_json(line) for line in (self.folder / DAYS / day).glob("*.json")]

    def _list_day(self, day: str) -> None:
        path = self.folder / DAYS / f"{day}.json"
        _until_settled(
            lambda: self._day_links(day),
            lambda links: _put(path, text_of(list_of_day(day, links))),
        )

    def _list_days(self) -> None:
        def write(days: list[str]) -> None:
            children = [f"./{DAYS}/{day}.json" for day in days]
            _put(self.folder / ROOT, text_of(collection_of(children, [], _span(days))))

        _until_settled(lambda: sorted(self._day_names()), write)


def _item(entry: Entry) -> dict[str, Any]:
    """The item of an entry, with all that publishing it needs."""
    found = entry.item()
    try:
        item_link(found), day_of(found), _files(found, entry.folder), _frame(found)
        usable = found["id"] == entry.stem
    except (ValueError, LookupError, TypeError, AttributeError):
        usable = False
    if not usable:
        raise OutputError(
            f"{entry.folder / entry.stem}.json: is not the item that the catalogue lists; "
            "make its maps anew"
        )
    return found


def _files(item: dict[str, Any], folder: Path) -> list[tuple[Path, str | None]]:
    """Files of an item that lie beside it, with their multihash where it says one.

    What lies elsewhere, such as the frame of an archive, stays there.
    """
    return [
        (folder / str(one["href"]), one.get("file:checksum"))
        for one in item["assets"].values()
        if _is_beside(PurePosixPath(one["href"]))
    ]


def _is_beside(href: PurePosixPath) -> bool:
    return len(href.parts) == 1 and href.parts[0] not in ("/", "..")


def _frame(item: dict[str, Any]) -> tuple[str | None, str | None]:
    """Scene id and address of the frame beneath a map."""
    return item["properties"].get(SCENE), item["assets"].get(FRAME, {}).get("href")


def _digest(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be read ({error.strerror}); check its rights and the disk"
        ) from error


def _state(path: Path) -> tuple[int, int, int]:
    """What changes when a file is replaced or written to."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _not_as_described(path: Path) -> OutputError:
    return OutputError(
        f"{path}: is not what its item says; wait until no one works in its folder and run it "
        "again, or make its maps anew"
    )


def _put(path: Remote, text: str) -> bool:
    """Write a text that is not there yet; whether it was not.

    That it is left out changes no promise: whoever writes an older list looks again after that.
    """
    try:
        if path.read_bytes() == text.encode("utf-8"):
            return False
    except FileNotFoundError:
        pass
    write_text(path, text)
    return True


def _until_settled(look: Callable[[], list[Any]], write: Callable[[list[Any]], object]) -> None:
    """Write what is there until it is what was there when it was written.

    It ends, for every further turn takes another's addition.
    """
    there = look()
    while True:
        write(there)
        now = look()
        if now == there:
            return
        there = now


def _span(days: list[str]) -> list[datetime]:
    """The first moment of the first day and the last of the last; none where all are undated."""
    dated = sorted(day for day in days if not day.startswith(UNDATED))
    if not dated:
        return []
    first, last = (datetime.fromisoformat(day).date() for day in (dated[0], dated[-1]))
    return [
        datetime.combine(first, time.min, UTC),
        datetime.combine(last, time(23, 59, 59), UTC),
    ]
