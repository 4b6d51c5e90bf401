"""Timing: cases in turn, and a stopwatch for the stages of one run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple


class Limits(NamedTuple):
    """How long cases are repeated: ``most`` rounds, fewer after ``seconds``, ``least`` anyway."""

    least: int
    most: int
    seconds: float


def interleaved(cases: Mapping[str, Callable[[], object]], limits: Limits) -> dict[str, float]:
    """Median seconds of every case, all run once in turn per round.

    In turn, so that what else the machine does falls on all alike and the ratios stand.
    """
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    start = time.perf_counter()
    for done in range(limits.most):
        if done >= limits.least and time.perf_counter() - start > limits.seconds:
            break
        for name, case in cases.items():
            seconds[name].append(timed(case))
    return {name: statistics.median(values) for name, values in seconds.items()}


def timed(case: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    case()
    return time.perf_counter() - start


class Stopwatch:
    """Seconds by stage; a stage may be entered many times, but none within another."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what runs inside to ``name``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
