"""Outcome: what an experiment found, as JSON, as a page and as a picture."""

from __future__ import annotations

import enum
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from onboard import files
from training.plots import BLUE, DPI, GREEN, ORANGE

COLOURS = (BLUE, ORANGE, GREEN, "#8a3ffc", "#555555", "#b8860b", "#c2185b", "#00838f")
MARKS = "os^Dv*Px"


class Verdict(enum.Enum):
    """What became of a claim."""

    HOLDS = "holds"
    PART = "holds in part"
    NOT = "does not hold"

    @classmethod
    def of(cls, parts: Sequence[bool]) -> Verdict:
        """All parts of a claim hold, some do, or none does."""
        if all(parts):
            return cls.HOLDS
        return cls.PART if any(parts) else cls.NOT


class Measured(NamedTuple):
    """A figure over seeds.

    Attributes:
        mean: over the seeds.
        sd: standard deviation (n - 1); NaN for one seed.
    """

    mean: float
    sd: float

    @classmethod
    def over(cls, values: Sequence[float]) -> Measured:
        """Mean and spread of one figure, one value a seed."""
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
        return cls(float(np.mean(values)), spread)

    def __str__(self) -> str:
        """With as many digits as the spread leaves standing, four at most."""
        if not math.isfinite(self.sd):
            return f"{self.mean:.4g}"
        size = max(abs(self.mean), self.sd)
        digits = max(0, min(5, 2 - math.floor(math.log10(size)))) if size else 3
        return f"{self.mean:.{digits}f} ± {self.sd:.{digits}f}"


class Series(NamedTuple):
    """One line of a panel.

    Attributes:
        name: for the legend.
        x: positions.
        y: figures there, with their spread over seeds.
    """

    name: str
    x: list[float]
    y: list[Measured]


class Panel(NamedTuple):
    """One picture of an experiment.

    Attributes:
        title: what it shows.
        x_label: with unit.
        y_label: with unit.
        series: its lines.
        log_x: whether the horizontal axis is logarithmic.
        ticks: names of the positions 0, 1, …; numbers where None.
    """

    title: str
    x_label: str
    y_label: str
    series: list[Series]
    log_x: bool = False
    ticks: list[str] | None = None


@dataclass(frozen=True)
class Outcome:
    """What an experiment found.

    Attributes:
        question: one sentence.
        method: what was done, and the rule of the verdict.
        source: the paper, with the claim's place in it.
        columns: of the table; the first names the row.
        rows: cells: text, `Measured`, or a number.
        verdict: by the rule in ``method``.
        words: the verdict in a sentence or two, with its figures.
        panels: pictures.
        beside: what stands below the table, such as the paper's own; Markdown.
    """

    question: str
    method: str
    source: str
    columns: list[str]
    rows: list[list[Any]]
    verdict: Verdict
    words: str
    panels: list[Panel] = field(default_factory=list)
    beside: str = ""


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join(lines + ["| " + " | ".join(map(_cell, row)) + " |" for row in rows])


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def page(name: str, outcome: Outcome, setting: str) -> str:
    """``NAME.md``: question, method, table, plot, verdict, source."""
    parts = [
        f"# {name}",
        f"**Question.** {outcome.question}",
        f"**Verdict: {outcome.verdict.value}.** {outcome.words}",
        f"**Method.** {outcome.method}",
        f"**Setting.** {setting} ± is one standard deviation over the seeds.",
        table(outcome.columns, outcome.rows),
        outcome.beside,
        f"![{outcome.question}]({name}.png)" if outcome.panels else "",
        f"**Source.** {outcome.source}",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def to_json(name: str, outcome: Outcome, setting: dict[str, Any]) -> dict[str, Any]:
    """Everything, as plain JSON types."""
    return {
        "name": name,
        "verdict": outcome.verdict.value,
        "words": outcome.words,
        "setting": setting,
        "columns": outcome.columns,
        "rows": [[_plain(cell) for cell in row] for row in outcome.rows],
        "panels": [
            {
                "title": panel.title,
                "series": [
                    {"name": s.name, "x": s.x, "y": [_plain(y) for y in s.y]} for s in panel.series
                ],
            }
            for panel in outcome.panels
        ],
    }


def _plain(cell: Any) -> Any:
    if isinstance(cell, Measured):
        return {"mean": _finite(cell.mean), "sd": _finite(cell.sd)}
    return _finite(cell) if isinstance(cell, float) else cell


def _finite(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def draw(panels: Sequence[Panel], path: Path) -> None:
    """All panels side by side as one PNG."""
    figure = Figure(figsize=(4.6 * len(panels), 3.8), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    for panel, axes in zip(panels, np.atleast_1d(figure.subplots(1, len(panels))), strict=True):
        for i, series in enumerate(panel.series):
            axes.errorbar(
                series.x,
                [y.mean for y in series.y],
                yerr=[0.0 if math.isnan(y.sd) else y.sd for y in series.y],
                color=COLOURS[i % len(COLOURS)],
                marker=MARKS[i % len(MARKS)],
                markersize=4,
                linewidth=1.3,
                capsize=2,
                label=series.name,
            )
        axes.set(xlabel=panel.x_label, ylabel=panel.y_label, title=panel.title)
        if panel.log_x:
            axes.set_xscale("log")
        if panel.ticks is not None:
            axes.set_xticks(range(len(panel.ticks)), panel.ticks)
            axes.margins(x=0.12)
        if len(panel.series) > 1:
            axes.legend(frameon=False, fontsize="small")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    files.write_bytes(path, buffer.getvalue())
