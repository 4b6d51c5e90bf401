"""Counters: the running numbers by which the ground sees what was lost.

One per packet APID (14 bits), one per virtual channel and one for the master channel (8 bits
each). They survive restarts: the outbox stores them.
"""

from __future__ import annotations

from collections.abc import Mapping

PACKETS = 1 << 14
FRAMES = 1 << 8


class Counters:
    """Running numbers by name, taken one at a time."""

    def __init__(self, values: Mapping[str, int] = {}) -> None:
        self.values: dict[str, int] = dict(values)

    def packet(self, apid: int) -> int:
        """Take the next sequence count of an APID: 0…16383."""
        return self._take(f"apid:{apid:#05x}", PACKETS)

    def virtual_channel(self, channel: int) -> int:
        """Take the next frame count of a virtual channel: 0…255."""
        return self._take(f"vc:{channel}", FRAMES)

    def master_channel(self) -> int:
        """Take the next frame count of the master channel: 0…255."""
        return self._take("mc", FRAMES)

    def _take(self, name: str, modulus: int) -> int:
        value = self.values.get(name, 0) % modulus
        self.values[name] = (value + 1) % modulus
        return value
