from __future__ import annotations

import contextlib
import sqlite3

import pytest

from onboard import outbox_schema
from onboard.errors import DamagedError, OutputError
from onboard.link.housekeeping import Housekeeping
from onboard.outbox import APPLICATION_ID, SCHEMA_VERSION, Cause, Item, Kind, Outbox
from onboard.product import identify, pack
from tests.products import make_product

SCENE, MODEL = b"s" * 32, b"m" * 32
PRODUCT = pack(make_product(1))
OTHER = pack(make_product(2))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "outbox.db"


def test_a_frame_is_recorded_once(path):
    with Outbox(path) as outbox:
        assert not outbox.seen(SCENE, MODEL)
        assert outbox.record(SCENE, MODEL, [Item(PRODUCT, 1.0)], [Item(b"alert", 2.0)], now_ms=5)
        assert outbox.seen(SCENE, MODEL)
        assert not outbox.seen(SCENE, b"n" * 32)
        assert not outbox.record(SCENE, MODEL, [Item(OTHER, 1.0)])
        assert [item.data for item in outbox.waiting()] == [b"alert", PRODUCT]
        assert outbox.waiting()[1].created_ms == 5


def test_everything_survives_a_restart(path):
    with Outbox(path) as outbox:
        outbox.record(SCENE, MODEL, [Item(PRODUCT, 1.0)])
        outbox.commit({1: 1}, {}, {"mc": 9})
    with Outbox(path) as outbox:
        assert outbox.seen(SCENE, MODEL)
        assert outbox.counters == {"mc": 9}
        assert outbox.waiting(1) == []
        (item,) = outbox.waiting(2)
        assert (item.kind, item.data, item.sendings) == (Kind.PRODUCT, PRODUCT, 1)


def test_a_frame_is_recorded_whole_or_not_at_all(path):
    with Outbox(path) as outbox:
        with pytest.raises(OutputError):
            outbox.record(SCENE, MODEL, [Item(PRODUCT, 1.0)], [Item(b"a", 1.0), Item(None, 1.0)])
        with pytest.raises(TypeError):
            outbox.record(SCENE, MODEL, [Item(PRODUCT, 1.0), Item(OTHER, None)])
        assert not outbox.seen(SCENE, MODEL)
        assert outbox.waiting() == []
        outbox.record(SCENE, MODEL, [Item(OTHER, 1.0)])
        assert outbox.waiting()[0].sequence == 0


def test_alerts_come_first_then_products_by_value(path):
    with Outbox(path) as outbox:
        products = [
            Item(pack(make_product(seed)), value) for seed, value in ((1, 0.5), (2, 9), (3, 3))
        ]
        outbox.record(SCENE, MODEL, products, [Item(b"low", 0.1), Item(b"high", 0.2)])
        found = outbox.waiting()
    assert [item.value for item in found] == [0.2, 0.1, 9, 3, 0.5]
    assert [item.sequence for item in found] == [None, None, 1, 2, 0]


def test_each_product_has_a_transaction_of_its_own_for_good(path):
    for name in (b"1", b"2", b"3"):
        with Outbox(path) as outbox:
            outbox.record(name * 32, MODEL, [Item(pack(make_product(name[0])), 1.0)])
    with Outbox(path) as outbox:
        assert [item.sequence for item in outbox.waiting()] == [0, 1, 2]


def test_a_chip_is_a_file_that_goes_last(path):
    chip = b"a chip" + bytes(16)
    with Outbox(path) as outbox:
        outbox.record(
            SCENE, MODEL, [Item(PRODUCT, 1.0, (47.5, 8.0), 77)], [Item(b"a", 0.1)],
            chips=[Item(chip, 9.0), Item(chip, 9.0)],
        )  # fmt: skip
        found = outbox.waiting()
    assert [item.kind for item in found] == [Kind.ALERT, Kind.PRODUCT, Kind.CHIP]
    assert [item.sequence for item in found] == [None, 0, 1]
    assert [item.place for item in found] == [None, (47.5, 8.0), None]
    assert [item.acquired_ms for item in found] == [None, 77, None]


def test_what_leaves_the_queue_stands_in_the_ledger(path):
    with Outbox(path, quota=10**6) as outbox:
        items = [Item(PRODUCT, 1.0), Item(OTHER, 1.0)]
        outbox.record(SCENE, MODEL, items, [Item(b"alert", 2.0), Item(b"late", 1.0)])
        outbox.commit({1: 2}, {}, {})
        whole = outbox.stored_bytes
        assert outbox.release([1], "sent twice", now_ms=5) == 5
        assert outbox.evict([3, 3, 99], "lowest value", now_ms=6) == len(PRODUCT)
        assert outbox.drop([4], "DROP", now_ms=7) == len(OTHER)
        assert outbox.stored_bytes == whole - 5 - len(PRODUCT) - len(OTHER) == 4
        assert [item.item for item in outbox.waiting()] == [2]
        left = outbox.left()
    assert [(one.item, one.cause, one.rule, one.left_ms) for one in left] == [
        (1, Cause.SENT, "sent twice", 5),
        (3, Cause.EVICTED, "lowest value", 6),
        (4, Cause.DROPPED, "DROP", 7),
    ]
    assert [(one.kind, one.sendings) for one in left] == [
        (Kind.ALERT, 2),
        (Kind.PRODUCT, 0),
        (Kind.PRODUCT, 0),
    ]
    assert left[1].name == PRODUCT[-16:]
    assert left[0].name == identify(b"alert")


def test_every_item_that_was_queued_is_accounted_for(path):
    with Outbox(path) as outbox:
        outbox.record(SCENE, MODEL, [Item(PRODUCT, 1.0), Item(PRODUCT, 1.0)], [Item(b"a", 1.0)])
        outbox.evict([1], "any")
        assert outbox.totals[:2] == (1, 2)
        assert outbox.owners() == [(SCENE, MODEL)]
        assert len(outbox.waiting()) + len(outbox.left()) + outbox.lost == outbox.totals.queued
        outbox.evict([2, 3], "any")
        assert outbox.owners() == []


def test_numbers_are_never_used_again(path):
    with Outbox(path) as outbox:
        outbox.record(SCENE, MODEL, [Item(PRODUCT, 1.0)])
        outbox.evict([1], "any")
        outbox.record(b"t" * 32, MODEL, [Item(PRODUCT, 1.0)])
        assert [(item.item, item.sequence) for item in outbox.waiting()] == [(2, 1)]


def test_a_refused_frame_is_counted_once(path):
    with Outbox(path) as outbox:
        assert outbox.refuse(b"1", "f.tif", "unreadable")
        assert not outbox.refuse(b"1", "f.tif", "unreadable")
        outbox.refuse(b"2", "g.tif", "unreadable")
        outbox.refuse(b"3", "h.tif", "too large")
        assert outbox.refused == {"unreadable": 2, "too large": 1}
        assert outbox.processed == 0


def test_a_transaction_holds_tables_of_others_too(path):
    with Outbox(path) as outbox:
        with outbox.transaction() as db:
            db.execute("CREATE TABLE transfers (item INTEGER PRIMARY KEY, state TEXT)")
            outbox.record(SCENE, MODEL, [Item(PRODUCT, 1.0)])
            db.execute("INSERT INTO transfers VALUES (1, 'open')")
        with contextlib.suppress(KeyError), outbox.transaction() as db:
            db.execute("DELETE FROM transfers")
            outbox.evict([1], "never mind")
            raise KeyError
    with Outbox(path) as outbox, outbox.transaction() as db:
        assert db.execute("SELECT * FROM transfers").fetchall() == [(1, "open")]
        assert len(outbox.waiting()) == 1


def test_a_transaction_inside_another_is_undone_alone(path):
    with Outbox(path) as outbox:
        with outbox.transaction():
            outbox.record(SCENE, MODEL, [Item(PRODUCT, 1.0)])
            with contextlib.suppress(KeyError), outbox.transaction():
                outbox.evict([1], "never mind")
                raise KeyError
        assert len(outbox.waiting()) == 1
        assert outbox.left() == []


OLD_SCHEMA = """
CREATE TABLE processed (
    scene_id BLOB NOT NULL, model_id BLOB NOT NULL, created_ms INTEGER NOT NULL,
    PRIMARY KEY (scene_id, model_id)
) WITHOUT ROWID;
CREATE TABLE queue (
    item INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('alert', 'product')),
    product_id BLOB, data BLOB NOT NULL, value REAL NOT NULL, created_ms INTEGER NOT NULL,
    sequence INTEGER, sendings INTEGER NOT NULL DEFAULT 0,
    UNIQUE (kind, product_id),
    CHECK ((kind = 'product') = (product_id IS NOT NULL)),
    CHECK ((kind = 'product') = (sequence IS NOT NULL))
);
CREATE INDEX queue_order ON queue (sendings, kind, value);
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""


def old_file(path):
    """An outbox as schema 1 left it, with one of everything."""
    raw = sqlite3.connect(str(path))
    raw.executescript(OLD_SCHEMA)
    raw.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    raw.execute("PRAGMA user_version = 1")
    raw.execute("INSERT INTO processed VALUES (?, ?, 3)", (SCENE, MODEL))
    queue = "INSERT INTO queue VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    raw.execute(queue, (4, "alert", None, b"alert", 2.0, 3, None, 1))
    raw.execute(queue, (7, "product", PRODUCT[-16:], PRODUCT, 2.5, 3, 6, 0))
    raw.executemany("INSERT INTO counters VALUES (?, ?)", [("mc", 9), ("transaction", 7)])
    raw.commit()
    raw.close()


def test_a_file_of_the_first_schema_is_brought_up_to_date(path):
    old_file(path)
    for _ in range(2):
        with Outbox(path) as outbox:
            assert outbox.seen(SCENE, MODEL)
            assert outbox.counters == {"mc": 9}
            found = outbox.waiting(9)
            assert [(item.item, item.sequence, item.sendings) for item in found] == [
                (4, None, 1),
                (7, 6, 0),
            ]
            assert found[1].data == PRODUCT
            assert found[1].place is None
            assert outbox.left() == []
    with Outbox(path) as outbox:
        outbox.record(b"t" * 32, MODEL, chips=[Item(OTHER, 1.0)])
        assert [(item.item, item.sequence) for item in outbox.waiting()] == [(7, 6), (8, 7)]


def test_an_update_that_is_cut_short_changes_nothing(path, monkeypatch):
    old_file(path)
    monkeypatch.setattr(outbox_schema, "_LEDGER", "CREATE TABLE of nonsense")
    refused(path, "cannot be used")
    raw = sqlite3.connect(str(path))
    assert raw.execute("PRAGMA user_version").fetchone() == (1,)
    assert raw.execute("SELECT item FROM queue ORDER BY item").fetchall() == [(4,), (7,)]
    raw.close()
    monkeypatch.undo()
    with Outbox(path) as outbox:
        assert len(outbox.waiting(9)) == 2


def test_the_same_product_is_queued_once(path):
    with Outbox(path) as outbox:
        outbox.record(SCENE, MODEL, [Item(PRODUCT, 1.0), Item(PRODUCT, 1.0)])
        assert len(outbox.waiting()) == 1


def test_a_second_pass_composed_meanwhile_is_refused(path):
    with Outbox(path) as one, Outbox(path) as two:
        one.record(SCENE, MODEL, [Item(PRODUCT, 1.0)])
        before = two.counters
        one.commit({1: 1}, {}, {"mc": 4})
        with pytest.raises(OutputError, match="another downlink ran meanwhile"):
            two.commit({1: 1}, before, {"mc": 4})
        assert two.waiting(2)[0].sendings == 1


def test_recording_a_frame_meanwhile_does_not_disturb_a_pass(path):
    with Outbox(path) as one, Outbox(path) as two:
        before = one.counters
        two.record(SCENE, MODEL, [Item(PRODUCT, 1.0)])
        one.commit({}, before, {"mc": 1})
        assert one.counters == {"mc": 1}
        two.record(b"t" * 32, MODEL, [Item(OTHER, 1.0)])
        assert [item.sequence for item in two.waiting()] == [0, 1]


def test_housekeeping_counts_what_waits(path):
    with Outbox(path) as outbox:
        assert outbox.housekeeping() == Housekeeping(0, 0, 0, 0)
        outbox.record(SCENE, MODEL, [Item(PRODUCT, 1.0), Item(OTHER, 1.0)], [Item(b"a", 1.0)])
        outbox.record(b"t" * 32, MODEL)
        outbox.commit({2: 1}, {}, {})
        assert outbox.housekeeping() == Housekeeping(2, 1, 1, len(OTHER))


def test_a_new_file_carries_its_schema_and_is_in_wal_mode(path):
    Outbox(path).close()
    raw = sqlite3.connect(str(path))
    assert raw.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert raw.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    raw.close()


def refused(path, words, kind=OutputError, **options):
    with pytest.raises(kind, match=words) as caught:
        Outbox(path, **options)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message


def test_noise_is_no_outbox(path):
    path.write_bytes(bytes(range(256)) * 64)
    refused(path, "cannot be used.*move it away", DamagedError)


def test_another_database_is_no_outbox(path):
    raw = sqlite3.connect(str(path))
    raw.execute("CREATE TABLE notes (text)")
    raw.close()
    refused(path, "this database is no outbox")


def test_a_newer_schema_names_the_cure(path):
    Outbox(path).close()
    raw = sqlite3.connect(str(path))
    raw.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    raw.close()
    refused(path, "update FloodSat")


def test_a_damaged_file_is_refused(path):
    with Outbox(path) as outbox:
        for seed in range(30):
            outbox.record(bytes([seed]) * 32, MODEL, [Item(pack(make_product(seed)), 1.0)])
    data = bytearray(path.read_bytes())
    data[4096:] = bytes(len(data) - 4096)
    path.write_bytes(bytes(data))
    refused(path, "cannot be used, it is damaged", DamagedError)


def test_a_missing_file_or_folder(path, tmp_path):
    refused(path, "there is no outbox", create=False)
    assert not path.exists()
    refused(tmp_path / "no" / "outbox.db", "cannot be used")


@pytest.mark.parametrize("kind", list(Kind))
def test_str_of_every_kind(kind):
    assert kind.name in str(kind)


def test_everything_bears_the_time_of_the_clock_that_was_given(tmp_path):
    now = [1000]
    with Outbox(tmp_path / "o.sqlite", clock=lambda: now[0]) as outbox:
        outbox.record(bytes(32), b"m" * 32, [Item(b"p" * 40, 1.0)])
        now[0] = 2000
        outbox.queue(Kind.CHIP, Item(b"c" * 40, 1.0), (bytes(32), b"m" * 32))
        assert [one.created_ms for one in outbox.stock()] == [1000, 2000]
        assert outbox.queued_since(Kind.CHIP, 2001) == 0
        now[0] = 3000
        outbox.evict([1], "a rule")
        assert [one.left_ms for one in outbox.left()] == [3000]
