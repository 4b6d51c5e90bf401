"""Reassembly: files out of CFDP units that were lost, repeated or came in another order.

A file is complete when its Metadata, its EOF and every byte have arrived in any sending
(CCSDS 727.0-B-5, class 1). Units of one transaction that contradict each other mean that
something is wrong which no repeat can heal, so the file is refused. Memory is bounded: by the
number of open transactions, the size of a file and the bytes held in all.
"""

from __future__ import annotations

import struct
import zlib
from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from spacepackets.cfdp.defs import (
    ChecksumType,
    Direction,
    InvalidCrcError,
    TransmissionMode,
    UnsupportedCfdpVersionError,
)
from spacepackets.cfdp.pdu import DirectiveType, EofPdu, FileDataPdu, MetadataPdu
from spacepackets.cfdp.pdu.helper import PduFactory
from spacepackets.cfdp.tlv.defs import TlvTypeMissmatchError
from spacepackets.exceptions import BytesTooShortError

from onboard.errors import StreamError
from onboard.link.apid import GROUND_ENTITY
from onboard.product import MAX_BYTES

Unit: TypeAlias = MetadataPdu | FileDataPdu | EofPdu

MAX_OPEN = 256
MAX_FILE = MAX_BYTES
MAX_HELD = 4 * MAX_BYTES
MAX_DONE = 65_536


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


class Segments:
    """Pieces of a file by offset, never overlapping, holding only what arrived."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._pieces: list[bytes] = []
        self.held = 0

    def add(self, offset: int, data: bytes) -> bool:
        """Merge a piece; False where it contradicts what is there."""
        holes: list[tuple[int, bytes]] = []
        at, end = offset, offset + len(data)
        index = max(bisect_right(self._starts, offset) - 1, 0)
        while index < len(self._starts) and self._starts[index] < end:
            start, piece = self._starts[index], self._pieces[index]
            index += 1
            low, high = max(start, offset), min(start + len(piece), end)
            if low >= high:
                continue
            if piece[low - start : high - start] != data[low - offset : high - offset]:
                return False
            if at < low:
                holes.append((at, data[at - offset : low - offset]))
            at = high
        if at < end:
            holes.append((at, data[at - offset :]))
        self._insert(holes)
        return True

    def _insert(self, holes: list[tuple[int, bytes]]) -> None:
        for start, piece in holes:
            index = bisect_right(self._starts, start)
            self._starts.insert(index, start)
            self._pieces.insert(index, piece)
            self.held += len(piece)

    @property
    def end(self) -> int:
        """Where the last piece ends."""
        return self._starts[-1] + len(self._pieces[-1]) if self._starts else 0

    def joined(self) -> bytes:
        """All pieces, one behind the other."""
        return b"".join(self._pieces)


@dataclass
class Transaction:
    """One file on its way."""

    metadata: MetadataPdu | None = None
    eof: EofPdu | None = None
    segments: Segments = field(default_factory=Segments)

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


class Reassembly:
    """Feed units with `add`; take whole files from what it returns.

    Attributes:
        refused: files that were given up, with the reason.
        bad_units: units that are no CFDP, or not for us.
    """

    def __init__(
        self, max_open: int = MAX_OPEN, max_file: int = MAX_FILE, max_held: int = MAX_HELD
    ) -> None:
        self.max_open, self.max_file, self.max_held = max_open, max_file, max_held
        self.refused: list[Unfinished] = []
        self.bad_units = 0
        self._open: OrderedDict[Key, Transaction] = OrderedDict()
        self._done: OrderedDict[Key, bytes | None] = OrderedDict()

    def add(self, unit: bytes) -> File | None:
        """Take one unit; the file, if this completes it and its checksum is right."""
        try:
            pdu = parse(unit)
        except StreamError:
            self.bad_units += 1
            return None
        key = Key(pdu.source_entity_id.value, pdu.transaction_seq_num.value)
        if self._is_repeat(key, pdu):
            return None
        transaction = self._open.setdefault(key, Transaction())
        self._open.move_to_end(key)
        problem = self._merge(transaction, pdu)
        if problem:
            self._refuse(key, transaction, problem)
            return None
        self._bound(key)
        return self._finish(key, transaction) if transaction.complete else None

    def unfinished(self) -> list[Unfinished]:
        """Files that are still open, and what they lack."""
        return [_unfinished(key, one, one.lacks()) for key, one in self._open.items()]

    def _is_repeat(self, key: Key, pdu: Unit) -> bool:
        """Whether the transaction is over; a different EOF under its number starts anew."""
        if key not in self._done:
            return False
        eof = self._done[key]
        # After a restart from nothing the satellite uses a number for another file.
        if isinstance(pdu, MetadataPdu) and eof is not None:
            anew = int(pdu.file_size) != int.from_bytes(eof[4:], "big")
        elif isinstance(pdu, EofPdu) and eof is not None:
            anew = _seal(pdu) != eof
        else:
            anew = False
        if anew:
            del self._done[key]
        return not anew

    def _merge(self, transaction: Transaction, pdu: Unit) -> str:
        """Put a unit in its place; the reason to refuse the file, or nothing."""
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
        return self._contradiction(transaction)

    def _contradiction(self, transaction: Transaction) -> str:
        metadata, eof, size = transaction.metadata, transaction.eof, transaction.size
        if eof is not None and eof.condition_code != 0:
            return "cancelled by the sender"
        if size is None:
            return ""
        if size > self.max_file:
            return f"{size} bytes are more than the limit of {self.max_file}"
        if metadata is not None and eof is not None and metadata.file_size != eof.file_size:
            return "Metadata and EOF name different sizes"
        if transaction.segments.end > size:
            return "file data beyond the file's end"
        return ""

    def _finish(self, key: Key, transaction: Transaction) -> File | None:
        assert transaction.metadata is not None
        assert transaction.eof is not None
        data = transaction.segments.joined()
        expected = checksum(data, transaction.metadata.checksum_type)
        if expected is None:
            self._refuse(key, transaction, "a checksum type that is not known here")
            return None
        if expected != transaction.eof.file_checksum:
            self._refuse(key, transaction, "the file's checksum is wrong")
            return None
        del self._open[key]
        self._close(key, _seal(transaction.eof))
        return File(key, transaction.name, data)

    def _refuse(self, key: Key, transaction: Transaction, reason: str) -> None:
        self.refused.append(_unfinished(key, transaction, reason))
        del self._open[key]
        self._close(key, None)

    def _close(self, key: Key, seal: bytes | None) -> None:
        self._done[key] = seal
        if len(self._done) > MAX_DONE:
            self._done.popitem(last=False)

    def _bound(self, newest: Key) -> None:
        """Give up the file that was longest without news while there are too many."""
        while len(self._open) > self.max_open or self._held() > self.max_held:
            key, transaction = next(iter(self._open.items()))
            if key == newest and len(self._open) == 1:
                return
            self._refuse(key, transaction, "given up: too many files are open")

    def _held(self) -> int:
        return sum(one.segments.held for one in self._open.values())


def parse(unit: bytes) -> Unit:
    """Decode one class-1 unit that is addressed to the ground.

    Raises:
        StreamError: it is something else.
    """
    try:
        pdu = _unpacker(unit).unpack(unit)
        if isinstance(pdu, MetadataPdu):
            # The library decodes the name late; one that is no UTF-8 must not pass.
            str(pdu.dest_file_name)
    except (
        BytesTooShortError,
        InvalidCrcError,
        TlvTypeMissmatchError,
        UnsupportedCfdpVersionError,
        ValueError,
        IndexError,
        struct.error,
    ) as error:
        raise StreamError(f"a CFDP unit does not decode ({type(error).__name__})") from error
    header = pdu.pdu_header
    ours = (
        header.packet_len == len(unit)
        and header.direction == Direction.TOWARDS_RECEIVER
        and header.transmission_mode == TransmissionMode.UNACKNOWLEDGED
        and header.dest_entity_id.value == GROUND_ENTITY
    )
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
    raise ValueError(f"class 1 does not send {directive}")


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
