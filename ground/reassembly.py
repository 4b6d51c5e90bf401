"""Reassembly: files out of CFDP units that were lost, repeated or came in another order.

A file is complete when its Metadata, its EOF and every byte have arrived in any sending
(CCSDS 727.0-B-5, class 1 and 2). What class 2 answers is in `ground.answers`. Units of one
transaction that contradict each other mean that something is wrong which no repeat can heal, so
the file is refused. Memory is bounded: by the number of open transactions, the size of a file,
its pieces, and the bytes held in all.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from spacepackets.cfdp.defs import (
    ChecksumType,
    ConditionCode,
    Direction,
    TransmissionMode,
)
from spacepackets.cfdp.pdu import AckPdu, DirectiveType, EofPdu, FileDataPdu, MetadataPdu
from spacepackets.cfdp.pdu.helper import PduFactory

from ground.segments import Segments
from onboard.errors import StreamError
from onboard.link.apid import GROUND_ENTITY
from onboard.link.cfdp import SEGMENT
from onboard.link.returns import UNIT_ERRORS
from onboard.product import MAX_BYTES

Unit: TypeAlias = MetadataPdu | FileDataPdu | EofPdu | AckPdu

MAX_OPEN = 256
MAX_FILE = MAX_BYTES
MAX_HELD = 4 * MAX_BYTES
MAX_DONE = 65_536
MAX_PIECES = 2 * MAX_FILE // SEGMENT
MAX_TOLD = 4096
CANCELLED = "cancelled by the sender"


class Key(NamedTuple):
    """A transaction: source entity and sequence number (727.0-B-5, 5.1)."""

    source: int
    sequence: int


class File(NamedTuple):
    """A whole file whose checksum is right."""

    key: Key
    name: str
    data: bytes


@dataclass(frozen=True)
class Unfinished:
    """A file that did not arrive whole.

    Attributes:
        source, sequence: its transaction.
        name: from its Metadata; empty where that is lost.
        size: bytes, or None where neither Metadata nor EOF arrived.
        missing: bytes that did not arrive, or None where the size is unknown.
        reason: one clause.
    """

    source: int
    sequence: int
    name: str
    size: int | None
    missing: int | None
    reason: str


@dataclass
class Transaction:
    """One file on its way; ``acknowledged`` is class 2."""

    metadata: MetadataPdu | None = None
    eof: EofPdu | None = None
    segments: Segments = field(default_factory=Segments)
    acknowledged: bool = False

    @property
    def name(self) -> str:
        """The file's name, as sent; never used as a path."""
        if self.metadata is None:
            return ""
        return (self.metadata.dest_file_name or "").encode("ascii", "replace").decode("ascii")

    @property
    def size(self) -> int | None:
        """The file's size, as sent."""
        known = self.metadata or self.eof
        return None if known is None else int(known.file_size)

    @property
    def missing(self) -> int | None:
        """Bytes that have not arrived."""
        return None if self.size is None else self.size - self.segments.held

    @property
    def complete(self) -> bool:
        """Whether every unit has arrived."""
        return self.metadata is not None and self.eof is not None and self.missing == 0

    def lacks(self) -> str:
        """What is missing, in words."""
        parts = [
            (self.metadata is None, "Metadata"),
            (self.eof is None, "EOF"),
            (self.missing != 0, "file data"),
        ]
        return " and ".join(name for gone, name in parts if gone) + " did not arrive"


class Done(NamedTuple):
    """How a transaction ended.

    Attributes:
        seal: checksum and size of the whole file; None where it was refused.
        condition: code of Finished, 0 for a whole file (727.0-B-5, table 5-5).
        heard_ms: time of the telemetry that ended it, UTC milliseconds since 1970.
        owed: whether the satellite has yet to acknowledge Finished.
    """

    seal: bytes | None
    condition: int
    heard_ms: int
    owed: bool


class Reassembly:
    """Feed units with `add`; take whole files from what it returns.

    What an earlier reception left can be put in first, with `resume`. A transaction that was over
    before this reception is put together anew where all of it comes again.

    Attributes:
        refused: files that were given up, with the reason.
        bad_units: units that are no CFDP, or not for us.
        contradictions: files refused because their units contradict each other.
        refused_more: files given up beyond the first `MAX_TOLD`, which `refused` names.
        open: transactions on their way.
        done: those that ended in this reception.
        former: those that ended before it.
        cancelled: those that the sender called off in this reception.
    """

    def __init__(
        self, max_open: int = MAX_OPEN, max_file: int = MAX_FILE, max_held: int = MAX_HELD
    ) -> None:
        self.max_open, self.max_file, self.max_held = max_open, max_file, max_held
        self.refused: list[Unfinished] = []
        self.bad_units = 0
        self.contradictions = 0
        self.refused_more = 0
        self.open: OrderedDict[Key, Transaction] = OrderedDict()
        self.done: OrderedDict[Key, Done] = OrderedDict()
        self.former: OrderedDict[Key, Done] = OrderedDict()
        self.cancelled: OrderedDict[Key, Transaction] = OrderedDict()

    def resume(self, opened: Mapping[Key, Transaction], former: Mapping[Key, Done]) -> None:
        """Go on from an earlier reception."""
        self.open.update(opened)
        self.former.update(former)
        self._bound(None)

    def add(self, unit: bytes, heard_ms: int = 0) -> File | None:
        """Take one unit; the file, if this completes it and its checksum is right.

        Args:
            unit: as it came in a packet.
            heard_ms: the time that its packet bore.
        """
        try:
            pdu = parse(unit)
        except StreamError:
            self.bad_units += 1
            return None
        key = Key(pdu.source_entity_id.value, pdu.transaction_seq_num.value)
        if isinstance(pdu, AckPdu):
            self._acknowledge(key)
            return None
        if self._is_repeat(key, pdu, heard_ms):
            return None
        transaction = self.open.setdefault(key, Transaction())
        transaction.acknowledged |= pdu.transmission_mode == TransmissionMode.ACKNOWLEDGED
        self.open.move_to_end(key)
        problem = self._merge(transaction, pdu)
        if problem:
            self._refuse(key, transaction, problem, heard_ms)
            return None
        self._bound(key)
        return self._finish(key, transaction, heard_ms) if transaction.complete else None

    def unfinished(self) -> list[Unfinished]:
        """Files that are still open, and what they lack; repeats of whole ones are none."""
        return [
            _unfinished(key, one, one.lacks())
            for key, one in self.open.items()
            if not (key in self.former and self.former[key].seal is not None)
        ]

    def _acknowledge(self, key: Key) -> None:
        for ended in (self.done, self.former):
            if key in ended:
                ended[key] = ended[key]._replace(owed=False)

    def _is_repeat(self, key: Key, pdu: Unit, heard_ms: int) -> bool:
        """Whether the transaction is over; a different EOF under its number starts anew."""
        for ended in (self.done, self.former):
            if key in ended and self._is_anew(ended[key], pdu):
                del ended[key]
            if key in ended and isinstance(pdu, EofPdu):
                # The satellite does not know that it is over.
                asked = pdu.transmission_mode == TransmissionMode.ACKNOWLEDGED
                owed = asked or ended[key].owed
                ended[key] = ended[key]._replace(owed=owed, heard_ms=heard_ms)
        refused = key in self.former and self.former[key].seal is None
        return key in self.done or refused

    def _is_anew(self, done: Done, pdu: Unit) -> bool:
        # After a restart from nothing the satellite uses a number for another file.
        if done.seal is None:
            return False
        if isinstance(pdu, MetadataPdu):
            return int(pdu.file_size) != int.from_bytes(done.seal[4:], "big")
        if isinstance(pdu, EofPdu):
            return not pdu.condition_code and _seal(pdu) != done.seal
        return False

    def _merge(self, transaction: Transaction, pdu: Unit) -> str:
        """Put a unit in its place; the reason to refuse the file, or nothing."""
        if isinstance(pdu, EofPdu) and pdu.condition_code != 0:
            return CANCELLED
        if isinstance(pdu, MetadataPdu):
            if transaction.metadata is not None and transaction.metadata != pdu:
                return "two different Metadata"
            transaction.metadata = pdu
        elif isinstance(pdu, EofPdu):
            if transaction.eof is not None and transaction.eof != pdu:
                return "two different EOF"
            transaction.eof = pdu
        elif pdu.offset + len(pdu.file_data) > self.max_file:
            return f"file data beyond the limit of {self.max_file} bytes"
        elif not transaction.segments.add(pdu.offset, pdu.file_data):
            return "contradictory file data"
        elif len(transaction.segments) > MAX_PIECES:
            return f"more than {MAX_PIECES} pieces"
        return self._contradiction(transaction)

    def _contradiction(self, transaction: Transaction) -> str:
        metadata, eof, size = transaction.metadata, transaction.eof, transaction.size
        if size is None:
            return ""
        if size > self.max_file:
            return f"{size} bytes are more than the limit of {self.max_file}"
        if metadata is not None and eof is not None and metadata.file_size != eof.file_size:
            return "Metadata and EOF name different sizes"
        if transaction.segments.end > size:
            return "file data beyond the file's end"
        return ""

    def _finish(self, key: Key, transaction: Transaction, heard_ms: int) -> File | None:
        assert transaction.metadata is not None
        assert transaction.eof is not None
        data = transaction.segments.joined()
        expected = checksum(data, transaction.metadata.checksum_type)
        if expected is None:
            self._refuse(key, transaction, "a checksum type that is not known here", heard_ms)
            return None
        if expected != transaction.eof.file_checksum:
            self._refuse(key, transaction, "the file's checksum is wrong", heard_ms)
            return None
        self._close(key, Done(_seal(transaction.eof), 0, heard_ms, transaction.acknowledged))
        return File(key, transaction.name, data)

    def _refuse(self, key: Key, transaction: Transaction, reason: str, heard_ms: int) -> None:
        self._tell(key, transaction, reason)
        if reason == CANCELLED:
            if len(self.cancelled) < MAX_TOLD:
                self.cancelled[key] = transaction
        else:
            self.contradictions += 1
        owed = transaction.acknowledged and reason != CANCELLED
        failure = int(ConditionCode.FILE_CHECKSUM_FAILURE)
        self._close(key, Done(None, failure, heard_ms, owed))

    def _tell(self, key: Key, transaction: Transaction, reason: str) -> None:
        if len(self.refused) < MAX_TOLD:
            self.refused.append(_unfinished(key, transaction, reason))
        else:
            self.refused_more += 1

    def _close(self, key: Key, done: Done) -> None:
        del self.open[key]
        self.former.pop(key, None)
        self._remember(key, done)

    def _remember(self, key: Key, done: Done) -> None:
        self.done[key] = done
        if len(self.done) > MAX_DONE:
            self.done.popitem(last=False)

    def _bound(self, newest: Key | None) -> None:
        """Give up the file that was longest without news while there are too many.

        A class-2 file is only forgotten: what comes of it later opens it anew, and the satellite
        is asked for all of it.
        """
        while len(self.open) > self.max_open or self._held() > self.max_held:
            key, transaction = next(iter(self.open.items()))
            if key == newest and len(self.open) == 1:
                return
            reason = "given up: too many files are open"
            self._tell(key, transaction, reason)
            del self.open[key]
            if not transaction.acknowledged:
                self._remember(key, Done(None, 0, 0, False))

    def _held(self) -> int:
        return sum(one.segments.held for one in self.open.values())


def parse(unit: bytes) -> Unit:
    """Decode one unit that is addressed to the ground.

    Raises:
        StreamError: it is something else.
    """
    try:
        pdu = _unpacker(unit).unpack(unit)
        if isinstance(pdu, MetadataPdu):
            # The library decodes the name late; one that is no UTF-8 must not pass.
            str(pdu.dest_file_name)
    except UNIT_ERRORS as error:
        raise StreamError(f"a CFDP unit does not decode ({type(error).__name__})") from error
    header = pdu.pdu_header
    ours = (
        header.packet_len == len(unit)
        and header.direction == Direction.TOWARDS_RECEIVER
        and header.dest_entity_id.value == GROUND_ENTITY
    )
    if isinstance(pdu, AckPdu):
        ours &= header.transmission_mode == TransmissionMode.ACKNOWLEDGED
        ours &= pdu.directive_code_of_acked_pdu == DirectiveType.FINISHED_PDU
    if not ours:
        raise StreamError("a CFDP unit is not one for this ground station")
    return pdu


def _unpacker(unit: bytes) -> Any:
    if not PduFactory.is_file_directive(unit):
        return FileDataPdu
    directive = PduFactory.pdu_directive_type(unit)
    if directive == DirectiveType.METADATA_PDU:
        return MetadataPdu
    if directive == DirectiveType.EOF_PDU:
        return EofPdu
    if directive == DirectiveType.ACK_PDU:
        return AckPdu
    raise ValueError(f"a sender does not send {directive}")


def checksum(data: bytes, kind: ChecksumType) -> bytes | None:
    """A file's checksum (727.0-B-5, 4.2.2); None where the kind is not known here."""
    if kind == ChecksumType.CRC_32:
        return zlib.crc32(data).to_bytes(4, "big")
    if kind == ChecksumType.MODULAR:
        words = np.frombuffer(data + bytes(-len(data) % 4), ">u4")
        return (int(words.sum(dtype=np.uint64)) % 2**32).to_bytes(4, "big")
    return None


def _seal(eof: EofPdu) -> bytes:
    return bytes(eof.file_checksum) + int(eof.file_size).to_bytes(8, "big")


def _unfinished(key: Key, one: Transaction, reason: str) -> Unfinished:
    return Unfinished(key.source, key.sequence, one.name, one.size, one.missing, reason)
