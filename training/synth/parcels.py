"""*Parcels*: the patchwork of fields, as identifiers that stand for one field each.

The land is divided into blocks, each with its own direction and field size, as farms and
surveys do; a block is cut into strips and a strip into fields of uneven length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.synth.biomes import Biome
from training.synth.canvas import Canvas, Flags, Floats, noise

HASH_BITS = 16


@dataclass(frozen=True)
class Parcels:
    """Fields; arrays are (rows, cols) of the canvas.

    Attributes:
        ident: int64 0…65535, the same over one field; look attributes up in tables with it.
        to_edge_m: float64, distance to the nearest side of the field.
        block_edge: bool, where two blocks meet: tracks and tree lines.
    """

    ident: NDArray[np.int64]
    to_edge_m: Floats
    block_edge: Flags

    def table(self, values: Floats) -> Floats:
        """Give every cell the value of its field; ``values`` is (65536,)."""
        return np.asarray(values[self.ident])


def cut_parcels(canvas: Canvas, rng: np.random.Generator, biome: Biome) -> Parcels:
    """Divide the whole canvas into fields of the biome's size and order."""
    size = biome.field_m
    block, edge = _blocks(canvas, rng, size * (5.0 + 5.0 * biome.order), biome)
    count = int(block.max()) + 1
    heading = rng.random() * np.pi + (1 - biome.order) * rng.normal(0, 0.6, count)
    heading = np.where(rng.random(count) < 0.5, heading, heading + np.pi / 2)
    wide = size * np.exp(rng.normal(0, 0.28, count)) * 0.75
    long = wide * np.exp(rng.normal(0.55, 0.3, count))
    wobble = noise(canvas, rng, size * 3, 3.6, inner_m=size / 4) * (1 - biome.order) * 0.06 * size
    x, y = canvas.axes()
    turn = heading[block]
    cos, sin = np.cos(turn), np.sin(turn)
    across = x * cos + y * sin + wobble
    along = y * cos - x * sin + wobble
    wide, long = wide[block], long[block]
    strip, side = _cut(across / wide)
    mixed = _mix(block * 73_856_093 ^ strip * 19_349_663)
    uneven = rng.random(1 << HASH_BITS)
    offset = uneven[mixed]
    stretch = 0.55 + 1.1 * uneven[_mix(mixed + 77)]
    field, end = _cut(along / long * stretch + 7.3 * offset)
    ident = _mix(mixed * 83_492_791 ^ field * 2_654_435)
    return Parcels(ident, np.minimum(side * wide, end * long / stretch), edge)


def _cut(position: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Whole part, and distance to the nearest whole number."""
    whole = np.floor(position)
    part = position - whole
    return whole.astype(np.int64), np.minimum(part, 1.0 - part)


def _mix(number: NDArray[np.int64]) -> NDArray[np.int64]:
    """Scatter whole numbers over 0…65535."""
    bits = (number & 0x7FFFFFFF) * 0x45D9F3B & 0xFFFFFFFF
    bits = (bits ^ (bits >> 16)) * 0x45D9F3B & 0xFFFFFFFF
    return np.asarray((bits ^ (bits >> 15)) & 0xFFFF)


def _blocks(
    canvas: Canvas, rng: np.random.Generator, size_m: float, biome: Biome
) -> tuple[NDArray[np.int64], Flags]:
    """Voronoi blocks with wavy borders, and the cells along those borders."""
    step = 2
    rows, cols = -(-canvas.rows // step), -(-canvas.cols // step)
    pitch = canvas.pitch_m * step
    count = max(3, int(rows * cols * pitch**2 / size_m**2))
    seeds = np.ones((rows, cols), np.bool_)
    owner = np.zeros((rows, cols), np.int64)
    at = rng.integers(0, rows * cols, count)
    seeds.flat[at] = False
    owner.flat[at] = np.arange(count)
    where = ndimage.distance_transform_edt(seeds, return_distances=False, return_indices=True)
    coarse = owner[where[0], where[1]]
    bend = (1.0 - biome.order) * 0.09 * size_m / pitch
    dy = noise(canvas, rng, size_m, 3.2, inner_m=canvas.pitch_m * 3) * bend
    dx = noise(canvas, rng, size_m, 3.2, inner_m=canvas.pitch_m * 3) * bend
    row = np.clip(np.arange(canvas.rows)[:, None] / step + dy, 0, rows - 1).astype(np.intp)
    col = np.clip(np.arange(canvas.cols)[None, :] / step + dx, 0, cols - 1).astype(np.intp)
    block = coarse[row, col]
    edge = np.zeros(canvas.shape, np.bool_)
    edge[:, 1:] |= block[:, 1:] != block[:, :-1]
    edge[1:, :] |= block[1:, :] != block[:-1, :]
    return block, edge
