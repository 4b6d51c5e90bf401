"""Calibration: the temperature and the operating points, chosen on the calibration places.

The temperature ``τ`` (Guo et al., "On calibration of modern neural networks", ICML 2017) divides
the logits. Head and corrections are linear, so an export folds it into their weights and no
engine needs to know. It minimises the negative log-likelihood of the *mean* over the passes,
since that is the probability that users get.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import expit

from training.chips import UNKNOWN
from training.sample import Sample
from training.scores import iou

Floats = npt.NDArray[np.floating[Any]]
Bytes = npt.NDArray[np.uint8]

SENSITIVE_RECALL = 0.95
GRID = np.round(np.arange(0.02, 0.99, 0.01), 2)
RESAMPLES = 1000
ENOUGH_CLOUD = 10_000
"""Pixels of cloud from which on labels of real chips decide alone."""
MOST_PIXELS = 2**19
"""With ten passes 26 MB; thresholds are then good to three digits and more."""


@dataclass(frozen=True)
class Calibration:
    """What the calibration places say.

    Attributes:
        temperature: divides the logits of water.
        balanced: water threshold: of those whose IoU cannot be told from the best, the nearest
            to 1/2; see `balanced_threshold`.
        sensitive: the highest water threshold whose recall is at least `SENSITIVE_RECALL`; on
            `GRID`, unless that lies below it.
        cloud: cloud threshold with the best IoU; 0.5 where no cloud is labelled. Generated
            clouds have a say only where too few real ones are labelled.
        pixels: labelled pixels that decided on water.
    """

    temperature: float
    balanced: float
    sensitive: float
    cloud: float
    pixels: int

    def to_json(self) -> dict[str, float]:
        """As plain JSON types."""
        return asdict(self)


def fit_temperature(logits: Floats, water: Bytes) -> float:
    """The τ in [0.3, 5] that minimises the NLL of the mean probability.

    Args:
        logits: ``(T, N)`` of the passes.
        water: ``(N,)`` 0 or 1.
    """

    def nll(log_tau: float) -> float:
        p = expit(logits / np.exp(log_tau)).mean(axis=0)
        p = np.clip(p, 1e-7, 1 - 1e-7)
        return float(-np.mean(np.where(water == 1, np.log(p), np.log1p(-p))))

    found = minimize_scalar(nll, bounds=(np.log(0.3), np.log(5.0)), method="bounded")
    return round(float(np.exp(found.x)), 4)


def best_threshold(p: Floats, target: Bytes) -> float:
    """The threshold on `GRID` with the highest IoU, of pixels ``(N,)``; 0.5 without positives."""
    if not (target == 1).any():
        return 0.5
    found = [iou(p >= threshold, target == 1) for threshold in GRID]
    return float(GRID[int(np.argmax(found))])


def balanced_threshold(p: Floats, water: Bytes, places: npt.NDArray[np.int64]) -> float:
    """The threshold on `GRID` nearest to 1/2 that is as good as the best, as far as one can tell.

    Calibration places are few, and the threshold that happens to be best on them is often not on
    others. As with the one-standard-error rule (Breiman et al. 1984, section 3.4.3), all those
    count as equal whose IoU is less than one standard error below the best; the error is of that
    very difference, by resampling whole places. The probabilities are calibrated, so that 1/2 is
    where to go among equals.

    Args:
        p: ``(N,)`` probabilities.
        water: ``(N,)`` 0 or 1.
        places: ``(N,)`` index of the place of every pixel.
    """
    if not (water == 1).any():
        return 0.5
    both, either = _counts(p, water, places)
    pooled = both.sum(0) / either.sum(0)
    best = int(np.argmax(pooled))
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(both), np.full(len(both), 1 / len(both)), RESAMPLES)
    resampled = (drawn @ both) / np.maximum(drawn @ either, 1)
    error = (resampled[:, best, None] - resampled).std(0)
    equal = GRID[pooled[best] - pooled <= error]
    return float(equal[np.argmin(np.abs(equal - 0.5))])


def _counts(
    p: Floats, water: Bytes, places: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pixels in the intersection and in the union, by place and threshold of `GRID`."""
    both = np.zeros((int(places.max()) + 1, len(GRID)), np.int64)
    either = np.zeros_like(both)
    for index in range(len(both)):
        own, true = p[places == index], water[places == index] == 1
        for column, threshold in enumerate(GRID):
            said = own >= threshold
            both[index, column] = np.count_nonzero(said & true)
            either[index, column] = np.count_nonzero(said | true)
    return both, either


def sensitive_threshold(p: Floats, water: Bytes) -> float:
    """The highest threshold on `GRID` that finds `SENSITIVE_RECALL` of the water in ``(N,)``.

    Where none does, the probability that just does; 0.5 without water.
    """
    truly = np.sort(p[water == 1])
    if truly.size == 0:
        return 0.5
    good = [t for t in GRID if np.mean(truly >= t) >= SENSITIVE_RECALL]
    may_miss = truly.size - math.ceil(SENSITIVE_RECALL * truly.size)
    return float(max(good, default=truly[may_miss]))


def calibrate(
    logits_of: Callable[[int], tuple[Floats, Floats]],
    targets: Iterable[tuple[Bytes, Bytes]],
    deciding: Sequence[bool],
    places: Sequence[str],
) -> Calibration:
    """Choose temperature and thresholds, on `MOST_PIXELS` at most.

    Chips are taken one by one; of more pixels a uniform sample decides, so that memory does not
    grow with their number.

    Args:
        logits_of: chip index → water logits ``(T, H, W)`` and cloud logits ``(H, W)``.
        targets: water and cloud labels of every chip, ``(H, W)``.
        deciding: whether a chip decides on water; generated chips do not where real ones can.
            One of them at least has a known water label. On cloud they decide too, if
            `ENOUGH_CLOUD` of it is labelled there, else all chips do.
        places: the group of every chip.
    """
    on_water, on_cloud = Sample(MOST_PIXELS, seed=0), Sample(MOST_PIXELS, seed=1)
    on_real_cloud = Sample(MOST_PIXELS, seed=2)
    numbers = {place: number for number, place in enumerate(_deciding_places(places, deciding))}
    for index, (own_water, own_cloud) in enumerate(targets):
        passes, cloud_logit = logits_of(index)
        known = own_cloud != UNKNOWN
        on_cloud.add(expit(cloud_logit[known]), own_cloud[known])
        if deciding[index]:
            on_real_cloud.add(expit(cloud_logit[known]), own_cloud[known])
            known = own_water != UNKNOWN
            place = np.full(int(known.sum()), numbers[places[index]], np.int32)
            on_water.add(passes[:, known], own_water[known], place)
    logits, labels, where = on_water.columns()
    cloud_p, cloud = on_real_cloud.columns()
    if np.count_nonzero(cloud) < ENOUGH_CLOUD:
        cloud_p, cloud = on_cloud.columns()
    temperature = fit_temperature(logits, labels)
    p = expit(logits / temperature).mean(axis=0)
    balanced = balanced_threshold(p, labels, where)
    return Calibration(
        temperature,
        balanced,
        # A good model finds enough at the balanced point already; an alert never needs more.
        min(balanced, sensitive_threshold(p, labels)),
        best_threshold(cloud_p, cloud),
        int(labels.size),
    )


def _deciding_places(places: Sequence[str], deciding: Sequence[bool]) -> list[str]:
    return sorted({place for place, decides in zip(places, deciding, strict=True) if decides})
