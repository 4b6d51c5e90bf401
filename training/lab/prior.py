"""Precision, weight decay and dropout rate tied by the prior: what each does to calibration.

The formula is λ = l² / (2 N τ keep) (Gal & Ghahramani 2016, section 4 and eq. 7; here for weights
that masks of 1/keep scale, see `training.prior`). Only l²/τ enters it, so a grid over the
length-scale l at τ = 1 is as well one over the likelihood's precision τ at l = 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.lab.ground import Effort, Ground
from training.lab.learner import learn, say
from training.lab.outcome import Measured, Outcome, Panel, Series, Verdict
from training.prior import Prior

RATES = (0.1, 0.3, 0.5)
SCALES = (0.0, 0.3, 1.0, 3.0)
QUICK_RATES = (0.3,)
QUICK_SCALES = (0.0, 0.3, 3.0)
LEARNED = "learned"
KEYS = ("nll", "ece", "iou", "error_auroc_entropy", "mean_epistemic")
NEAR = 0.005

Key = tuple[str, float]


def run(ground: Ground, effort: Effort) -> Outcome:
    """A grid of dropout rates and prior length-scales, and learned rates."""
    rates = QUICK_RATES if effort.quick else RATES
    scales = QUICK_SCALES if effort.quick else SCALES
    found: dict[Key, list[dict[str, float]]] = {}
    for seed in range(1, effort.seeds + 1):
        for scale in scales:
            for rate in rates:
                learned = learn(
                    ground.pool, effort, seed, dropout=rate, length_scale=scale, weight_decay=0.0
                )
                said = say(learned, ground.judge, effort.passes, seed)
                found.setdefault((f"{rate:g}", scale), []).append(said.figures(*KEYS))
        learned = learn(
            ground.pool, effort, seed, length_scale=1.0, weight_decay=0.0, learned_dropout=True
        )
        own = {f"rate {s.name}": s.rate for s in learned.network.sites}
        figures = say(learned, ground.judge, effort.passes, seed).figures(*KEYS)
        found.setdefault((LEARNED, 1.0), []).append({**figures, **own})
    nll = {key: _mean(values, "nll") for key, values in found.items()}
    grid = [key for key in nll if key[0] != LEARNED]
    best = min(grid, key=nll.__getitem__)
    free = min((key for key in grid if key[1] == 0), key=nll.__getitem__)
    tied = [key for key in grid if key[1] > 0]
    best_tied = min(tied, key=nll.__getitem__)
    calibrated = _mean(found[best_tied], "ece") <= _mean(found[free], "ece")
    rates_found = {k: _mean(found[LEARNED, 1.0], k) for k in own}
    return Outcome(
        question="Does the weight decay that a Gaussian prior prescribes, from length-scale, "
        "dropout rate and data size, help calibration, and do learned rates find the best?",
        method="The decay of the weights is λ = l² / (2 N τ keep) with N training chips. Only l²/τ "
        "enters, so a length-scale l at τ = 1 stands as well for a precision of the likelihood of "
        "τ = 1/l² at l = 1; l = 0 is no decay at all. Judged on other places by log loss, which is "
        "the evidence that held out data give. It holds if the best prior, by log loss, has a log "
        "loss and a calibration error no "
        "larger than no prior at its best rate, and if learned rates come within "
        f"{NEAR} nats of the best of the grid.",
        source="Gal & Ghahramani, Dropout as a Bayesian approximation, ICML 2016, eq. 7 and "
        "appendix 4; Gal, Hron & Kendall, Concrete dropout, NeurIPS 2017.",
        columns=[
            "dropout rate",
            "length-scale at τ = 1",
            "precision τ at l = 1",
            "weight decay λ",
            "log loss, nats",
            "ECE",
            "IoU",
            "error AUROC by entropy",
            "mutual information, nats",
        ],
        rows=[
            [rate, scale, *_tied(rate, scale, len(ground.pool))]
            + [Measured.over([f[k] for f in values]) for k in KEYS]
            for (rate, scale), values in found.items()
        ],
        verdict=Verdict.of(
            [
                nll[best_tied] <= nll[free] and calibrated,
                nll[LEARNED, 1.0] <= nll[best] + NEAR,
            ]
        ),
        words=f"Best with a prior: rate {best_tied[0]}, l = {best_tied[1]:g}, log loss "
        f"{nll[best_tied]:.4f}, ECE {_mean(found[best_tied], 'ece'):.4f}; without: rate {free[0]}, "
        f"{nll[free]:.4f}, {_mean(found[free], 'ece'):.4f}. Learned rates "
        + ", ".join(f"{v:.2f} ({k[5:]})" for k, v in rates_found.items())
        + f" give {nll[LEARNED, 1.0]:.4f}. "
        + _each(found, rates, scales),
        panels=[
            Panel(
                label,
                "length-scale",
                label,
                [
                    Series(
                        f"rate {rate:g}",
                        [float(i) for i in range(len(scales))],
                        [Measured.over([f[key] for f in found[f"{rate:g}", s]]) for s in scales],
                    )
                    for rate in rates
                ],
                ticks=[f"{s:g}" for s in scales],
            )
            for key, label in (("nll", "log loss, nats"), ("ece", "ECE"))
        ],
    )


def _tied(rate: str, scale: float, count: int) -> list[str]:
    """Precision and weight decay that go with a length-scale and a rate."""
    precision = f"{1 / scale**2:.3g}" if scale else "∞"
    if rate == LEARNED:
        return [precision, "by the rate"]
    return [precision, f"{Prior(scale, count).decay(1 - float(rate)):.2g}"]


def _each(
    found: dict[Key, list[dict[str, float]]], rates: Sequence[float], scales: Sequence[float]
) -> str:
    """What rate and length-scale each do to the calibration error, by the mean over the other."""
    by_rate = {
        f"rate {rate:g}": [_mean(found[f"{rate:g}", scale], "ece") for scale in scales]
        for rate in rates
    }
    by_scale = {
        f"l = {scale:g}": [_mean(found[f"{rate:g}", scale], "ece") for rate in rates]
        for scale in scales
    }
    return (
        "ECE by the mean over the other: "
        + "; ".join(
            ", ".join(f"{np.mean(values):.3f} ({name})" for name, values in part.items())
            for part in (by_rate, by_scale)
        )
        + "."
    )


def _mean(values: list[dict[str, float]], key: str) -> float:
    return float(np.mean([f[key] for f in values]))
