"""Kendall & Gal 2017: more data explains the epistemic part away, and only it."""

from __future__ import annotations

import numpy as np

from training.lab.ground import Effort, Ground
from training.lab.learner import Floats, Said, learn, say
from training.lab.outcome import Measured, Outcome, Panel, Series, Verdict, table

SHARES = (0.25, 1.0)
NEAR = 0.25
"""How far the aleatoric part may move: "about a quarter"."""

# Kendall & Gal 2017, table 3 (b): semantic segmentation, mean aleatoric entropy and epistemic
# logit variance (times 1000).
PAPER = [
    ["CamVid / 4", "CamVid", "57.2", "0.106", "1.96"],
    ["CamVid / 2", "CamVid", "62.9", "0.156", "1.66"],
    ["CamVid", "CamVid", "67.5", "0.111", "1.36"],
    ["CamVid / 4", "NYUv2", "", "0.247", "10.9"],
    ["CamVid", "NYUv2", "", "0.264", "11.8"],
]


def run(ground: Ground, effort: Effort) -> Outcome:
    """Train on a quarter of the places and on all; judge at home and away."""
    seen: dict[tuple[float, str], list[dict[str, float]]] = {}
    for seed in range(1, effort.seeds + 1):
        for share in SHARES:
            learned = learn(ground.places(share, seed), effort, seed)
            for where, chips in (("home", ground.judge), ("away", ground.away)):
                said = say(learned, chips, effort.passes, seed)
                seen.setdefault((share, where), []).append(_figures(said))
    names = {"home": ground.home_name, "away": ground.away_name}
    rows = [
        [f"{share:.0%} of the places", names[where]]
        + [Measured.over([f[k] for f in found]) for k in ("iou", "aleatoric", "epistemic")]
        for (share, where), found in seen.items()
    ]
    less = _ratio(seen[SHARES[0], "home"], seen[SHARES[1], "home"])
    away = _ratio(seen[SHARES[1], "away"], seen[SHARES[1], "home"])
    return Outcome(
        question="Does the epistemic part grow with less data and under a shift, and the "
        "aleatoric part not?",
        method="A network is trained on all places and one on a random quarter of them, for "
        "equally many steps. Both judge chips of other places, and of another domain; parts are "
        "means over the labelled pixels. It holds if, by the mean over seeds, the epistemic part "
        "grows with less data and, in the network of all places, under the shift, each in every "
        "seed; and the aleatoric part moves by at most a quarter with less data.",
        source="Kendall & Gal, What uncertainties do we need in Bayesian deep learning for "
        "computer vision?, NeurIPS 2017, table 3.",
        columns=["trained on", "judged on", "IoU", "aleatoric, nats", "epistemic, nats"],
        rows=rows,
        verdict=Verdict.of(
            [
                less["epistemic"].min() > 1,
                away["epistemic"].min() > 1,
                abs(less["aleatoric"].mean() - 1) <= NEAR,
            ]
        ),
        words=f"With a quarter of the places the epistemic part is {less['epistemic'].mean():.2f} "
        f"times as large and the aleatoric {less['aleatoric'].mean():.2f} times; under the shift "
        f"{away['epistemic'].mean():.2f} and {away['aleatoric'].mean():.2f} times.",
        panels=[_panel(seen, part) for part in ("epistemic", "aleatoric")],
        beside="The paper's own, on streets (CamVid) and rooms (NYUv2); aleatoric as entropy, "
        "epistemic as logit variance × 1000:\n\n"
        + table(["trained on", "judged on", "IoU", "aleatoric", "epistemic"], PAPER),
    )


def _figures(said: Said) -> dict[str, float]:
    return {
        "iou": said.figures()["iou"],
        "aleatoric": float(said.aleatoric.mean()),
        "epistemic": float(said.epistemic.mean()),
    }


def _ratio(one: list[dict[str, float]], other: list[dict[str, float]]) -> dict[str, Floats]:
    return {
        part: np.array([a[part] / b[part] for a, b in zip(one, other, strict=True)])
        for part in ("aleatoric", "epistemic")
    }


def _panel(seen: dict[tuple[float, str], list[dict[str, float]]], part: str) -> Panel:
    series = [
        Series(
            {"home": "other places", "away": "other domain"}[where],
            [0.0, 1.0],
            [Measured.over([f[part] for f in seen[share, where]]) for share in SHARES],
        )
        for where in ("home", "away")
    ]
    ticks = [f"{share:.0%}" for share in SHARES]
    return Panel(part, "places trained on", "mean, nats", series, ticks=ticks)
