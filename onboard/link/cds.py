"""CDS: the day-segmented time code of CCSDS 301.0-B-4, 3.3, in its short form.

Seven bytes: the P-field 0x40, days since 1958-01-01 (16 bits), milliseconds of the day
(32 bits). Times elsewhere in FloodSat are UTC milliseconds since 1970.
"""

from __future__ import annotations

import struct

from spacepackets.ccsds.time import CdsShortTimestamp

DAY_MS = 86_400_000
LEAP_DAY_MS = DAY_MS + 1000
EPOCH_DAYS = 4383
"""Days from 1958-01-01 to 1970-01-01."""
SIZE = 7
FIRST_MS = -EPOCH_DAYS * DAY_MS
LAST_MS = (0xFFFF - EPOCH_DAYS + 1) * DAY_MS - 1


def pack(unix_ms: int) -> bytes:
    """Encode a time; 7 bytes.

    Raises:
        ValueError: the time is before 1958 or after the middle of 2137.
    """
    if not FIRST_MS <= unix_ms <= LAST_MS:
        raise ValueError(f"the time {unix_ms} ms does not fit the CDS code (1958 to 2137)")
    days, ms = divmod(unix_ms, DAY_MS)
    return bytes(CdsShortTimestamp.from_unix_days(days, ms).pack())


def unpack(data: bytes) -> int:
    """Decode 7 bytes to UTC milliseconds since 1970.

    Raises:
        ValueError: it is another time code, or the day has too many milliseconds.
    """
    if len(data) != SIZE or data[0] != 0x40:
        raise ValueError("this is no short CDS time")
    days, ms = struct.unpack(">HI", data[1:])
    if ms >= LEAP_DAY_MS:
        raise ValueError(f"a day does not have {ms} milliseconds")
    return int((days - EPOCH_DAYS) * DAY_MS + ms)
