"""What one run of the suite finds: checks, and what was measured on the way."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
SOFTWARE = "software in the loop: no Myriad was present"
UNUSED = "software in the loop: the Myriad that is here was not used"
HARDWARE = "hardware in the loop"
SLOWER = 1.2
"""Latency at the end of a soak over that at its start from which it counts as throttled."""


class Check(NamedTuple):
    """One test.

    Attributes:
        name: of the test, with its parameters.
        title: what it holds, one sentence.
        outcome: `PASSED`, `FAILED` or `SKIPPED`.
        seconds: set-up included.
        reason: why it was skipped or how it failed; empty otherwise.
        notes: figures that it leaves, a line each.
    """

    name: str
    title: str
    outcome: str
    seconds: float
    reason: str
    notes: tuple[str, ...]


@dataclass
class Tally:
    """Inferences of the bench's own engine; those with injected faults are not in it."""

    done: int = 0
    failed: int = 0


@dataclass
class Record:
    """Filled as the tests run.

    Attributes:
        facts: who and where: the sections of ``report.json`` that are known without measuring.
        checks: in the order in which they ran.
        tally: of inferences.
        latencies_s: of single tiles, one inference in flight, seconds.
        tiles_per_second: with two inferences in flight.
        temperatures: seconds since the first and °C.
        predicted_ms: of a tile by its set of assumptions; on hardware only.
        agreement: share of mask pixels as in the reference, 0…1.
        soak_s: latencies of the thermal soak, seconds; on hardware only.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    latencies_s: list[float] = field(default_factory=list)
    tiles_per_second: float | None = None
    temperatures: list[tuple[float, float]] = field(default_factory=list)
    predicted_ms: dict[str, float] | None = None
    agreement: float | None = None
    soak_s: list[float] = field(default_factory=list)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of ``values`` do not pass; of one at least."""
    rank = max(math.ceil(share * len(values)), 1)
    return sorted(values)[rank - 1]


class Throttling(NamedTuple):
    """Whether a soak became slower.

    Attributes:
        seen: by `SLOWER` at least.
        ratio: median latency of the last fifth over that of the first.
    """

    seen: bool
    ratio: float


def throttling(latencies: Sequence[float]) -> Throttling:
    """What the latencies of a soak say, in their order.

    Raises:
        ValueError: fewer than ten; fifths of them would be chance.
    """
    if len(latencies) < 10:
        raise ValueError(f"{len(latencies)} latencies are too few for a soak")
    part = len(latencies) // 5
    ratio = statistics.median(latencies[-part:]) / statistics.median(latencies[:part])
    return Throttling(ratio >= SLOWER, ratio)


def growth(samples: Sequence[int]) -> int:
    """Bytes that a process grew by: from the second quarter's median to the last one's.

    Allocators take some time to settle, which the first quarter leaves out.

    Raises:
        ValueError: fewer than eight samples.
    """
    if len(samples) < 8:
        raise ValueError(f"{len(samples)} samples are too few to see a leak")
    part = len(samples) // 4
    return round(statistics.median(samples[-part:]) - statistics.median(samples[part : 2 * part]))
