"""Rebuilding an outbox whose database is damaged or gone.

What the shelf holds is verified and complete, so that comes first; what can still be read of the
damaged file adds the numbers that its items had, how often they were sent, and the frames and
items that are done with. What is missing after that is counted and told.

The new database is made beside the old one and renamed into its place. The damaged file is kept
beside it, under a name that ends with ``.damaged``, until the next one.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from onboard.errors import OutputError, StreamError
from onboard.link import alerts
from onboard.link.cfdp import TRANSACTIONS
from onboard.outbox import Item, Kind, Outbox, Totals, name_of
from onboard.product import ID_BYTES, identify
from onboard.runtime import Entry
from onboard.shelf import Shelf, Stored

DAMAGED = ".damaged"
_KINDS = {kind.value for kind in Kind}
_COMPANIONS = ("", "-wal", "-shm")
SEQUENCE_GAP = 1000
"""Numbers of items and transactions that are passed over, so that none is used for two."""


class Loss(NamedTuple):
    """What a rebuild found and what it did not.

    Attributes:
        items: in the queue again.
        frames: known to be processed.
        items_lost: queued once and now neither in the queue nor in the ledger; at least.
        frames_lost: processed once and now not known to be; at least.
        files_damaged: of the shelf.
    """

    items: int
    frames: int
    items_lost: int
    frames_lost: int
    files_damaged: int


class Salvage(NamedTuple):
    """Rows of the damaged file that could still be read: table → its rows by column."""

    rows: dict[str, list[dict[str, Any]]]

    def totals(self) -> Totals:
        """The numbers that the rows prove."""
        counters = {
            row["name"]: row["value"]
            for row in self.rows["counters"]
            if isinstance(row["value"], int)
        }
        items = [row["item"] for name in ("queue", "ledger") for row in self.rows[name]]
        lost = counters.get("lost", 0)
        return Totals(
            len(self.rows["processed"]),
            max(counters.get("queued", 0), len(items) + lost),
            max(items, default=0),
            counters.get("transaction", 0),
            lost,
        )


def rebuild(path: Path, shelf: Shelf) -> Loss:
    """Put a new outbox in the place of a damaged or missing one.

    Raises:
        OutputError: it cannot be written.
    """
    new = path.with_name(path.name + ".new")
    _remove(new)
    old = path if path.exists() else path.with_name(path.name + DAMAGED)
    found = salvage(old)
    stored = list(shelf.read())
    with Outbox(new) as outbox:
        loss = _fill(outbox, found, [one for _, one in stored if one is not None])
    try:
        if path.exists():
            aside = path.with_name(path.name + DAMAGED)
            _remove(aside)
            os.replace(path, aside)
        _remove(path)
        os.replace(new, path)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be replaced ({error.strerror}); make its folder writable"
        ) from error
    return loss._replace(files_damaged=sum(one is None for _, one in stored))


def salvage(path: Path) -> Salvage:
    """What can still be read of a damaged outbox; nothing of it is trusted blindly."""
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in _KEYS}
    if path.exists():
        with contextlib.suppress(sqlite3.Error):
            db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
            db.row_factory = sqlite3.Row
            db.text_factory = _text
            with contextlib.closing(db):
                for name in _KEYS:
                    rows[name] = list(_rows(db, name))
    return Salvage(rows)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


_KEYS = {
    "processed": ("scene_id", "model_id"),
    "refused": ("file_id",),
    "counters": ("name",),
    "ledger": ("item",),
    "queue": ("item",),
    "attempts": ("file_id",),
}
"""Table → its primary key."""


def _rows(db: sqlite3.Connection, table: str) -> Iterator[dict[str, Any]]:
    """Rows from the front up to the first that cannot be read, and from the end likewise."""
    seen = set()
    for direction in ("ASC", "DESC"):
        order = ", ".join(f"{name} {direction}" for name in _KEYS[table])
        # A damaged schema comes out of SQLite as text that is none.
        with contextlib.suppress(sqlite3.Error, UnicodeDecodeError):
            for row in db.execute(f"SELECT * FROM {table} ORDER BY {order}"):
                key = tuple(row[name] for name in _KEYS[table])
                if key not in seen:
                    seen.add(key)
                    yield dict(row)


def _fill(outbox: Outbox, found: Salvage, stored: list[Stored]) -> Loss:
    expected = _expected(found.totals(), stored)
    with outbox.transaction() as db:
        for name in ("processed", "refused", "counters", "ledger", "attempts"):
            _copy(db, name, found.rows[name])
        # Numbers that nobody had before, for what the damaged file does not number any more.
        db.execute("DELETE FROM sqlite_sequence WHERE name = 'queue'")
        db.execute("INSERT INTO sqlite_sequence VALUES ('queue', ?)", (expected.item,))
        _count(db, "transaction", expected.sequence)
        _queue(outbox, db, found.rows, stored)
        (queued,) = db.execute("SELECT count(*) FROM queue").fetchone()
        (left,) = db.execute("SELECT count(*) FROM ledger").fetchone()
        frames = outbox.processed
        lost = max(0, expected.queued - queued - left)
        _count(db, "queued", queued + left + lost)
        _count(db, "lost", lost)
    new = max(0, lost - expected.lost)
    return Loss(queued, frames, new, max(0, expected.frames - frames), 0)


def _expected(known: Totals, stored: list[Stored]) -> Totals:
    """Where the outbox must have stood at least, by its own rows and by the shelf."""
    total = known
    for one in stored:
        count = len(list(_items(one.entry)))
        told = one.totals
        queued, item = told.queued + count, told.item + count
        after = Totals(told.frames + 1, queued, item, told.sequence, told.lost)
        total = Totals(*map(max, zip(total, after)))
    gap = SEQUENCE_GAP
    return total._replace(item=total.item + gap, sequence=(total.sequence + gap) % TRANSACTIONS)


def _count(db: sqlite3.Connection, name: str, value: int) -> None:
    db.execute("REPLACE INTO counters VALUES (?, ?)", (name, value))


def _copy(db: sqlite3.Connection, table: str, rows: list[dict[str, Any]]) -> None:
    """Rows whose values the table takes."""
    for row in rows:
        names = ", ".join(row)
        marks = ", ".join("?" * len(row))
        with contextlib.suppress(sqlite3.Error):
            db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values()))


def _queue(
    outbox: Outbox,
    db: sqlite3.Connection,
    rows: dict[str, list[dict[str, Any]]],
    stored: list[Stored],
) -> None:
    """Queue what is on the shelf, with the old row where there is one; then other whole files."""
    done = {(row["kind"], row["name"]) for row in rows["ledger"]}
    numbered = {_name(row["kind"], row["data"]): row for row in rows["queue"] if _whole(row)}
    for one in stored:
        frame = (one.entry.scene_id, one.entry.model_id)
        sql = "INSERT INTO processed VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
        db.execute(sql, (*frame, one.created_ms))
        for kind, item in _items(one.entry):
            name = _name(kind.value, item.data)
            if name not in done and name not in numbered:
                outbox.queue_again(kind, item, one.created_ms, frame)
    _copy(db, "queue", list(numbered.values()))


def _items(entry: Entry) -> Iterator[tuple[Kind, Item]]:
    for kind, group in zip(Kind, (entry.alerts, entry.products, entry.chips)):
        for item in group:
            yield kind, item


def _name(kind: str, data: bytes) -> tuple[str, bytes]:
    return kind, name_of(Kind(kind), data)


def _whole(row: dict[str, Any]) -> bool:
    """Whether a row's data is what it was: a file's id is that of its bytes, an alert decodes."""
    data, kind = row["data"], row["kind"]
    if not isinstance(data, bytes) or kind not in _KINDS:
        return False
    if kind == Kind.ALERT.value:
        with contextlib.suppress(StreamError):
            return bool(alerts.unpack(data))
        return False
    return identify(data[:-ID_BYTES]) == data[-ID_BYTES:]


def _remove(path: Path) -> None:
    for suffix in _COMPANIONS:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(str(path) + suffix)
