"""The closed form of the stochastic corrections beside sampling, on chips never seen.

Both are of the same trained network. The variance of the water logit is exact in the closed form
and estimated by passes; what the two make of it as uncertainty is scored against the same errors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from benchmarks.onefold import MODEL, Chips, Floats, Variant
from onboard import masks
from onboard.uncertainty import bernoulli_entropy
from training import scores
from training.chips import UNKNOWN
from training.closed_form import Linear, Linearised, of_normal
from training.crossval import THRESHOLD
from training.stream import PlainStream

PASSES = (10, 100, 1000)
STEP = 4
"""Every so-manieth row and column of a chip is looked at."""

Maps = dict[str, Floats]


def report(variant: Variant, chips: Chips) -> dict[str, Any]:
    """The figures of one network, as plain JSON types."""
    linearised = Linearised(variant.model, variant.network)
    stream = PlainStream(chips.judge, chips.sensor, variant.network, variant.normalisation)
    parts: dict[str, list[Maps]] = {"closed": [], **{str(n): [] for n in PASSES}}
    water = []
    for index in range(len(stream)):
        inputs, target = stream[index]
        label = target[0, ::STEP, ::STEP, 0]
        known = label != UNKNOWN
        water.append(label[known] == 1)
        whole = linearised(inputs["tile"][0])
        linear = Linear(
            whole.base[::STEP, ::STEP][known], whole.parts[::STEP, ::STEP][known], whole.variance
        )
        parts["closed"].append(closed(linear))
        # Masks of its own, as every scene has in flight.
        scene = index.to_bytes(4, "little")
        drawn = masks.draw(variant.network, 0, MODEL, scene, range(max(PASSES)))
        logits = linear.sampled(drawn)
        for passes in PASSES:
            parts[str(passes)].append(sampled(logits[:passes]))
    joined = {
        name: {key: np.concatenate([one[key] for one in each]) for key in each[0]}
        for name, each in parts.items()
    }
    true = np.concatenate(water)
    return {
        "pixels": int(true.size),
        "channels": sum(site.channels for site in variant.network.sites),
        "moments": {str(n): agreement(joined[str(n)], joined["closed"]) for n in PASSES},
        "scores": {name: worth(own, joined["closed"], true) for name, own in joined.items()},
    }


def closed(linear: Linear) -> Maps:
    """Moments of logit and probability without a pass."""
    mean, variance = linear.mean(), linear.spread()
    p = of_normal(mean, variance)
    return _maps(mean, variance, p.mean, p.aleatoric)


def sampled(logits: Floats) -> Maps:
    """The same from the logits ``(T, N)`` of passes."""
    p = expit(logits)
    return _maps(logits.mean(0), logits.var(0, ddof=1), p.mean(0), bernoulli_entropy(p).mean(0))


def _maps(mean: Floats, variance: Floats, p: Floats, aleatoric: Floats) -> Maps:
    entropy = bernoulli_entropy(p)
    return {
        "mean": mean,
        "deviation": np.sqrt(variance),
        "p": p,
        "entropy": entropy,
        "epistemic": np.maximum(entropy - aleatoric, 0),
    }


def agreement(own: Maps, closed_form: Maps) -> dict[str, dict[str, float]]:
    """How each map of passes goes with the closed form's: correlation, bias, scale of the two."""
    return {
        key: {
            "correlation": float(np.corrcoef(own[key], closed_form[key])[0, 1]),
            "bias": float((own[key] - closed_form[key]).mean()),
            "deviation": float((own[key] - closed_form[key]).std()),
            "closed_mean": float(closed_form[key].mean()),
        }
        for key in closed_form
    }


def worth(own: Maps, closed_form: Maps, true: npt.NDArray[np.bool_]) -> dict[str, float]:
    """What the uncertainty is worth against the errors of the closed form's mask."""
    wrong = (closed_form["p"] >= THRESHOLD) != true
    return {
        "iou": scores.iou(own["p"] >= THRESHOLD, true),
        "nll": scores.log_loss(own["p"], true),
        "auroc_entropy": scores.auroc(own["entropy"], wrong),
        "auroc_epistemic": scores.auroc(own["epistemic"], wrong),
        "auroc_deviation": scores.auroc(own["deviation"], wrong),
    }
