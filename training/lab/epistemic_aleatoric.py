"""Kendall & Gal 2017: more data explains the epistemic part away, and only it."""

from __future__ import annotations

import numpy as np
from scipy.special import logit

from training.chips import Chip
from training.lab.ground import Effort, Ground
from training.lab.learner import Floats, Said, learn, say
from training.lab.outcome import Measured, Outcome, Panel, Series, Verdict, table

SHARES = (0.25, 1.0)
NEAR = 0.25
"""How far the aleatoric part may move: "about a quarter"."""
KEYS = ("iou", "mean_aleatoric", "mean_epistemic", "logit")
LEAST = 1e-6
"""Probabilities are kept this far from 0 and 1, so that their logits are finite."""

Seen = dict[tuple[float, str], list[dict[str, float]]]

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
    domains = {ground.home_name: ground.judge, **ground.away}
    seen = _seen(ground, effort, domains)
    home = seen[SHARES[1], ground.home_name]
    less = _ratio(seen[SHARES[0], ground.home_name], home)
    away = {where: _ratio(seen[SHARES[1], where], home) for where in ground.away}
    parts = {
        "the epistemic part grows with less data": bool(less["mean_epistemic"].min() > 1),
        **{
            f"it grows under the shift to {where}": bool(ratio["mean_epistemic"].min() > 1)
            for where, ratio in away.items()
        },
        "the aleatoric part stays": bool(abs(less["mean_aleatoric"].mean() - 1) <= NEAR),
    }
    return Outcome(
        question="Does the epistemic part grow with less data and under a shift, and the "
        "aleatoric part not?",
        method="A network is trained on all places and one on a random quarter of them, for "
        "equally many steps. Both judge chips of other places, and of other domains; parts are "
        "means over the labelled pixels. It holds if the epistemic part (mutual information) grows "
        "with less data and, in the network of all places, under each shift, every time in every "
        "seed; and if by the mean over seeds the aleatoric part moves by at most a quarter with "
        "less data.",
        source="Kendall & Gal, What uncertainties do we need in Bayesian deep learning for "
        "computer vision?, NeurIPS 2017, table 3.",
        columns=[
            "trained on",
            "judged on",
            "IoU",
            "aleatoric, nats",
            "epistemic, nats",
            "epistemic, logit variance",
        ],
        rows=[
            [f"{share:.0%} of the places", where]
            + [_cell([f[key] for f in seen[share, where]]) for key in KEYS]
            for where in domains
            for share in SHARES
        ],
        verdict=Verdict.of(list(parts.values())),
        words="; ".join(f"{part}: {'yes' if ok else 'no'}" for part, ok in parts.items())
        + f". {_moved(less, away)}.",
        panels=[_panel(seen, list(domains), part) for part in ("epistemic", "aleatoric")],
        beside="The paper's own, on streets (CamVid) and rooms (NYUv2); aleatoric as entropy, "
        "epistemic as logit variance × 1000 (of other networks and classes: compare how a column "
        "moves, not its size):\n\n"
        + table(["trained on", "judged on", "IoU", "aleatoric", "epistemic"], PAPER),
    )


def _seen(ground: Ground, effort: Effort, domains: dict[str, list[Chip]]) -> Seen:
    """What networks of a share of the places say of every domain, figures a seed."""
    seen: Seen = {}
    for seed in range(1, effort.seeds + 1):
        for share in SHARES:
            learned = learn(ground.places(share, seed), effort, seed)
            for where, chips in domains.items():
                said = say(learned, chips, effort.passes, seed)
                seen.setdefault((share, where), []).append(_figures(said))
    return seen


def _figures(said: Said) -> dict[str, float]:
    p = np.clip(said.p, LEAST, 1 - LEAST)
    return {
        **said.figures("iou", "mean_aleatoric", "mean_epistemic"),
        "logit": float(logit(p).var(axis=0).mean()),
    }


def _cell(values: list[float]) -> Measured | str:
    """A figure over the seeds; the IoU has none where a domain has no water and none is said."""
    return Measured.over(values) if np.isfinite(values).all() else "no water there"


def _moved(less: dict[str, Floats], away: dict[str, dict[str, Floats]]) -> str:
    """How both parts move with less data, and under every shift."""
    shifts = "; ".join(
        f"under the shift to {where} the epistemic {_times(ratio, 'epistemic')} and the "
        f"aleatoric {_times(ratio, 'aleatoric')}"
        for where, ratio in away.items()
    )
    return (
        f"With a quarter of the places the epistemic part is {_times(less, 'epistemic')} as "
        f"large and the aleatoric {_times(less, 'aleatoric')}; {shifts}"
    )


def _times(ratio: dict[str, Floats], part: str) -> str:
    """Mean over the seeds, and the least and the most, as a factor."""
    factor = ratio[f"mean_{part}"]
    return f"{factor.mean():.2f} times ({factor.min():.2f}–{factor.max():.2f})"


def _ratio(one: list[dict[str, float]], other: list[dict[str, float]]) -> dict[str, Floats]:
    return {
        part: np.array([a[part] / b[part] for a, b in zip(one, other, strict=True)])
        for part in ("mean_aleatoric", "mean_epistemic")
    }


def _panel(seen: Seen, domains: list[str], part: str) -> Panel:
    series = [
        Series(
            where,
            [0.0, 1.0],
            [Measured.over([f[f"mean_{part}"] for f in seen[share, where]]) for share in SHARES],
        )
        for where in domains
    ]
    ticks = [f"{share:.0%}" for share in SHARES]
    return Panel(part, "places trained on", "mean, nats", series, ticks=ticks)
