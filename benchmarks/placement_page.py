"""The page and the plot of `benchmarks.placement`."""

from __future__ import annotations

import io
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.onefold import SCHEDULE
from onboard import files

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "experiments" / "placement.md"
PLOT = ROOT / "docs" / "images" / "placement.png"

WHERE = {
    "logit": "corrections of the logit (shipped)",
    "every": "behind every block",
    "bottleneck": "bottleneck",
    "decoder": "decoder",
}
COLOURS = {"logit": "#0b61a4", "every": "#d55e00", "bottleneck": "#00795a", "decoder": "#8e6bbf"}
WITHIN = 0.01
MOST, AIM = 1.5, 1.2
HEADING = (
    "| dropout | T | water IoU | NLL | ECE | error AUROC by entropy | by MI | AURC by entropy "
    "| errors in the most uncertain fifth | odd crops, AUROC by MI | multiply-adds over one pass |"
)

Report = dict[str, Any]


def write(report: Report) -> None:
    """Page and plot into docs."""
    PLOT.parent.mkdir(exist_ok=True)
    files.write_bytes(PLOT, plot(report))
    files.write_text(PAGE, page(report))


def values(rows: list[dict[str, Any]], *path: str) -> list[float]:
    """One figure of all seeds."""
    found = []
    for row in rows:
        value: Any = row
        for key in path:
            value = value[key]
        found.append(float(value))
    return found


def cell(rows: list[dict[str, Any]], *path: str) -> str:
    """Seed by seed, or a dash where it was not measured."""
    if path[0] not in rows[0]:
        return "–"
    return " / ".join(f"{value:.3f}" for value in values(rows, *path))


def table(cases: dict[str, list[dict[str, Any]]], costs: Report) -> str:
    """The cases as a Markdown table."""
    lines = [HEADING, "|" + "---|" * HEADING.count("|", 1)]
    for name, rows in cases.items():
        placement, _, passes = name.rpartition("-")
        cost = costs["by_shape"][placement]["ten_over_one" if passes == "10" else "forty_over_one"]
        cells = [
            WHERE[placement],
            passes,
            cell(rows, "own", "iou"),
            cell(rows, "own", "nll"),
            cell(rows, "own", "ece"),
            cell(rows, "shipped_errors", "auroc_entropy"),
            cell(rows, "shipped_errors", "auroc_epistemic"),
            cell(rows, "shipped_errors", "aurc_entropy"),
            cell(rows, "shipped_errors", "in_most_uncertain_fifth"),
            cell(rows, "odd", "mean"),
            f"{cost:.2f} ×",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def behind(cases: dict[str, list[dict[str, Any]]]) -> list[float]:
    """By how much forty passes of dropout everywhere find the errors better, seed by seed."""
    ours = values(cases["logit-10"], "shipped_errors", "auroc_entropy")
    theirs = values(cases["every-40"], "shipped_errors", "auroc_entropy")
    return [b - a for a, b in zip(ours, theirs, strict=True)]


def command(report: Report) -> str:
    """What makes the page."""
    seeds = " ".join(str(seed) for seed in report["seeds"])
    more = " --longer" if "longer" in report else ""
    return (
        f"python -m benchmarks.placement DATA/dfc24 synth --work WORK --seeds {seeds}{more} --write"
    )


def longer(report: Report) -> str:
    """The table of the longer schedule, if it was run."""
    if "longer" not in report:
        return ""
    more = report["longer"]
    return (
        f"Dropout everywhere learns slowly, and {SCHEDULE.dropout:g} everywhere is much for so "
        f"small a network. So once more,\nwith {more['epochs']} epochs and, for the reference, a "
        f"rate of {more['rate']:g} (seed {more['seed']}):\n\n"
        f"{table(more['cases'], report['costs'])}\n"
    )


def verdict(report: Report) -> str:
    """What the two targets say, from the figures."""
    gaps = behind(report["cases"])
    if "longer" in report:
        gaps += behind(report["longer"]["cases"])
    own = values(report["cases"]["every-40"], "own", "error_auroc_entropy")
    if "longer" in report:
        own += values(report["longer"]["cases"]["every-40"], "own", "error_auroc_entropy")
    said = [f"{gap:+.3f}" for gap in gaps]
    order = ", the longer schedule last" if "longer" in report else ""
    holds = all(gap <= WITHIN for gap in gaps)
    odd = ", ".join(
        f"{WHERE[name.rpartition('-')[0]]} {mean(values(rows, 'odd', 'mean')):.2f}"
        for name, rows in report["cases"].items()
        if "odd" in rows[0]
    )
    graph = report["costs"]["shipped_graph"]
    cost = report["costs"]["by_shape"]["logit"]["ten_over_one"]
    most = max(cost, graph["over_one"])
    kept = "within the aim" if most <= AIM else "within the bound" if most <= MOST else "beyond"
    return (
        f"- **Forty passes with dropout everywhere** differ by {', '.join(said)} in the AUROC of "
        f"the shipped placement's errors (by entropy{order}; below 0 it is worse than what is "
        f"shipped, above {WITHIN} the target is missed): the target "
        f"{'holds in all' if holds else 'does not hold in all'}. The errors are the shipped ones, "
        f"which favours the shipped maps; of its own errors the reference's AUROC is "
        f"{', '.join(f'{value:.3f}' for value in own)}.\n"
        f"- **Ten passes of the shipped placement** cost {cost:.2f} × the multiply-adds of one by "
        f"its shape, and {graph['over_one']:.2f} × counted over the convolutions and products of "
        f"the shipped TFLite graph: {kept} of {AIM:.1f} × (bound {MOST:.1f} ×).\n"
        f"- **Odd crops** by MI alone: {odd}. No placement's MI would do alone.\n"
    )


def closed_form(found: Report) -> str:
    """The closed form's two tables."""
    agreement = ["| passes | map | correlation | mean difference | spread of the difference |"]
    agreement.append("|---|---|---|---|---|")
    for passes, maps in found["moments"].items():
        for key, name in (
            ("mean", "mean of the logit"),
            ("deviation", "deviation of the logit"),
            ("p", "probability"),
            ("epistemic", "mutual information, nats"),
        ):
            own = maps[key]
            agreement.append(
                f"| {passes} | {name} | {own['correlation']:.4f} | {own['bias']:+.5f} "
                f"| {own['deviation']:.5f} |"
            )
    worth = ["| | water IoU | NLL | AUROC by entropy | by MI | by deviation of the logit |"]
    worth.append("|---|---|---|---|---|---|")
    for name, own in found["scores"].items():
        label = "closed form" if name == "closed" else f"{name} passes"
        cells = [own[k] for k in ("iou", "nll", "auroc_entropy", "auroc_epistemic")]
        cells.append(own["auroc_deviation"])
        worth.append(f"| {label} | " + " | ".join(f"{value:.4f}" for value in cells) + " |")
    return "\n".join(agreement) + "\n\n" + "\n".join(worth) + "\n"


def page(report: Report) -> str:
    """The whole page as Markdown."""
    seeds = ", ".join(str(seed) for seed in report["seeds"])
    several = f"seed {seeds}"
    if len(report["seeds"]) > 1:
        several = f"seeds {seeds}, whose figures stand side by side"
    closed = report["closed_form"]
    scale = closed["moments"]["1000"]["deviation"]["closed_mean"]
    return f"""# Where dropout acts

Made by

```
floodsat synth --chips --count 160 --size 128 --seed 1000 --out synth
{command(report)}
```

**A reduced schedule, labelled as such:** {report["schedule"]["epochs"]} epochs on crops of
{report["schedule"]["crop"]} pixels, the other settings those of the shipped network,
{several}. One fixed fold: {report["train_chips"]} chips train,
{report["judging_chips"]} real `dfc24` chips of {report["judging_places"]} other places judge; no
test place is in either. Each half of the judging places gets the temperature fitted on the other.

All uncertainty maps are scored against one set of errors: those of the shipped placement (T = 10,
threshold 1/2) trained with the same seed. MI is the mutual information, the epistemic part. *Odd
crops* are the judging chips under each of the six corruptions of `training/corruptions.py`, told
from the same chips as they are by the mean MI of their middle 64 × 64 pixels alone; the mean AUROC
of the six is given. (What flies is a score of its own, `docs/oddity.md`, of which MI is one part.)
Multiply-adds are counted from the shapes, everything before the first mask once for all passes
(`training/placement.py`).

{table(report["cases"], report["costs"])}
![AUROC over cost](../images/placement.png)

{longer(report)}What it says:

{verdict(report)}
## Without drawing a mask

The shipped placement's logit is linear in the masks, so its mean and variance over all masks have a
closed form (`training/closed_form.py`). Beside it, passes of the same network (seed
{report["seeds"][0]}) on every sixteenth pixel of the judging chips, {closed["pixels"]} of them; the
deviation of the logit is {scale:.3f} in the mean. Temperature 1.

{closed_form(closed)}
The errors are those of the closed form's own mask at 1/2. Every chip has masks of its own, as every
scene has in flight: ten of them move the whole chip's logit to one side or the other,
and the closed form's MI, free of that, points at errors better than that of ten passes where the
table says so. It costs more on board (`training/closed_form.py`), and does not fly.
"""


def plot(report: Report) -> bytes:
    """Error AUROC over what ten passes cost, and AUROC of odd crops beside it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for name, rows in report["cases"].items():
        placement, _, passes = name.rpartition("-")
        costs = report["costs"]["by_shape"][placement]
        cost = costs["ten_over_one" if passes == "10" else "forty_over_one"]
        colour, label = COLOURS[placement], f"{placement}, T = {passes}"
        found = values(rows, "shipped_errors", "auroc_entropy")
        left.plot([cost] * len(found), found, "o", color=colour, alpha=0.5)
        left.plot(cost, mean(found), "_", ms=16, color=colour)
        left.annotate(label, (cost, mean(found)), (6, 4), textcoords="offset points", fontsize=8)
        if "odd" in rows[0]:
            found = values(rows, "odd", "mean")
            right.plot([cost] * len(found), found, "o", color=colour, alpha=0.5)
            right.plot(cost, mean(found), "_", ms=16, color=colour)
            right.annotate(placement, (cost, mean(found)), (6, 4), textcoords="offset points")
    for axes, text in ((left, "AUROC of the shipped errors, entropy"), (right, "AUROC, odd crops")):
        axes.set_xscale("log")
        axes.set(xlabel="multiply-adds over one pass", ylabel=text)
        axes.margins(x=0.25, y=0.15)
        axes.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
