"""Labelling: which tiles of a frame are worth most to the next training.

A label teaches most where the network's doubt is of the kind that training removes: its mutual
information with the weights (BALD: Houlsby et al. 2011, "Bayesian active learning for
classification and preference learning"). But the most doubtful tiles of one frame tend to be
alike, and the second of two alike teaches little (BatchBALD: Kirsch et al. 2019). So tiles are
taken one by one, each the one of the largest

    worth = mutual information · (1 - likeness to the nearest tile taken)
    likeness = exp(-d² / 2)

where d is the distance of two tiles' features: mean and standard deviation of each band as the
network sees it, so that 1 is the spread of the training data. It is the greedy choice of maximal
marginal relevance (Carbonell & Goldstein 1998), and with it a tile far from those taken as the
greedy k-centre takes it (Sener & Savarese 2018, "Active learning for convolutional neural
networks: a core-set approach"), weighted by the mutual information. Equal tiles give one chip.
Nothing is drawn at random: the same frame gives the same chips.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from onboard.arrays import Array, Flags
from onboard.tiles import Tile

SIDE = 128
"""Side of a chip in pixels, as the training's chips have it."""
MIN_OBSERVED = 0.5
"""Share of a tile that must be neither cloud nor nodata."""
SHORTLIST = 32
"""Tiles of the largest mutual information that are looked at for likeness."""


class Candidate(NamedTuple):
    """A tile that may become a chip.

    Attributes:
        tile: where it lies in the frame.
        epistemic: mean mutual information of its observed pixels, nats.
    """

    tile: Tile
    epistemic: float


class Choice(NamedTuple):
    """A tile that becomes a chip.

    Attributes:
        which: index of its candidate.
        worth: of a label for it, nats: mutual information times novelty.
    """

    which: int
    worth: float


def grid(height: int, width: int) -> list[Tile]:
    """Tiles of `SIDE` pixels that cover a frame, row by row.

    The last of a row or column is moved inward, so that it is whole; a frame that is smaller than
    a tile has smaller ones.
    """
    return [
        Tile(row, col, min(SIDE, height), min(SIDE, width))
        for row in _starts(height)
        for col in _starts(width)
    ]


def _starts(size: int) -> list[int]:
    return sorted({max(0, min(start, size - SIDE)) for start in range(0, size, SIDE)})


def candidates(epistemic: Array, observed: Flags, most: int = SHORTLIST) -> list[Candidate]:
    """The tiles of the largest mutual information, the largest first.

    Args:
        epistemic: (H, W) float, mutual information in nats; anything where not observed.
        observed: (H, W) bool, neither cloud nor nodata.
        most: how many at most.
    """
    found = []
    for tile in grid(*observed.shape):
        seen = observed[tile.window]
        if seen.mean() < MIN_OBSERVED:
            continue
        mean = float(epistemic[tile.window][seen].mean(dtype=np.float64))
        # Also refuses what is no number.
        if mean > 0:
            found.append(Candidate(tile, mean))
    found.sort(key=lambda one: (-one.epistemic, one.tile.row, one.tile.col))
    return found[:most]


def features(inputs: Array, valid: Flags) -> Array:
    """What tiles are compared by: float64 ``(2 · bands,)``.

    Args:
        inputs: (h, w, bands), what the network sees of the tile (`onboard.normalise`).
        valid: (h, w) bool, where there is data; at least one pixel.
    """
    pixels = inputs[valid].astype(np.float64)
    return np.concatenate([pixels.mean(axis=0), pixels.std(axis=0)])


def choose(
    epistemic: Sequence[float], described: Sequence[Array], count: int, least: float = 0.0
) -> list[Choice]:
    """Choose tiles one by one, each of the largest worth beside those chosen before.

    Args:
        epistemic: mean mutual information of each candidate, nats; the earlier wins a draw.
        described: features ``(F,)`` of each candidate.
        count: how many at most.
        least: mutual information that a tile must have, nats.
    """
    novelty = [1.0] * len(epistemic)
    chosen: list[Choice] = []
    while len(chosen) < count:
        worth = [share * mean if mean >= least else 0.0 for share, mean in zip(novelty, epistemic)]
        best = max(range(len(worth)), key=worth.__getitem__, default=None)
        if best is None or worth[best] <= 0:
            break
        chosen.append(Choice(best, worth[best]))
        novelty = [
            min(share, _unlike(one, described[best])) for share, one in zip(novelty, described)
        ]
    return chosen


def _unlike(one: Array, other: Array) -> float:
    """How unlike two tiles are, 0…1."""
    distance = float(np.sum((one - other) ** 2))
    return -math.expm1(-distance / 2)
