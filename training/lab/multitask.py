"""Cloud and water at once: weights of the losses learned, or set by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit

from training import scores
from training.chips import UNKNOWN, Chip
from training.lab.ground import Effort, Ground
from training.lab.learner import Learned, learn, say
from training.lab.outcome import Measured, Outcome, Panel, Series, Verdict

WEIGHTS = (0.1, 0.5, 2.0)
QUICK_WEIGHTS = (0.1, 2.0)
NEAR = 0.01
LEARNED = "learned"
OVERCAST = 0.5
"""Share of training chips under generated clouds, and of the judging ones."""

Found = dict[str, list[tuple[float, float]]]
"""Water and cloud IoU by recipe, a pair a seed."""


def run(ground: Ground, effort: Effort) -> Outcome:
    """Train with fixed weights of the cloud loss, and with learned ones."""
    recipes: dict[str, dict[str, Any]] = {
        f"fixed {weight:g}": {"cloud_weight": weight}
        for weight in (QUICK_WEIGHTS if effort.quick else WEIGHTS)
    }
    recipes[LEARNED] = {"learned_weights": True}
    found = _found(ground, effort, recipes)
    both = {name: float(np.mean([sum(pair) / 2 for pair in v])) for name, v in found.items()}
    best = max(value for name, value in both.items() if name != LEARNED)
    worst = min(value for name, value in both.items() if name != LEARNED)
    return Outcome(
        question="Do weights of the two losses that are learned from their homoscedastic "
        "uncertainty make a search over fixed weights needless?",
        method="The water loss has weight 1, the cloud loss a fixed one, or both are weighed by "
        "exp(-s) with a learned s each. Half of the training chips and of the judging chips are "
        "under generated clouds, whose truth is known. It holds if the mean of water and cloud IoU "
        f"with learned weights is at most {NEAR} below the best fixed one, and above the worst.",
        source="Kendall, Gal & Cipolla, Multi-task learning using uncertainty to weigh losses, "
        "CVPR 2018, table 1.",
        columns=["weight of the cloud loss", "water IoU", "cloud IoU", "mean of both"],
        rows=[
            [
                name,
                *(Measured.over([pair[i] for pair in v]) for i in range(2)),
                Measured.over([sum(pair) / 2 for pair in v]),
            ]
            for name, v in found.items()
        ],
        verdict=Verdict.of([both[LEARNED] >= best - NEAR, both[LEARNED] > worst]),
        words=f"Learned weights give {both[LEARNED]:.3f}, the best fixed {best:.3f}, the worst "
        f"{worst:.3f}.",
        panels=[_panel(found)],
    )


def _found(ground: Ground, effort: Effort, recipes: dict[str, dict[str, Any]]) -> Found:
    """Train by every recipe, and judge under clouds."""
    found: Found = {name: [] for name in recipes}
    judged = _under_clouds(ground.judge)
    for seed in range(1, effort.seeds + 1):
        for name, changes in recipes.items():
            learned = learn(ground.pool, effort, seed, clouds=OVERCAST, **changes)
            water = say(learned, judged, effort.passes, seed).figures("iou")["iou"]
            found[name].append((water, _cloud_iou(learned, judged)))
    return found


def _panel(found: Found) -> Panel:
    series = [
        Series(
            head,
            [float(i) for i in range(len(found))],
            [Measured.over([pair[k] for pair in v]) for v in found.values()],
        )
        for k, head in enumerate(("water", "cloud"))
    ]
    label = "weight of the cloud loss"
    return Panel("water and cloud", label, "IoU", series, ticks=list(found))


def _under_clouds(chips: list[Chip]) -> list[Chip]:
    """Every chip, each second one under a generated sky of its own."""
    from onboard.sensor import VNIR4
    from training import clouds

    rng = np.random.default_rng(5)
    banks = {side: clouds.make_bank(side, VNIR4.gsd_m, 5) for side in {len(c.water) for c in chips}}
    return [
        clouds.overcast(chip, VNIR4, banks[len(chip.water)], rng) if i % 2 else chip
        for i, chip in enumerate(chips)
    ]


def _cloud_iou(learned: Learned, chips: list[Chip]) -> float:
    said, true = [], []
    for chip in chips:
        known = chip.cloud != UNKNOWN
        said.append(expit(learned.cloud(chip)[known]) >= 0.5)
        true.append(chip.cloud[known] == 1)
    return scores.iou(np.concatenate(said), np.concatenate(true))
