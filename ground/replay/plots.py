"""Plots of a replay: how soon, how much is known over time, how many bytes. For reports."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.ticker
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ground.replay.result import Replay, Series, Strategy
from onboard import files

DAY_MS = 86_400_000
COLOURS: Mapping[str, str] = {
    "raw": "#8a8f98",
    "lossless": "#4d535c",
    "masks": "#e69f00",
    "flagged": "#009e73",
    "prioritised": "#0b61a4",
}
"""Of the set of Okabe and Ito, so that they can be told apart with any eyes, and greys."""
DASHES: Mapping[str, Any] = {
    "raw": (0, (2, 2)),
    "lossless": (0, (5, 2)),
    "masks": (0, (8, 2, 2, 2)),
    "flagged": (0, (4, 1)),
    "prioritised": "solid",
}
_HOURS = (0.1, 0.2, 0.5, 1, 2, 3, 6, 12, 24, 48, 96, 168, 336, 720)
_STILL: Any = {"svg.hashsalt": "floodsat", "svg.fonttype": "none"}


def write_plots(replay: Replay, folder: Path) -> list[Path]:
    """Write ``latency.svg``, ``known.svg`` and ``bytes.svg``; the same replay, the same bytes.

    Raises:
        OutputError: they cannot be written.
    """
    drawn: dict[str, Callable[[Any, Replay], None]] = {
        "latency": _latency,
        "known": _known,
        "bytes": _bytes,
    }
    found = []
    for name, draw in drawn.items():
        figure = Figure(figsize=(7.0, 4.2), layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure.subplots(), replay)
        buffer = io.BytesIO()
        with matplotlib.rc_context(_STILL):
            figure.savefig(buffer, format="svg", metadata={"Date": None})
        files.write_bytes(folder / f"{name}.svg", buffer.getvalue())
        found.append(folder / f"{name}.svg")
    return found


def _style(one: Strategy) -> dict[str, Any]:
    return {"color": COLOURS[one.name], "linestyle": DASHES[one.name], "label": one.title}


def _latency(axes: Any, replay: Replay) -> None:
    """Share of the floods whose map had come, by hours since the picture."""
    every = [seconds / 3600 for one in replay.strategies for seconds in one.map.seconds]
    low, high = 0.8 * min(every, default=1.0), 1.25 * max(every, default=10.0)
    for one in replay.strategies:
        count = one.map.n + one.map.never
        shares = [100 * at / count if count else 0.0 for at in range(one.map.n + 1)]
        # On to the edge: what had not come by the last step never did.
        hours = [low, *(seconds / 3600 for seconds in one.map.seconds), high]
        axes.step(hours, [*shares, shares[-1]], where="post", **_style(one))
    axes.set_xscale("log")
    axes.set_xticks([tick for tick in _HOURS if low <= tick <= high], minor=False)
    axes.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes.set(
        xlabel="hours since the picture",
        ylabel="floods whose map had come, %",
        ylim=(0, 102),
        xlim=(low, high),
        title="How soon a flood is mapped",
    )
    _legend(axes)


def _known(axes: Any, replay: Replay) -> None:
    """Flooded area over days: photographed, and rightly mapped on the ground."""
    x, y = _steps(replay.photographed, replay)
    axes.step(x, y, where="post", color="black", linewidth=1, label="photographed in clear sky")
    for one in replay.strategies:
        x, y = _steps(one.known, replay)
        axes.step(x, y, where="post", **_style(one))
    axes.set(
        xlabel="days",
        ylabel="flooded area, km²",
        xlim=(0, None),
        ylim=(0, None),
        title="Flooded area that is known on the ground",
    )
    _legend(axes)


def _legend(axes: Any) -> None:
    axes.figure.legend(frameon=False, loc="outside lower center", fontsize="small", ncols=2)


def _steps(series: Series, replay: Replay) -> tuple[list[float], list[float]]:
    """Days since the start, and the value from then on, drawn on to the end."""
    start, end = replay.span.start_ms, replay.span.end_ms
    times = [0.0, *((when - start) / DAY_MS for when, _ in series)]
    values = [0.0, *(value for _, value in series)]
    return [*times, max(times[-1], (end - start) / DAY_MS)], [*values, values[-1]]


def _bytes(axes: Any, replay: Replay) -> None:
    """What was sent, a bar each."""
    shown: Sequence[Strategy] = list(reversed(replay.strategies))
    places = range(len(shown))
    sent = [one.sent_bytes / 1e6 for one in shown]
    bars = axes.barh(places, sent, color=[COLOURS[one.name] for one in shown])
    axes.bar_label(bars, [f" {value:,.3g} MB" for value in sent], fontsize="small")
    axes.set_yticks(places, [one.title for one in shown])
    axes.set(xlabel="sent, MB of transfer frames", title="What goes over the link")
    axes.margins(x=0.2)
