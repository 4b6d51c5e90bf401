"""The picture of a report: throughput, and the time budget of one frame."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from benchmarks.figures import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#fdae6b", "#08519c", "#fd8d3c", "#4292c6", "#bdbdbd")
"""By stage; what the bound on halo and I/O counts is orange, what it leaves out is grey."""
OWN, OTHER = "#08519c", "#969696"


def draw(report: Report, kind: str) -> bytes:
    """The picture as a file of ``kind``, such as "png"."""
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(10, 2.2 + 0.7 * len(report.budgets)), layout="constrained")
    left, right = canvas.subplots(1, 2)
    throughput(left, report)
    budget(right, report)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    out = io.BytesIO()
    canvas.savefig(out, format=kind, dpi=120, metadata={"Software": None} if kind == "png" else {})
    return out.getvalue()


def throughput(axes: Axes, report: Report) -> None:
    """Two bars an engine, on a logarithmic scale, each with its value."""
    for place, engine in enumerate(report.budgets):
        own, other = report.value("floodsat_rate", engine), report.value("unet_rate", engine)
        ratio = report.value("speed_ratio", engine)
        for shift, rate, colour, text in (
            (-0.2, own, OWN, f"{own:.2f}  ({ratio:.3g} ×)"),
            (0.2, other, OTHER, f"{other:.3f}"),
        ):
            bar: Any = axes.barh(place + shift, rate, 0.36, color=colour)
            axes.bar_label(bar, [text], padding=3)
        if not place:
            axes.containers[0].set_label("FloodSat, T = 10")
            axes.containers[1].set_label("U-Net, one pass")
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    # Room for the shortest bar on the left and for the figures on the right.
    axes.set_xlim(low / 3, high * 8)
    label(axes, report, "throughput, frame to maps, megapixels per second")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.32), ncols=2, frameon=False)


def budget(axes: Axes, report: Report) -> None:
    """One stacked bar an engine."""
    stages = list(next(iter(report.budgets.values())))
    for colour, stage in zip(COLOURS, stages, strict=True):
        values = [b[stage] for b in report.budgets.values()]
        starts = [sum(list(b.values())[: stages.index(stage)]) for b in report.budgets.values()]
        axes.barh(range(len(values)), values, 0.6, starts, color=colour, label=stage)
    label(axes, report, "segmenting a frame of 12 megapixels, file to file, seconds")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.32), ncols=3, frameon=False)


def label(axes: Axes, report: Report, text: str) -> None:
    """Names of the engines and the unit."""
    axes.set_yticks(range(len(report.budgets)), list(report.budgets))
    axes.invert_yaxis()
    axes.set_xlabel(text)
