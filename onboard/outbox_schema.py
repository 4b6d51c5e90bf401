"""The outbox's tables, version by version; a file of an older version is brought up to date.

Both happen in one transaction: a file has its old tables or its new ones, never something between.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from onboard import formats

APPLICATION_ID = 0x46534F42
SCHEMA_VERSION = formats.OUTBOX.version

_PROCESSED = """
CREATE TABLE processed (
    scene_id BLOB NOT NULL, model_id BLOB NOT NULL, created_ms INTEGER NOT NULL,
    PRIMARY KEY (scene_id, model_id)
) WITHOUT ROWID
"""

_COUNTERS = "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID"

# The column product_id is the id at the end of any file that is queued, a chip's too.
_QUEUE = """
CREATE TABLE queue (
    item INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('alert', 'product', 'chip')),
    product_id BLOB,
    data BLOB NOT NULL,
    value REAL NOT NULL,
    created_ms INTEGER NOT NULL,
    sequence INTEGER,
    sendings INTEGER NOT NULL DEFAULT 0,
    acquired_ms INTEGER,
    latitude REAL,
    longitude REAL,
    scene_id BLOB,
    model_id BLOB,
    UNIQUE (kind, product_id),
    CHECK ((kind = 'alert') = (product_id IS NULL)),
    CHECK ((kind = 'alert') = (sequence IS NULL)),
    CHECK ((latitude IS NULL) = (longitude IS NULL))
)
"""

_ORDER = "CREATE INDEX queue_order ON queue (sendings, kind, value)"

# What left the queue, without its data: the other side of the ledger.
_LEDGER = """
CREATE TABLE ledger (
    item INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    name BLOB NOT NULL,
    size INTEGER NOT NULL,
    value REAL NOT NULL,
    created_ms INTEGER NOT NULL,
    sendings INTEGER NOT NULL,
    left_ms INTEGER NOT NULL,
    cause TEXT NOT NULL CHECK (cause IN ('sent', 'evicted', 'dropped')),
    rule TEXT NOT NULL
)
"""

# Frames that could not be used, by what identifies their file: each is counted once.
_REFUSED = """
CREATE TABLE refused (
    file_id BLOB PRIMARY KEY, name TEXT NOT NULL, reason TEXT NOT NULL, created_ms INTEGER NOT NULL
) WITHOUT ROWID
"""

# How often work on a file was begun and not ended: what brings the software down is given up.
_ATTEMPTS = """
CREATE TABLE attempts (file_id BLOB PRIMARY KEY, begun INTEGER NOT NULL) WITHOUT ROWID
"""

# What the runtime last said of itself, for housekeeping: one row at most.
_STATUS = "CREATE TABLE status (one INTEGER PRIMARY KEY CHECK (one = 1), data BLOB NOT NULL)"

_TABLES = (_PROCESSED, _COUNTERS, _QUEUE, _ORDER, _LEDGER, _REFUSED, _ATTEMPTS, _STATUS)


def create(db: sqlite3.Connection) -> None:
    """Make the tables of the present version in an empty file, inside a transaction."""
    for statement in _TABLES:
        db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def migrate(db: sqlite3.Connection, version: int) -> None:
    """Bring the tables of an older version up to date, inside a transaction."""
    for step in range(version, SCHEMA_VERSION):
        _STEPS[step](db)
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _from_1(db: sqlite3.Connection) -> None:
    """A check cannot be altered, so the queue is written anew; its numbers stay."""
    db.execute("ALTER TABLE queue RENAME TO queue_1")
    db.execute("DROP INDEX queue_order")
    for statement in (_QUEUE, _ORDER, _LEDGER, _REFUSED, _ATTEMPTS, _STATUS):
        db.execute(statement)
    columns = "item, kind, product_id, data, value, created_ms, sequence, sendings"
    db.execute(f"INSERT INTO queue ({columns}) SELECT {columns} FROM queue_1")
    db.execute("DROP TABLE queue_1")
    db.execute("INSERT INTO counters SELECT 'queued', count(*) FROM queue")


_STEPS: dict[int, Callable[[sqlite3.Connection], None]] = {1: _from_1}
