"""Calibration: the temperature and the operating points, chosen on the calibration places.

The temperature ``τ`` (Guo et al., "On calibration of modern neural networks", ICML 2017) divides
the logits. Head and corrections are linear, so an export folds it into their weights and no
engine needs to know. It minimises the negative log-likelihood of the *mean* over the passes,
since that is the probability that users get.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import expit

from training.chips import UNKNOWN
from training.scores import iou

Floats = npt.NDArray[np.floating[Any]]
Bytes = npt.NDArray[np.uint8]

SENSITIVE_RECALL = 0.95
GRID = np.round(np.arange(0.02, 0.99, 0.01), 2)


@dataclass(frozen=True)
class Calibration:
    """What the calibration places say.

    Attributes:
        temperature: divides the logits of water.
        balanced: water threshold with the best IoU.
        sensitive: the highest water threshold whose recall is at least `SENSITIVE_RECALL`; on
            `GRID`, unless that lies below it.
        cloud: cloud threshold with the best IoU; 0.5 where no cloud is labelled.
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
    """The threshold on `GRID` with the highest intersection over union; 0.5 without positives."""
    if not (target == 1).any():
        return 0.5
    found = [iou(p >= threshold, target == 1) for threshold in GRID]
    return float(GRID[int(np.argmax(found))])


def sensitive_threshold(p: Floats, water: Bytes) -> float:
    """The highest threshold on `GRID` that finds `SENSITIVE_RECALL` of the water pixels.

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
    targets: Sequence[tuple[Bytes, Bytes]],
    deciding: Sequence[bool],
) -> Calibration:
    """Choose temperature and thresholds.

    Args:
        logits_of: chip index → water logits ``(T, H, W)`` and cloud logits ``(H, W)``.
        targets: water and cloud labels of every chip, ``(H, W)``.
        deciding: whether a chip decides on water; generated chips do not where real ones can.
            One of them at least has a known water label. On cloud all chips decide: real labels
            of cloud are too few to decide alone.
    """
    water_logits, water, cloud_p, cloud = [], [], [], []
    for index, (own_water, own_cloud) in enumerate(targets):
        passes, cloud_logit = logits_of(index)
        known = own_cloud != UNKNOWN
        cloud_p.append(expit(cloud_logit[known]))
        cloud.append(own_cloud[known])
        if deciding[index]:
            known = own_water != UNKNOWN
            water_logits.append(passes[:, known])
            water.append(own_water[known])
    logits, labels = np.concatenate(water_logits, axis=1), np.concatenate(water)
    temperature = fit_temperature(logits, labels)
    p = expit(logits / temperature).mean(axis=0)
    balanced = best_threshold(p, labels)
    return Calibration(
        temperature,
        balanced,
        # A good model finds enough at the balanced point already; an alert never needs more.
        min(balanced, sensitive_threshold(p, labels)),
        best_threshold(np.concatenate(cloud_p), np.concatenate(cloud)),
        int(labels.size),
    )
