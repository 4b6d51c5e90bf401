"""How many passes, of which noise, and whether they beat one pass with the mean weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.lab.ground import Effort, Ground
from training.lab.learner import Said, channels, gaussian, learn, pixels, say, silent
from training.lab.outcome import Measured, Outcome, Panel, Series, Verdict

COUNTS = (1, 2, 3, 5, 10, 20, 50, 100)
QUICK_COUNTS = (1, 2, 5, 10, 20)
NOISES = {"channels": channels, "pixels": pixels, "gaussian": gaussian}
NEAR = 0.002
"""AUROC and nats from the most passes that count as none."""
WORTH = {
    "nll": "the mean (log loss)",
    "error_auroc_entropy": "the entropy (error AUROC)",
    "error_auroc_epistemic": "the mutual information (error AUROC)",
}
KEYS = tuple(WORTH)

Found = dict[tuple[str, int], list[dict[str, float]]]


def run(ground: Ground, effort: Effort) -> Outcome:
    """Train with three kinds of noise; judge by 1 to 100 passes, and by the mean weights."""
    counts = QUICK_COUNTS if effort.quick else COUNTS
    found = _found(ground, effort, counts)
    gain = _gain(found, "channels", counts[-1])
    spread = {name: _mean(found, name, counts[-1], "error_auroc_epistemic") for name in NOISES}
    return Outcome(
        question="How many passes are needed, which noise is best, and is the mean of passes "
        "better than one pass with the mean weights?",
        method="One network is trained with Bernoulli masks on channels, one on single values, one "
        "with Gaussian noise N(1, p/(1-p)) on channels. Each judges other places by T passes, and "
        'once with masks of one (weight averaging, "mean weights" in the table). The likeness of '
        "the maps is their correlation with those of as many other passes as the most. It holds if "
        "the mean of channel passes has a lower log loss than the mean weights in every seed, and "
        "if channels point at errors by mutual information as well as the other noises do (within "
        f"0.01). T is enough for a figure from where on it stays within {NEAR} of the most passes.",
        source="Gal & Ghahramani, Bayesian convolutional neural networks with Bernoulli "
        "approximate variational inference, 2015 (MC averaging against weight averaging, figure "
        "of the poster); Srivastava et al. 2014, section 10 (Gaussian noise).",
        columns=[
            "noise",
            "passes",
            "IoU",
            "log loss, nats",
            "ECE",
            "error AUROC by entropy",
            "by mutual information",
            "likeness of the information maps",
        ],
        rows=[
            [name, count or "mean weights"]
            + [
                Measured.over([f[key] for f in values])
                for key in ("iou", "nll", "ece", *KEYS[1:], "likeness")
            ]
            for (name, count), values in found.items()
        ],
        verdict=Verdict.of([gain.max() < 0, spread["channels"] >= max(spread.values()) - 0.01]),
        words=f"{counts[-1]} passes change the log loss by {gain.mean():+.4f} nats against the "
        f"mean weights. Enough passes of {', '.join(NOISES)}: {_enoughs(found, counts)}. "
        "Error AUROC by mutual information: "
        + ", ".join(f"{value:.3f} ({name})" for name, value in spread.items())
        + ".",
        panels=[
            _panel(found, counts, "nll", "log loss, nats"),
            _panel(found, counts, "error_auroc_epistemic", "error AUROC by mutual information"),
            _panel(found, counts, "likeness", "correlation of information maps"),
        ],
    )


def _found(ground: Ground, effort: Effort, counts: tuple[int, ...]) -> Found:
    """Figures of every noise by every number of passes, 0 for the mean weights; one a seed."""
    found: Found = {}
    for seed in range(1, effort.seeds + 1):
        for name, noise in NOISES.items():
            learned = learn(ground.pool, effort, seed, noise)
            mean = say(learned, ground.judge, 1, seed, silent)
            found.setdefault((name, 0), []).append(_figures(mean, mean))
            all_of_them = say(learned, ground.judge, counts[-1], seed)
            apart = say(learned, ground.judge, counts[-1], seed + 100)
            for count in counts:
                figures = _figures(all_of_them.first(count), apart)
                found.setdefault((name, count), []).append(figures)
    return found


def _figures(said: Said, apart: Said) -> dict[str, float]:
    pair = np.corrcoef(said.epistemic, apart.epistemic) if len(said.p) > 1 else np.zeros((2, 2))
    return {**said.figures("iou", "ece", *KEYS), "likeness": float(pair[0, 1])}


def _mean(found: Found, name: str, count: int, key: str) -> float:
    return float(np.mean([f[key] for f in found[name, count]]))


def _gain(found: Found, name: str, count: int) -> Any:
    """Change of the log loss by passes against the mean weights, a value a seed."""
    pairs = zip(found[name, count], found[name, 0], strict=True)
    return np.array([passes["nll"] - mean["nll"] for passes, mean in pairs])


def _enough(found: Found, name: str, counts: tuple[int, ...], key: str) -> int:
    """The fewest passes from which on a figure stays near that of the most."""
    best = _mean(found, name, counts[-1], key)
    far = [abs(_mean(found, name, count, key) - best) > NEAR for count in counts]
    return counts[max((i + 1 for i, off in enumerate(far) if off), default=0)]


def _enoughs(found: Found, counts: tuple[int, ...]) -> str:
    """`_enough` of every noise, for every figure of `WORTH`."""
    return "; ".join(
        f"{', '.join(str(_enough(found, name, counts, key)) for name in NOISES)} for {what}"
        for key, what in WORTH.items()
    )


def _panel(found: Found, counts: tuple[int, ...], key: str, label: str) -> Panel:
    # One pass has no information to be compared.
    shown = [c for c in counts if c > 1 or key == "nll"]
    series = [
        Series(
            name,
            [float(count) for count in shown],
            [Measured.over([f[key] for f in found[name, count]]) for count in shown],
        )
        for name in NOISES
    ]
    return Panel(label, "passes", label, series, log_x=True)
