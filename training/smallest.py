"""The smallest flood that is found nine times in ten.

A *flood* is a patch of pixels labelled water, joined by sides or corners, that lies whole in its
chip: one that meets the chip's edge or an unlabelled pixel has no known size and does not count. It
is *found* where at least half of its pixels are called water. The probability of detection is a
logistic curve over the logarithm of the size, fitted to found and not found; the size at which it
reaches 0.9 is ``a90`` of MIL-HDBK-1823A (2009), "Nondestructive evaluation system reliability
assessment", which rates inspections by it. Its interval comes from resampling whole places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.special import expit, logit

from training.chips import UNKNOWN

Flags = npt.NDArray[np.bool_]

PROBABILITY = 0.9
FOUND_SHARE = 0.5
FEWEST = 20
"""Floods below which no curve is fitted."""
DRAWS = 400
SEED = 0
RIDGE = 0.05
"""Keeps the slope finite where one size parts found from not found without an exception."""
STEPS = 60
EIGHT = np.ones((3, 3), bool)


class Floods(NamedTuple):
    """Floods of several chips.

    Attributes:
        sizes: pixels of each, ``(N,)``.
        found: whether it was found, ``(N,)``.
        places: index of its place, ``(N,)``.
    """

    sizes: npt.NDArray[np.int64]
    found: Flags
    places: npt.NDArray[np.int64]


class Bin(NamedTuple):
    """Floods of sizes from ``low`` to just below ``high`` pixels.

    Attributes:
        low: pixels.
        high: pixels.
        floods: how many.
        found: how many of them were found.
    """

    low: int
    high: int
    floods: int
    found: int


def patches(water: npt.NDArray[np.uint8], said: Flags) -> tuple[npt.NDArray[np.int64], Flags]:
    """Sizes of the whole floods of one chip, and whether each was found.

    Args:
        water: ``(H, W)``: 1 water, 0 not, 255 unknown.
        said: ``(H, W)``: called water.
    """
    labelled, count = ndimage.label(water == 1, EIGHT)
    sizes = np.bincount(labelled.ravel(), minlength=count + 1)
    hits = np.bincount(labelled.ravel(), said.ravel().astype(float), minlength=count + 1)
    beyond = np.pad(water == UNKNOWN, 1, constant_values=True)
    cut = ndimage.binary_dilation(beyond, EIGHT)[1:-1, 1:-1]
    whole = np.ones(count + 1, bool)
    whole[np.unique(labelled[cut])] = False
    whole[0] = False
    return sizes[whole].astype(np.int64), hits[whole] >= FOUND_SHARE * sizes[whole]


def gather(
    water: Sequence[npt.NDArray[np.uint8]], said: Sequence[Flags], places: Sequence[str]
) -> Floods:
    """The whole floods of several chips, ``(H, W)`` each; see `patches`."""
    number = {place: index for index, place in enumerate(sorted(set(places)))}
    parts = [patches(truth, mask) for truth, mask in zip(water, said, strict=True)]
    where = [
        np.full(len(sizes), number[place], np.int64)
        for (sizes, _), place in zip(parts, places, strict=True)
    ]
    empty = (np.zeros(0, np.int64), np.zeros(0, bool))
    sizes, found = zip(empty, *parts, strict=True)
    return Floods(np.concatenate(sizes), np.concatenate(found), np.concatenate([empty[0], *where]))


def curve(sizes: npt.NDArray[np.int64], found: Flags) -> tuple[float, float]:
    """Intercept and slope of the log-odds of being found over log2 of the size, ``(N,)`` floods.

    Newton's method on the likelihood with a weak normal prior on the slope.
    """
    x = np.log2(sizes.astype(float))
    centre = float(x.mean())
    design = np.stack([np.ones_like(x), x - centre], axis=1)
    prior = np.diag([1e-3, RIDGE])
    beta = np.zeros(2)
    for _ in range(STEPS):
        p = expit(design @ beta)
        slope = design.T @ (found - p) - prior @ beta
        bend = (design.T * (p * (1 - p))) @ design + prior
        step = np.linalg.solve(bend, slope)
        # Far from the best, whole steps of Newton's can overshoot for ever.
        beta = beta + step * min(1.0, 4.0 / max(1e-9, float(np.abs(step).max())))
        if float(np.abs(step).max()) < 1e-8:
            break
    return float(beta[0] - beta[1] * centre), float(beta[1])


def smallest(floods: Floods) -> float:
    """Pixels at which the curve reaches `PROBABILITY`; infinite where it does not.

    It speaks of the sizes that were seen alone: at least the smallest flood's is told, and what is
    reached beyond the largest only is not reached.
    """
    intercept, slope = curve(floods.sizes, floods.found)
    wanted, most = float(logit(PROBABILITY)), float(floods.sizes.max())
    if intercept + slope * np.log2(most) < wanted:
        return float("inf")
    least = float(floods.sizes.min())
    if intercept + slope * np.log2(least) >= wanted:
        return least
    # Between the two the curve rises from below to above.
    return float(min(most, max(least, 2.0 ** ((wanted - intercept) / slope))))


def interval(floods: Floods) -> tuple[float, float]:
    """95 % interval of `smallest`, places drawn with replacement."""
    rng = np.random.default_rng(SEED)
    members = [np.flatnonzero(floods.places == place) for place in np.unique(floods.places)]
    values = []
    for _ in range(DRAWS):
        drawn = np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
        values.append(smallest(Floods(*(part[drawn] for part in floods))))
    low = np.percentile(values, 2.5, method="lower")
    return float(low), float(np.percentile(values, 97.5, method="higher"))


def by_size(floods: Floods) -> list[Bin]:
    """Floods and how many were found, by sizes that double; empty sizes are left out."""
    bins = []
    for power in range(64):
        inside = (floods.sizes >= 2**power) & (floods.sizes < 2 ** (power + 1))
        if inside.any():
            found = int(floods.found[inside].sum())
            bins.append(Bin(2**power, 2 ** (power + 1), int(inside.sum()), found))
    return bins


def figures(floods: Mapping[str, Floods]) -> dict[str, Any]:
    """Figures of each operating point by name; NaN and infinity where they are not defined."""
    some = next(iter(floods.values()))
    table: dict[str, Any] = {"whole_floods": len(some.sizes)}
    for name, own in floods.items():
        enough = len(own.sizes) >= FEWEST
        table[f"smallest_flood_px_{name}"] = smallest(own) if enough else float("nan")
        table[f"smallest_flood_px_{name}_interval_95"] = (
            list(interval(own)) if enough else [float("nan")] * 2
        )
        table[f"floods_found_{name}"] = float(own.found.mean()) if len(own.found) else float("nan")
    table["flood_sizes_px_from"] = [each.low for each in by_size(some)]
    table["floods_by_size"] = [each.floods for each in by_size(some)]
    for name, own in floods.items():
        table[f"floods_found_by_size_{name}"] = [each.found for each in by_size(own)]
    return table
