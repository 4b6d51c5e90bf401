"""How strategies are scored, and how the bytes of whole frames are counted."""

from __future__ import annotations

from typing import Any

import pytest

from ground.channel import Conditions
from ground.replay import accounted, metrics
from ground.replay.accounted import Frame, account, lost_share, wire_bytes
from ground.replay.contact import CADU
from ground.replay.log import ContactLog
from ground.replay.metrics import Seen, latency, score, summed
from ground.replay.scenario import Station
from onboard.link import cfdp, frames, packets

HOUR = 3_600_000


def seen(number: int, flood: float | None, told: bool = True, right: float = 1.0) -> Seen:
    return Seen(number, number * HOUR, flood, right, told, True)


def test_latency_counts_what_never_came_as_late_without_end() -> None:
    came = [(0, 1000), (0, 3000), (0, 2000)]
    assert latency(came) == metrics.Latency(3, 0, 2.0, 3.0, (1.0, 2.0, 3.0))
    one_more = latency([*came, (0, None)])
    assert (one_more.n, one_more.never) == (3, 1)
    assert (one_more.median_s, one_more.p90_s) == (2.0, None)
    assert latency([(0, 5000), *[(0, None)] * 2]).median_s is None
    assert latency([]) == metrics.Latency(0, 0, None, None, ())


def test_ten_that_came_have_their_ninth_as_ninetieth_percentile() -> None:
    assert latency([(0, 1000 * at) for at in range(1, 11)]).p90_s == 9.0


def test_areas_add_up_in_order_of_time() -> None:
    assert summed([(20, 1.5), (10, 2.0), (20, 1.0)]) == ((10, 2.0), (20, 4.5))
    assert summed([]) == ()


def test_floods_missed_and_false_alarms() -> None:
    every = [
        seen(1, 5.0),
        seen(2, 5.0, told=False),
        seen(3, 5.0),
        seen(4, 0.0),
        seen(5, 0.5),
        seen(6, None),
    ]
    words = {1: 2 * HOUR, 4: 5 * HOUR, 5: 6 * HOUR, 6: 7 * HOUR}
    found = score(every, words, {1: 3 * HOUR, 5: 9 * HOUR})
    assert (found.floods, found.missed, found.missed_by_choice) == (3, 2, 1)
    assert found.false_alarms == 1, "only where the truth shows none at all"
    assert found.false_maps == 0
    assert score(every, words, {4: 9 * HOUR}).false_maps == 1
    assert found.alert.seconds == (3600.0,)
    assert (found.map.n, found.map.never) == (1, 2)
    assert found.known == ((3 * HOUR, 1.0), (9 * HOUR, 2.0)), "small floods are known, too"


@pytest.mark.parametrize("size", [1, 1023, 1024, 1025, 300_000])
def test_wire_bytes_are_those_of_the_units_that_fly(size: int) -> None:
    units = cfdp.pdus(bytes(size), "000000000000.tif", 0)
    assert wire_bytes(size) == sum(len(unit) + packets.OVERHEAD for unit in units)


def station(**link: Any) -> Station:
    return Station("one", 0.0, 0.0, 0.0, 5.0, 8000.0, 0.0, 0, Conditions(**link))


def contact(number: int, begin_ms: int, cadus: int) -> ContactLog:
    size = cadus * CADU
    los = begin_ms + size
    return ContactLog(number, "one", begin_ms, los, 10.0, begin_ms, los, size)


def test_lost_share_is_that_of_the_channel() -> None:
    assert lost_share(station(frame_loss=0.1)) == pytest.approx(0.1)
    both = lost_share(station(frame_loss=0.1, bit_error_rate=1e-5))
    assert both == pytest.approx(1 - 0.9 * (1 - 1e-5) ** (8 * CADU))


def test_frames_come_first_in_first_out_over_contacts() -> None:
    room = frames.data_length()
    size = 50_000
    needs = wire_bytes(size)
    taken = [Frame(1, 0, size), Frame(2, 10, size), Frame(3, 900_000, size)]
    first = contact(1, 1000, needs // room + 20)
    second = contact(2, 500_000, 200)
    found = account(taken, [first, second], [station()])
    assert list(found.whole_ms) == [1, 2]
    assert found.whole_ms[1] == pytest.approx(1000 + needs / room * CADU, rel=0.01)
    assert found.whole_ms[2] > 500_000
    assert found.waiting_bytes == size
    assert found.contacts == 2
    assert found.file_bytes == 2 * size
    least = 2 * needs / room
    assert least <= found.sent_bytes / CADU <= least + 2


def test_a_bad_link_costs_its_losses_and_an_unused_contact_nothing() -> None:
    taken = [Frame(1, 0, 400_000)]
    unused = ContactLog(1, "one", 0, 10**6, 10.0)
    contacts = [unused, contact(2, 10, 1000)]
    clean = account(taken, contacts, [station()])
    bad = account(taken, contacts, [station(frame_loss=0.2)])
    assert bad.sent_bytes == pytest.approx(clean.sent_bytes / 0.8, rel=0.01)
    assert bad.whole_ms[1] > clean.whole_ms[1]
    assert (clean.contacts, bad.contacts) == (1, 1)


def test_nothing_taken_costs_nothing() -> None:
    assert account([], [contact(1, 10, 10)], [station()]) == accounted.Account({})
