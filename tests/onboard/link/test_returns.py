from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spacepackets.cfdp.defs import ConditionCode
from spacepackets.cfdp.pdu import DirectiveType
from spacepackets.cfdp.pdu.finished import DeliveryCode

from onboard.errors import StreamError
from onboard.link import cfdp, packets, returns
from onboard.link.apid import Apid
from onboard.link.packets import Packet
from onboard.link.returns import EofAck, Finished, Heard, Nak
from tests.answers import eof_ack, finished, nak

NOW = 1_700_000_000_123


UNITS = [eof_ack(), nak(requests=[(0, 0), (1024, 2048)]), finished(sequence=2**32 - 1)]
ANSWERS = [EofAck(5), Nak(5, 0, 5000, ((1024, 2048),), True), Finished(2**32 - 1, 0)]


def test_there_and_back():
    stream = returns.pack(UNITS, NOW, 16382)
    found = returns.unpack(stream)
    assert found.answers == tuple(Heard(NOW, one) for one in ANSWERS)
    assert (found.packets, found.bytes_skipped, found.units_bad) == (3, 0, 0)


def test_the_packets_are_telecommands_with_gapless_counts():
    stream, counts = returns.pack(UNITS, NOW, 16382), []
    while stream:
        size = packets.header_of(stream).packet_len
        packet = packets.unpack(stream[:size], telecommand=True)
        assert (packet.apid, packet.sent_ms, packet.telecommand) == (Apid.CFDP, NOW, True)
        counts.append(packet.count)
        with pytest.raises(StreamError):
            packets.unpack(stream[:size])
        stream = stream[size:]
    assert counts == [16382, 16383, 0]


def test_an_empty_stream_says_nothing():
    assert returns.unpack(b"") == returns.Returned((), 0, 0, 0)


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_damaged_packet_costs_only_itself(at):
    whole = [returns.pack([unit], NOW, index) for index, unit in enumerate(UNITS)]
    for place in range(len(whole[at])):
        wrong = bytearray(whole[at])
        wrong[place] ^= 0x55
        found = returns.unpack(b"".join([*whole[:at], bytes(wrong), *whole[at + 1 :]]))
        assert [one.answer for one in found.answers] == ANSWERS[:at] + ANSWERS[at + 1 :]
        assert found.bytes_skipped == len(whole[at])


def test_bytes_before_between_and_behind():
    first, second, third = (returns.pack([unit], NOW) for unit in UNITS)
    found = returns.unpack(b"xyz" + first + b"\x19\xf2" + second + third + second[:-1])
    assert [one.answer for one in found.answers] == ANSWERS
    assert found.bytes_skipped == 5 + len(second) - 1


@pytest.mark.parametrize(
    "unit",
    [
        b"x",
        cfdp.pdus(b"abc", "f", 5, acknowledged=True)[0],
        cfdp.pdus(b"abc", "f", 5, acknowledged=True)[1],
        cfdp.finished_ack(5, 0),
        eof_ack(directive=DirectiveType.FINISHED_PDU),
        nak(10, 5),
        nak(requests=[(7, 7)]),
        nak(requests=[(9, 7)]),
        nak()[:-1],
        nak() + b"\0",
        finished(delivery=DeliveryCode.DATA_INCOMPLETE),
        eof_ack().replace(b"\x28", b"\x2c", 1),
        eof_ack().replace(b"\x03\x01\x00", b"\x03\x07\x00", 1),
    ],
)
def test_units_that_are_no_answers_to_this_satellite(unit):
    with pytest.raises(StreamError):
        returns.answer_of(unit)
    found = returns.unpack(returns.pack([unit, UNITS[0]], NOW))
    assert (len(found.answers), found.units_bad) == (1, 1)


def test_a_finished_that_tells_of_a_failure():
    failure = ConditionCode.FILE_CHECKSUM_FAILURE
    unit = finished(failure, DeliveryCode.DATA_INCOMPLETE)
    assert returns.answer_of(unit) == Finished(5, int(failure))


def test_the_largest_nak_fits_a_packet():
    requests = [(2 * at, 2 * at + 1) for at in range(1, returns.MAX_REQUESTS + 1)]
    unit = nak(requests=requests)
    assert len(unit) + packets.OVERHEAD <= returns.MAX_PACKET
    assert len(nak(requests=[*requests, (0, 0)])) + packets.OVERHEAD > returns.MAX_PACKET
    assert returns.unpack(returns.pack([unit], NOW)).packets == 1


def test_a_longer_packet_is_not_read():
    packet = packets.pack(Packet(Apid.CFDP, 0, NOW, bytes(returns.MAX_PACKET), telecommand=True))
    with pytest.raises(StreamError, match="no acknowledgement"):
        returns.unpack(packet)


@pytest.mark.parametrize("size", [1, 5, 100, 50_000])
def test_noise_is_no_return_stream(size):
    with pytest.raises(StreamError, match=f"up.bin: no acknowledgement in {size} bytes"):
        returns.unpack(random.Random(size).randbytes(size) if size > 5 else bytes(size), "up.bin")


def test_a_stream_that_is_too_long():
    with pytest.raises(StreamError, match=f"at most {returns.MAX_STREAM}"):
        returns.unpack(bytes(returns.MAX_STREAM + 1))


@given(st.integers(0, 2**32), st.integers(1, 12))
def test_mutated_streams_give_only_answers_that_were_sent(seed, count):
    rng = random.Random(seed)
    stream = bytearray(returns.pack(UNITS * 3, NOW))
    for _ in range(count):
        place = rng.randrange(len(stream) or 1)
        kind = rng.randrange(3)
        if kind == 0:
            stream[place : place + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            del stream[place : place + rng.randrange(30)]
        else:
            stream[place:place] = stream[place : place + rng.randrange(60)]
    try:
        found = returns.unpack(bytes(stream))
    except StreamError:
        return
    assert {one.answer for one in found.answers} <= set(ANSWERS)
    assert {one.heard_ms for one in found.answers} <= {NOW}
