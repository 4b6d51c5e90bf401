"""Passes in chunks: a model file computes a fixed number of passes over a shared prefix.

A bundle holds two files of the same weights for an engine of this kind: one of K passes, one of a
single pass. T passes are ⌊T/K⌋ calls of the first and T mod K of the second, so that every T is
exact and nothing is computed to be thrown away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from onboard.masks import Masks
from onboard.uncertainty import Moments, combine

if TYPE_CHECKING:
    Call = Callable[[int, Masks], Moments]


def in_chunks(masks: Masks, chunk: int, call: Call) -> Moments:
    """Moments over all passes of ``masks``.

    Args:
        masks: site name → ``(passes, channels)``, one pass at least.
        chunk: K, the passes per call of the larger file.
        call: runs the file of so many passes, K or 1, with as many rows of every mask.
    """
    passes = len(next(iter(masks.values())))
    parts = []
    start = 0
    while start < passes:
        count = chunk if passes - start >= chunk else 1
        part = {name: mask[start : start + count] for name, mask in masks.items()}
        parts.append((count, call(count, part)))
        start += count
    return combine(parts)
