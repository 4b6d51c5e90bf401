"""Entropy coding: bits by their chances, through the range coder of ``constriction``.

Chances are whole multiples of 2^-20, which float64 holds exactly, and the coder works on 24-bit
whole numbers made of them: the same bits and chances give the same bytes everywhere. What a
reader gives beyond the end of its bytes is junk, but bounded: what is read says how much there is.
"""

from __future__ import annotations

import constriction
import numpy as np

from onboard.arrays import Array, Bytes
from onboard.errors import ProductError

_MODEL = constriction.stream.model.Bernoulli(perfect=False)
_EVEN = 0.5
MAX_WIDTH = 48
"""Most bits of a number."""


class Writer:
    """Collects bits."""

    def __init__(self) -> None:
        self._coder = constriction.stream.queue.RangeEncoder()

    def bits(self, bits: Array, chances: Array) -> None:
        """Write bits ``(n,)``, 0 and 1, by the chances, float64 ``(n,)``, that they are 1."""
        if bits.size:
            self._coder.encode(bits.astype(np.int32), _MODEL, chances)

    def even(self, bits: Array) -> None:
        """Write bits ``(n,)`` of which nothing is known."""
        self.bits(bits, np.full(bits.size, _EVEN))

    def fixed(self, value: int, width: int) -> None:
        """Write a whole number of ``width`` bits."""
        self.even(np.array([value >> place & 1 for place in reversed(range(width))]))

    def number(self, value: int) -> None:
        """Write a whole number from 0 on, small ones in few bits (Elias gamma of value + 1)."""
        width = (value + 1).bit_length()
        self.even(np.array([0] * (width - 1) + [1], np.int32))
        self.fixed((value + 1) - (1 << (width - 1)), width - 1)

    def finish(self) -> bytes:
        """All that was written: 32-bit words, little-endian."""
        return bytes(self._coder.get_compressed().astype("<u4").tobytes())


class Reader:
    """Gives back what a `Writer` collected."""

    def __init__(self, data: bytes) -> None:
        if len(data) % 4:
            raise ProductError("a coded stream has no whole number of words; receive it again")
        self.size = 8 * len(data)
        words = np.frombuffer(data, "<u4").astype(np.uint32)
        self._coder = constriction.stream.queue.RangeDecoder(words)

    def bits(self, chances: Array) -> Bytes:
        """Read as many bits as there are chances: uint8 (n,).

        Raises:
            ProductError: no writer can have written these bytes.
        """
        if not chances.size:
            return np.zeros(0, np.uint8)
        try:
            return np.asarray(self._coder.decode(_MODEL, chances), np.uint8)
        except AssertionError as error:
            raise ProductError("a coded stream makes no sense; receive it again") from error

    def even(self, count: int) -> Bytes:
        """Read bits of which nothing was known, uint8 ``(count,)``."""
        return self.bits(np.full(count, _EVEN))

    def fixed(self, width: int) -> int:
        """Undo `Writer.fixed`."""
        value = 0
        for bit in self.even(width):
            value = value << 1 | int(bit)
        return value

    def number(self) -> int:
        """Undo `Writer.number`.

        Raises:
            ProductError: a number of more than ``MAX_WIDTH`` bits.
        """
        width = 0
        while not self.even(1)[0]:
            width += 1
            if width > MAX_WIDTH:
                raise ProductError("a coded stream holds a number beyond reason")
        return (1 << width) + self.fixed(width) - 1

    @property
    def ended(self) -> bool:
        """Whether all bytes may have been used; if not, they were too many."""
        return bool(self._coder.maybe_exhausted())
