"""Scores: accuracy, calibration and how well the uncertainty points at errors.

All functions are pure over flat arrays ``(N,)`` of observed pixels: probabilities 0…1,
uncertainties in nats, truth as bool.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

Floats = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]


def _count(flags: Flags) -> int:
    return int(np.count_nonzero(flags))


def iou(said: Flags, true: Flags) -> float:
    """Intersection over union, 0…1; NaN where both are empty."""
    either = _count(said | true)
    return _count(said & true) / either if either else float("nan")


def precision_recall(said: Flags, true: Flags) -> tuple[float, float]:
    """Share of what was said that is true, and of what is true that was said."""
    both = _count(said & true)
    return (
        both / max(1, _count(said)),
        both / max(1, _count(true)),
    )


def calibration_error(p: Floats, true: Flags, bins: int = 15) -> float:
    """Expected calibration error over bins of equal mass (Nguyen & O'Connor 2015), 0…1."""
    bins = min(bins, len(p))
    order = np.argsort(p, kind="stable")
    parts = zip(np.array_split(p[order], bins), np.array_split(true[order], bins), strict=True)
    return sum(abs(float(a.mean()) - float(b.mean())) * len(a) for a, b in parts) / len(p)


def reliability(p: Floats, true: Flags, bins: int = 15) -> tuple[Floats, Floats]:
    """Mean probability and share of positives in bins of equal mass, lowest first."""
    order = np.argsort(p, kind="stable")
    parts = [(p[part], true[part]) for part in np.array_split(order, min(bins, len(p)))]
    return (
        np.array([float(a.mean()) for a, _ in parts]),
        np.array([float(b.mean()) for _, b in parts]),
    )


def risk_coverage(uncertainty: Floats, wrong: Flags, points: int = 100) -> tuple[Floats, Floats]:
    """Share of errors among the pixels that are kept, the most certain first.

    Returns:
        Coverage, ``1/points … 1``, and the risk there (Geifman & El-Yaniv 2017).
    """
    order = np.argsort(uncertainty, kind="stable")
    errors = np.cumsum(wrong[order], dtype=np.int64)
    kept = np.maximum(1, np.rint(np.linspace(1 / points, 1, points) * len(wrong))).astype(int)
    return kept / len(wrong), errors[kept - 1] / kept


def area_under_risk(uncertainty: Floats, wrong: Flags) -> float:
    """AURC: the mean risk over all coverages; lower is better."""
    order = np.argsort(uncertainty, kind="stable")
    errors = np.cumsum(wrong[order], dtype=np.int64)
    return float(np.mean(errors / np.arange(1, len(wrong) + 1)))


def brier(p: Floats, true: Flags) -> float:
    """Mean squared error of the probability."""
    return float(np.mean((p.astype(np.float64) - true) ** 2))


def log_loss(p: Floats, true: Flags) -> float:
    """Mean negative log-likelihood in nats; probabilities are kept 1e-6 away from 0 and 1."""
    q = np.clip(p.astype(np.float64), 1e-6, 1 - 1e-6)
    return float(-np.mean(np.where(true, np.log(q), np.log1p(-q))))


def auroc(score: Floats, positive: Flags) -> float:
    """Area under the ROC curve (Mann-Whitney, ties count half); NaN with one class only."""
    n, m = _count(positive), _count(~positive)
    if n == 0 or m == 0:
        return float("nan")
    ranks = rankdata(score)
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))


def errors_among(uncertainty: Floats, wrong: Flags, share: float = 0.2) -> float:
    """Share of all errors that lie among the ``share`` most uncertain pixels; NaN without any."""
    count = round(share * len(wrong))
    top = np.argsort(-uncertainty, kind="stable")[:count]
    errors = _count(wrong)
    return _count(wrong[top]) / errors if errors else float("nan")


def figures(
    p: Floats, entropy: Floats, epistemic: Floats, true: Flags, threshold: float
) -> dict[str, float]:
    """Calibration of the probability, and how well the uncertainty points at errors.

    Args:
        p: probability of water, 0…1.
        entropy: predictive entropy, nats.
        epistemic: its epistemic part, nats.
        true: whether it is water.
        threshold: of the probability, from which on water is said.
    """
    wrong = (p >= threshold) != true
    return {
        "ece": calibration_error(p, true),
        "brier": brier(p, true),
        "nll": log_loss(p, true),
        "error_auroc_entropy": auroc(entropy, wrong),
        "error_auroc_epistemic": auroc(epistemic, wrong),
        "aurc_entropy": area_under_risk(entropy, wrong),
        "aurc_epistemic": area_under_risk(epistemic, wrong),
        "errors_in_most_uncertain_fifth": errors_among(entropy, wrong),
        "mean_entropy": float(entropy.mean()),
        "mean_epistemic": float(epistemic.mean()),
    }


def group_bootstrap(
    both: dict[str, int], either: dict[str, int], seed: int, draws: int = 2000
) -> tuple[float, float]:
    """95 % interval of a pooled IoU, places drawn with replacement.

    Draws whose union is empty have no IoU and do not count; NaN where all are.

    Args:
        both: group → pixels in the intersection.
        either: group → pixels in the union.
        seed: of the draws.
        draws: how many.
    """
    groups = sorted(both)
    a = np.array([both[g] for g in groups], np.float64)
    b = np.array([either[g] for g in groups], np.float64)
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, len(groups), (draws, len(groups)))
    unions = b[picks].sum(axis=1)
    values = a[picks].sum(axis=1)[unions > 0] / unions[unions > 0]
    if not values.size:
        return float("nan"), float("nan")
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def wilson(hits: int, of: int, z: float = 1.96) -> tuple[float, float]:
    """Score interval of a share (Wilson 1927, "Probable inference"); 95 % by default."""
    share, wide = hits / of, z * z / of
    middle = share + wide / 2
    half = z * float(np.sqrt(share * (1 - share) / of + wide / (4 * of)))
    return (middle - half) / (1 + wide), (middle + half) / (1 + wide)
