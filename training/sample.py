"""Samples: at most so many pixels, drawn evenly from a stream of any length.

Each pixel draws a number when it comes; those with the smallest numbers stay. Up to the limit
nothing is dropped and the order is that of the stream.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Sample:
    """A uniform sample without replacement of columns that belong together.

    Args:
        most: pixels that stay at the end; in between there may be a quarter more and one chip.
        seed: of the numbers drawn.
    """

    def __init__(self, most: int, seed: int = 0) -> None:
        self._most, self._rng = most, np.random.default_rng(seed)
        self._parts: list[tuple[Array, ...]] = []
        self._held = 0

    def add(self, *columns: Array) -> None:
        """Take up pixels; the last axis of every column counts them."""
        count = columns[0].shape[-1]
        self._parts.append((self._rng.random(count, np.float32), *columns))
        self._held += count
        if self._held > self._most * 5 // 4:
            self._prune()

    def columns(self) -> tuple[Array, ...]:
        """The columns given, ``(N,)`` each, of the pixels that stayed; none where nothing came."""
        if self._held > self._most:
            self._prune()
        return self._joined()[1:]

    def _joined(self) -> tuple[Array, ...]:
        return tuple(np.concatenate(parts, axis=-1) for parts in zip(*self._parts, strict=True))

    def _prune(self) -> None:
        whole = self._joined()
        stay = np.sort(np.argpartition(whole[0], self._most - 1)[: self._most])
        self._parts = [tuple(column[..., stay] for column in whole)]
        self._held = len(stay)
