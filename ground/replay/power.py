"""Power: when the payload is off, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple

from ground.replay.foremost import foremost
from ground.replay.scenario import Power, Span

_DAY = timedelta(days=1)


class Off(NamedTuple):
    """A stretch without power.

    Attributes:
        span: from when to when, within the scenario.
        reason: in words.
        safe: whether it is a safe mode, which nobody planned.
    """

    span: Span
    reason: str
    safe: bool


def off_times(power: Power, span: Span, eclipses: Sequence[Span]) -> tuple[Off, ...]:
    """Every stretch without power, in order, none overlapping.

    Where several causes meet, a safe mode is named before the daily plan and that before the
    shadow.

    Args:
        power: of the scenario.
        span: of the scenario.
        eclipses: when the satellite is in the Earth's shadow.
    """
    causes = [(one.span, f"safe mode: {one.reason}", 2) for one in power.safe_modes]
    causes += [(one, "off by the daily plan", 1) for one in _daily(power, span)]
    if power.off_in_eclipse:
        causes += [(one, "in the Earth's shadow", 0) for one in eclipses]
    within = [Span(max(one.start, span.start), min(one.end, span.end)) for one, _, _ in causes]
    pieces = foremost(within, [rank for _, _, rank in causes])
    return tuple(Off(one.span, causes[one.which][1], causes[one.which][2] == 2) for one in pieces)


def _daily(power: Power, span: Span) -> Iterator[Span]:
    day = datetime.combine(span.start.astimezone(UTC).date(), time(), UTC) - _DAY
    while day < span.end:
        for first, last in power.off_daily:
            start = datetime.combine(day.date(), first, UTC)
            end = datetime.combine(day.date(), last, UTC)
            one = Span(start, end if start < end else end + _DAY)
            if one.end > span.start and one.start < span.end:
                yield one
        day += _DAY
