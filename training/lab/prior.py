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
RATE = "rate "
"""Before the site's name, in the keys of learned rates."""
NEAR = 0.005

Key = tuple[str, float]
Found = dict[Key, list[dict[str, float]]]


def run(ground: Ground, effort: Effort) -> Outcome:
    """A grid of dropout rates and prior length-scales, and learned rates."""
    rates = QUICK_RATES if effort.quick else RATES
    scales = QUICK_SCALES if effort.quick else SCALES
    found = _found(ground, effort, rates, scales)
    nll = {key: _mean(values, "nll") for key, values in found.items()}
    grid = [key for key in nll if key[0] != LEARNED]
    best = min(grid, key=nll.__getitem__)
    free = min((key for key in grid if key[1] == 0), key=nll.__getitem__)
    tied = [key for key in grid if key[1] > 0]
    best_tied = min(tied, key=nll.__getitem__)
    calibrated = _mean(found[best_tied], "ece") <= _mean(found[free], "ece")
    return Outcome(
        question="Does the weight decay that a Gaussian prior prescribes, from length-scale, "
        "dropout rate and data size, help calibration, and do learned rates find the best?",
        method="The decay of the weights is λ = l² / (2 N τ keep) with N training chips. Only l²/τ "
        "enters, so a length-scale l at τ = 1 stands as well for a precision of the likelihood of "
        "τ = 1/l² at l = 1; l = 0 is no decay at all. Judged on other places by log loss, which is "
        "the evidence that held out data give. It holds if the best prior, by log loss, has a log "
        "loss and a calibration error no larger than no prior at its best rate, and if learned "
        f"rates come within {NEAR} nats of the best of the grid.",
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
            [nll[best_tied] <= nll[free] and calibrated, nll[LEARNED, 1.0] <= nll[best] + NEAR]
        ),
        words=f"{_best(found, best_tied, free)} {_learned(found[LEARNED, 1.0])} "
        + _each(found, rates, scales),
        panels=[
            _panel(found, rates, scales, key, label)
            for key, label in (("nll", "log loss, nats"), ("ece", "ECE"))
        ],
    )


def _found(
    ground: Ground, effort: Effort, rates: Sequence[float], scales: Sequence[float]
) -> Found:
    """Figures of the grid and of learned rates, the latter with these rates; one of each a seed."""
    found: Found = {}
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
        own = {f"{RATE}{s.name}": s.rate for s in learned.network.sites}
        figures = say(learned, ground.judge, effort.passes, seed).figures(*KEYS)
        found.setdefault((LEARNED, 1.0), []).append({**figures, **own})
    return found


def _best(found: Found, tied: Key, free: Key) -> str:
    """Log loss and calibration error of the best prior, and of none at its best rate."""
    prior, none = found[tied], found[free]
    return (
        f"Best with a prior: rate {tied[0]}, l = {tied[1]:g}, log loss {_mean(prior, 'nll'):.4f}, "
        f"ECE {_mean(prior, 'ece'):.4f}; without: rate {free[0]}, {_mean(none, 'nll'):.4f}, "
        f"{_mean(none, 'ece'):.4f}."
    )


def _learned(values: list[dict[str, float]]) -> str:
    """The learned rates by site, each the mean over the seeds, and their log loss."""
    rates = [key for key in values[0] if key.startswith(RATE)]
    named = ", ".join(f"{_mean(values, key):.2f} ({key[len(RATE) :]})" for key in rates)
    return f"Learned rates {named} give {_mean(values, 'nll'):.4f}."


def _panel(
    found: Found, rates: Sequence[float], scales: Sequence[float], key: str, label: str
) -> Panel:
    series = [
        Series(
            f"rate {rate:g}",
            [float(i) for i in range(len(scales))],
            [Measured.over([f[key] for f in found[f"{rate:g}", s]]) for s in scales],
        )
        for rate in rates
    ]
    return Panel(label, "length-scale", label, series, ticks=[f"{s:g}" for s in scales])


def _tied(rate: str, scale: float, count: int) -> list[str]:
    """Precision and weight decay that go with a length-scale and a rate."""
    precision = f"{1 / scale**2:.3g}" if scale else "∞"
    if rate == LEARNED:
        return [precision, "by the rate"]
    return [precision, f"{Prior(scale, count).decay(1 - float(rate)):.2g}"]


def _each(found: Found, rates: Sequence[float], scales: Sequence[float]) -> str:
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
