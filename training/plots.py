"""The plots of the evaluation page: calibration, risk, thresholds, and floods by their size."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.special import expit

from onboard.bundle import Bundle
from training import scores, smallest
from training.evaluate import Scored, flatten, floods_of

DPI = 110
BLUE, ORANGE, GREEN = "#0b61a4", "#d55e00", "#00795a"
THRESHOLDS = np.linspace(0.01, 0.99, 99)
Flat = dict[str, npt.NDArray[Any]]


def draw(bundle: Bundle, results: Sequence[Scored]) -> bytes:
    """All plots as one PNG."""
    flat = flatten(results)
    figure = Figure(figsize=(10.5, 6.8), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 3)
    _reliability(axes[0, 0], flat)
    _risk(axes[0, 1], flat, bundle)
    _precision_recall(axes[0, 2], flat, bundle)
    _thresholds(axes[1, 0], flat, bundle)
    _probabilities(axes[1, 1], flat)
    _floods(axes[1, 2], floods_of(bundle, results))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _reliability(axes: Any, flat: Flat) -> None:
    said, seen = scores.reliability(flat["p_water"], flat["water"] == 1)
    axes.plot([0, 1], [0, 1], color="#aaa", lw=1)
    axes.plot(said, seen, "o-", color=BLUE)
    axes.set(xlabel="said probability of water", ylabel="share that is water", title="Reliability")


def _risk(axes: Any, flat: Flat, bundle: Bundle) -> None:
    wrong = (flat["p_water"] >= bundle.balanced.water) != (flat["water"] == 1)
    for name, colour in (("entropy", BLUE), ("epistemic", ORANGE)):
        coverage, risk = scores.risk_coverage(flat[name], wrong)
        axes.plot(coverage, risk, color=colour, label=name)
    axes.set(xlabel="share of pixels kept", ylabel="share wrong", title="Risk over coverage")
    axes.legend(frameon=False)


def _precision_recall(axes: Any, flat: Flat, bundle: Bundle) -> None:
    p, true = flat["p_water"], flat["water"] == 1
    pairs = [scores.precision_recall(p >= t, true) for t in THRESHOLDS]
    axes.plot([r for _, r in pairs], [q for q, _ in pairs], color=BLUE)
    for point, mark in ((bundle.balanced, "o"), (bundle.sensitive, "s")):
        precision, recall = scores.precision_recall(p >= point.water, true)
        axes.plot(recall, precision, mark, color=ORANGE)
    axes.set(xlabel="recall", ylabel="precision", title="Water; balanced ●, sensitive ■")


def _thresholds(axes: Any, flat: Flat, bundle: Bundle) -> None:
    p, true = flat["p_water"], flat["water"] == 1
    pairs = [scores.precision_recall(p >= t, true) for t in THRESHOLDS]
    axes.plot(THRESHOLDS, [scores.iou(p >= t, true) for t in THRESHOLDS], color=BLUE, label="IoU")
    axes.plot(THRESHOLDS, [q for q, _ in pairs], color=GREEN, label="precision")
    axes.plot(THRESHOLDS, [r for _, r in pairs], color=ORANGE, label="recall")
    for point, style in ((bundle.balanced, "-"), (bundle.sensitive, ":")):
        axes.axvline(point.water, color="#555", lw=1, ls=style)
    axes.set(xlabel="threshold; balanced –, sensitive ···", title="Thresholds", ylim=(0, 1.02))
    axes.legend(frameon=False)


def _probabilities(axes: Any, flat: Flat) -> None:
    bins = np.linspace(0, 1, 26)
    for value, name, colour in ((0, "land", ORANGE), (1, "water", BLUE)):
        axes.hist(
            flat["p_water"][flat["water"] == value],
            bins=bins,
            histtype="step",
            color=colour,
            label=f"labelled {name}",
        )
    axes.set(xlabel="said probability of water", ylabel="pixels", title="Probabilities")
    axes.set_yscale("log")
    axes.legend(frameon=False)


def _floods(axes: Any, floods: dict[str, smallest.Floods]) -> None:
    """Share found by size, with the 95 % interval of Wilson (1927), and the fitted curve."""
    for (name, own), colour in zip(floods.items(), (BLUE, ORANGE), strict=True):
        for each in smallest.by_size(own):
            middle = np.sqrt(each.low * each.high)
            low, high = scores.wilson(each.found, each.floods)
            axes.plot([middle, middle], [low, high], color=colour, lw=1)
            axes.plot(middle, each.found / each.floods, "o", ms=4, color=colour)
        if len(own.sizes) >= smallest.FEWEST:
            intercept, slope = smallest.curve(own.sizes, own.found)
            sizes = np.geomspace(1, own.sizes.max(), 100)
            axes.plot(sizes, expit(intercept + slope * np.log2(sizes)), color=colour, label=name)
            axes.legend(frameon=False, loc="lower right")
    axes.axhline(smallest.PROBABILITY, color="#aaa", lw=1)
    axes.set_xscale("log", base=2)
    axes.set(xlabel="pixels of a flood", ylabel="share found", title="Floods found")
    axes.set_ylim(-0.02, 1.02)
