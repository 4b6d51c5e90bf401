"""Return path: what the ground answers to class-2 transfers, and how it travels up.

A stream of space packets one behind the other (133.0-B-2), type telecommand, APID 0x1F2, each
with one CFDP unit towards the sender: ACK of EOF, NAK or Finished. The secondary header holds
no time of sending but an echo: the time of the last telemetry that the ground had heard when it
answered. By it the satellite knows which of its contacts an answer speaks about, so nothing that
is still on its way is taken for lost, and no clock of the ground is trusted.

The link that carries the stream keeps its own frames and codes. A reader that meets a damaged
packet goes on at the next place where a whole one begins.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple, Union

from spacepackets.cfdp.defs import (
    ConditionCode,
    DeliveryCode,
    Direction,
    InvalidCrcError,
    TransmissionMode,
    UnsupportedCfdpVersionError,
)
from spacepackets.cfdp.pdu import AckPdu, DirectiveType, FinishedPdu, NakPdu
from spacepackets.cfdp.pdu.helper import PduFactory
from spacepackets.cfdp.tlv.defs import TlvTypeMissmatchError
from spacepackets.exceptions import BytesTooShortError

from onboard.errors import StreamError
from onboard.link import packets
from onboard.link.apid import GROUND_ENTITY, SATELLITE_ENTITY, Apid
from onboard.link.cfdp import HEADER
from onboard.link.counters import PACKETS
from onboard.link.packets import Packet

MAX_PACKET = 2048
"""Bytes of one packet of the return path; a longer one is not read."""
MAX_STREAM = 4 << 20
"""Bytes of a return stream."""
MAX_REQUESTS = (MAX_PACKET - packets.OVERHEAD - HEADER - 9) // 8
"""Requests that fit into one NAK (5.2.6)."""

UNIT_ERRORS = (
    BytesTooShortError,
    InvalidCrcError,
    TlvTypeMissmatchError,
    UnsupportedCfdpVersionError,
    ValueError,
    IndexError,
    struct.error,
)
"""What the library raises at units that do not decode."""


class EofAck(NamedTuple):
    """The ground has the EOF."""

    sequence: int


class Nak(NamedTuple):
    """What the ground lacks of a range of the file: of the rest of the range it has all.

    Attributes:
        sequence: transaction number.
        start, end: the range, bytes.
        requests: (start, end) of what is missing, bytes.
        metadata: whether the Metadata is missing.
    """

    sequence: int
    start: int
    end: int
    requests: tuple[tuple[int, int], ...]
    metadata: bool


class Finished(NamedTuple):
    """The ground is done with the transfer: ``condition`` 0 where it has the file."""

    sequence: int
    condition: int


Answer = Union[EofAck, Nak, Finished]


class Heard(NamedTuple):
    """One answer, and which telemetry the ground had heard before it (UTC ms since 1970)."""

    heard_ms: int
    answer: Answer


class Returned(NamedTuple):
    """What a return stream held.

    Attributes:
        answers: in order.
        packets: verified packets.
        bytes_skipped: in which no packet was found.
        units_bad: packets whose unit is no answer for this satellite.
    """

    answers: tuple[Heard, ...]
    packets: int
    bytes_skipped: int
    units_bad: int


def pack(units: Sequence[bytes], heard_ms: int, first_count: int = 0) -> bytes:
    """A return stream.

    Args:
        units: CFDP units towards the sender.
        heard_ms: time of the last telemetry heard, UTC milliseconds since 1970.
        first_count: sequence count of the first packet.
    """
    whole = (
        Packet(Apid.CFDP, (first_count + index) % PACKETS, heard_ms, unit, telecommand=True)
        for index, unit in enumerate(units)
    )
    return b"".join(packets.pack(packet) for packet in whole)


def unpack(stream: bytes, name: str = "return stream") -> Returned:
    """Read a return stream; what is damaged is left out and counted.

    Raises:
        StreamError: it is too long, or there are bytes but no packet of a return path in them.
    """
    if len(stream) > MAX_STREAM:
        raise StreamError(f"{name}: a return stream has at most {MAX_STREAM} bytes; give that file")
    answers: list[Heard] = []
    found = skipped = bad = start = 0
    while start < len(stream):
        packet, size = _packet_at(stream, start)
        start += size
        if packet is None:
            skipped += size
            continue
        found += 1
        try:
            answers.append(Heard(packet.sent_ms, answer_of(packet.data)))
        except StreamError:
            bad += 1
    if skipped and not found:
        raise StreamError(
            f"{name}: no acknowledgement in {len(stream)} bytes; give the file that "
            "'floodsat receive --return' wrote"
        )
    return Returned(tuple(answers), found, skipped, bad)


def _packet_at(stream: bytes, start: int) -> tuple[Packet | None, int]:
    """The packet that begins at ``start`` and its size, or None and how far to go on."""
    head = stream[start : start + packets.PRIMARY]
    if len(head) == packets.PRIMARY:
        header = packets.header_of(head)
        size = int(header.packet_len)
        if header.apid == Apid.CFDP and size <= min(MAX_PACKET, len(stream) - start):
            try:
                return packets.unpack(stream[start : start + size], telecommand=True), size
            except StreamError:
                pass
    return None, 1


def answer_of(unit: bytes) -> Answer:
    """Decode one unit of the ground.

    Raises:
        StreamError: it is damaged, or no answer to a class-2 transfer of this satellite.
    """
    try:
        pdu = _decoded(unit)
        header = pdu.pdu_header
        ours = (
            header.packet_len == len(unit)
            and header.direction == Direction.TOWARDS_SENDER
            and header.transmission_mode == TransmissionMode.ACKNOWLEDGED
            and header.source_entity_id.value == SATELLITE_ENTITY
            and header.dest_entity_id.value == GROUND_ENTITY
            and header.transaction_seq_num.byte_len == 4
        )
        if not ours:
            raise ValueError("not for this satellite")
        return _answer(pdu, int(header.transaction_seq_num.value))
    except UNIT_ERRORS as error:
        raise StreamError(f"an answer does not decode ({type(error).__name__})") from error


def _decoded(unit: bytes) -> AckPdu | NakPdu | FinishedPdu:
    if not PduFactory.is_file_directive(unit):
        raise ValueError("file data")
    kinds = {
        DirectiveType.ACK_PDU: AckPdu,
        DirectiveType.NAK_PDU: NakPdu,
        DirectiveType.FINISHED_PDU: FinishedPdu,
    }
    return kinds[_known(PduFactory.pdu_directive_type(unit), kinds)].unpack(unit)


def _known(directive: DirectiveType, kinds: dict[DirectiveType, type]) -> DirectiveType:
    if directive not in kinds:
        raise ValueError(f"{directive} is no answer")
    return directive


def _answer(pdu: AckPdu | NakPdu | FinishedPdu, sequence: int) -> Answer:
    if isinstance(pdu, AckPdu):
        if pdu.directive_code_of_acked_pdu != DirectiveType.EOF_PDU:
            raise ValueError("an ACK of something else than EOF")
        return EofAck(sequence)
    if isinstance(pdu, FinishedPdu):
        condition = ConditionCode(pdu.condition_code)
        whole = pdu.delivery_code == DeliveryCode.DATA_COMPLETE
        if condition == ConditionCode.NO_ERROR and not whole:
            raise ValueError("a Finished that contradicts itself")
        return Finished(sequence, int(condition))
    wanted = tuple(pdu.segment_requests or ())
    requests = tuple(one for one in wanted if one != (0, 0))
    if pdu.end_of_scope < pdu.start_of_scope or any(end <= start for start, end in requests):
        raise ValueError("a range that ends before it begins")
    return Nak(
        sequence, pdu.start_of_scope, pdu.end_of_scope, requests, len(wanted) > len(requests)
    )
