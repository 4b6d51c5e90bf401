"""Tiles: the square windows that a frame is cut into for the network.

A tile is a *core* that is kept and a *halo* around it that only gives context. With a halo as
wide as the network's receptive radius, and origins on the network's stride, a core is exactly
what the network would have given for the whole frame: no seam can be found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Tile:
    """One window; all numbers in pixels of the frame.

    Attributes:
        row: first row of the core, a multiple of the stride.
        col: first column of the core, a multiple of the stride.
        height: rows of the core inside the frame.
        width: columns of the core inside the frame.
    """

    row: int
    col: int
    height: int
    width: int

    @property
    def window(self) -> tuple[slice, slice]:
        """Index of the core in an array of the whole frame."""
        return slice(self.row, self.row + self.height), slice(self.col, self.col + self.width)


@dataclass(frozen=True)
class Tiling:
    """How a frame of ``height`` × ``width`` is cut.

    Attributes:
        height: rows of the frame.
        width: columns of the frame.
        size: side of a tile, halo included.
        halo: pixels around the core, on every side.
        stride: the network's stride; ``size`` and ``halo`` are multiples of it.
    """

    height: int
    width: int
    size: int
    halo: int
    stride: int

    def __post_init__(self) -> None:
        if self.size % self.stride or self.halo % self.stride:
            raise ValueError(f"{self} is not on the stride")
        if self.core < self.stride:
            raise ValueError(f"a tile of {self.size} leaves no core inside a halo of {self.halo}")

    @property
    def core(self) -> int:
        """Side of a whole core."""
        return self.size - 2 * self.halo

    @property
    def shape(self) -> tuple[int, int]:
        """Tiles down and across."""
        return -(-self.height // self.core), -(-self.width // self.core)

    def __len__(self) -> int:
        down, across = self.shape
        return down * across

    def __iter__(self) -> Iterator[Tile]:
        for row in range(0, self.height, self.core):
            for col in range(0, self.width, self.core):
                yield Tile(
                    row,
                    col,
                    min(self.core, self.height - row),
                    min(self.core, self.width - col),
                )
