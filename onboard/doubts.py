"""Doubts: the reduced maps of uncertainty in few bytes, by what the decoded mask says of them.

A map has a level of 0…L-1 for each block of the mask in which anything was observed. Levels are
coded from below: first for all those blocks whether the level is above 0, then for those of them
whether it is above 1, and so on, each by a net that sees the mask in and around the block, what is
known so far of the levels around it, and the map that was coded before, if there is one. Blocks
are taken by steps, as pixels are in `onboard.outlines`: block row r and column c belong to step
``c + SLOPE · r``.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from onboard import classes
from onboard.arrays import Array, Bytes, Flags
from onboard.entropy import Reader, Writer
from onboard.nets import Net
from onboard.reduced import NOT_OBSERVED, block_sums, reduced_shape

SLOPE = 2
MARGIN = 2
MAX_LEVELS = 8
NEAR = [(row, col) for row in (-1, 0, 1) for col in (-1, 0, 1) if (row, col) != (0, 0)]
CAUSAL = [(0, -1), (0, -2), (-1, -1), (-1, 0), (-1, 1), (-2, 0)]
CROSS = [(0, 0), (0, -1), (0, 1), (-1, 0), (1, 0)]
WATER_SHARES = (0, 1, 4, 8, 12, 15)
"""Sixteenths of the observed pixels that water may exceed."""
OPEN_SHARES = (1, 4, 8)
"""Eighths of all pixels that the observed ones may fall short of."""
EDGE_SHARES = (0, 1, 2, 4, 8)
"""Halves of the block's side that the length of its outlines may exceed."""


def inputs(levels: int, after: bool) -> int:
    """How many bits a net for maps of so many levels sees; ``after`` a map or not."""
    own = len(WATER_SHARES) + len(OPEN_SHARES) + len(EDGE_SHARES) + 4 * len(NEAR)
    known = (levels - 1) * (1 + len(NEAR)) + len(CAUSAL)
    return own + known + (len(CROSS) * (levels - 1) if after else 0)


def describe(mask: Bytes, block: int) -> Array:
    """What a net sees of the mask, for each block.

    Args:
        mask: (H, W) uint8 of `onboard.classes`.
        block: side of a block, pixels.

    Returns:
        uint8 (h, w, bits) of 0 and 1.
    """
    height, width = reduced_shape(mask.shape[0], mask.shape[1], block)
    water, seen, edge, size = (part.astype(np.int64) for part in _sums(mask, block))
    own = [16 * water > share * seen for share in WATER_SHARES]
    own += [8 * seen < share * size for share in OPEN_SHARES]
    own += [2 * edge > share * block for share in EDGE_SHARES]
    near = np.stack([edge > 0, edge > block, 2 * water > seen, seen == 0])
    wide = np.pad(near, ((0, 0), (1, 1), (1, 1)))
    for row, col in NEAR:
        own += list(wide[:, 1 + row :, 1 + col :][:, :height, :width])
    return np.stack(own, axis=-1).astype(np.uint8)


def _sums(mask: Bytes, block: int) -> list[Array]:
    """Per block: water, observed pixels, pairs of neighbours that differ, and all pixels."""
    water, seen = mask == classes.WATER, (mask == classes.WATER) | (mask == classes.LAND)
    edge = np.zeros(mask.shape, np.uint8)
    edge[:, 1:] = (water[:, 1:] != water[:, :-1]) & seen[:, 1:] & seen[:, :-1]
    edge[1:] += (water[1:] != water[:-1]) & seen[1:] & seen[:-1]
    return [block_sums(part, block, np.int32) for part in (water, seen, edge, edge < 3)]


def encode(
    writer: Writer, codes: Bytes, surface: Array, net: Net, levels: int, before: Bytes | None = None
) -> None:
    """Write a map.

    Args:
        writer: where to.
        codes: (h, w) uint8 levels; `NOT_OBSERVED` exactly where no pixel was observed.
        surface: what `describe` says of the mask.
        net: of `inputs` inputs.
        levels: 2…``MAX_LEVELS``.
        before: the map that was coded before, with as many levels, or None.
    """
    for seen, bits in _asked(codes, surface, levels, before):
        writer.bits(bits, net.chances(seen))


def contexts(
    codes: Bytes, surface: Array, levels: int, before: Bytes | None = None
) -> tuple[Array, Bytes]:
    """What a net would see of a map, float32 (n, inputs), and the bits it should tell."""
    seen, bits = zip(*_asked(codes, surface, levels, before))
    return np.concatenate(seen), np.concatenate(bits)


def _asked(
    codes: Bytes, surface: Array, levels: int, before: Bytes | None
) -> Iterator[tuple[Array, Bytes]]:
    """For each level what the net sees, in order, and the bits."""
    canvas = _Canvas(surface, levels, codes == NOT_OBSERVED, before)
    for level in range(levels - 1):
        canvas.set_level(level, (codes > level) & (codes != NOT_OBSERVED))
        at = canvas.asked(level)
        at = at[np.argsort(canvas.step_of(at), kind="stable")]
        yield canvas.seen(at, level), canvas.above[level][at]


def decode(
    reader: Reader,
    hidden: Flags,
    surface: Array,
    net: Net,
    levels: int,
    before: Bytes | None = None,
) -> Bytes:
    """Undo `encode`: (h, w) uint8; ``hidden`` is bool (h, w), where no pixel was observed."""
    canvas = _Canvas(surface, levels, hidden, before)
    for level in range(levels - 1):
        at = canvas.asked(level)
        order = np.argsort(canvas.step_of(at), kind="stable")
        for own in _groups(at[order], canvas.step_of(at)[order]):
            canvas.above[level][own] = reader.bits(net.chances(canvas.seen(own, level)))
    codes = canvas.above[: levels - 1].sum(axis=0, dtype=np.uint8)
    inside = canvas.inner(codes)
    inside[hidden] = NOT_OBSERVED
    return inside


def _groups(at: Array, steps: Array) -> Iterator[Array]:
    ends = np.flatnonzero(np.diff(steps)) + 1
    for part in np.split(at, ends):
        if part.size:
            yield part


class _Canvas:
    """A map with a margin, as flat arrays, and what is known of it.

    Attributes:
        above: uint8 (levels - 1, places): 1 where the level is above that one, as far as known.
    """

    def __init__(self, surface: Array, levels: int, hidden: Flags, before: Bytes | None) -> None:
        height, width, bits = surface.shape
        self.levels = levels
        self.shape = height, width
        self.width = width + 2 * MARGIN
        self.surface = surface.reshape(-1, bits)
        self.open = self._pad(~hidden)
        self.above = np.zeros((levels - 1, self.open.size), np.uint8)
        self.before = None
        if before is not None:
            known = np.where(before == NOT_OBSERVED, 0, before)
            self.before = np.stack([self._pad(known > level) for level in range(levels - 1)], 1)
        self.near, self.causal, self.cross = (
            np.array([row * self.width + col for row, col in offsets], np.int64)
            for offsets in (NEAR, CAUSAL, CROSS)
        )

    def _pad(self, whole: Array) -> Bytes:
        return np.pad(whole, MARGIN).astype(np.uint8).ravel()

    def inner(self, flat: Bytes) -> Bytes:
        """A flat array without its margin."""
        return flat.reshape(-1, self.width)[MARGIN:-MARGIN, MARGIN:-MARGIN].copy()

    def set_level(self, level: int, above: Flags) -> None:
        """Make known which blocks are above a level."""
        self.above[level] = self._pad(above)

    def asked(self, level: int) -> Array:
        """Flat places of the blocks of which it is asked whether they are above a level."""
        return np.flatnonzero(self.open if level == 0 else self.above[level - 1])

    def step_of(self, at: Array) -> Array:
        """The step of each place."""
        row, col = np.divmod(at, self.width)
        return np.asarray(col + SLOPE * row)

    def seen(self, at: Array, level: int) -> Array:
        """What the net sees of the blocks at ``at``: float32 (n, inputs)."""
        row, col = np.divmod(at, self.width)
        which = np.zeros((at.size, self.levels - 1), np.uint8)
        which[:, level] = 1
        parts = [self.surface[(row - MARGIN) * self.shape[1] + col - MARGIN], which]
        for one in range(self.levels - 1):
            # The level that is asked for is known of blocks before only, the higher of none.
            around = self.above[one][at[:, None] + self.near]
            parts.append(around if one < level else np.zeros_like(around))
        parts.append(self.above[level][at[:, None] + self.causal])
        if self.before is not None:
            bits = len(CROSS) * (self.levels - 1)
            parts.append(self.before[at[:, None] + self.cross].reshape(at.size, bits))
        seen: Array = np.concatenate(parts, axis=1).astype(np.float32)
        return seen
