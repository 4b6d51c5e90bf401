"""Space packet: the smallest thing that the link numbers and checks (CCSDS 133.0-B-2).

Six bytes of primary header, seven of secondary header (the time of sending, `cds`), the user
data, and a CRC-16 over all before it (polynomial 0x1021, start 0xFFFF, as in 132.0-B-3, 4.1.6).
Idle packets have neither secondary header nor CRC.
"""

from __future__ import annotations

from dataclasses import dataclass

from fastcrc import crc16
from spacepackets.ccsds.spacepacket import PacketType, SequenceFlags, SpacePacketHeader

from onboard.errors import StreamError
from onboard.link import cds
from onboard.link.apid import Apid

PRIMARY = 6
CRC = 2
OVERHEAD = PRIMARY + cds.SIZE + CRC
MIN_IDLE = PRIMARY + 1
IDLE_FILL = 0x55


@dataclass(frozen=True)
class Packet:
    """One verified packet.

    Attributes:
        apid: 0…2046.
        count: sequence count of its APID, 0…16383.
        sent_ms: time of sending, UTC milliseconds since 1970. In a telecommand the time that the
            last telemetry bore which its sender had heard.
        data: the user data.
        telecommand: whether it goes up.
    """

    apid: int
    count: int
    sent_ms: int
    data: bytes
    telecommand: bool = False


def pack(packet: Packet) -> bytes:
    """The packet's bytes.

    Raises:
        ValueError: a field is out of its range.
    """
    if not packet.data:
        raise ValueError("a packet needs at least one byte of user data")
    if packet.apid == Apid.IDLE:
        raise ValueError("an idle packet is made by idle()")
    size = OVERHEAD + len(packet.data)
    header = SpacePacketHeader(
        packet_type=PacketType.TC if packet.telecommand else PacketType.TM,
        apid=int(packet.apid),
        seq_count=packet.count,
        data_len=size - PRIMARY - 1,
        sec_header_flag=True,
        seq_flags=SequenceFlags.UNSEGMENTED,
    )
    body = bytes(header.pack()) + cds.pack(packet.sent_ms) + packet.data
    return body + int(crc16.ibm_3740(body)).to_bytes(CRC, "big")


def idle(size: int) -> bytes:
    """An idle packet of ``size`` bytes, 7…65542 (133.0-B-2, 4.1.3.3.4.4)."""
    header = SpacePacketHeader(
        packet_type=PacketType.TM,
        apid=int(Apid.IDLE),
        seq_count=0,
        data_len=size - PRIMARY - 1,
        seq_flags=SequenceFlags.UNSEGMENTED,
    )
    return bytes(header.pack()) + bytes([IDLE_FILL]) * (size - PRIMARY)


def header_of(data: bytes) -> SpacePacketHeader:
    """Read a primary header from the first six bytes of ``data``."""
    return SpacePacketHeader.unpack(data[:PRIMARY])


def unpack(data: bytes, telecommand: bool = False) -> Packet:
    """Decode and verify one whole packet that is not idle.

    Args:
        data: the packet.
        telecommand: whether one that goes up is wanted, instead of telemetry.

    Raises:
        StreamError: it is damaged, or not of the kind that FloodSat sends.
    """
    if len(data) <= OVERHEAD:
        raise StreamError(f"a packet of {len(data)} bytes is too short")
    if crc16.ibm_3740(bytes(data)) != 0:
        raise StreamError("a packet's CRC is wrong")
    header = header_of(data)
    whole = header.ccsds_version == 0 and header.packet_len == len(data)
    wanted = PacketType.TC if telecommand else PacketType.TM
    ours = header.packet_type == wanted and header.sec_header_flag
    if not (whole and ours and header.seq_flags == SequenceFlags.UNSEGMENTED):
        raise StreamError("a packet's header is not one that FloodSat sends")
    try:
        sent_ms = cds.unpack(bytes(data[PRIMARY : PRIMARY + cds.SIZE]))
    except ValueError as error:
        raise StreamError(f"a packet's time is wrong: {error}") from error
    body = bytes(data[PRIMARY + cds.SIZE : -CRC])
    return Packet(header.apid, header.seq_count, sent_ms, body, telecommand)
