"""CFDP: how a file crosses a link that loses pieces (CCSDS 727.0-B-5).

A file goes as units: Metadata (name and size), File Data (pieces by offset) and EOF (size and
checksum). In class 1 nothing comes back: sending the same units again, under the same
transaction number, lets the ground fill the holes of one sending from another. In class 2 the
ground says what it lacks, and when it has all. The packets around the units have a CRC, so the
units have none.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import overload

from spacepackets.cfdp.conf import PduConfig
from spacepackets.cfdp.defs import (
    ChecksumType,
    ConditionCode,
    CrcFlag,
    Direction,
    TransmissionMode,
)
from spacepackets.cfdp.pdu import (
    AckPdu,
    DirectiveType,
    EofPdu,
    FileDataPdu,
    MetadataParams,
    MetadataPdu,
    TransactionStatus,
)
from spacepackets.cfdp.pdu.file_data import FileDataParams
from spacepackets.util import ByteFieldU8, ByteFieldU32

from onboard.link.apid import GROUND_ENTITY, SATELLITE_ENTITY

SEGMENT = 1024
TRANSACTIONS = 1 << 32
HEADER = 10
"""Bytes of a PDU header with our lengths of identifiers (5.1)."""
CLASSES = (1, 2)


class Units(Sequence[bytes]):
    """The units of one whole sending of a file, each made when it is asked for.

    Metadata first, then File Data in order of offset, then EOF. The same file, name and number
    always give the same bytes.

    Args:
        data: the file; at least one byte.
        name: its name at both ends, at most 255 bytes of UTF-8.
        sequence: transaction number, 0…2³²-1, never used for another file.
        acknowledged: whether it is class 2.
        segment: bytes of the file in one unit.

    Raises:
        ValueError: the file is empty, or the name or the number does not fit.
    """

    def __init__(
        self,
        data: bytes,
        name: str,
        sequence: int,
        acknowledged: bool = False,
        segment: int = SEGMENT,
    ) -> None:
        if not data:
            raise ValueError("an empty file cannot be sent")
        if not 0 <= sequence < TRANSACTIONS:
            raise ValueError(f"transaction number {sequence} does not fit 32 bits")
        if len(name.encode()) > 255:
            raise ValueError("a file's name has more than 255 bytes")
        self.data, self.name, self.sequence = data, name, sequence
        self.acknowledged, self.segment = acknowledged, segment

    def __len__(self) -> int:
        return units_of(len(self.data), self.segment)

    @overload
    def __getitem__(self, index: int) -> bytes: ...

    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...

    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if isinstance(index, slice):
            return [self._unit(one) for one in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self._unit(index % len(self))

    def size(self, index: int) -> int:
        """Bytes of unit ``index``, without making it."""
        if index == 0:
            return HEADER + 6 + 2 * (1 + len(self.name.encode()))
        if index == len(self) - 1:
            return HEADER + 10
        return HEADER + 4 + min(self.segment, len(self.data) - (index - 1) * self.segment)

    def _unit(self, index: int) -> bytes:
        config = config_of(self.sequence, self.acknowledged)
        if index == 0:
            params = MetadataParams(
                False, ChecksumType.CRC_32, len(self.data), self.name, self.name
            )
            return bytes(MetadataPdu(config, params).pack())
        if index == len(self) - 1:
            checksum = zlib.crc32(self.data).to_bytes(4, "big")
            return bytes(EofPdu(config, checksum, len(self.data)).pack())
        offset = (index - 1) * self.segment
        piece = FileDataParams(self.data[offset : offset + self.segment], offset)
        return bytes(FileDataPdu(config, piece).pack())


def units_of(size: int, segment: int = SEGMENT) -> int:
    """How many units a file of ``size`` bytes goes as."""
    return -(-size // segment) + 2


def pdus(
    data: bytes, name: str, sequence: int, segment: int = SEGMENT, acknowledged: bool = False
) -> list[bytes]:
    """One whole sending of a file, as a list; see `Units`."""
    return list(Units(data, name, sequence, acknowledged, segment))


def finished_ack(sequence: int, condition: int, known: bool = True) -> bytes:
    """The satellite's last word in a class-2 transfer: ACK of Finished (5.2.4).

    Args:
        sequence: transaction number.
        condition: the condition code that Finished gave.
        known: whether the transaction is one of ours.
    """
    status = TransactionStatus.TERMINATED if known else TransactionStatus.UNRECOGNIZED
    ack = AckPdu(
        config_of(sequence, True), DirectiveType.FINISHED_PDU, ConditionCode(condition), status
    )
    return bytes(ack.pack())


def config_of(sequence: int, acknowledged: bool, to_sender: bool = False) -> PduConfig:
    """What the header of every unit of a transaction says (5.1)."""
    mode = TransmissionMode.ACKNOWLEDGED if acknowledged else TransmissionMode.UNACKNOWLEDGED
    return PduConfig(
        source_entity_id=ByteFieldU8(SATELLITE_ENTITY),
        dest_entity_id=ByteFieldU8(GROUND_ENTITY),
        transaction_seq_num=ByteFieldU32(sequence),
        trans_mode=mode,
        crc_flag=CrcFlag.NO_CRC,
        direction=Direction.TOWARDS_SENDER if to_sender else Direction.TOWARDS_RECEIVER,
    )
