"""Strategies: ways to bring news home, over the same frames, contacts and link.

Three of them fly: they differ in what becomes of a frame on board and in what comes first, and
all else is the same code. Two bring whole frames home, as is done today; of these only bytes are
counted (`ground.replay.accounted`), and the network runs on the ground.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ground.replay.scenario import StrategyName
from onboard.limits import Limits
from onboard.runtime import Entry
from onboard.triage import Decision, Outcome, Sight, decide

Judge = Callable[[Sight, Limits, int], Decision]

TITLES: Mapping[StrategyName, str] = {
    "raw": "raw frames",
    "lossless": "frames, compressed without loss",
    "masks": "all masks",
    "flagged": "flagged masks",
    "prioritised": "flagged masks, by area and certainty",
}

_EQUAL = 1.0
"""The worth of everything where none is told from another: then fresh and small ones go first."""


@dataclass(frozen=True)
class Rule:
    """What a strategy that flies does otherwise than the software as it is.

    Attributes:
        judge: says what becomes of a frame.
        shape: what of a frame's entry is queued.
        note: for people.
    """

    judge: Judge
    shape: Callable[[Entry], Entry]
    note: str


def as_it_is(entry: Entry) -> Entry:
    """Queue everything."""
    return entry


def without_alerts(entry: Entry) -> Entry:
    """Queue products alone."""
    return entry._replace(alerts=(), chips=())


def every(sight: Sight, limits: Limits, chips_today: int) -> Decision:
    """Send the mask of every frame, whatever it shows; all are worth the same."""
    asked = decide(sight, limits, chips_today)
    return Decision((Outcome.ALERT, Outcome.PRODUCT), f"every mask goes; {asked.reason}", _EQUAL)


def flagged(sight: Sight, limits: Limits, chips_today: int) -> Decision:
    """Triage by area alone: neither doubt nor worth counts, and nothing is sent for labelling."""
    blind = replace(limits, min_confidence=0.0, max_odd=1.0, max_chips=0)
    found = decide(sight, blind, chips_today)
    return replace(found, value=_EQUAL if found.value else 0.0)


RULES: Mapping[StrategyName, Rule] = {
    "masks": Rule(
        every,
        without_alerts,
        "Every frame's mask is sent, fresh and small ones first; no alert goes ahead.",
    ),
    "flagged": Rule(
        flagged,
        as_it_is,
        "Triage by flooded area alone, fresh and small masks first; how sure the network is does "
        "not count.",
    ),
    "prioritised": Rule(
        decide,
        as_it_is,
        "The software as it flies: doubtful masks stay on board, the largest and surest floods "
        "go first, chips for labelling last.",
    ),
}
"""The strategies that fly."""
