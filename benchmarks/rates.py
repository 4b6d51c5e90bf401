"""Dropout rates and the prior's length-scale by evidence, and a head that says its own noise.

``python -m benchmarks.rates DATA/dfc24 SYNTH --work WORK`` trains, on the fold of
`benchmarks.onefold` and beside the placement that flies as `benchmarks.placement` trains it:

- a grid of rates and length-scales, each continued from that network for a few epochs with every
  weight learning, and judged by the log-likelihood of places never seen;
- the same network with masks of other rates and no training at all;
- learned rates (concrete dropout) with the prior, from the start;
- a heteroscedastic head.

``--write`` puts figures and page into docs, ``--train`` stops before judging.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import onefold
from benchmarks.onefold import SCHEDULE, Chips, Variant
from benchmarks.placement import Case, give, judge, opened, own_figures, tell
from training import scores
from training.chips import UNKNOWN
from training.config import TrainConfig
from training.crossval import THRESHOLD, HeldOut, pooled
from training.network import weight_arrays
from training.placement import LOGIT
from training.stream import PlainStream
from training.trainer import predict

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "figures" / "rates.json"
PASSES = 10
RATES = (0.1, 0.3, 0.5)
SCALES = (0.0, 1.0)
"""0 is AdamW's decoupled decay, as the shipped recipe has it, in place of the prior."""
CONTINUED = replace(SCHEDULE, epochs=4, learning_rate=1e-3)

AFTERWARDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
"""Rates that the trained base is given without any training."""

BASE = "logit-seed1"
WHOLE = {
    "heteroscedastic": replace(SCHEDULE, heteroscedastic=True),
    "learned": replace(SCHEDULE, learned_dropout=True, length_scale=1.0, weight_decay=0.0),
}
"""Trained from the start, as the base is."""


def grid() -> dict[str, TrainConfig]:
    """Name → settings of every cell."""
    return {
        f"rate{rate}-scale{scale}": replace(
            CONTINUED,
            dropout=rate,
            length_scale=scale,
            weight_decay=0.0 if scale else CONTINUED.weight_decay,
        )
        for scale in SCALES
        for rate in RATES
    }


def train(chips: Chips, folder: Path) -> dict[str, Variant]:
    """Every network, by name; `BASE` is that of `benchmarks.placement`."""
    base = onefold.train(chips, SCHEDULE, folder / BASE, on_epoch=tell(BASE))
    start = weight_arrays(base.model)
    found = {BASE: base}
    for name, config in WHOLE.items():
        found[name] = onefold.train(chips, config, folder / name, on_epoch=tell(name))
    for name, config in grid().items():
        found[name] = onefold.train(chips, config, folder / name, start, tell(name))
    return found


def afterwards(base: Variant, chips: Chips) -> dict[str, dict[str, float]]:
    """Rate → figures of the base with masks of that rate, its weights as they are."""
    found = {}
    for rate in AFTERWARDS:
        switched = base._replace(network=replace(base.network, rate=rate))
        pixels = pooled(onefold.halves(onefold.held_out(switched, chips, PASSES)))
        temperature = float(np.mean(pixels.temperatures))
        found[str(rate)] = {**own_figures(pixels), "temperature": temperature}
    return found


def noise(variant: Variant, chips: Chips, wrong: Any) -> dict[str, float]:
    """What the variance that the network says is worth as a map of errors.

    Args:
        variant: with a heteroscedastic head.
        chips: of the fold.
        wrong: errors to be found, as `benchmarks.onefold.halves` orders the pixels.
    """
    stream = PlainStream(chips.judge, chips.sensor, variant.network, variant.normalisation)
    logs, places = [], []
    for index, place in enumerate(stream.places):
        inputs, target = stream[index]
        known = target[0, ..., 0] != UNKNOWN
        logs.append(predict(variant.model, inputs)[0, ..., 2][known])
        places.append(np.full(logs[-1].size, place))
    own = np.concatenate(logs)
    held = HeldOut(own[None], own > 0, np.concatenate(places), None)
    log_variance = np.concatenate([half.logits[0] for half in onefold.halves(held)])
    return {
        "auroc": scores.auroc(log_variance, wrong),
        "aurc": scores.area_under_risk(log_variance, wrong),
        "median_deviation": float(np.exp(np.median(log_variance) / 2)),
    }


def report(chips: Chips, folder: Path) -> dict[str, Any]:
    """All figures, as plain JSON types."""
    variants = train(chips, folder)
    case = Case(LOGIT, PASSES)
    pixels = {name: judge(v, case, chips, folder / name)[0] for name, v in variants.items()}
    wrong = (pixels[BASE].p >= THRESHOLD) != pixels[BASE].true
    rows = {
        name: {
            "own": own_figures(own),
            "temperature": float(np.mean(own.temperatures)),
            "rates": [site.rate for site in variants[name].network.sites],
            "on_base_errors": {
                "auroc_entropy": scores.auroc(own.entropy, wrong),
                "auroc_aleatoric": scores.auroc(own.aleatoric, wrong),
                "auroc_epistemic": scores.auroc(own.entropy - own.aleatoric, wrong),
                "aurc_aleatoric": scores.area_under_risk(own.aleatoric, wrong),
            },
        }
        for name, own in pixels.items()
    }
    return {
        "fold": list(onefold.FOLD),
        "seed": SCHEDULE.seed,
        "schedule": {"epochs": SCHEDULE.epochs, "crop": SCHEDULE.crop},
        "continued": {"epochs": CONTINUED.epochs, "learning_rate": CONTINUED.learning_rate},
        "judging_chips": len(chips.judge),
        "pixels": int(wrong.size),
        "rows": rows,
        "afterwards": afterwards(variants[BASE], chips),
        "noise": noise(variants["heteroscedastic"], chips, wrong),
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("chips", type=Path, nargs="+", help="chip folders")
    parser.add_argument("--work", type=Path, required=True, help="folder of the networks")
    parser.add_argument("--train", action="store_true", help="train, and stop")
    parser.add_argument("--write", action="store_true", help="write page and figures")
    given = parser.parse_args()
    chips = opened(given.chips)
    if given.train:
        train(chips, given.work)
        return
    from benchmarks.rates_page import write

    give(report(chips, given.work), OUT, write if given.write else None)


if __name__ == "__main__":
    main()
