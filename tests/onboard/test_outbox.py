from __future__ import annotations

import sqlite3

import pytest

from onboard.errors import OutputError
from onboard.link.housekeeping import Housekeeping
from onboard.outbox import APPLICATION_ID, SCHEMA_VERSION, Item, Kind, Outbox
from onboard.product import pack
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


def refused(path, words, **options):
    with pytest.raises(OutputError, match=words) as caught:
        Outbox(path, **options)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message


def test_noise_is_no_outbox(path):
    path.write_bytes(bytes(range(256)) * 64)
    refused(path, "cannot be used.*move it away")


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
    refused(path, "cannot be used")


def test_a_missing_file_or_folder(path, tmp_path):
    refused(path, "there is no outbox", create=False)
    assert not path.exists()
    refused(tmp_path / "no" / "outbox.db", "cannot be used")


@pytest.mark.parametrize("kind", list(Kind))
def test_str_of_every_kind(kind):
    assert kind.name in str(kind)
