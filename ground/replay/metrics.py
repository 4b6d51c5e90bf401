"""Metrics: what a strategy brought, how soon, and how right it was, by the truth."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ground.replay.result import Latency, Series

FLOOD_KM2 = 1.0
"""From here on a frame counts as one with flood."""
NO_FLOOD_KM2 = 0.01
"""Up to here it counts as one without."""


@dataclass(frozen=True)
class Seen:
    """A frame as the metrics see it, the same for every strategy.

    Attributes:
        number: of the frame.
        taken_ms: when.
        flood_km2: in its clear part by the truth; None without a truth.
        right_km2: of that, what the network's mask shows; None without truth or mask.
        told: whether triage would tell of it.
        looked: whether it was ever looked at.
    """

    number: int
    taken_ms: int
    flood_km2: float | None
    right_km2: float | None
    told: bool
    looked: bool

    @property
    def flooded(self) -> bool:
        """Whether the truth shows flood."""
        return self.flood_km2 is not None and self.flood_km2 >= FLOOD_KM2

    @property
    def dry(self) -> bool:
        """Whether the truth shows none."""
        return self.flood_km2 is not None and self.flood_km2 <= NO_FLOOD_KM2


@dataclass(frozen=True)
class Scores:
    """What a strategy comes to; `ground.replay.result.Strategy` has the words."""

    alert: Latency
    map: Latency
    known: Series
    floods: int
    missed: int
    missed_by_choice: int
    false_alarms: int
    false_maps: int


def score(seen: Sequence[Seen], word_ms: Mapping[int, int], map_ms: Mapping[int, int]) -> Scores:
    """Score a strategy.

    Args:
        seen: every frame that was taken.
        word_ms: number of a frame → when the ground first knew that it shows flood.
        map_ms: number of a frame → when its map was on the ground.
    """
    floods = [one for one in seen if one.flooded]
    false = [one for one in seen if one.dry and one.number in word_ms]
    missed = [one for one in floods if one.number not in word_ms and one.number not in map_ms]
    areas = [
        (map_ms[one.number], one.right_km2)
        for one in seen
        if one.number in map_ms and one.right_km2
    ]
    return Scores(
        latency([(one.taken_ms, word_ms.get(one.number)) for one in floods]),
        latency([(one.taken_ms, map_ms.get(one.number)) for one in floods]),
        summed(areas),
        len(floods),
        len(missed),
        sum(one.looked and not one.told for one in missed),
        len(false),
        sum(one.number in map_ms for one in false),
    )


def latency(times: Iterable[tuple[int, int | None]]) -> Latency:
    """How long things took.

    Args:
        times: when each was seen, and when it was on the ground or None, milliseconds.
    """
    pairs = list(times)
    seconds = sorted((came - seen) / 1000 for seen, came in pairs if came is not None)

    def within(share: float) -> float | None:
        # Of those alone that came it would flatter whoever brings little.
        at = math.ceil(share * len(pairs)) - 1
        return seconds[at] if 0 <= at < len(seconds) else None

    never = len(pairs) - len(seconds)
    return Latency(len(seconds), never, within(0.5), within(0.9), tuple(seconds))


def summed(areas: Iterable[tuple[int, float]]) -> Series:
    """Areas as they come, added up."""
    steps: dict[int, float] = {}
    total = 0.0
    for when, area in sorted(areas):
        total += area
        steps[when] = round(total, 4)
    return tuple(steps.items())
