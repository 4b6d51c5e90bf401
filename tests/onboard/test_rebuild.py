from __future__ import annotations

import os
import random
import shutil

import pytest

from onboard.errors import DamagedError
from onboard.link import alerts
from onboard.outbox import Cause, Item, Outbox
from onboard.product import pack
from onboard.rebuild import SEQUENCE_GAP, rebuild
from onboard.runtime import Entry, keep
from onboard.shelf import Shelf
from tests.products import make_product

MODEL = b"m" * 32
FRAMES = 12


def entry(seed):
    """Every third frame gives nothing."""
    scene = bytes([seed]) * 32
    if seed % 3 == 2:
        return Entry(scene, MODEL)
    product = make_product(seed)
    data = pack(product)
    alert = alerts.pack(alerts.alert_for(product, data[-16:]))
    return Entry(scene, MODEL, (Item(data, float(seed), (1.5, 2.5), 7),), (Item(alert, 1.0),))


@pytest.fixture
def path(tmp_path):
    """An outbox of 12 frames and 16 items: item 1 is sent for good, 2 is sent once, 4 evicted."""
    path = tmp_path / "o.sqlite"
    shelf = Shelf(tmp_path / "shelf")
    with Outbox(path) as outbox:
        for seed in range(FRAMES):
            shelf.put(entry(seed), 1000 + seed, outbox.totals)
            keep(outbox, entry(seed))
        outbox.commit({1: 2, 2: 1}, {}, {"mc": 9})
        outbox.release([1], "sent twice")
        outbox.evict([4], "lowest value")
        shelf.tidy(outbox.owners())
    return path


def state(path):
    with Outbox(path) as outbox:
        items = {(one.kind, one.data, one.value, one.place) for one in outbox.waiting(99)}
        balance = len(outbox.waiting(99)) + len(outbox.left()) + outbox.lost
        assert balance == outbox.totals.queued
        return items, outbox.processed, outbox.totals, outbox.left(), outbox.counters


def test_a_whole_database_comes_out_as_it_was(path, tmp_path):
    before = state(path)
    loss = rebuild(path, Shelf(tmp_path / "shelf"))
    assert loss == (14, FRAMES, 0, 0, 0)
    after = state(path)
    assert after[:2] == before[:2]
    assert after[3:] == before[3:]
    assert after[2].sequence == before[2].sequence + SEQUENCE_GAP
    with Outbox(path) as outbox:
        assert next(one for one in outbox.waiting(9) if one.item == 2).sendings == 1
        assert [one.cause for one in outbox.left()] == [Cause.SENT, Cause.EVICTED]
        assert outbox.record(b"new" + bytes(29), MODEL, [Item(pack(make_product(99)), 1.0)])
    assert (tmp_path / "o.sqlite.damaged").exists()


@pytest.mark.parametrize("harm", ["gone", "empty", "noise"])
def test_a_lost_database_is_made_of_the_shelf(path, tmp_path, harm):
    waiting = state(path)[0]
    for name in ("o.sqlite-wal", "o.sqlite-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(b"" if harm == "empty" else os.urandom(30000))
    loss = rebuild(path, Shelf(tmp_path / "shelf"))
    found = state(path)
    # Of a frame with one item that waits the shelf has both: the other goes down once more.
    assert waiting <= found[0]
    assert loss.items == 16
    assert loss.items_lost == 0
    # Frames that gave nothing left no file, but the next that did counted them.
    assert (loss.frames, loss.frames_lost) == (8, 3)
    assert found[2].sequence >= SEQUENCE_GAP + 7


def test_rebuilding_again_loses_nothing_more(path, tmp_path):
    path.unlink()
    shelf = Shelf(tmp_path / "shelf")
    first = rebuild(path, shelf)
    before = state(path)
    second = rebuild(path, shelf)
    assert second == first
    assert state(path)[0] == before[0]


def test_a_loss_is_told_and_stays_in_the_balance(path, tmp_path):
    for file in Shelf(tmp_path / "shelf").names()[:3]:
        file.write_bytes(file.read_bytes()[:-1])
    path.unlink()
    loss = rebuild(path, Shelf(tmp_path / "shelf"))
    assert loss.files_damaged == 3
    assert loss.items == 10
    assert 0 < loss.items_lost <= 6
    with Outbox(path) as outbox:
        assert outbox.lost == loss.items_lost
    state(path)


def test_power_may_go_between_the_renames(path, tmp_path):
    waiting = state(path)[0]
    os.replace(path, tmp_path / "o.sqlite.damaged")
    (tmp_path / "o.sqlite.new").write_bytes(b"half")
    assert rebuild(path, Shelf(tmp_path / "shelf")).items_lost == 0
    assert state(path)[0] == waiting


def spoilt(path, copy, rng):
    """A copy of the database with some pages overwritten, or its end cut off."""
    data = bytearray(path.read_bytes())
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(0, len(data), 512)
        data[at : at + 512] = bytes(rng.getrandbits(8) for _ in range(512))
    if rng.random() < 0.3:
        data = data[: rng.randrange(len(data))]
    copy.write_bytes(bytes(data))


@pytest.mark.parametrize("count", [15, pytest.param(1000, marks=pytest.mark.soak)])
def test_whatever_page_is_spoilt_all_that_waited_waits_again(path, tmp_path, count):
    waiting = state(path)[0]
    rng = random.Random(7)
    refused = 0
    for number in range(count):
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "shelf", folder / "shelf")
        copy = folder / "o.sqlite"
        spoilt(path, copy, rng)
        try:
            Outbox(copy).close()
        except DamagedError:
            refused += 1
            loss = rebuild(copy, Shelf(folder / "shelf"))
            assert waiting <= state(copy)[0]
            assert loss.items_lost == 0
        shutil.rmtree(folder)
    assert refused > count / 2
