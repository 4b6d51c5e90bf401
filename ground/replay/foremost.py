"""Foremost: of stretches of time that overlap, which one counts at every instant."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from ground.replay.scenario import Span


class Piece(NamedTuple):
    """A part of a stretch in which it counts.

    Attributes:
        which: the index of the stretch.
        span: the part.
    """

    which: int
    span: Span


def foremost(spans: Sequence[Span], ranks: Sequence[Any]) -> list[Piece]:
    """The parts of stretches in which none of a higher rank runs, in order, none overlapping.

    Args:
        spans: the stretches.
        ranks: of each, comparable; where two are equal, the one that stands first counts.
    """
    edges = [(one.start, True, index) for index, one in enumerate(spans)]
    edges += [(one.end, False, index) for index, one in enumerate(spans)]
    edges.sort(key=lambda edge: edge[0])
    running: set[int] = set()
    pieces: list[Piece] = []
    for (when, begins, index), (then, _, _) in itertools.pairwise(edges):
        (running.add if begins else running.discard)(index)
        if not running or then <= when:
            continue
        first = max(running, key=lambda one: (ranks[one], -one))
        last = pieces[-1] if pieces else None
        if last is not None and last.which == first and last.span.end == when:
            pieces[-1] = Piece(first, Span(last.span.start, then))
        else:
            pieces.append(Piece(first, Span(when, then)))
    return pieces
