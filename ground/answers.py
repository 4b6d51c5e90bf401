"""Answers: what the ground says to class-2 transfers at the end of a reception.

One report a contact (727.0-B-5, 4.6.4.3.3 and 4.7): for each transfer that is on its way an ACK
of its EOF, if that has come, and a sequence of NAKs that names every gap; for each that ended
Finished, until the satellite acknowledges it. Reports are whole: the newest says everything, so a
lost one costs nothing. Nothing is asked for in the middle of a contact, where what is missing may
be on its way.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from spacepackets.cfdp.defs import ConditionCode, DeliveryCode, FileStatus
from spacepackets.cfdp.pdu import AckPdu, DirectiveType, FinishedPdu, NakPdu, TransactionStatus
from spacepackets.cfdp.pdu.finished import FinishedParams

from ground.reassembly import Done, Key, Reassembly, Transaction
from onboard.link import returns
from onboard.link.apid import SATELLITE_ENTITY
from onboard.link.cfdp import TRANSACTIONS, config_of
from onboard.link.counters import PACKETS
from onboard.link.packets import OVERHEAD

if TYPE_CHECKING:
    from ground.memory import Memory
    from ground.receive import Reception

ACTIVE, TERMINATED = TransactionStatus.ACTIVE, TransactionStatus.TERMINATED


def conclude(memory: Memory, reception: Reception) -> bytes:
    """End a reception: what is to go up; ``memory`` takes over what the next one needs."""
    returned = b""
    if reception.heard_ms is not None:
        memory.heard_ms = reception.heard_ms
    if memory.heard_ms is not None:
        returned, memory.return_count = report(
            reception.files, memory.heard_ms, memory.return_count
        )
    memory.expected.update(reception.expected)
    memory.keep(reception.files)
    return returned


def report(files: Reassembly, heard_ms: int, first_count: int = 0) -> tuple[bytes, int]:
    """The return stream after a reception.

    Args:
        files: what it left.
        heard_ms: time of the last telemetry heard, UTC milliseconds since 1970.
        first_count: sequence count of its first packet.

    Returns:
        The stream, and the sequence count of the next one's first packet.
    """
    parts: list[bytes] = []
    size = 0
    for when, units in answers(files, heard_ms):
        length = sum(len(unit) + OVERHEAD for unit in units)
        # What does not fit any more is said in the next report.
        if size + length <= returns.MAX_STREAM:
            parts.append(returns.pack(units, when, first_count))
            size, first_count = size + length, (first_count + len(units)) % PACKETS
    return b"".join(parts), first_count


def answers(files: Reassembly, heard_ms: int) -> Iterator[tuple[int, list[bytes]]]:
    """Per transfer: which telemetry the answer speaks about, and its units."""
    for key, one in files.cancelled.items():
        if _is_ours(key) and one.acknowledged:
            cancelled = ConditionCode.CANCEL_REQUEST_RECEIVED
            yield heard_ms, [_eof_ack(key.sequence, TERMINATED, cancelled)]
    for ended in (files.done, files.former):
        for key, done in ended.items():
            if _is_ours(key) and done.owed:
                yield done.heard_ms, [_eof_ack(key.sequence, TERMINATED), _finished(key, done)]
    for key, one in files.open.items():
        # Of what looks like a repeat nothing is asked until its EOF says that it is none.
        if _is_ours(key) and one.acknowledged and key not in files.former:
            yield heard_ms, _progress(key.sequence, one)


def _is_ours(key: Key) -> bool:
    return key.source == SATELLITE_ENTITY and key.sequence < TRANSACTIONS


def _progress(sequence: int, one: Transaction) -> list[bytes]:
    """ACK of EOF where it came, and what is missing."""
    units = [_eof_ack(sequence, ACTIVE)] if one.eof is not None else []
    end = one.segments.end if one.eof is None else int(one.eof.file_size)
    requests = [] if one.metadata is not None else [(0, 0)]
    requests += one.segments.gaps(end)
    step = returns.MAX_REQUESTS
    batches = [requests[at : at + step] for at in range(0, len(requests), step)] or [[]]
    # Each NAK speaks of the range from where the one before it ended (5.2.6).
    edges = [0, *(batch[-1][1] for batch in batches[:-1]), end]
    for batch, (start, stop) in zip(batches, pairwise(edges), strict=True):
        units.append(bytes(NakPdu(config_of(sequence, True, True), start, stop, batch).pack()))
    return units


def _eof_ack(
    sequence: int,
    status: TransactionStatus,
    condition: ConditionCode = ConditionCode.NO_ERROR,
) -> bytes:
    config = config_of(sequence, True, to_sender=True)
    return bytes(AckPdu(config, DirectiveType.EOF_PDU, condition, status).pack())


def _finished(key: Key, done: Done) -> bytes:
    whole = done.seal is not None
    params = FinishedParams(
        condition_code=ConditionCode(done.condition),
        delivery_code=DeliveryCode.DATA_COMPLETE if whole else DeliveryCode.DATA_INCOMPLETE,
        file_status=FileStatus.FILE_RETAINED if whole else FileStatus.DISCARDED_DELIBERATELY,
    )
    return bytes(FinishedPdu(config_of(key.sequence, True, to_sender=True), params).pack())
