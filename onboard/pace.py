"""Pace: how many frames may be begun, for a satellite that has watts for only so many."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

HOUR_S = 3600.0


class Pace:
    """Bounds the frames of any hour, and rests after each.

    Args:
        per_hour: frames that may be begun in any hour; 0 for no bound.
        rest_s: after every frame, seconds.
        monotonic: seconds that never go back, so that no change of the clock matters.
    """

    def __init__(self, per_hour: int, rest_s: float, monotonic: Callable[[], float]) -> None:
        self._per_hour, self._rest_s, self._now = per_hour, rest_s, monotonic
        self._begun: deque[float] = deque(maxlen=max(1, per_hour))
        self._free_at = float("-inf")

    def wait_s(self) -> float:
        """Seconds until the next frame may be begun."""
        now = self._now()
        wait = self._free_at - now
        if self._per_hour and len(self._begun) == self._per_hour:
            wait = max(wait, self._begun[0] + HOUR_S - now)
        return max(0.0, wait)

    def begin(self) -> None:
        """A frame is begun."""
        self._begun.append(self._now())

    def end(self) -> None:
        """It is done with."""
        self._free_at = self._now() + self._rest_s
