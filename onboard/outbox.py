"""Outbox: what waits to be sent, which frames were processed, and where the counters stand.

One SQLite file in write-ahead mode. Whatever belongs together is one transaction: a frame with
its products, a pass with its marks and counters. So power may go at any moment, and a frame is
processed once and a product sent as often as wanted, never lost.

The CFDP transaction number of a product is fixed when it is queued. A pass that was written but
not recorded is therefore repeated with the same numbers for the same files.
"""

from __future__ import annotations

import contextlib
import enum
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from onboard.closing import Closing
from onboard.errors import OutputError
from onboard.link.cfdp import TRANSACTIONS
from onboard.link.housekeeping import Housekeeping
from onboard.product import ID_BYTES

APPLICATION_ID = 0x46534F42
SCHEMA_VERSION = 1
_BUSY_SECONDS = 10.0
_TRANSACTION = "transaction"

_SCHEMA = """
CREATE TABLE processed (
    scene_id BLOB NOT NULL, model_id BLOB NOT NULL, created_ms INTEGER NOT NULL,
    PRIMARY KEY (scene_id, model_id)
) WITHOUT ROWID;
CREATE TABLE queue (
    item INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('alert', 'product')),
    product_id BLOB,
    data BLOB NOT NULL,
    value REAL NOT NULL,
    created_ms INTEGER NOT NULL,
    sequence INTEGER,
    sendings INTEGER NOT NULL DEFAULT 0,
    UNIQUE (kind, product_id),
    CHECK ((kind = 'product') = (product_id IS NOT NULL)),
    CHECK ((kind = 'product') = (sequence IS NOT NULL))
);
CREATE INDEX queue_order ON queue (sendings, kind, value);
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""


class Kind(enum.Enum):
    """What an item of the queue is."""

    ALERT = "alert"
    PRODUCT = "product"


class Item(NamedTuple):
    """Something to queue: packed bytes and how much they are worth (larger goes first)."""

    data: bytes
    value: float


@dataclass(frozen=True)
class Waiting:
    """One item of the queue.

    Attributes:
        item: its number here.
        kind: alert (user data of one packet) or product (a file).
        data: the packed bytes.
        value: larger goes first.
        created_ms: when it was queued, UTC milliseconds since 1970.
        sequence: CFDP transaction number; None for alerts.
        sendings: how often it was sent already.
    """

    item: int
    kind: Kind
    data: bytes
    value: float
    created_ms: int
    sequence: int | None
    sendings: int


class Outbox(Closing):
    """The outbox at ``path``, opened; use it in a ``with`` statement.

    Args:
        path: the SQLite file.
        create: whether a missing file is made. Its folder must exist.

    Raises:
        OutputError: the file is missing, damaged, foreign or cannot be written.
    """

    def __init__(self, path: Path, create: bool = True) -> None:
        self.path = Path(path)
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
    ) -> bool:
        """Mark a frame as processed and queue what it gave, all or nothing.

        Args:
            scene_id: 32 bytes.
            model_id: 32 bytes.
            products: packed products.
            alerts: packed alerts (``onboard.link.alerts``).
            now_ms: UTC milliseconds since 1970; the clock's if None.

        Returns:
            False where the frame was processed before: then nothing is written.
        """
        now = clock_ms() if now_ms is None else now_ms
        with self._transaction():
            if self._seen(scene_id, model_id):
                return False
            self._db.execute("INSERT INTO processed VALUES (?, ?, ?)", (scene_id, model_id, now))
            for alert in alerts:
                self._queue(Kind.ALERT, alert, now)
            for product in products:
                self._queue(Kind.PRODUCT, product, now)
        return True

    # --- pass out ---

    def waiting(self, sendings: int = 1) -> list[Waiting]:
        """What was sent fewer than ``sendings`` times: alerts, then products, by value."""
        with self._guard():
            rows = self._db.execute(
                "SELECT item, kind, data, value, created_ms, sequence, sendings FROM queue"
                " WHERE sendings < ? ORDER BY kind, value DESC, item",
                (sendings,),
            ).fetchall()
        return [Waiting(row[0], Kind(row[1]), *row[2:]) for row in rows]

    @property
    def counters(self) -> dict[str, int]:
        """The link's running numbers by name, see `onboard.link.counters`."""
        with self._guard():
            return self._link_counters()

    def housekeeping(self, sendings: int = 1) -> Housekeeping:
        """How full the outbox is."""
        with self._guard():
            (frames,) = self._db.execute("SELECT count(*) FROM processed").fetchone()
            rows = self._db.execute(
                "SELECT kind, count(*), sum(length(data)) FROM queue WHERE sendings < ?"
                " GROUP BY kind",
                (sendings,),
            ).fetchall()
        found = {row[0]: row[1:] for row in rows}
        alerts, products = found.get("alert", (0, 0)), found.get("product", (0, 0))
        return Housekeeping(frames, alerts[0], products[0], products[1])

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
        with self._transaction():
            now = self._link_counters()
            if any(now.get(name, 0) != before.get(name, 0) for name in after):
                raise OutputError(f"{self.path}: another downlink ran meanwhile; run it again")
            self._db.executemany(
                "UPDATE queue SET sendings = sendings + ? WHERE item = ?",
                [(count, item) for item, count in sent.items()],
            )
            self._db.executemany("REPLACE INTO counters VALUES (?, ?)", list(after.items()))

    # --- inside ---

    def _seen(self, scene_id: bytes, model_id: bytes) -> bool:
        found = self._db.execute(
            "SELECT 1 FROM processed WHERE scene_id = ? AND model_id = ?", (scene_id, model_id)
        )
        return found.fetchone() is not None

    def _link_counters(self) -> dict[str, int]:
        # The transaction number moves when a frame is recorded, not with a pass.
        return dict(
            self._db.execute("SELECT name, value FROM counters WHERE name != ?", (_TRANSACTION,))
        )

    def _queue(self, kind: Kind, item: Item, now: int) -> None:
        product_id = sequence = None
        if kind is Kind.PRODUCT:
            product_id, sequence = item.data[-ID_BYTES:], self._next_transaction()
        self._db.execute(
            "INSERT INTO queue (kind, product_id, data, value, created_ms, sequence)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (kind, product_id) DO NOTHING",
            (kind.value, product_id, item.data, float(item.value), now, sequence),
        )

    def _next_transaction(self) -> int:
        row = self._db.execute(
            "SELECT value FROM counters WHERE name = ?", (_TRANSACTION,)
        ).fetchone()
        value: int = row[0] if row else 0
        self._db.execute(
            "REPLACE INTO counters VALUES (?, ?)", (_TRANSACTION, (value + 1) % TRANSACTIONS)
        )
        return value

    def _open(self) -> None:
        application, version, empty = self._identity()
        if empty and not application:
            self._create()
        elif application != APPLICATION_ID:
            raise OutputError(f"{self.path}: this database is no outbox; name another file")
        elif version > SCHEMA_VERSION:
            raise OutputError(
                f"{self.path}: the outbox has schema version {version}, this software knows "
                f"{SCHEMA_VERSION}; update FloodSat"
            )
        (verdict,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict.splitlines()[-1])
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")

    def _identity(self) -> tuple[int, int, bool]:
        (application,) = self._db.execute("PRAGMA application_id").fetchone()
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return application, version, tables == 0

    def _create(self) -> None:
        with self._transaction():
            for statement in _SCHEMA.split(";"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._guard():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise OutputError(
                f"{self.path}: the outbox cannot be used ({error}); free it if it is locked or "
                "read-only, else move it away and start a new one"
            ) from error


def clock_ms() -> int:
    """The clock: UTC milliseconds since 1970."""
    return int(time.time() * 1000)
