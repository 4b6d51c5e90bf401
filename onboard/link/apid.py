"""APID: the application process identifier that says what a space packet holds.

CCSDS 133.0-B-2, 4.1.3.3.4. The numbers are FloodSat's; 0x7FF is the standard's idle packet.
The identities of the two ends of the link stand here too.
"""

from __future__ import annotations

import enum


class Apid(enum.IntEnum):
    """Who a packet is from."""

    HOUSEKEEPING = 0x1F0
    ALERT = 0x1F1
    CFDP = 0x1F2
    ACK = 0x1F3
    IDLE = 0x7FF

    @property
    def text(self) -> str:
        """A lower-case name for tables and reports."""
        return self.name.lower()


SPACECRAFT_ID = 0x2A5
"""10 bits, in every transfer frame (CCSDS 132.0-B-3, 4.1.2.2.3)."""

VC_DATA = 0
VC_IDLE = 7
"""Virtual channels: one carries packets, the other only idle data."""

SATELLITE_ENTITY = 1
GROUND_ENTITY = 2
"""CFDP entity ids, one byte each (CCSDS 727.0-B-5, 5.1)."""
