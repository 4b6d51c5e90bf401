from __future__ import annotations

import sqlite3

import pytest
from spacepackets.cfdp.defs import ConditionCode
from spacepackets.cfdp.pdu import AckPdu, EofPdu
from spacepackets.cfdp.pdu.finished import DeliveryCode

from onboard.errors import DamagedError
from onboard.link import cfdp, frames, returns, sender
from onboard.link.apid import Apid
from onboard.link.downlink import fill
from onboard.link.transfers import MAX_ATTEMPTS, MAX_REPORTS, Hearing, Transfers, cancel
from onboard.outbox import Cause, Item, Outbox
from onboard.product import pack
from tests.answers import eof_ack, finished, nak
from tests.onboard.link.test_downlink import contents
from tests.products import noisy_product

CADU = frames.cadu_length()
START = 1_700_000_000_000
MODEL = b"m" * 32
FAILURE = ConditionCode.FILE_CHECKSUM_FAILURE


@pytest.fixture
def outbox(tmp_path):
    with Outbox(tmp_path / "outbox.db") as box:
        yield box


def queue(outbox, *seeds):
    """One product per seed; the data."""
    found = [pack(noisy_product(seed, 120)) for seed in seeds]
    for seed, data in zip(seeds, found):
        outbox.record(bytes([seed]) * 32, MODEL, [Item(data, -float(seed))])
    return found


def contact(outbox, number, budget=10**6, **how):
    """One recorded pass in class 2; its CFDP units."""
    how = {"now_ms": START + number, "link_class": 2, **how}
    downlink = fill(outbox, budget, **how)
    downlink.commit(outbox)
    return [one.data for one in contents(downlink.stream) if one.apid == Apid.CFDP]


def hear(outbox, number, *units):
    """What the ground says, having heard contact ``number``."""
    return Transfers(outbox).hear(returns.unpack(returns.pack(units, START + number)))


def expected(data, sequence):
    return cfdp.Units(data, f"{data[-16:].hex()[:12]}.fsp", sequence, acknowledged=True)


def test_a_file_goes_down_once_and_then_only_what_is_asked_for(outbox):
    (data,) = queue(outbox, 1)
    units = expected(data, 0)
    assert contact(outbox, 1) == list(units)
    told = [eof_ack(0), nak(0, len(data), [(0, 0), (1024, 2048)], 0)]
    heard = hear(outbox, 1, *told)
    assert heard == Hearing(answers=2, wanted=2)
    assert contact(outbox, 2) == [units[0], units[2]]
    assert hear(outbox, 2, eof_ack(0), finished(sequence=0)).delivered == 1
    assert contact(outbox, 3) == [cfdp.finished_ack(0, 0)]
    assert contact(outbox, 4) == []
    (gone,) = outbox.left()
    assert (gone.cause, gone.rule) == (Cause.SENT, "acknowledged by the ground")
    assert Transfers(outbox).open() == {}


def test_a_transfer_survives_restarts(tmp_path):
    path = tmp_path / "outbox.db"
    with Outbox(path) as box:
        (data,) = queue(box, 1)
        contact(box, 1)
    with Outbox(path) as box:
        hear(box, 1, eof_ack(0), nak(0, len(data), [(0, 1024)], 0))
    with Outbox(path) as box:
        assert contact(box, 2) == [expected(data, 0)[1]]
    with Outbox(path) as box:
        assert contact(box, 3) == []


def test_hearing_the_same_again_changes_nothing_more(outbox):
    (data,) = queue(outbox, 1)
    contact(outbox, 1)
    told = [eof_ack(0), nak(0, len(data), [(0, 1024)], 0)]
    assert hear(outbox, 1, *told).wanted == 1
    assert hear(outbox, 1, *told).wanted == 0
    assert contact(outbox, 2) == [expected(data, 0)[1]]
    # Said before contact 2 was heard, so what went in it may be on its way.
    hear(outbox, 1, *told)
    assert contact(outbox, 3) == []


def test_a_pass_that_is_not_recorded_is_made_again(outbox):
    queue(outbox, 1, 2)
    one = fill(outbox, 10**6, now_ms=START, link_class=2)
    two = fill(outbox, 10**6, now_ms=START, link_class=2)
    assert one.stream == two.stream


def test_a_file_that_is_larger_than_every_pass_goes_in_parts(outbox):
    data = pack(noisy_product(1, 300))
    outbox.record(b"s" * 32, MODEL, [Item(data, 1.0)])
    found, number = [], 0
    while len(found) < len(expected(data, 0)):
        number += 1
        sent = contact(outbox, number, budget=4 * CADU)
        assert sent
        found += sent
    assert number > 3
    assert found == list(expected(data, 0))


def test_class_1_goes_in_parts_too_and_counts_whole_sendings(outbox):
    data = pack(noisy_product(1, 300))
    outbox.record(b"s" * 32, MODEL, [Item(data, 1.0)])
    whole = cfdp.pdus(data, f"{data[-16:].hex()[:12]}.fsp", 0)
    found, number = [], 0
    while outbox.waiting(2):
        number += 1
        found += contact(outbox, number, budget=4 * CADU, link_class=1, sendings=2)
    assert found == whole * 2
    assert outbox.waiting(3)[0].sendings == 2
    assert Transfers(outbox).parts() == {}


def test_parts_leave_no_room_empty_and_let_smaller_ones_pass(outbox):
    large, small = pack(noisy_product(1, 300)), pack(noisy_product(2, 40))
    outbox.record(b"a" * 32, MODEL, [Item(large, 9.0), Item(small, 1.0)])
    downlink = fill(outbox, 4 * CADU, 1, START)
    assert [(one.item.data, one.sendings) for one in downlink.sent] == [(small, 1), (large, 0)]
    assert downlink.sent[1].part > 0
    assert len(downlink.stream) == 4 * CADU


def test_the_class_is_chosen_when_a_file_first_goes_down(outbox):
    (one,) = queue(outbox, 1)
    contact(outbox, 1, link_class=1, sendings=1)
    (two,) = queue(outbox, 2)
    both = fill(outbox, 10**6, 2, START + 2, link_class=2)
    assert {load.item.data: load.link_class for load in both.sent} == {one: 1, two: 2}
    both.commit(outbox)
    again = fill(outbox, 10**6, 2, START + 3, link_class=1)
    assert {load.link_class for load in again.sent} <= {2}


def test_two_contacts_never_bear_the_same_time(outbox):
    queue(outbox, 1)
    contact(outbox, 5)
    downlink = fill(outbox, 10**6, now_ms=START + 5, link_class=2)
    assert downlink.sent_ms == START + 6
    # A clock that goes back does no harm: contacts are numbered.
    assert fill(outbox, 10**6, now_ms=START - 9, link_class=2).contact == 2


def test_what_an_unknown_contact_is_said_to_have_asked_for_waits(outbox):
    (data,) = queue(outbox, 1)
    contact(outbox, 1)
    told = [eof_ack(0), nak(0, len(data), [(0, 1024)], 0)]
    assert hear(outbox, 99, *told) == Hearing(answers=2, unknown=2)
    assert contact(outbox, 2) == []


@pytest.mark.parametrize("number", [1, 99])
def test_an_end_is_believed_only_of_what_was_sent_in_full_in_a_contact_of_ours(outbox, number):
    """An outbox that began anew uses numbers that the ground remembers from another one."""
    data = pack(noisy_product(1, 300))
    outbox.record(b"s" * 32, MODEL, [Item(data, 1.0)])
    contact(outbox, 1, budget=4 * CADU if number == 1 else 10**6)
    assert hear(outbox, number, finished(sequence=0)).delivered == 0
    assert len(outbox.waiting()) == 1


def test_a_file_that_the_ground_refuses_begins_anew_under_other_numbers(outbox):
    (data,) = queue(outbox, 1)
    for attempt in range(MAX_ATTEMPTS):
        sent = contact(outbox, attempt + 1)
        assert [unit for unit in sent if unit in list(expected(data, attempt))] == list(
            expected(data, attempt)
        )
        told = finished(FAILURE, DeliveryCode.DATA_INCOMPLETE, attempt)
        assert hear(outbox, attempt + 1, told).refused == 1
    (gone,) = outbox.left()
    assert (gone.cause, gone.rule) == (Cause.EVICTED, "refused by the ground 3 times")
    assert contact(outbox, 9) == [cfdp.finished_ack(MAX_ATTEMPTS - 1, int(FAILURE))]


def test_a_transfer_whose_file_was_evicted_is_called_off_when_the_ground_asks(outbox):
    (data,) = queue(outbox, 1)
    contact(outbox, 1)
    (item,) = outbox.waiting()
    outbox.evict([item.item], "room")
    assert contact(outbox, 2) == []
    hear(outbox, 1, eof_ack(0), nak(0, len(data), [(0, 1024)], 0))
    (unit,) = contact(outbox, 3)
    assert unit == cancel(0)
    # spacepackets leaves the code in the upper half of its byte.
    cancelled = ConditionCode.CANCEL_REQUEST_RECEIVED
    assert EofPdu.unpack(unit).condition_code in (cancelled, cancelled << 4)
    # Its acknowledgement ends it.
    hear(outbox, 3, eof_ack(0))
    assert contact(outbox, 4) == []


def test_a_finished_that_comes_again_is_acknowledged_again(outbox):
    queue(outbox, 1)
    contact(outbox, 1)
    hear(outbox, 1, finished(sequence=0))
    assert contact(outbox, 2) == [cfdp.finished_ack(0, 0)]
    hear(outbox, 2, finished(sequence=0))
    (unit,) = contact(outbox, 3)
    assert AckPdu.unpack(unit).condition_code_of_acked_pdu == 0


def test_requests_for_a_file_of_class_1_are_not_answered(outbox):
    (data,) = queue(outbox, 1)
    contact(outbox, 1, link_class=1, sendings=1)
    assert hear(outbox, 1, nak(0, len(data), [(0, 1024)], 0), finished(sequence=0)).unknown == 2
    assert contact(outbox, 2, link_class=1, sendings=1) == []
    assert len(outbox.waiting(2)) == 1


def test_a_damaged_state_is_told(outbox):
    queue(outbox, 1)
    contact(outbox, 1)
    with sqlite3.connect(str(outbox.path)) as db:
        db.execute("UPDATE link_transfers SET sent = ?", (b"junk",))
    db.close()
    with pytest.raises(DamagedError, match="item 1"):
        fill(outbox, 10**6)


def test_states_of_what_left_the_queue_are_forgotten(outbox):
    queue(outbox, 1, 2)
    contact(outbox, 1)
    assert len(Transfers(outbox).open()) == 2
    outbox.drop([one.item for one in outbox.waiting()], "command 7")
    contact(outbox, 2)
    with outbox.transaction() as db:
        assert db.execute("SELECT count(*) FROM link_transfers").fetchone() == (0,)


def test_every_unit_is_sent_in_the_contact_that_the_state_says(outbox):
    (data,) = queue(outbox, 1)
    contact(outbox, 1)
    hear(outbox, 1, eof_ack(0), nak(0, len(data), [(0, 1024)], 0))
    contact(outbox, 2)
    (transfer,) = Transfers(outbox).open().values()
    assert transfer.state.sent[1] == 2
    assert set(transfer.state.sent[2:].tolist()) == {sender.ARRIVED}


def test_a_stream_that_claims_many_reports_is_heard_in_bounded_work(outbox, monkeypatch):
    (data,) = queue(outbox, 1)
    for number in range(1, 100):
        contact(outbox, number)
    calls = []
    hear_one = sender.hear
    monkeypatch.setattr(sender, "hear", lambda *a: calls.append(a) or hear_one(*a))
    units = [returns.pack([nak(0, len(data), [], 0)], START + number) for number in range(500)]
    Transfers(outbox).hear(returns.unpack(b"".join(units)))
    assert len(calls) == MAX_REPORTS
    (transfer,) = Transfers(outbox).open().values()
    assert transfer.state.heard == 99


def test_a_pass_and_its_transfers_are_recorded_together_or_not_at_all(outbox, monkeypatch):
    queue(outbox, 1)
    downlink = fill(outbox, 10**6, now_ms=START, link_class=2)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Transfers, "record", killed)
    with pytest.raises(KeyboardInterrupt):
        downlink.commit(outbox)
    monkeypatch.undo()
    assert outbox.counters == {}
    assert Transfers(outbox).contact == 1
    assert fill(outbox, 10**6, now_ms=START, link_class=2).stream == downlink.stream
