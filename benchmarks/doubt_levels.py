"""What fewer levels and larger blocks of the uncertainty maps lose.

The figure is how well an uncertainty tells the mask's wrong pixels from its right ones (AUROC of
error) on the labelled test places of ``dfc24``, each pixel with the value of its block, and the
correlation of the blocks' values with the exact means, which is what triage and a person at a map
compare. Edges of levels lie where the same shares of blocks lie in the frames for fitting.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from onboard.arrays import Array
from onboard.classes import WATER
from onboard.reduced import (
    EPISTEMIC_POWER,
    Scale,
    block_means,
    dequantise,
    grade,
    graded,
    observed_pixels,
    quantise,
)
from training import scores
from training.chips import UNKNOWN
from training.outlines.corpus import Sample
from training.outlines.fit import scale_of
from training.outlines.make import SHARES

BLOCKS, LEVELS = (16, 32), (2, 3, 4, 5)
FIELDS = ("entropy", "epistemic")


class Way(NamedTuple):
    """One way to reduce a map: levels 0 means exact means of blocks."""

    block: int
    levels: int


def ways() -> list[Way]:
    """As pixels, as exact means, as version 1, and as scales of few levels."""
    exact = [Way(block, 0) for block in (1, 8, 16, 32)]
    return [*exact, Way(8, 64), *(Way(block, levels) for block in BLOCKS for levels in LEVELS)]


def study(fitting: Sequence[Sample], judged: Sequence[Sample]) -> list[dict[str, Any]]:
    """A row for each way: AUROC of error, correlation, bits a block, of both maps."""
    labelled = [one for one in judged if one.name.startswith("dfc24/") and one.truth is not None]
    rows = []
    for way in ways():
        row: dict[str, Any] = way._asdict()
        for field in FIELDS:
            scale = None
            if way.levels in LEVELS:
                scale = scale_of(fitting, field, way.block, SHARES[field][way.levels])
            row[field] = _figures(labelled, judged, field, way, scale)
        rows.append(row)
    return rows


def _figures(
    labelled: Sequence[Sample],
    judged: Sequence[Sample],
    field: str,
    way: Way,
    scale: Scale | None,
) -> dict[str, float | None]:
    told, wrong = [], []
    for one in labelled:
        assert one.truth is not None
        value = _pixels(_reduced(one, field, way, scale), way.block, one.mask.shape)
        counted = (one.truth != UNKNOWN) & observed_pixels(one.mask)
        told.append(value[counted])
        wrong.append(((one.mask == WATER) != (one.truth == 1))[counted])
    figures: dict[str, float | None] = {
        "auroc": scores.auroc(np.concatenate(told), np.concatenate(wrong))
    }
    if way.block > 1:
        exact = [_reduced(one, field, Way(way.block, 0), None).ravel() for one in judged]
        here = [_reduced(one, field, way, scale).ravel() for one in judged]
        a, b = np.concatenate(exact), np.concatenate(here)
        seen = ~np.isnan(a)
        figures["correlation"] = float(np.corrcoef(a[seen], b[seen])[0, 1])
    if way.levels:
        figures["bits"] = _bits(judged, field, way, scale)
    return figures


def _reduced(one: Sample, field: str, way: Way, scale: Scale | None) -> Array:
    """A map over blocks in nats, NaN where nothing was observed."""
    values, seen = getattr(one, field).astype(np.float32), observed_pixels(one.mask)
    if way.block == 1:
        return np.where(seen, values, np.nan)
    if scale is not None:
        return graded(grade(values, seen, way.block, scale), scale.values)
    if not way.levels:
        return block_means(values, seen, way.block)
    power = EPISTEMIC_POWER if field == "epistemic" else 1
    return dequantise(quantise(values, seen, way.block, way.levels, power), way.levels, power)


def _bits(judged: Sequence[Sample], field: str, way: Way, scale: Scale | None) -> float:
    """Bits a block by the frequencies of the levels alone."""
    found = np.concatenate([_reduced(one, field, way, scale).ravel() for one in judged])
    _, counts = np.unique(found[~np.isnan(found)], return_counts=True)
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


def _pixels(blocks: Array, block: int, shape: tuple[int, ...]) -> Array:
    whole = blocks.repeat(block, axis=0).repeat(block, axis=1)
    return np.nan_to_num(whole[: shape[0], : shape[1]])
