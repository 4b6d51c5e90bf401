"""Outbox: what waits to be sent, which frames were processed, and where the counters stand.

One SQLite file in write-ahead mode. Whatever belongs together is one transaction: a frame with
its products, a pass with its marks and counters. So power may go at any moment, and a frame is
processed once and a product sent as often as wanted, never lost.

What leaves the queue is entered in a ledger with its cause and the rule that decided, so that
always: queued = in the queue + sent + evicted + dropped + lost, where nothing is lost unless the
file was damaged and had to be rebuilt.

The CFDP transaction number of a file is fixed when it is queued. A pass that was written but
not recorded is therefore repeated with the same numbers for the same files.
"""

from __future__ import annotations

import contextlib
import enum
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from onboard import formats, outbox_schema
from onboard.closing import Closing
from onboard.errors import DamagedError, OutputError, StreamError
from onboard.link.cfdp import TRANSACTIONS
from onboard.link.housekeeping import Housekeeping, Status, pack_status, unpack_status
from onboard.outbox_schema import APPLICATION_ID, SCHEMA_VERSION
from onboard.product import ID_BYTES, identify

__all__ = ["APPLICATION_ID", "SCHEMA_VERSION", "Cause", "Item", "Kind", "Outbox", "Waiting"]

_BUSY_SECONDS = 10.0
_TRANSACTION = "transaction"
_QUEUED, _LOST = "queued", "lost"
_OWN = (_TRANSACTION, _QUEUED, _LOST)
"""Counters that move when a frame is recorded, not with a pass."""


class Kind(enum.Enum):
    """What an item of the queue is, in the order in which they go down.

    A product and a chip are files and end with their id; an alert is one packet's user data.
    """

    ALERT = "alert"
    PRODUCT = "product"
    CHIP = "chip"


class Cause(enum.Enum):
    """Why an item left the queue."""

    SENT = "sent"
    EVICTED = "evicted"
    DROPPED = "dropped"


class Item(NamedTuple):
    """Something to queue.

    Attributes:
        data: packed bytes; a file ends with its id.
        value: how much it is worth (larger goes first).
        place: latitude and longitude, degrees WGS 84, or None.
        acquired_ms: when it was seen, UTC milliseconds since 1970, or None.
    """

    data: bytes
    value: float
    place: tuple[float, float] | None = None
    acquired_ms: int | None = None


@dataclass(frozen=True)
class Waiting:
    """One item of the queue.

    Attributes:
        item: its number here.
        kind: alert (user data of one packet), product or chip (files).
        data: the packed bytes.
        value: larger goes first.
        created_ms: when it was queued, UTC milliseconds since 1970.
        sequence: CFDP transaction number; None for alerts.
        sendings: how often it was sent already.
        place: latitude and longitude, degrees WGS 84, or None.
        acquired_ms: when it was seen, UTC milliseconds since 1970, or None.
    """

    item: int
    kind: Kind
    data: bytes
    value: float
    created_ms: int
    sequence: int | None
    sendings: int
    place: tuple[float, float] | None = None
    acquired_ms: int | None = None


class Stock(NamedTuple):
    """An item of the queue without its data; see `Waiting`.

    Attributes:
        size: of its data, bytes.
    """

    item: int
    kind: Kind
    value: float
    created_ms: int
    acquired_ms: int | None
    sendings: int
    size: int


class Totals(NamedTuple):
    """Where an outbox stands.

    Attributes:
        frames: that were processed.
        queued: items that were ever queued.
        item: the number of the last of them.
        sequence: the CFDP transaction number that comes next.
        lost: of the items, in damage.
    """

    frames: int
    queued: int
    item: int
    sequence: int
    lost: int = 0


class Left(NamedTuple):
    """An item that left the queue.

    Attributes:
        item: its number.
        kind: what it was.
        name: the id of a file, the first 16 bytes of an alert's SHA-256.
        size: of its data, bytes.
        sendings: how often it was sent before.
        left_ms: when it left, UTC milliseconds since 1970.
        cause: why.
        rule: the rule or command that decided.
    """

    item: int
    kind: Kind
    name: bytes
    size: int
    sendings: int
    left_ms: int
    cause: Cause
    rule: str


class Outbox(Closing):
    """The outbox at ``path``, opened; use it in a ``with`` statement.

    Args:
        path: the SQLite file.
        create: whether a missing file is made. Its folder must exist.
        quota: bytes that the queue's data may take together; None for no bound. It is a figure
            to go by: whoever queues evicts what is beyond it, by a rule, in one transaction.
        clock: UTC milliseconds since 1970; what is queued and what leaves bears its time.

    Raises:
        DamagedError: the file is damaged.
        OutputError: the file is missing, foreign or cannot be written.
    """

    def __init__(
        self,
        path: Path,
        create: bool = True,
        quota: int | None = None,
        clock: Callable[[], int] | None = None,
    ) -> None:
        self.path = Path(path)
        self.quota = quota
        self.clock = clock or clock_ms
        if not create and not self.path.is_file():
            raise OutputError(f"{path}: there is no outbox; run 'floodsat fly' with --outbox first")
        with self._guard():
            self._db = sqlite3.connect(str(self.path), timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            with self._guard():
                self._open()
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # --- frames in ---

    def seen(self, scene_id: bytes, model_id: bytes) -> bool:
        """Whether this frame was already processed with this model."""
        with self._guard():
            return self._seen(scene_id, model_id)

    def record(
        self,
        scene_id: bytes,
        model_id: bytes,
        products: Sequence[Item] = (),
        alerts: Sequence[Item] = (),
        now_ms: int | None = None,
        chips: Sequence[Item] = (),
    ) -> bool:
        """Mark a frame as processed and queue what it gave, all or nothing.

        Args:
            scene_id: 32 bytes.
            model_id: 32 bytes.
            products: packed products.
            alerts: packed alerts (``onboard.link.alerts``).
            now_ms: UTC milliseconds since 1970; the clock's if None.
            chips: packed chips for labelling.

        Returns:
            False where the frame was processed before: then nothing is written.
        """
        now = self.clock() if now_ms is None else now_ms
        with self.transaction() as db:
            if self._seen(scene_id, model_id):
                return False
            db.execute("INSERT INTO processed VALUES (?, ?, ?)", (scene_id, model_id, now))
            for kind, items in zip(Kind, (alerts, products, chips)):
                for item in items:
                    self._queue(kind, item, now, (scene_id, model_id))
        return True

    def queue_again(
        self, kind: Kind, item: Item, created_ms: int, frame: tuple[bytes, bytes]
    ) -> None:
        """Queue an item of a frame (scene id, model id) whose record was lost."""
        with self.transaction():
            self._queue(kind, item, created_ms, frame)

    def queue(self, kind: Kind, item: Item, frame: tuple[bytes, bytes]) -> None:
        """Queue something that a command asked for; a file that is there already stays as it is.

        Args:
            kind: what it is.
            item: its bytes.
            frame: scene id and model id that it is about.
        """
        with self.transaction():
            self._queue(kind, item, self.clock(), frame)

    def begin(self, file_id: bytes) -> int:
        """Note that work on a file begins.

        Returns:
            How often it was begun without `end`, this time included.
        """
        with self.transaction() as db:
            sql = "INSERT INTO attempts VALUES (?, 1) ON CONFLICT DO UPDATE SET begun = begun + 1"
            db.execute(sql, (file_id,))
            row = db.execute("SELECT begun FROM attempts WHERE file_id = ?", (file_id,))
            return int(row.fetchone()[0])

    def end(self, file_id: bytes) -> None:
        """Note that work on a file ended, however it did."""
        with self.transaction() as db:
            db.execute("DELETE FROM attempts WHERE file_id = ?", (file_id,))

    def refuse(self, file_id: bytes, name: str, reason: str, now_ms: int | None = None) -> bool:
        """Count a frame that cannot be used.

        Args:
            file_id: what identifies the file, so that it is counted once.
            name: of the file.
            reason: why, in a word or two; figures are kept by it.
            now_ms: UTC milliseconds since 1970; the clock's if None.

        Returns:
            False where it was counted before.
        """
        now = self.clock() if now_ms is None else now_ms
        with self.transaction() as db:
            sql = "INSERT INTO refused VALUES (?, ?, ?, ?) ON CONFLICT (file_id) DO NOTHING"
            return db.execute(sql, (file_id, name, reason, now)).rowcount == 1

    @property
    def processed(self) -> int:
        """How many frames were processed, counted once a model."""
        with self._guard():
            (count,) = self._db.execute("SELECT count(*) FROM processed").fetchone()
        return int(count)

    @property
    def refused(self) -> dict[str, int]:
        """Reason → how many frames were refused for it."""
        with self._guard():
            sql = "SELECT reason, count(*) FROM refused GROUP BY reason"
            return dict(self._db.execute(sql))

    @property
    def totals(self) -> Totals:
        """Where it stands."""
        with self._guard():
            items = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'queue'")
            row = items.fetchone()
            return Totals(
                frames=self.processed,
                queued=self._counter(_QUEUED),
                item=int(row[0]) if row else 0,
                sequence=self._counter(_TRANSACTION),
                lost=self._counter(_LOST),
            )

    @property
    def lost(self) -> int:
        """How many items were queued and are neither in the queue nor in the ledger."""
        with self._guard():
            return self._counter(_LOST)

    def owners(self) -> list[tuple[bytes, bytes]]:
        """Scene and model of every frame of which something is in the queue."""
        sql = "SELECT DISTINCT scene_id, model_id FROM queue WHERE scene_id IS NOT NULL"
        with self._guard():
            return self._db.execute(sql).fetchall()

    # --- out of the queue ---

    @property
    def stored_bytes(self) -> int:
        """Bytes of the data of all items in the queue, sent ones included."""
        with self._guard():
            sql = "SELECT coalesce(sum(length(data)), 0) FROM queue"
            (size,) = self._db.execute(sql).fetchone()
        return int(size)

    def stock(self) -> list[Stock]:
        """Every item of the queue without its data, in order of their numbers."""
        columns = "item, kind, value, created_ms, acquired_ms, sendings, length(data)"
        with self._guard():
            rows = self._db.execute(f"SELECT {columns} FROM queue ORDER BY item").fetchall()
        return [
            Stock(item, Kind(kind), value, created, acquired, sendings, size)
            for item, kind, value, created, acquired, sendings, size in rows
        ]

    def evict(self, items: Iterable[int], rule: str, now_ms: int | None = None) -> int:
        """Take items out of the queue for want of room; the ledger names the rule.

        Args:
            items: their numbers; those that are not in the queue count for nothing.
            rule: the name of the rule that chose them.
            now_ms: UTC milliseconds since 1970; the clock's if None.

        Returns:
            How many bytes became free.
        """
        return self._leave(items, Cause.EVICTED, rule, now_ms)

    def drop(self, items: Iterable[int], command: str, now_ms: int | None = None) -> int:
        """Take items out of the queue because a command says so; otherwise as `evict`."""
        return self._leave(items, Cause.DROPPED, command, now_ms)

    def release(self, items: Iterable[int], rule: str, now_ms: int | None = None) -> int:
        """Take items out of the queue that are sent for good; otherwise as `evict`."""
        return self._leave(items, Cause.SENT, rule, now_ms)

    def left(self) -> list[Left]:
        """What left the queue, in order of their numbers."""
        columns = "item, kind, name, size, sendings, left_ms, cause, rule"
        with self._guard():
            rows = self._db.execute(f"SELECT {columns} FROM ledger ORDER BY item").fetchall()
        return [
            Left(item, Kind(kind), name, size, sendings, left_ms, Cause(cause), rule)
            for item, kind, name, size, sendings, left_ms, cause, rule in rows
        ]

    def queued_since(self, kind: Kind, since_ms: int) -> int:
        """How many items of a kind were queued at or after a time, gone ones included."""
        tables = ("queue", "ledger")
        with self._guard():
            found = [
                self._db.execute(
                    f"SELECT count(*) FROM {table} WHERE kind = ? AND created_ms >= ?",
                    (kind.value, since_ms),
                ).fetchone()[0]
                for table in tables
            ]
        return int(sum(found))

    # --- pass out ---

    def waiting(self, sendings: int = 1) -> list[Waiting]:
        """What was sent fewer than ``sendings`` times: alerts, products, chips, each by value."""
        with self._guard():
            rows = self._db.execute(
                "SELECT item, kind, data, value, created_ms, sequence, sendings,"
                " latitude, longitude, acquired_ms FROM queue WHERE sendings < ?"
                f" ORDER BY {_RANK}, value DESC, item",
                (sendings,),
            ).fetchall()
        return [_waiting(row) for row in rows]

    @property
    def counters(self) -> dict[str, int]:
        """The link's running numbers by name, see `onboard.link.counters`."""
        with self._guard():
            return self._link_counters()

    @property
    def status(self) -> Status | None:
        """What the runtime last said of itself."""
        with self._guard():
            row = self._db.execute("SELECT data FROM status").fetchone()
        # Of another software: not worth a stop.
        with contextlib.suppress(StreamError):
            return unpack_status(row[0]) if row else None
        return None

    @status.setter
    def status(self, status: Status) -> None:
        with self.transaction() as db:
            db.execute("REPLACE INTO status VALUES (1, ?)", (pack_status(status),))

    def housekeeping(self, sendings: int = 1) -> Housekeeping:
        """How full the outbox is, and what the runtime last said of itself."""
        with self._guard():
            (refused,) = self._db.execute("SELECT count(*) FROM refused").fetchone()
            sql = "SELECT count(*) FROM ledger WHERE cause = ?"
            (evicted,) = self._db.execute(sql, (Cause.EVICTED.value,)).fetchone()
            rows = self._db.execute(
                "SELECT kind, count(*), sum(length(data)) FROM queue WHERE sendings < ?"
                " GROUP BY kind",
                (sendings,),
            ).fetchall()
        found = {Kind(row[0]): row[1:] for row in rows}
        alerts, products, chips = (found.get(kind, (0, 0)) for kind in Kind)
        return Housekeeping(
            frames=self.processed,
            alerts=alerts[0],
            products=products[0],
            product_bytes=products[1],
            chips=chips[0],
            refused=refused,
            evicted=evicted,
            runtime=self.status,
        )

    def commit(
        self, sent: Mapping[int, int], before: Mapping[str, int], after: Mapping[str, int]
    ) -> None:
        """Record a pass whose stream is safely written.

        Args:
            sent: item → how many sendings more.
            before: the counters that the pass began with.
            after: the counters that it ended with.

        Raises:
            OutputError: another pass was recorded in between; nothing is changed.
        """
        with self.transaction():
            now = self._link_counters()
            if any(now.get(name, 0) != before.get(name, 0) for name in after):
                raise OutputError(f"{self.path}: another downlink ran meanwhile; run it again")
            self._db.executemany(
                "UPDATE queue SET sendings = sendings + ? WHERE item = ?",
                [(count, item) for item, count in sent.items()],
            )
            self._db.executemany("REPLACE INTO counters VALUES (?, ?)", list(after.items()))

    def renumber(self, item: int) -> None:
        """Give a file another transaction number: under its old one the ground refused it."""
        with self.transaction() as db:
            number = self._next_transaction()
            db.execute(
                "UPDATE queue SET sequence = ? WHERE item = ? AND sequence IS NOT NULL",
                (number, item),
            )

    # --- inside ---

    def _seen(self, scene_id: bytes, model_id: bytes) -> bool:
        found = self._db.execute(
            "SELECT 1 FROM processed WHERE scene_id = ? AND model_id = ?", (scene_id, model_id)
        )
        return found.fetchone() is not None

    def _link_counters(self) -> dict[str, int]:
        sql = "SELECT name, value FROM counters WHERE name NOT IN (?, ?, ?)"
        return dict(self._db.execute(sql, _OWN))

    def _counter(self, name: str) -> int:
        row = self._db.execute("SELECT value FROM counters WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else 0

    def _count(self, name: str, value: int) -> None:
        self._db.execute("REPLACE INTO counters VALUES (?, ?)", (name, value))

    def _queue(self, kind: Kind, item: Item, now: int, frame: tuple[bytes, bytes]) -> None:
        product_id = sequence = None
        if kind is not Kind.ALERT:
            product_id, sequence = item.data[-ID_BYTES:], self._next_transaction()
        done = self._db.execute(
            "INSERT INTO queue (kind, product_id, data, value, created_ms, sequence,"
            " latitude, longitude, acquired_ms, scene_id, model_id)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (kind, product_id) DO NOTHING",
            (kind.value, product_id, item.data, float(item.value), now, sequence)
            + (item.place or (None, None))
            + (item.acquired_ms, *frame),
        )
        self._count(_QUEUED, self._counter(_QUEUED) + done.rowcount)

    def _leave(self, items: Iterable[int], cause: Cause, rule: str, now_ms: int | None) -> int:
        now = self.clock() if now_ms is None else now_ms
        freed = 0
        with self.transaction() as db:
            for item in items:
                sql = "SELECT kind, data, value, created_ms, sendings FROM queue WHERE item = ?"
                for kind, data, *rest in db.execute(sql, (item,)).fetchall():
                    row = (item, kind, name_of(Kind(kind), data), len(data), *rest, now)
                    sql = f"INSERT INTO ledger VALUES ({', '.join('?' * 10)})"
                    db.execute(sql, (*row, cause.value, rule))
                    db.execute("DELETE FROM queue WHERE item = ?", (item,))
                    freed += len(data)
        return freed

    def _next_transaction(self) -> int:
        value = self._counter(_TRANSACTION)
        self._count(_TRANSACTION, (value + 1) % TRANSACTIONS)
        return value

    def _open(self) -> None:
        application, version, empty = self._identity()
        if empty and not application:
            with self.transaction() as db:
                outbox_schema.create(db)
        elif application != APPLICATION_ID:
            raise OutputError(f"{self.path}: this database is no outbox; name another file")
        else:
            formats.OUTBOX.check(version, f"{self.path}: the outbox", OutputError)
        (verdict,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict.splitlines()[-1])
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        with self.transaction() as db:
            # Asked again inside: another process may have done it meanwhile.
            version = self._identity()[1]
            if version < SCHEMA_VERSION:
                outbox_schema.migrate(db, version)

    def _identity(self) -> tuple[int, int, bool]:
        (application,) = self._db.execute("PRAGMA application_id").fetchone()
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return application, version, tables == 0

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the body or nothing of it; what is called inside belongs to it.

        The connection is for tables of one's own in this file (``CREATE TABLE IF NOT EXISTS``).
        A transaction inside another is undone alone where its error is caught.

        Raises:
            DamagedError: the file is damaged.
            OutputError: the file cannot be written.
        """
        inner = self._db.in_transaction
        begin, undo, end = _INNER if inner else _OUTER
        with self._guard():
            self._db.execute(begin)
            try:
                yield self._db
                self._db.execute(end)
            except BaseException:
                # SQLite may have undone it already, as it does when the disk is full.
                if self._db.in_transaction:
                    self._undo(undo)
                raise

    def _undo(self, statements: Sequence[str]) -> None:
        for statement in statements:
            self._db.execute(statement)

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as error:
            # Of this very class are "malformed" and "not a database", and nothing else. And what
            # is no text where text should be was damaged without the file's structure.
            if type(error) in (sqlite3.DatabaseError, UnicodeDecodeError):
                raise DamagedError(
                    f"{self.path}: the outbox cannot be used, it is damaged ({error}); move it "
                    "away and start a new one"
                ) from error
            raise OutputError(
                f"{self.path}: the outbox cannot be used ({error}); free it if it is locked or "
                "read-only, else move it away and start a new one"
            ) from error


_OUTER = ("BEGIN IMMEDIATE", ("ROLLBACK",), "COMMIT")
_INNER = ("SAVEPOINT inner", ("ROLLBACK TO inner", "RELEASE inner"), "RELEASE inner")
_RANK = f"CASE kind {' '.join(f'WHEN {k.value!r} THEN {i}' for i, k in enumerate(Kind))} END"


def name_of(kind: Kind, data: bytes) -> bytes:
    """What tells an item's bytes from any other's, 16 bytes: a file's own id, else their hash."""
    return identify(data) if kind is Kind.ALERT else data[-ID_BYTES:]


def _waiting(row: Sequence[Any]) -> Waiting:
    item, kind, data, value, created, sequence, sendings, latitude, longitude, acquired = row
    place = None if latitude is None else (latitude, longitude)
    return Waiting(item, Kind(kind), data, value, created, sequence, sendings, place, acquired)


def clock_ms() -> int:
    """The clock: UTC milliseconds since 1970."""
    return int(time.time() * 1000)
