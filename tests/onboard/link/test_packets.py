from __future__ import annotations

import binascii

import pytest
from fastcrc import crc16
from hypothesis import given
from hypothesis import strategies as st
from spacepackets.ccsds.spacepacket import SpacePacketHeader

from onboard.errors import StreamError
from onboard.link import cds, packets
from onboard.link.apid import Apid
from onboard.link.packets import Packet

TIMES = st.integers(cds.FIRST_MS, cds.LAST_MS)
GOLDEN = Packet(Apid.ALERT, 5, 1_700_000_000_123, b"\x01\x02")


def resealed(body: bytes) -> bytes:
    return body + crc16.ibm_3740(body).to_bytes(2, "big")


@given(st.integers(0, 0x7FE), st.integers(0, 16383), TIMES, st.binary(min_size=1, max_size=300))
def test_round_trip(apid, count, sent_ms, data):
    packet = Packet(apid, count, sent_ms, data)
    assert packets.unpack(packets.pack(packet)) == packet


def test_golden_bytes():
    assert packets.pack(GOLDEN).hex() == "09f1c005000a" + "405dfa04c4b47b" + "0102" + "4c48"


@given(st.binary(min_size=1, max_size=50))
def test_crc_is_that_of_another_implementation(data):
    packet = packets.pack(Packet(1, 2, 3, data))
    assert binascii.crc_hqx(packet[:-2], 0xFFFF) == int.from_bytes(packet[-2:], "big")


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("apid", [0, 0x7FE], [-1, 0x7FF, 0x800]),
        ("count", [0, 16383], [-1, 16384]),
        ("sent_ms", [cds.FIRST_MS, 0, cds.LAST_MS], [cds.FIRST_MS - 1, cds.LAST_MS + 1]),
        ("data", [b"1", bytes(65536 - 9)], [b"", bytes(65536 - 8)]),
    ],
)
def test_boundaries(field, good, bad):
    fields = {"apid": 1, "count": 0, "sent_ms": 0, "data": b"data"}
    for value in good:
        packet = Packet(**{**fields, field: value})
        assert packets.unpack(packets.pack(packet)) == packet
    for value in bad:
        with pytest.raises(ValueError):  # noqa: PT011 - the libraries' words differ
            packets.pack(Packet(**{**fields, field: value}))


def test_every_flipped_bit_and_every_truncation_is_refused():
    data = packets.pack(GOLDEN)
    for place in range(8 * len(data)):
        wrong = bytearray(data)
        wrong[place // 8] ^= 0x80 >> place % 8
        with pytest.raises(StreamError):
            packets.unpack(bytes(wrong))
    for size in range(len(data)):
        with pytest.raises(StreamError):
            packets.unpack(data[:size])


@pytest.mark.parametrize(
    ("place", "value"),
    [(0, 0x29), (0, 0x19), (0, 0x01), (2, 0x40), (5, 0x09), (6, 0x41), (6, 0x1C), (9, 0x06)],
)
def test_headers_that_are_not_sent_are_refused_even_with_a_good_crc(place, value):
    body = bytearray(packets.pack(GOLDEN)[:-2])
    body[place] = value
    with pytest.raises(StreamError):
        packets.unpack(resealed(bytes(body)))


@pytest.mark.parametrize("size", [7, 8, 1000, 65542])
def test_idle_packets(size):
    data = packets.idle(size)
    header = SpacePacketHeader.unpack(data)
    assert len(data) == size == header.packet_len
    assert header.apid == Apid.IDLE
    assert not header.sec_header_flag


@pytest.mark.parametrize("size", [0, 6, 65543])
def test_idle_packets_out_of_range(size):
    with pytest.raises(ValueError, match="Invalid data length"):
        packets.idle(size)


@given(TIMES)
def test_time_round_trip(unix_ms):
    data = cds.pack(unix_ms)
    assert len(data) == cds.SIZE
    assert cds.unpack(data) == unix_ms


@pytest.mark.parametrize(
    ("unix_ms", "code"),
    [
        (cds.FIRST_MS, "40000000000000"),
        (0, "40111f00000000"),
        (-1, "40111e05265bff"),
        (cds.LAST_MS, "40ffff05265bff"),
    ],
)
def test_golden_times(unix_ms, code):
    assert cds.pack(unix_ms).hex() == code


def test_a_leap_second_is_a_time_and_more_is_not():
    assert cds.unpack(bytes.fromhex("40111f05265fe7")) == cds.DAY_MS + 999
    with pytest.raises(ValueError, match="milliseconds"):
        cds.unpack(bytes.fromhex("40111f05265fe8"))


@pytest.mark.parametrize("apid", list(Apid))
def test_str_of_every_apid(apid):
    assert str(apid)
    assert apid.text == apid.name.lower()
    assert 0 <= apid <= 0x7FF
