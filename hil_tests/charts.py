"""Charts as inline SVG, for a page that has to show them without any library.

Colours come from the page: ``currentColor`` and its custom properties, so a chart follows light,
dark and paper as the text around it does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 400, 220
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 38, 40
BARS, FEW_BARS, FEW = 24, 12, 100


class Histogram(NamedTuple):
    """How often values fell where.

    Attributes:
        edges: of the bars, rising, one more than there are bars.
        counts: values a bar, its left edge included; the last has both.
    """

    edges: list[float]
    counts: list[int]


class Mark(NamedTuple):
    """A value with a name, drawn as a vertical line; ``kind`` is a class of the page's style."""

    value: float
    label: str
    kind: str


class Axis(NamedTuple):
    """From values to pixels along one side."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Where a value lies, pixels."""
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return self.start + share * (self.end - self.start)


def histogram(values: Sequence[float]) -> Histogram:
    """Bars of one width over all of ``values``; no bars for no values, fewer for few."""
    bars = BARS if len(values) >= FEW else FEW_BARS
    if not values:
        return Histogram([], [])
    low, high = min(values), max(values)
    if high <= low:
        return Histogram([low, high], [len(values)])
    counts = [0] * bars
    for value in values:
        counts[min(int((value - low) / (high - low) * bars), bars - 1)] += 1
    return Histogram([low + (high - low) * i / bars for i in range(bars + 1)], counts)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers from ``low`` to ``high``, ``about`` so many."""
    if high <= low:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def bars(found: Histogram, marks: Sequence[Mark], title: str, unit: str) -> str:
    """A histogram with its marks above the bars.

    Args:
        found: what to draw.
        marks: lines across it; the horizontal axis reaches them all.
        title: what a screen reader says of it.
        unit: of the horizontal axis.
    """
    if not found.counts:
        return ""
    ends = [*found.edges, *(mark.value for mark in marks)]
    spare = 0.04 * (max(ends) - min(ends) or max(ends) or 1.0)
    x = Axis(max(min(ends) - spare, 0.0), max(ends) + spare, LEFT, WIDTH - RIGHT)
    y = Axis(0.0, max(found.counts) * 1.05, HEIGHT - BOTTOM, TOP)
    parts = [_grid(x, y, unit, "inferences")]
    for i, count in enumerate(found.counts):
        left, right = x.at(found.edges[i]), x.at(found.edges[i + 1])
        parts.append(
            f'<rect class="bar" x="{left:.1f}" y="{y.at(count):.1f}" '
            f'width="{max(right - left - 0.8, 1.2):.1f}" height="{y.start - y.at(count):.1f}"/>'
        )
    for row, mark in enumerate(sorted(marks, key=lambda m: m.value)):
        parts.append(_mark(x, mark, 10 + 11 * (row % 3)))
    return _svg(title, parts)


def line(points: Sequence[tuple[float, float]], title: str, units: tuple[str, str]) -> str:
    """A line through points ``(x, y)``; nothing for none.

    Args:
        points: with rising x.
        title: what a screen reader says of it.
        units: of the horizontal and of the vertical axis.
    """
    if not points:
        return ""
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    spare = 0.1 * (max(ys) - min(ys)) or 1.0
    x = Axis(min(xs), max(xs), LEFT, WIDTH - RIGHT)
    y = Axis(min(ys) - spare, max(ys) + spare, HEIGHT - BOTTOM, TOP)
    path = " ".join(f"{x.at(a):.1f},{y.at(b):.1f}" for a, b in points)
    return _svg(title, [_grid(x, y, *units), f'<polyline class="line" points="{path}"/>'])


def _grid(x: Axis, y: Axis, across: str, up: str) -> str:
    parts = []
    for value in ticks(y.low, y.high, 4):
        at = y.at(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" ')
        parts.append(f'y2="{at:.1f}"/><text x="{LEFT - 5}" y="{at + 3.5:.1f}" ')
        parts.append(f'text-anchor="end">{value:g}</text>')
    for value in ticks(x.low, x.high):
        parts.append(f'<text x="{x.at(value):.1f}" y="{HEIGHT - BOTTOM + 14}" ')
        parts.append(f'text-anchor="middle">{value:g}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{escape(across)}</text>'
    )
    centre = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<text transform="translate(11 {centre}) rotate(-90)" text-anchor="middle">')
    parts.append(f"{escape(up)}</text>")
    return "".join(parts)


def _mark(x: Axis, mark: Mark, height: float) -> str:
    at = x.at(mark.value)
    # Beyond the middle the label stands on the left of its line, so that it stays inside.
    right = at > (LEFT + WIDTH) / 2
    anchor, place = ("end", at - 3) if right else ("start", at + 3)
    return (
        f'<g class="mark {escape(mark.kind)}"><line x1="{at:.1f}" x2="{at:.1f}" y1="{height - 7}" '
        f'y2="{HEIGHT - BOTTOM}"/><text x="{place:.1f}" y="{height}" text-anchor="{anchor}">'
        f"{escape(mark.label)}</text></g>"
    )


def _svg(title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )
