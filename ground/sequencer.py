"""Sequencer: the frames of one virtual channel, put back into the order of sending.

A radio keeps the order; what carries its recording over a network may not. Frames that come
early wait for those before them, until they are `WINDOW` frames ahead or the stream ends. One that
comes still later is passed on by itself, so that the packets that lie whole in it are not lost. A
frame that comes twice is dropped.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import NamedTuple

from onboard.link import frames
from onboard.link.counters import FRAMES
from onboard.link.frames import Frame

WINDOW = 16
LATEST = 4 * WINDOW
"""How far ahead or behind a frame may come and still be one of a gap."""
REMEMBERED = 4096
"""Frames of a channel that are remembered, to tell a repeated stream from a gap."""


class Placed(NamedTuple):
    """A frame in its place.

    Attributes:
        frame: the frame.
        follows: whether it comes directly behind the one before it.
        late: whether it stands by itself, outside the order.
    """

    frame: Frame
    follows: bool
    late: bool = False


class Sequencer:
    """Feed frames with `add`; call `finish` at the end.

    Attributes:
        lost: frames of gaps that nothing filled; a loss of 256 or more counts modulo 256.
        repeated: frames that came twice.
        late: frames that came after their gap was given up.
    """

    def __init__(self) -> None:
        self.lost = self.repeated = self.late = 0
        self._expected: int | None = None
        self._early: dict[int, Frame] = {}
        self._missing: OrderedDict[int, None] = OrderedDict()
        self._recent: deque[tuple[int, int]] = deque(maxlen=2 * WINDOW)
        self._heard: deque[tuple[int, int]] = deque(maxlen=REMEMBERED)
        self._marks: dict[tuple[int, int], int] = {}

    def add(self, frame: Frame) -> Iterator[Placed]:
        """Frames whose turn has come."""
        count = frame.channel_count
        mark = (count, zlib.crc32(frame.data))
        if self._expected is None:
            self._expected = count
        ahead = (count - self._expected) % FRAMES
        if mark in self._recent:
            self.repeated += 1
            return
        self._recent.append(mark)
        if count in self._missing and ahead >= FRAMES - LATEST:
            self._remember(mark)
            del self._missing[count]
            self.lost, self.late = self.lost - 1, self.late + 1
            yield Placed(frame, follows=False, late=True)
        elif ahead <= LATEST:
            self._remember(mark)
            self._early[count] = frame
            yield from self._in_turn()
            while self._early and (count - self._expected) % FRAMES in range(WINDOW, LATEST + 1):
                yield from self._give_up()
        else:
            yield from self._jump(frame, mark)

    def finish(self) -> Iterator[Placed]:
        """What still waits for frames that did not come."""
        while self._early:
            yield from self._give_up()

    def _in_turn(self, follows: bool = True) -> Iterator[Placed]:
        assert self._expected is not None
        while self._expected in self._early:
            frame = self._early.pop(self._expected)
            self._missing.pop(self._expected, None)
            self._expected = (self._expected + 1) % FRAMES
            yield Placed(frame, follows)
            follows = True

    def _give_up(self) -> Iterator[Placed]:
        """Pass over the first gap."""
        assert self._expected is not None
        while self._expected not in self._early:
            self.lost += 1
            self._missing[self._expected] = None
            if len(self._missing) > 2 * WINDOW:
                self._missing.popitem(last=False)
            self._expected = (self._expected + 1) % FRAMES
        yield from self._in_turn(follows=False)

    def _jump(self, frame: Frame, mark: tuple[int, int]) -> Iterator[Placed]:
        """A gap too wide to wait for, or a stream that began again."""
        began_again = mark in self._marks and frame.first_header != frames.ONLY_IDLE
        yield from self.finish()
        assert self._expected is not None
        if not began_again:
            self.lost += (frame.channel_count - self._expected) % FRAMES
        self._missing.clear()
        self._remember(mark)
        self._expected = (frame.channel_count + 1) % FRAMES
        yield Placed(frame, follows=False)

    def _remember(self, mark: tuple[int, int]) -> None:
        if len(self._heard) == REMEMBERED:
            oldest = self._heard[0]
            self._marks[oldest] -= 1
            if not self._marks[oldest]:
                del self._marks[oldest]
        self._heard.append(mark)
        self._marks[mark] = self._marks.get(mark, 0) + 1
