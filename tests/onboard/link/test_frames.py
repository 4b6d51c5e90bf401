from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spacepackets.ccsds.tm_frame import TmTransferFrame

from onboard.errors import StreamError
from onboard.link import frames, packets
from onboard.link.apid import SPACECRAFT_ID, VC_DATA, VC_IDLE
from onboard.link.counters import Counters
from onboard.link.frames import Frame

LENGTH = 64


def split(stream: bytes, length: int) -> list:
    cadu = frames.cadu_length(length)
    assert len(stream) % cadu == 0
    pieces = [stream[start : start + cadu] for start in range(0, len(stream), cadu)]
    assert all(piece.startswith(frames.SYNC_MARKER) for piece in pieces)
    return [frames.unpack(piece[4:]) for piece in pieces]


@given(
    st.integers(0, 1023),
    st.integers(0, 7),
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 2047),
    st.binary(min_size=1, max_size=200),
)
def test_round_trip(spacecraft, channel, master, count, first, data):
    frame = Frame(spacecraft, channel, master, count, first, data)
    assert frames.unpack(frames.pack(frame)) == frame


def test_golden_bytes():
    frame = Frame(SPACECRAFT_ID, 3, 0x12, 0x34, frames.NO_PACKET_STARTS, b"\xaa\xbb")
    assert frames.pack(frame).hex() == "2a5612341fffaabb" + "609b"


def test_spacepackets_reads_our_frame():
    data = frames.pack(Frame(SPACECRAFT_ID, 5, 1, 2, 3, bytes(20)))
    found = TmTransferFrame.unpack(data, len(data), has_error_control_field=True)
    assert found.primary_header.vc_id == 5
    assert found.primary_header.frame_datafield_status.first_header_pointer == 3
    assert found.data_field == bytes(20)


def test_every_flipped_bit_is_refused():
    data = frames.pack(Frame(SPACECRAFT_ID, 0, 1, 2, 0, bytes(range(30))))
    for place in range(8 * len(data)):
        wrong = bytearray(data)
        wrong[place // 8] ^= 0x80 >> place % 8
        assert not frames.is_intact(bytes(wrong))
        with pytest.raises(StreamError):
            frames.unpack(bytes(wrong))


@pytest.mark.parametrize(
    ("place", "bits"), [(0, 0x80), (1, 0x01), (4, 0x80), (4, 0x40), (4, 0x20), (4, 0x10)]
)
def test_other_kinds_of_frames_are_refused_even_when_intact(place, bits):
    from fastcrc import crc16

    body = bytearray(frames.pack(Frame(SPACECRAFT_ID, 0, 1, 2, 0, bytes(80)))[:-2])
    body[place] ^= bits
    data = bytes(body) + crc16.ibm_3740(bytes(body)).to_bytes(2, "big")
    assert frames.is_intact(data)
    with pytest.raises(StreamError):
        frames.unpack(data)


@pytest.mark.parametrize("length", [0, 63, 2048])
def test_lengths_out_of_range(length):
    with pytest.raises(ValueError, match="64 to 2047"):
        frames.data_length(length)


@given(st.lists(st.integers(7, 300), max_size=12), st.integers(64, 200))
def test_packets_lie_in_frames_without_a_gap(sizes, length):
    whole = [packets.idle(size) for size in sizes]
    counters = Counters()
    found = split(frames.cadus(whole, counters, length), length)
    assert len(found) == frames.frames_needed(sum(sizes), length)
    stream = b"".join(frame.data for frame in found)
    assert stream.startswith(b"".join(whole))
    starts, at = [], 0
    while at < len(stream):
        starts.append(at)
        at += packets.header_of(stream[at:]).packet_len
    assert at == len(stream)
    room = frames.data_length(length)
    for index, frame in enumerate(found):
        inside = [
            start - index * room for start in starts if index * room <= start < index * room + room
        ]
        assert frame.first_header == (inside[0] if inside else frames.NO_PACKET_STARTS)
    assert [frame.channel_count for frame in found] == [n % 256 for n in range(len(found))]


@pytest.mark.parametrize("left", range(0, 9))
def test_the_rest_of_the_last_frame_is_filled(left):
    room = frames.data_length(LENGTH)
    found = split(frames.cadus([packets.idle(2 * room - left)], Counters(), LENGTH), LENGTH)
    assert len(found) == (3 if 0 < left < packets.MIN_IDLE else 2)


def test_nothing_makes_no_frame():
    assert frames.cadus([], Counters()) == b""
    assert frames.frames_needed(0) == 0


def test_counters_wrap():
    counters = Counters({"mc": 255, "vc:0": 255, "vc:7": 255, "apid:0x1f2": 16383})
    found = split(frames.cadus([packets.idle(150)], counters, LENGTH), LENGTH)
    assert [frame.master_count for frame in found] == [255, 0, 1]
    assert [frame.channel_count for frame in found] == [255, 0, 1]
    assert [counters.packet(0x1F2) for _ in range(2)] == [16383, 0]
    assert counters.values["vc:7"] == 255


def test_idle_frames_have_a_channel_of_their_own():
    counters = Counters()
    found = split(frames.idle_cadus(3, counters, LENGTH), LENGTH)
    assert {frame.channel for frame in found} == {VC_IDLE}
    assert {frame.first_header for frame in found} == {frames.ONLY_IDLE}
    assert counters.values == {"mc": 3, f"vc:{VC_IDLE}": 3}
    assert counters.virtual_channel(VC_DATA) == 0


def test_counters_do_not_touch_what_they_were_made_from():
    before = {"mc": 1}
    Counters(before).master_channel()
    assert before == {"mc": 1}
