"""The page of `benchmarks.rates`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.rates import BASE, RATES, SCALES
from onboard import files

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "experiments" / "rates.md"

COLUMNS = ("water IoU", "NLL", "Brier", "ECE", "error AUROC by entropy", "by MI", "temperature")
NAMES = {
    BASE: "base: as shipped, rate 0.3, AdamW's decay",
    "learned": "learned rates, prior of length-scale 1 (recipe `bayes`)",
    "heteroscedastic": "base, and a heteroscedastic head",
}
Report = dict[str, Any]


def write(report: Report) -> None:
    """The page into docs."""
    files.write_text(PAGE, page(report))


def figures(own: Report, temperature: float) -> list[str]:
    """The cells of a row."""
    keys = ("iou", "nll", "brier", "ece", "error_auroc_entropy", "error_auroc_epistemic")
    return [*(f"{own[key]:.3f}" for key in keys), f"{temperature:.2f}"]


def whole(report: Report) -> str:
    """Networks that were trained from the start."""
    lines = ["| network | rates | " + " | ".join(COLUMNS) + " |", "|" + "---|" * 9]
    for name, text in NAMES.items():
        if name in report["rows"]:
            row = report["rows"][name]
            rates = ", ".join(f"{rate:.2f}" for rate in row["rates"])
            lines.append(
                "| " + " | ".join([text, rates, *figures(row["own"], row["temperature"])]) + " |"
            )
    return "\n".join(lines) + "\n"


def grid(report: Report) -> str:
    """Networks that were continued from the base."""
    lines = ["| length-scale | rate | " + " | ".join(COLUMNS) + " |", "|" + "---|" * 9]
    for scale in SCALES:
        for rate in RATES:
            row = report["rows"][f"rate{rate}-scale{scale}"]
            name = f"{scale:g}" if scale else "none: AdamW's decay"
            lines.append(
                "| "
                + " | ".join([name, f"{rate:g}", *figures(row["own"], row["temperature"])])
                + " |"
            )
    return "\n".join(lines) + "\n"


def afterwards(report: Report) -> str:
    """The base with masks of other rates."""
    lines = ["| rate | " + " | ".join(COLUMNS) + " |", "|" + "---|" * 8]
    for rate, own in report["afterwards"].items():
        lines.append("| " + " | ".join([rate, *figures(own, own["temperature"])]) + " |")
    return "\n".join(lines) + "\n"


def spread(report: Report) -> str:
    """What the grid says, from its figures."""
    nll = {
        (scale, rate): report["rows"][f"rate{rate}-scale{scale}"]["own"]["nll"]
        for scale in SCALES
        for rate in RATES
    }
    best = min(nll, key=lambda cell: nll[cell])
    base = (SCALES[0], 0.3)
    if best == base:
        text = (
            f"Log-likelihood is best in the shipped cell, rate 0.3 without a prior: NLL "
            f"{nll[best]:.4f} nats."
        )
    else:
        prior = f"a length-scale of {best[0]:g}" if best[0] else "no prior"
        text = (
            f"Log-likelihood is best at rate {best[1]:g} with {prior}: NLL {nll[best]:.4f} nats, "
            f"where the shipped rate 0.3 without a prior has {nll[base]:.4f}."
        )
    text += f" Over the grid it goes from {min(nll.values()):.4f} to {max(nll.values()):.4f}."
    if "learned" in report["rows"]:
        learned, own = (report["rows"][name]["own"]["nll"] for name in ("learned", BASE))
        rates = ", ".join(f"{rate:.2f}" for rate in report["rows"]["learned"]["rates"])
        text += (
            f" Learned rates went to {rates} (sites at 1/8, 1/4, 1/2) with NLL {learned:.4f}; the "
            f"base, as long trained, has {own:.4f}."
        )
    return text


def heads(report: Report) -> str:
    """The heteroscedastic variance beside the expected entropy, against the base's errors."""
    base, own = (report["rows"][name]["on_base_errors"] for name in (BASE, "heteroscedastic"))
    noise = report["noise"]
    rows = [
        ("expected entropy of the base", base["auroc_aleatoric"], base["aurc_aleatoric"]),
        ("expected entropy with the head", own["auroc_aleatoric"], own["aurc_aleatoric"]),
        ("variance that the head says", noise["auroc"], noise["aurc"]),
    ]
    lines = ["| aleatoric map | error AUROC | AURC |", "|---|---|---|"]
    better = noise["auroc"] > base["auroc_aleatoric"]
    return (
        "\n".join(lines + [f"| {a} | {b:.3f} | {c:.3f} |" for a, b, c in rows])
        + f"\n\nThe variance finds errors {'better' if better else 'worse'} than the expected "
        "entropy, which needs no head."
    )


def page(report: Report) -> str:
    """The whole page as Markdown."""
    short, more, seed = report["schedule"], report["continued"], report["seed"]
    chips, pixels, peak = report["judging_chips"], report["pixels"], more["learning_rate"]
    return f"""# Rates, prior and noise, by evidence

Made by

```
floodsat synth --chips --count 160 --size 128 --seed 1000 --out synth
python -m benchmarks.rates DATA/dfc24 synth --work WORK --write
```

in the work folder of `python -m benchmarks.placement`. **A reduced schedule, labelled as such:**
{short["epochs"]} epochs on crops of {short["crop"]} pixels, seed {seed}, T = 10, on the fold
of `docs/experiments/placement.md`: {chips} `dfc24` chips of places never seen judge,
{pixels} pixels; no test place is among them. Each half of these places gets the
temperature fitted on the other. One seed: differences of 0.01 mean little.

## From the start

{whole(report)}
## Rates after training

The base as it is, with masks of another rate:

{afterwards(report)}
## Rate and length-scale

Each cell goes on from the base for {more["epochs"]} epochs at a peak learning rate of {peak:g},
with its own rate and prior, all weights learning: it says what a change gives from there, not what
a whole training by it would. A length-scale `l` sets the factor on the weights' squared norm to
`l² / (2 N keep)` (`training/prior.py`).

{grid(report)}
{spread(report)}

## A head that says its own noise

The head gives a variance of the water logit for every pixel (Kendall & Gal 2017;
`training/heteroscedastic.py`). Both are maps of aleatoric uncertainty, scored against the errors of
the base at 1/2:

{heads(report)}

The median deviation of the logit that it says is {report["noise"]["median_deviation"]:.2f}. A label
of one pixel depends on the probability over the noise alone, so that the data do not tell a small
logit from a noisy large one: the variance is what the network's shape makes of it.
"""
