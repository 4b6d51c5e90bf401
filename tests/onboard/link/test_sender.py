from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onboard.errors import StreamError
from onboard.link import sender
from onboard.link.cfdp import SEGMENT
from onboard.link.returns import EofAck, Finished, Nak

SIZE = 4 * SEGMENT + 10
"""A file of Metadata 0, five pieces 1…5, and EOF 6."""
EOF = 6


def sent_in_full(contact=1):
    return send(sender.start(SIZE), contact)


def send(state, contact, count=None):
    """Everything that is due, or the first ``count`` units of it."""
    return sender.after_sending(state, sender.due(state, contact)[:count], contact)


def lacks(*pieces, end=SIZE, metadata=False, start=0):
    wanted = tuple(((one - 1) * SEGMENT, min(one * SEGMENT, SIZE)) for one in pieces)
    return Nak(5, start, end, wanted, metadata)


def test_everything_is_due_in_order_and_only_once():
    state = sender.start(SIZE)
    assert sender.due(state, 1) == [0, 1, 2, 3, 4, 5, EOF]
    assert sender.due(sent_in_full(), 1) == []


def test_a_contact_that_is_too_short_goes_on_in_the_next():
    state = send(sender.start(SIZE), 1, 3)
    assert sender.due(state, 2) == [3, 4, 5, EOF]
    state = send(state, 2)
    assert sender.due(state, 2) == []


def test_only_what_is_asked_for_is_sent_again():
    state = sender.hear(sent_in_full(), [EofAck(5), lacks(2, 5)], heard=1, contact=2)
    assert sender.due(state, 2) == [2, 5]
    assert state.arrived == 5
    state = sender.hear(send(state, 2), [EofAck(5), lacks(5)], heard=2, contact=3)
    assert sender.due(state, 3) == [5]


def test_what_may_still_arrive_is_not_sent_again():
    state = sender.hear(sent_in_full(1), [EofAck(5), lacks(2, 4)], heard=1, contact=2)
    state = send(state, 2)
    # The same report again, and one of a contact before: both spoke before contact 2.
    state = sender.hear(state, [EofAck(5), lacks(2, 4)], heard=1, contact=3)
    assert sender.due(state, 3) == []


def test_an_old_report_takes_nothing_back():
    state = sender.hear(sent_in_full(1), [EofAck(5), lacks(2, 4)], heard=1, contact=2)
    state = sender.hear(send(state, 2), [EofAck(5), lacks(4)], heard=2, contact=3)
    late = sender.hear(state, [EofAck(5), lacks(2, 4)], heard=1, contact=3)
    assert sender.due(late, 3) == sender.due(state, 3) == [4]


def test_metadata_that_is_asked_for():
    state = sender.hear(sent_in_full(), [EofAck(5), lacks(metadata=True)], heard=1, contact=2)
    assert sender.due(state, 2) == [0]


def test_a_tail_that_was_lost_is_known_by_where_the_report_ends():
    told = lacks(1, end=3 * SEGMENT)
    state = sender.hear(sent_in_full(), [told], heard=1, contact=2)
    assert sender.due(state, 2) == [1, 4, 5, EOF]


def test_a_piece_that_arrived_in_part_is_sent_again():
    nak = Nak(5, 0, SIZE, ((SEGMENT + 7, SEGMENT + 9),), False)
    state = sender.hear(sent_in_full(), [EofAck(5), nak], heard=1, contact=2)
    assert sender.due(state, 2) == [2]


def test_several_naks_are_one_report():
    naks = [lacks(1, end=SEGMENT), lacks(4, start=SEGMENT), EofAck(5)]
    for told in (naks, naks[::-1]):
        state = sender.hear(sent_in_full(), told, heard=1, contact=2)
        assert sender.due(state, 2) == [1, 4]


def test_a_ground_that_forgot_everything_gets_everything():
    state = sender.hear(sent_in_full(), [EofAck(5), lacks(3)], heard=1, contact=2)
    state = send(state, 2)
    told = [EofAck(5), lacks(1, 2, 3, 4, 5, metadata=True)]
    state = sender.hear(state, told, heard=2, contact=3)
    assert sender.due(state, 3) == [0, 1, 2, 3, 4, 5]


def test_a_contact_that_is_not_known_makes_nothing_wanted():
    state = sender.hear(sent_in_full(), [EofAck(5), lacks(2)], heard=0, contact=2)
    assert sender.due(state, 2) == []
    assert state.arrived == 6


def eofs(state, first, last):
    """The contacts in which the EOF goes down while nothing is heard."""
    found = []
    for contact in range(first, last):
        due = sender.due(state, contact)
        assert due in ([], [EOF])
        found += [contact] * len(due)
        state = sender.after_sending(state, due, contact)
    return found


def test_an_eof_without_acknowledgement_is_repeated_ever_more_rarely():
    assert eofs(sent_in_full(), 2, 70) == [2, 4, 8, 16, 32, 48, 64]


def test_silence_after_the_acknowledgement_is_asked_about_too():
    state = sender.hear(sent_in_full(), [EofAck(5), lacks()], heard=1, contact=2)
    assert eofs(state, 2, 40) == [5, 9, 17, 33]


def test_a_lost_acknowledgement_of_the_eof_does_not_stall():
    state = sender.hear(sent_in_full(), [lacks(2)], heard=1, contact=2)
    assert sender.due(state, 2) == [2, EOF]


def test_finished_ends_it():
    state = sender.hear(sent_in_full(), [Finished(5, 0), lacks(1)], heard=1, contact=2)
    assert not state.open
    assert sender.due(state, 99) == []
    assert sender.hear(state, [lacks(1)], heard=9, contact=10) is state


def test_nothing_heard_and_nothing_sent_changes_nothing():
    state = sent_in_full()
    assert sender.hear(state, [], 1, 2) is state
    assert sender.after_sending(state, [], 2) is state


def test_the_states_are_never_changed_in_place():
    one = sent_in_full()
    before = one.sent.copy()
    two = sender.hear(one, [EofAck(5), lacks(2)], heard=1, contact=2)
    send(two, 2)
    assert np.array_equal(one.sent, before)


@given(st.integers(1, 100 * SEGMENT), st.data())
def test_packed_states_come_back(size, data):
    state = sender.start(size)
    few = st.lists(st.integers(0, len(state.sent) - 1), max_size=9, unique=True)
    state = sender.after_sending(state, data.draw(few), data.draw(st.integers(1, 2**31 - 1)))
    assert np.array_equal(sender.unpack_sent(sender.pack(state), size), state.sent)


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"nothing",
        sender.pack(sender.start(SIZE))[:-1],
        sender.pack(sender.start(SIZE + SEGMENT)),
        sender.pack(sender.Sender(SIZE, np.full(7, -2, np.int32))),
    ],
)
def test_states_that_are_not_of_the_file(wrong):
    with pytest.raises(StreamError):
        sender.unpack_sent(wrong, SIZE)


@given(st.integers(1, 20), st.integers(0, 2**32), st.integers(1, 9))
def test_over_any_link_that_is_not_dead_the_file_arrives(pieces, seed, room):
    """A slow, independent ground that keeps sets of units, over losses both ways."""
    rng = random.Random(seed)
    state, there, acknowledged = sender.start(pieces * SEGMENT), set(), set()
    eof = pieces + 1
    for contact in range(1, 4000):
        due = sender.due(state, contact)[:room]
        # What was acknowledged never goes again, but for the EOF that asks for a report.
        assert not (set(due) - {eof}) & acknowledged
        state = sender.after_sending(state, due, contact)
        there |= {unit for unit in due if rng.random() > 0.4}
        if rng.random() < 0.3 or not there:
            continue
        if len(there) == pieces + 2:
            state = sender.hear(state, [Finished(5, 0)], contact, contact + 1)
            break
        state = sender.hear(state, list(told(there, pieces, eof)), contact, contact + 1)
        acknowledged = set(there)
    assert not state.open


def told(there, pieces, eof):
    if eof in there:
        yield EofAck(5)
    last = pieces if eof in there else max((unit for unit in there if unit), default=0)
    gaps = tuple(
        ((unit - 1) * SEGMENT, unit * SEGMENT) for unit in range(1, last + 1) if unit not in there
    )
    yield Nak(5, 0, last * SEGMENT, gaps, 0 not in there)
