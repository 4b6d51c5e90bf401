"""Which labels to ask for: at random, by entropy, by mutual information, or by it and variety."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from onboard import labelling
from training.chips import Chip
from training.lab.ground import Effort, Ground
from training.lab.learner import Floats, Learned, learn, say
from training.lab.outcome import Measured, Outcome, Panel, Series, Verdict

TARGET = 0.95
"""Of the IoU with all labels."""
FIRST, ROUNDS = 0.08, 5
QUICK_ROUNDS = 3
"""Share of the pool that is labelled at the start, and that every round adds; rounds."""
JUDGING_PASSES = 10
TOO_EASY = (
    " The first chips, drawn at random before anything is asked for, reach it already: by this "
    "goal, from this pool, the ways to ask cannot be told apart."
)

Ask = Callable[[Learned, Sequence[Chip], int, np.random.Generator], list[int]]


def at_random(
    learned: Learned, chips: Sequence[Chip], count: int, rng: np.random.Generator
) -> list[int]:
    """Any chips."""
    return [int(i) for i in rng.permutation(len(chips))[:count]]


def by_entropy(
    learned: Learned, chips: Sequence[Chip], count: int, rng: np.random.Generator
) -> list[int]:
    """Those of the largest mean entropy."""
    worth = [float(say(learned, [chip], JUDGING_PASSES).entropy.mean()) for chip in chips]
    return _top(worth, count)


def by_information(
    learned: Learned, chips: Sequence[Chip], count: int, rng: np.random.Generator
) -> list[int]:
    """BALD: those of the largest mean mutual information."""
    return _top(_information(learned, chips), count)


def by_variety(
    learned: Learned, chips: Sequence[Chip], count: int, rng: np.random.Generator
) -> list[int]:
    """The flight rule: mutual information, less for what is like those taken already."""
    described = [
        labelling.features(learned.tile(chip)[0], np.ones(chip.water.shape, dtype=bool))
        for chip in chips
    ]
    chosen = [c.which for c in labelling.choose(_information(learned, chips), described, count)]
    # What no information is left in is taken by the pool's order.
    rest = [i for i in range(len(chips)) if i not in chosen]
    return (chosen + rest)[:count]


ASKS: dict[str, Ask] = {
    "random": at_random,
    "entropy": by_entropy,
    "BALD": by_information,
    "BALD and variety": by_variety,
}


def _information(learned: Learned, chips: Sequence[Chip]) -> list[float]:
    return [float(say(learned, [chip], JUDGING_PASSES).epistemic.mean()) for chip in chips]


def _top(worth: Sequence[float], count: int) -> list[int]:
    return [int(i) for i in np.argsort(-np.asarray(worth), kind="stable")[:count]]


def run(ground: Ground, effort: Effort) -> Outcome:
    """Rounds of asking, labelling and training again, for every way to ask."""
    rounds = QUICK_ROUNDS if effort.quick else ROUNDS
    step = max(2, round(FIRST * len(ground.pool)))
    curves, full = _curves(ground, effort, rounds, step)
    budgets = [step * (i + 1) for i in range(rounds)]
    goal = TARGET * float(np.mean(full))
    spent = {name: _spent(budgets, np.mean(c, axis=0), goal) for name, c in curves.items()}
    best = min((spent[n] for n in ("BALD", "BALD and variety")), default=np.inf)
    return Outcome(
        question="Do labels that are asked for by uncertainty reach the accuracy of all labels "
        "with fewer of them?",
        method=f"{step} random chips are labelled first; each round trains anew, asks for {step} "
        f"more of the {len(ground.pool)} chips of the pool and trains again. The budget of a way "
        f"is where its mean curve reaches {TARGET:.0%} of the IoU with all labels, by straight "
        "lines between rounds. It holds if BALD, alone or with variety, takes at most half of "
        "random's budget, in part if it takes less than random's.",
        source="Gal, Islam & Ghahramani, Deep Bayesian active learning with image data, ICML 2017; "
        "Kirsch et al., BatchBALD, NeurIPS 2019.",
        columns=["asked by", *[f"IoU, {b} chips" for b in budgets], f"chips to {TARGET:.0%}"],
        rows=[
            [name]
            + [Measured.over([c[i] for c in courses]) for i in range(rounds)]
            + [f"{spent[name]:.0f}" if np.isfinite(spent[name]) else f"over {budgets[-1]}"]
            for name, courses in curves.items()
        ]
        + [[f"all {len(ground.pool)} chips", Measured.over(full), *[""] * rounds]],
        verdict=_judged(best, spent["random"], budgets[-1]),
        words=f"To {TARGET:.0%} of the IoU with all labels: "
        + ", ".join(
            f"{name} {value:.0f} chips" if np.isfinite(value) else f"{name} never"
            for name, value in spent.items()
        )
        + "."
        + (TOO_EASY if min(spent.values()) <= step else ""),
        panels=[_panel(curves, budgets)],
    )


def _curves(
    ground: Ground, effort: Effort, rounds: int, step: int
) -> tuple[dict[str, list[list[float]]], list[float]]:
    """IoU after every round of every way to ask, and with all labels; one of each a seed."""
    curves: dict[str, list[list[float]]] = {name: [] for name in ASKS}
    full = []
    for seed in range(1, effort.seeds + 1):
        full.append(_iou(learn(ground.pool, effort, seed), ground, effort))
        start = _start(ground, effort, seed, step)
        for name, ask in ASKS.items():
            rng = np.random.default_rng([seed, 98])
            curves[name].append(_course(ground, effort, seed, ask, start, rounds, rng))
    return curves, full


def _panel(curves: dict[str, list[list[float]]], budgets: Sequence[int]) -> Panel:
    series = [
        Series(
            name,
            [float(b) for b in budgets],
            [Measured.over([c[i] for c in courses]) for i in range(len(budgets))],
        )
        for name, courses in curves.items()
    ]
    return Panel("label budget", "labelled chips", "IoU on other places", series)


def _iou(learned: Learned, ground: Ground, effort: Effort) -> float:
    return say(learned, ground.judge, effort.passes).figures("iou")["iou"]


def _judged(best: float, random: float, most: int) -> Verdict:
    """The verdict over budgets; infinite where the goal was never reached."""
    if not np.isfinite(best):
        return Verdict.NOT
    return Verdict.of([best <= min(random, most) / 2, best < random])


class Start(NamedTuple):
    """The first round, which is the same for every way to ask.

    Attributes:
        labelled: chips, drawn at random.
        left: the others.
        learned: the network that they gave.
        iou: its.
    """

    labelled: list[Chip]
    left: list[Chip]
    learned: Learned
    iou: float


def _start(ground: Ground, effort: Effort, seed: int, step: int) -> Start:
    left = list(ground.pool)
    first = np.random.default_rng([seed, 99]).permutation(len(left))[:step]
    labelled = _take(left, [int(i) for i in first])
    learned = learn(labelled, effort, seed)
    return Start(labelled, left, learned, _iou(learned, ground, effort))


def _course(
    ground: Ground,
    effort: Effort,
    seed: int,
    ask: Ask,
    start: Start,
    rounds: int,
    rng: np.random.Generator,
) -> list[float]:
    """IoU after every round; each asks for as many chips as the first round had."""
    left, labelled, learned = list(start.left), list(start.labelled), start.learned
    course, step = [start.iou], len(labelled)
    while len(course) < rounds:
        labelled += _take(left, ask(learned, left, step, rng))
        learned = learn(labelled, effort, seed)
        course.append(_iou(learned, ground, effort))
    return course


def _take(left: list[Chip], which: Sequence[int]) -> list[Chip]:
    """Move chips out of the pool."""
    taken = [left[i] for i in which]
    for i in sorted(which, reverse=True):
        del left[i]
    return taken


def _spent(budgets: Sequence[int], curve: Floats, goal: float) -> float:
    """Where a curve first reaches the goal; infinite where it does not."""
    for i, value in enumerate(curve):
        if value >= goal:
            if i == 0:
                return float(budgets[0])
            share = (goal - curve[i - 1]) / (value - curve[i - 1])
            return float(budgets[i - 1] + share * (budgets[i] - budgets[i - 1]))
    return float("inf")
