"""CFDP: how a file crosses a link that loses pieces (CCSDS 727.0-B-5).

Class 1: Metadata (name and size), File Data (pieces by offset) and EOF (size and checksum), with
nothing coming back. Sending the same units again, under the same transaction number, lets the
ground fill the holes of one sending from another. The packets around the units have a CRC, so
the units have none.
"""

from __future__ import annotations

import zlib

from spacepackets.cfdp.conf import PduConfig
from spacepackets.cfdp.defs import ChecksumType, CrcFlag, TransmissionMode
from spacepackets.cfdp.pdu import EofPdu, FileDataPdu, MetadataParams, MetadataPdu
from spacepackets.cfdp.pdu.file_data import FileDataParams
from spacepackets.util import ByteFieldU8, ByteFieldU32

from onboard.link.apid import GROUND_ENTITY, SATELLITE_ENTITY

SEGMENT = 1024
TRANSACTIONS = 1 << 32


def pdus(data: bytes, name: str, sequence: int, segment: int = SEGMENT) -> list[bytes]:
    """One whole sending of a file.

    Args:
        data: the file; at least one byte.
        name: its name at both ends, at most 255 bytes of UTF-8.
        sequence: transaction number, 0…2³²-1, never used for another file.
        segment: bytes of the file in one unit.

    Returns:
        Metadata, File Data in order of offset, EOF.

    Raises:
        ValueError: the file is empty, or the name or the number does not fit.
    """
    if not data:
        raise ValueError("an empty file cannot be sent")
    if not 0 <= sequence < TRANSACTIONS:
        raise ValueError(f"transaction number {sequence} does not fit 32 bits")
    config = _config(sequence)
    params = MetadataParams(False, ChecksumType.CRC_32, len(data), name, name)
    units = [bytes(MetadataPdu(config, params).pack())]
    for offset in range(0, len(data), segment):
        piece = FileDataParams(data[offset : offset + segment], offset)
        units.append(bytes(FileDataPdu(config, piece).pack()))
    checksum = zlib.crc32(data).to_bytes(4, "big")
    units.append(bytes(EofPdu(config, checksum, len(data)).pack()))
    return units


def _config(sequence: int) -> PduConfig:
    return PduConfig(
        source_entity_id=ByteFieldU8(SATELLITE_ENTITY),
        dest_entity_id=ByteFieldU8(GROUND_ENTITY),
        transaction_seq_num=ByteFieldU32(sequence),
        trans_mode=TransmissionMode.UNACKNOWLEDGED,
        crc_flag=CrcFlag.NO_CRC,
    )
