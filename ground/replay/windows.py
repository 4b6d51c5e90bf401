"""Windows: when a smooth function of time is above zero.

The function is looked at on a grid. Where it turns between two points of it without being seen to
cross zero, the turning point is searched; then every crossing is halved in upon. So a pass that
just grazes a mask is found although it is shorter than the grid's step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Function = Callable[[Array], Array]

PRECISION_S = 1e-3
SHORTEST_S = 0.01
_GOLDEN = (np.sqrt(5) - 1) / 2


class Window(NamedTuple):
    """A stretch in which the function is above zero.

    Attributes:
        start: its first second.
        end: its last.
        best: the second at which the function is greatest.
    """

    start: float
    end: float
    best: float


def windows(
    function: Function, seconds: Array, slope: float, values: Array | None = None
) -> list[Window]:
    """Stretches of a grid in which a function is above zero, in order, none touching another.

    Args:
        function: of an array of seconds.
        seconds: the grid ``(N,)``, rising and even, at least three points; the function turns at
            most once between three neighbours.
        slope: the most that it changes in a second; what is further from zero than that allows
            is passed over.
        values: of the function on the grid, ``(N,)``, where they are known already.

    Returns:
        Windows whose ends are known to `PRECISION_S` and lie within: the function is above zero
        at both, but where the grid ends. What is shorter than `SHORTEST_S` is left out.
    """
    seconds = np.asarray(seconds, float)
    known = function(seconds) if values is None else values
    step = float(seconds[1] - seconds[0])
    turns, at_turns = _turns(function, seconds, known, slope * step)
    times = np.concatenate([seconds, turns])
    order = np.argsort(times, kind="stable")
    times, known = times[order], np.concatenate([known, at_turns])[order]
    above = known > 0
    change = np.flatnonzero(above[1:] != above[:-1])
    ends = _crossings(function, times[change], times[change + 1], above[change + 1])
    rising = above[change + 1]
    starts = list(ends[rising])
    stops = list(ends[~rising])
    if above[0]:
        starts.insert(0, float(times[0]))
    if above[-1]:
        stops.append(float(times[-1]))
    pairs = np.array(list(zip(starts, stops, strict=True))).reshape(-1, 2)
    long = pairs[pairs[:, 1] - pairs[:, 0] >= SHORTEST_S]
    return _with_best(function, long[:, 0], long[:, 1], times, known, step)


def _turns(function: Function, seconds: Array, values: Array, reach: float) -> tuple[Array, Array]:
    """Maxima under zero and minima over it that the grid may have stepped over."""
    before, here, after = values[:-2], values[1:-1], values[2:]
    peak = (here >= before) & (here >= after) & (here <= 0) & (here > -reach)
    dip = (here <= before) & (here <= after) & (here > 0) & (here < reach)
    at = np.flatnonzero(peak | dip) + 1
    sign = np.where(dip[at - 1], -1.0, 1.0)
    times = greatest(lambda t: sign * function(t), seconds[at - 1], seconds[at + 1])
    return times, function(times) if len(times) else times


def greatest(function: Function, low: Array, high: Array) -> Array:
    """Where a function is greatest between bounds within which it turns once: golden section.

    Args:
        function: of an array of seconds, one per pair of bounds.
        low: the lower bounds, ``(N,)``.
        high: the upper ones, ``(N,)``.
    """
    low, high = np.array(low, float), np.array(high, float)
    if not len(low):
        return low
    rounds = int(np.ceil(np.log(PRECISION_S / float((high - low).max())) / np.log(_GOLDEN)))
    for _ in range(max(1, rounds)):
        reach = _GOLDEN * (high - low)
        first, second = high - reach, low + reach
        left = function(first) >= function(second)
        low, high = np.where(left, low, first), np.where(left, second, high)
    return np.asarray((low + high) / 2)


def _crossings(function: Function, low: Array, high: Array, rising: NDArray[np.bool_]) -> Array:
    """The side above zero of every change of sign, by halving."""
    low, high = np.array(low, float), np.array(high, float)
    if not len(low):
        return low
    rounds = int(np.ceil(np.log2(max(1.0, float((high - low).max()) / PRECISION_S))))
    for _ in range(rounds):
        middle = (low + high) / 2
        late = (function(middle) > 0) == rising
        low, high = np.where(late, low, middle), np.where(late, middle, high)
    return np.where(rising, high, low)


def _with_best(
    function: Function, starts: Array, stops: Array, times: Array, values: Array, step: float
) -> list[Window]:
    if not len(starts):
        return []
    rough = np.empty(len(starts))
    for index, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        first, last = np.searchsorted(times, (start, stop))
        inside = values[first : last + 1]
        found = times[first : last + 1][int(np.argmax(inside))] if len(inside) else start
        rough[index] = min(max(found, start), stop)
    best = greatest(function, np.maximum(rough - step, starts), np.minimum(rough + step, stops))
    return [
        Window(float(start), float(stop), float(top))
        for start, stop, top in zip(starts, stops, best, strict=True)
    ]
