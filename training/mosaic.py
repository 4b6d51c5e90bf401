"""Mosaics: chips side by side in an engine's tile, each mirrored out to a whole halo of its own.

A core has its halo about it, so nothing of a neighbour reaches it, and a chip gives what it would
give alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from onboard.engines import Engine
from onboard.masks import Masks
from onboard.mirror import mirror
from onboard.network import Network
from onboard.uncertainty import Moments
from training.kept import KeptChip


class Window(NamedTuple):
    """A chip and its mirrored halo.

    Attributes:
        name: of the chip.
        tile: float32 ``(side + 2·halo, side + 2·halo, bands)``, normalised.
        water: uint8, the chip's labels, as large as what of the core is the chip's own.
    """

    name: str
    tile: npt.NDArray[np.float32]
    water: npt.NDArray[np.uint8]


def cut(chips: Sequence[KeptChip], network: Network, room: int) -> Iterator[Window]:
    """A window for every chip, all of one size; larger chips give their upper left part.

    Args:
        chips: one at least.
        network: its halo and stride.
        room: the most pixels that a core may have along one side, the stride at least.
    """
    halo, stride = network.halo, network.stride
    longest = max(max(chip.water.shape) for chip in chips)
    side = min(room, longest + stride - 1) // stride * stride
    for chip in chips:
        water = chip.water[:side, :side]
        rows, cols = (mirror(-halo, side + 2 * halo, n) for n in water.shape)
        yield Window(chip.name, np.ascontiguousarray(chip.tile[np.ix_(rows, cols)]), water)


def run(engine: Engine, network: Network, windows: Sequence[Window], masks: Masks) -> list[Moments]:
    """Moments of every window's core, as many windows at a time as a tile holds.

    Args:
        engine: what runs them; its tiles are as large as a window at least.
        network: its shape.
        windows: one at least, all of one size.
        masks: site name → ``(passes, channels)``, the same for all.
    """
    length = len(windows[0].tile)
    size = engine.tile_size or length
    starts = range(0, size - length + 1, length)
    origins = list(itertools.product(starts, starts))
    side = length - 2 * network.halo
    done = []
    for first in range(0, len(windows), len(origins)):
        tile = np.zeros((size, size, network.bands), np.float32)
        placed = list(zip(origins, windows[first:], strict=False))
        for (row, col), window in placed:
            tile[row : row + length, col : col + length] = window.tile
        moments: Any = engine.run(tile, masks)
        for (row, col), _ in placed:
            inside = (slice(row, row + side), slice(col, col + side))
            done.append(Moments(*(a[inside] for a in moments)))
    return done
