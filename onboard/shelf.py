"""Shelf: for every frame whose news waits, one file from which the outbox can be made again.

The outbox is one database, and a damaged page can make all of it unreadable. So what a frame gives
is written as a file of its own, durably, before it is recorded. Files are named for the frame and
carry a SHA-256, so each stands or falls alone. When nothing of a frame waits any more, its file is
removed.

A file is ``FSSH``, a version byte, a CBOR map and the SHA-256 over all before it.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import cbor2

from onboard import files, formats
from onboard.errors import DamagedError
from onboard.outbox import Item, Kind, Totals
from onboard.runtime import Entry

MAGIC = b"FSSH"
SUFFIX = ".shelf"
_DIGEST = 32


class Stored(NamedTuple):
    """One file of the shelf, and where the outbox stood before it."""

    entry: Entry
    created_ms: int
    totals: Totals


class Shelf:
    """The shelf in ``folder``, which is made if it is missing.

    Raises:
        OutputError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = files.make_folder(folder)
        files.remove_parts(folder)

    def put(self, entry: Entry, created_ms: int, totals: Totals) -> int:
        """Write a frame's file, if the frame gave anything; how many bytes it has.

        Raises:
            OutputError: it cannot be written.
        """
        if not (entry.products or entry.alerts or entry.chips):
            return 0
        data = pack(Stored(entry, created_ms, totals))
        files.write_bytes(self._path(entry.scene_id, entry.model_id), data)
        return len(data)

    def names(self) -> list[Path]:
        """Every file, in order of names."""
        return sorted(self.folder.glob("*" + SUFFIX))

    def read(self) -> Iterator[tuple[Path, Stored | None]]:
        """Every file and what it holds; None where it is damaged."""
        for path in self.names():
            stored = None
            with contextlib.suppress(DamagedError, OSError):
                stored = unpack(path.read_bytes())
            yield path, stored

    def tidy(self, waiting: Iterable[tuple[bytes, bytes]]) -> int:
        """Remove files of frames of which nothing waits; how many."""
        keep = {self._path(scene, model).name for scene, model in waiting}
        gone = [path for path in self.names() if path.name not in keep]
        for path in gone:
            with contextlib.suppress(OSError):
                path.unlink()
        return len(gone)

    def _path(self, scene_id: bytes, model_id: bytes) -> Path:
        return self.folder / (hashlib.sha256(scene_id + model_id).hexdigest()[:32] + SUFFIX)


def pack(stored: Stored) -> bytes:
    """A file's bytes."""
    entry = stored.entry
    items = [
        [kind.value, item.data, float(item.value), item.place, item.acquired_ms]
        for kind, group in zip(Kind, (entry.alerts, entry.products, entry.chips))
        for item in group
    ]
    body = (
        MAGIC
        + bytes([formats.SHELF.version])
        + cbor2.dumps(
            {
                "scene": entry.scene_id,
                "model": entry.model_id,
                "created": stored.created_ms,
                "totals": list(stored.totals),
                "items": items,
            }
        )
    )
    return body + hashlib.sha256(body).digest()


def unpack(data: bytes) -> Stored:
    """The inverse of `pack`.

    Raises:
        DamagedError: it is not a whole file of this version.
    """
    body, digest = data[:-_DIGEST], data[-_DIGEST:]
    if not body.startswith(MAGIC) or hashlib.sha256(body).digest() != digest:
        raise DamagedError("a file of the shelf is damaged; it is passed over")
    formats.SHELF.check(body[len(MAGIC)], "a file of the shelf", DamagedError)
    held = cbor2.loads(body[len(MAGIC) + 1 :])
    groups: dict[Kind, list[Item]] = {kind: [] for kind in Kind}
    for kind, packed, value, place, acquired in held["items"]:
        where = None if place is None else (place[0], place[1])
        groups[Kind(kind)].append(Item(packed, value, where, acquired))
    entry = Entry(
        held["scene"],
        held["model"],
        alerts=tuple(groups[Kind.ALERT]),
        products=tuple(groups[Kind.PRODUCT]),
        chips=tuple(groups[Kind.CHIP]),
    )
    return Stored(entry, held["created"], Totals(*held["totals"]))
