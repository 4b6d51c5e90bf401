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

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

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
        for stem, one in made.items():
            write_text(self.folder / f"{stem}.json", text_of(one))
            # After the item: what is listed is there.
            write_text(self._line(day_of(one), stem), text_of(item_link(one)))
        for day in sorted({day_of(one) for one in made.values()}):
            self._list_day(day)
        if made:
            self._list_days()
        return [entry_of(one, self.folder) for one in made.values()]

    def repair(self) -> None:
        """Write the lists anew where one that added was killed."""
        for day in self._day_names():
            self._list_day(day)
        self._list_days()

    def publish(self, source: Catalogue) -> list[Entry]:
        """Bring every map of a folder's catalogue here: its files first, then its item.

        Raises:
            OutputError: a file that an item names is not in the folder, or the catalogue is
                damaged.
            StoreError: the store does not answer, or refuses.
        """
        items = []
        for entry in source:
            item = entry.item()
            for asset in item["assets"].values():
                path = source.folder / str(asset["href"])
                # What lies elsewhere, such as the frame of an archive, stays there.
                if path.parent.resolve() == source.folder.resolve():
                    self._bring(path)
            items.append(item)
        return self.add(items)

    def _bring(self, path: Path) -> None:
        if not path.is_file():
            raise OutputError(f"{path}: is missing, though its item names it; make its maps anew")
        (self.folder / path.name).upload(path)

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
            lambda links: write_text(path, text_of(list_of_day(day, links))),
        )

    def _list_days(self) -> None:
        def write(days: list[str]) -> None:
            children = [f"./{DAYS}/{day}.json" for day in days]
            write_text(self.folder / ROOT, text_of(collection_of(children, [], _span(days))))

        _until_settled(lambda: sorted(self._day_names()), write)


def _until_settled(look: Callable[[], list[Any]], write: Callable[[list[Any]], None]) -> None:
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
