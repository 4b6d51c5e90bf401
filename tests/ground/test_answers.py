from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ground.answers import answers, report
from ground.memory import Memory
from ground.reassembly import Key, Reassembly
from onboard.link import cfdp, returns, transfers
from onboard.link.cfdp import SEGMENT
from onboard.link.returns import EofAck, Finished, Nak

SIZE = 4 * SEGMENT + 10
DATA = random.Random(1).randbytes(SIZE)
UNITS = cfdp.pdus(DATA, "a.fsp", 7, acknowledged=True)
EOF = len(UNITS) - 1
NOW = 1_700_000_000_000


def station(*indices, files=None, units=UNITS, heard_ms=NOW):
    files = files or Reassembly()
    for index in indices:
        files.add(units[index], heard_ms)
    return files


def again(files):
    """A station that was restarted."""
    memory, found = Memory(), Reassembly()
    memory.keep(files)
    found.resume(memory.open, memory.former)
    return found


def said(files, heard_ms=NOW):
    """Answers with the time that they echo, decoded by the satellite's own reader."""
    stream, _ = report(files, heard_ms)
    return [(when, answer) for when, answer in returns.unpack(stream).answers]


def test_a_whole_file_is_finished_until_that_is_acknowledged():
    files = station(*range(len(UNITS)))
    assert said(files, NOW + 1) == [(NOW, EofAck(7)), (NOW, Finished(7, 0))]
    files = again(files)
    assert said(files, NOW + 2) == [(NOW, EofAck(7)), (NOW, Finished(7, 0))]
    files.add(cfdp.finished_ack(7, 0), NOW + 3)
    assert said(files) == []
    assert said(again(files)) == []


def test_gaps_are_asked_for():
    files = station(0, 1, 3, EOF)
    gaps = ((SEGMENT, 2 * SEGMENT), (3 * SEGMENT, SIZE))
    assert said(files) == [(NOW, EofAck(7)), (NOW, Nak(7, 0, SIZE, gaps, False))]


def test_without_its_eof_only_what_lies_before_the_last_piece_is_asked_for():
    files = station(2, 3)
    assert said(files) == [(NOW, Nak(7, 0, 3 * SEGMENT, ((0, SEGMENT),), True))]


def test_an_eof_alone_asks_for_everything():
    files = station(EOF)
    assert said(files) == [(NOW, EofAck(7)), (NOW, Nak(7, 0, SIZE, ((0, SIZE),), True))]


def test_many_gaps_go_in_several_units_of_one_range():
    count = 2 * returns.MAX_REQUESTS + 5
    units = cfdp.pdus(bytes(2 * count * SEGMENT), "a", 7, acknowledged=True)
    files = station(*range(2, len(units), 2), len(units) - 1, units=units)
    ack, *naks = [answer for _, answer in said(files)]
    assert ack == EofAck(7)
    assert len(naks) == 3
    assert [nak.start for nak in naks] == [0, naks[0].end, naks[1].end]
    assert naks[-1].end == 2 * count * SEGMENT
    assert [nak.metadata for nak in naks] == [True, False, False]
    asked = [one for nak in naks for one in nak.requests]
    assert asked == [(at * SEGMENT, (at + 1) * SEGMENT) for at in range(0, 2 * count, 2)]


def test_class_1_is_never_answered():
    files = station(0, 2, units=cfdp.pdus(DATA, "a.fsp", 7))
    assert said(files) == []
    assert said(station(*range(EOF + 1), units=cfdp.pdus(DATA, "a.fsp", 7))) == []


def test_a_file_whose_units_contradict_each_other_is_finished_with_a_failure():
    other = cfdp.pdus(DATA[::-1], "a.fsp", 7, acknowledged=True)
    files = station(0, 1)
    files.add(other[1], NOW + 5)
    failure = int(returns.ConditionCode.FILE_CHECKSUM_FAILURE)
    assert said(files) == [(NOW + 5, EofAck(7)), (NOW + 5, Finished(7, failure))]
    # Whatever follows under the number is not taken.
    files = station(*range(EOF + 1), files=again(files))
    assert files.done == {}
    assert said(files)[1][1] == Finished(7, failure)


def test_a_file_that_is_called_off_is_acknowledged_once():
    files = station(0, 1)
    files.add(transfers.cancel(7), NOW)
    assert said(files) == [(NOW, EofAck(7))]
    assert [lost.reason for lost in files.refused] == ["cancelled by the sender"]
    assert said(again(files)) == []


def test_an_eof_of_what_is_over_is_answered_with_the_end_and_its_own_time():
    files = station(*range(EOF + 1))
    files.add(cfdp.finished_ack(7, 0), NOW)
    files = again(files)
    assert said(files) == []
    files.add(UNITS[EOF], NOW + 9)
    assert said(files, NOW + 9) == [(NOW + 9, EofAck(7)), (NOW + 9, Finished(7, 0))]
    assert files.unfinished() == []


def test_pieces_of_what_is_over_are_repeats_and_ask_for_nothing():
    files = again(station(*range(EOF + 1)))
    files.add(UNITS[2], NOW + 9)
    assert [answer for _, answer in said(files)] == [EofAck(7), Finished(7, 0)]
    assert files.unfinished() == []


def test_a_number_that_is_used_for_another_file_begins_anew():
    files = again(station(*range(EOF + 1)))
    other = cfdp.pdus(DATA[:100], "b.fsp", 7, acknowledged=True)
    assert files.add(other[1], NOW + 9) is None
    files.add(other[2], NOW + 9)
    assert said(files, NOW + 9) == [
        (NOW + 9, EofAck(7)),
        (NOW + 9, Nak(7, 0, 100, (), True)),
    ]
    assert files.add(other[0], NOW + 9).data == DATA[:100]


def test_transfers_of_another_satellite_are_not_answered():
    files = station(0, 1)
    files.open[Key(9, 7)] = files.open.pop(Key(1, 7))
    assert list(answers(files, NOW)) == []


def test_counts_of_the_return_path_go_on():
    files = station(0, 1, 3, EOF)
    stream, count = report(files, NOW, 16383)
    assert count == 1
    assert len(returns.unpack(stream).answers) == 2


@given(st.integers(0, 2**32), st.integers(1, 40 * SEGMENT))
def test_what_is_not_asked_for_has_arrived_and_the_rest_has_not(seed, size):
    rng = random.Random(seed)
    units = cfdp.pdus(bytes(size), "a", 7, acknowledged=True)
    there = {index for index in range(len(units)) if rng.random() < 0.6} | {len(units) - 1}
    files = station(*rng.sample(sorted(there), len(there)), units=units)
    told = [answer for _, answer in said(files)]
    if len(there) == len(units):
        assert told == [EofAck(7), Finished(7, 0)]
        return
    (nak,) = [one for one in told if isinstance(one, Nak)]
    asked = {at // SEGMENT + 1 for start, end in nak.requests for at in range(start, end, SEGMENT)}
    assert asked == set(range(1, len(units) - 1)) - there
    assert nak.metadata is (0 not in there)


@pytest.mark.parametrize("size", [1, SEGMENT, SEGMENT + 1])
def test_small_files(size):
    units = cfdp.pdus(bytes(size), "a", 7, acknowledged=True)
    assert said(station(*range(len(units)), units=units))[-1] == (NOW, Finished(7, 0))
