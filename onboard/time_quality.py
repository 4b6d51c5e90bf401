"""How well the time of an acquisition is known."""

from __future__ import annotations

import enum


class TimeQuality(enum.IntEnum):
    """How the time of acquisition is known."""

    UNKNOWN = 0
    FILE = 1
    CLOCK = 2
    GNSS = 3

    @property
    def text(self) -> str:
        """A phrase for people."""
        return _TIME_TEXT[self]


_TIME_TEXT = {
    TimeQuality.UNKNOWN: "unknown",
    TimeQuality.FILE: "from the frame's file",
    TimeQuality.CLOCK: "on-board clock, not synchronised",
    TimeQuality.GNSS: "on-board clock, synchronised by GNSS",
}
