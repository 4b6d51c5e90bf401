"""A network as the truth: is the spread of its outputs found again by networks that learn it?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.special import expit

from onboard.uncertainty import bernoulli_entropy
from training.chips import UNKNOWN, Chip
from training.lab.ground import Effort, Ground
from training.lab.learner import Floats, Learned, Said, learn, say
from training.lab.outcome import Measured, Outcome, Panel, Series, Verdict

TRUTH_SEED = 77
STRONG = 0.7
SLOPE = (0.5, 2.0)


def run(ground: Ground, effort: Effort) -> Outcome:
    """Draw labels from one network's passes, train others on them, compare what they say."""
    truth = learn(ground.pool, effort, TRUTH_SEED)
    known = say(truth, ground.judge, effort.passes, TRUTH_SEED)
    told = [_told(truth, ground, effort, seed) for seed in range(1, effort.seeds + 1)]
    # What retraining really moves: the spread of the trained networks' means.
    moved = np.std([said.mean for said in told], axis=0)
    pairs = {
        "probability, against the truth's": [(said.mean, known.mean) for said in told],
        "entropy, against the truth's": [
            (said.entropy, bernoulli_entropy(known.mean)) for said in told
        ],
        "spread over passes, against the truth's": [
            (said.p.std(0), known.p.std(0)) for said in told
        ],
        "spread over passes, against that of the retrained networks": [
            (said.p.std(0), moved) for said in told
        ],
    }
    found = {name: [_fit(*pair) for pair in values] for name, values in pairs.items()}
    mean = {name: np.mean(values, axis=0) for name, values in found.items()}
    return Outcome(
        question="If the truth is a distribution that is known, do networks that learn from its "
        "draws report its spread?",
        method="A trained network is taken as the truth. For every training chip one of its passes "
        "is drawn, and from its probabilities a label for every pixel. New networks learn from "
        "those labels, each from a draw of its own, and judge other places. Compared per pixel, "
        "by correlation and slope (of theirs over the known): probability and entropy, which a "
        "single label a pixel lets one learn; the spread over passes against the truth's; and the "
        "spread over passes against that of the means of the retrained networks, which is what "
        "the epistemic part claims to be. A row holds if the correlation is at least "
        f"{STRONG} and the slope within {SLOPE[0]}–{SLOPE[1]}.",
        source="The check asked for by Gal, Uncertainty in deep learning, 2016, chapter 4; the "
        "construction is that of simulation-based calibration (Talts et al. 2018).",
        columns=["compared", "correlation", "slope"],
        rows=[
            [name] + [Measured.over([v[i] for v in values]) for i in range(2)]
            for name, values in found.items()
        ],
        verdict=Verdict.of(
            [bool(r >= STRONG and SLOPE[0] <= s <= SLOPE[1]) for r, s in mean.values()]
        ),
        words="; ".join(f"{name}: r = {r:.2f}, slope {s:.2f}" for name, (r, s) in mean.items())
        + ".",
        panels=[
            _panel("entropy", told, known.entropy, lambda said: said.entropy),
            _panel("spread over passes", told, known.p.std(0), lambda said: said.p.std(0)),
        ],
    )


def _told(truth: Learned, ground: Ground, effort: Effort, seed: int) -> Said:
    """What a network says that learned from the truth's draws of one seed."""
    drawn = [_drawn(truth, chip, seed) for chip in ground.pool]
    return say(learn(drawn, effort, seed), ground.judge, effort.passes, seed)


def _drawn(truth: Learned, chip: Chip, seed: int) -> Chip:
    """The chip with labels that the truth could have given."""
    rng = np.random.default_rng([seed, int.from_bytes(chip.id.encode()[-6:], "little")])
    # Each chip's pass is of masks of its own.
    p = expit(truth.logits(chip, 1, int(rng.integers(2**31)))[0])
    label = (rng.random(p.shape) < p).astype(np.uint8)
    return replace(chip, water=np.where(chip.water == UNKNOWN, UNKNOWN, label).astype(np.uint8))


def _fit(said: Floats, known: Floats) -> tuple[float, float]:
    """Correlation, and slope of what is said over what is known."""
    covariance = np.cov(known, said)
    return (
        float(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])),
        float(covariance[0, 1] / covariance[0, 0]),
    )


def _panel(name: str, told: list[Said], known: Floats, part: Callable[[Said], Floats]) -> Panel:
    """What is said in ten bins of what is known, equally many pixels in each."""
    bins = np.array_split(np.argsort(known, kind="stable"), 10)
    x = [float(known[b].mean()) for b in bins]
    y = [Measured.over([float(part(said)[b].mean()) for said in told]) for b in bins]
    unit = "nats" if name == "entropy" else "probability"
    same = Series("as known", [x[0], x[-1]], [Measured(x[0], 0.0), Measured(x[-1], 0.0)])
    return Panel(name, f"known, {unit}", f"said, {unit}", [Series("said", x, y), same])
