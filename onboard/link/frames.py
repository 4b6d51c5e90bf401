"""Transfer frame: the fixed-length block that the radio sends (CCSDS 132.0-B-3).

Space packets have no mark by which to find them again; frames do. Each frame begins with the
sync marker 1ACFFC1D (131.0-B, section 9) and ends with a CRC-16, the frame error control field.
Its first-header pointer says where the first packet begins in it, so after a loss the ground
finds the next packet. Packets run on from frame to frame; the rest of the last frame is filled
with an idle packet. A frame with its marker is called a CADU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastcrc import crc16
from spacepackets.ccsds.tm_frame import (
    MasterChannelId,
    TmFramePrimaryHeader,
    TmTransferFrame,
    TransferFrameDataFieldStatus,
)
from spacepackets.exceptions import BytesTooShortError, InvalidCrcCcitt16Error

from onboard.errors import StreamError
from onboard.link import packets
from onboard.link.apid import SPACECRAFT_ID, VC_DATA, VC_IDLE
from onboard.link.counters import Counters

SYNC_MARKER = bytes.fromhex("1ACFFC1D")
DEFAULT_LENGTH = 1115
MIN_LENGTH, MAX_LENGTH = 64, 2047
PRIMARY, FECF = 6, 2
NO_PACKET_STARTS = 0x7FF
ONLY_IDLE = 0x7FE
IDLE_FILL = 0x55


@dataclass(frozen=True)
class Frame:
    """One verified frame.

    Attributes:
        spacecraft: 10 bits.
        channel: virtual channel, 0…7.
        master_count, channel_count: 0…255.
        first_header: offset of the first packet in ``data``, or ``NO_PACKET_STARTS`` or
            ``ONLY_IDLE``.
        data: the frame's data field.
    """

    spacecraft: int
    channel: int
    master_count: int
    channel_count: int
    first_header: int
    data: bytes


def data_length(length: int = DEFAULT_LENGTH) -> int:
    """Bytes of packets in a frame of ``length`` bytes.

    Raises:
        ValueError: the length is not one that `TmTransferFrame` can hold.
    """
    if not MIN_LENGTH <= length <= MAX_LENGTH:
        raise ValueError(f"a frame has {MIN_LENGTH} to {MAX_LENGTH} bytes, not {length}")
    return length - PRIMARY - FECF


def cadu_length(length: int = DEFAULT_LENGTH) -> int:
    """Bytes on the link for a frame of ``length`` bytes: with its sync marker."""
    return len(SYNC_MARKER) + length


def pack(frame: Frame) -> bytes:
    """The frame's bytes, without sync marker, with its error control field."""
    header = TmFramePrimaryHeader(
        MasterChannelId(0, frame.spacecraft),
        frame.channel,
        False,
        frame.master_count,
        frame.channel_count,
        TransferFrameDataFieldStatus(False, False, False, 0b11, frame.first_header),
    )
    body = bytes(header.pack()) + frame.data
    return body + int(crc16.ibm_3740(body)).to_bytes(FECF, "big")


def unpack(data: bytes) -> Frame:
    """Decode and verify one frame without its sync marker.

    Raises:
        StreamError: its error control field is wrong, or it is not of the kind sent here.
    """
    try:
        found = TmTransferFrame.unpack(data, len(data), has_error_control_field=True)
    except (InvalidCrcCcitt16Error, BytesTooShortError, ValueError) as error:
        raise StreamError(f"a frame is damaged ({type(error).__name__})") from error
    header = found.primary_header
    status = header.frame_datafield_status
    odd = status.secondary_header_flag or status.sync_flag or status.packet_order_flag
    master = header.master_channel_id
    if odd or header.ocf_flag or master.transfer_frame_version or status.segment_len_id != 0b11:
        raise StreamError("a frame is of a kind that FloodSat does not send")
    return Frame(
        master.spacecraft_id,
        header.vc_id,
        header.master_ch_frame_count,
        header.vc_frame_count,
        status.first_header_pointer,
        bytes(found.data_field),
    )


def is_intact(data: bytes) -> bool:
    """Whether the error control field at the end of a frame is right (132.0-B-3, 4.1.6)."""
    return bool(crc16.ibm_3740(data) == 0)


def frames_needed(packet_bytes: int, length: int = DEFAULT_LENGTH) -> int:
    """How many frames hold ``packet_bytes`` of packets and the idle packet behind them."""
    room = data_length(length)
    whole, rest = divmod(packet_bytes, room)
    if not rest:
        return whole
    # An idle packet has 7 bytes at least; where fewer are left it takes one more frame.
    return whole + 1 + (room - rest < packets.MIN_IDLE)


def cadus(
    sequence: Sequence[bytes],
    counters: Counters,
    length: int = DEFAULT_LENGTH,
    spacecraft: int = SPACECRAFT_ID,
) -> bytes:
    """Lay packets into frames, filled to the last byte; ``counters`` move on.

    Args:
        sequence: whole packets, in the order of sending.
        counters: of the master channel and of ``VC_DATA``.
        length: of a frame without its marker.
        spacecraft: 10 bits.

    Returns:
        ``frames_needed(...)`` frames, each with its sync marker.
    """
    room = data_length(length)
    total = sum(len(packet) for packet in sequence)
    fill = frames_needed(total, length) * room - total
    whole = [*sequence, packets.idle(fill)] if fill else list(sequence)
    stream, pointers = b"".join(whole), _first_headers(whole, room)
    parts: list[bytes] = []
    for index, pointer in enumerate(pointers):
        frame = Frame(
            spacecraft,
            VC_DATA,
            counters.master_channel(),
            counters.virtual_channel(VC_DATA),
            pointer,
            stream[index * room : (index + 1) * room],
        )
        parts += [SYNC_MARKER, pack(frame)]
    return b"".join(parts)


def idle_cadus(
    count: int,
    counters: Counters,
    length: int = DEFAULT_LENGTH,
    spacecraft: int = SPACECRAFT_ID,
) -> bytes:
    """``count`` frames with only idle data (132.0-B-3, 4.1.2.7), on their own channel."""
    parts: list[bytes] = []
    for _ in range(count):
        frame = Frame(
            spacecraft,
            VC_IDLE,
            counters.master_channel(),
            counters.virtual_channel(VC_IDLE),
            ONLY_IDLE,
            bytes([IDLE_FILL]) * data_length(length),
        )
        parts += [SYNC_MARKER, pack(frame)]
    return b"".join(parts)


def _first_headers(whole: Sequence[bytes], room: int) -> list[int]:
    """For each frame the offset of the first packet that begins in it."""
    total = sum(len(packet) for packet in whole)
    pointers = [NO_PACKET_STARTS] * (total // room)
    start = 0
    for packet in whole:
        index, offset = divmod(start, room)
        if pointers[index] == NO_PACKET_STARTS:
            pointers[index] = offset
        start += len(packet)
    return pointers
