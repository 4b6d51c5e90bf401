"""Tables of a replay for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from statistics import median

from rich.table import Table

from ground.replay.result import Latency, Replay, Strategy
from ground.replay.words import rightness
from ground.wording import area, byte_text, counted, duration, grouped, moment


def comparison(replay: Replay) -> Table:
    """The strategies side by side: a column each, a row a measure."""
    table = Table("", box=None, pad_edge=False)
    for one in replay.strategies:
        table.add_column(one.name, justify="right")
    for name, tell in _ROWS.items():
        table.add_row(name, *(tell(one) for one in replay.strategies))
    return table


def lines(replay: Replay) -> list[str]:
    """What the table cannot say, one line each."""
    seen = replay.photographed[-1][1] if replay.photographed else 0.0
    causes = Counter((one.what, one.cause) for one in replay.losses)
    lost = ", ".join(
        f"{grouped(count)} × {what} {cause}" for (what, cause), count in sorted(causes.items())
    )
    found = [
        f"{grouped(len(replay.frames))} frames, {grouped(len(replay.contacts))} contacts; flood in "
        f"clear sky by the truth: {area(seen)}; a frame counts as one with flood from "
        f"{area(replay.flood_limit_km2)}",
        "raw and lossless: bytes counted with the same packets, transfer frames and contacts; "
        "masks, flagged and prioritised: the code that flies and receives",
    ]
    found += [f"ledger: {lost}"] if lost else []
    found += _models(replay) if len(replay.models) > 1 else []
    found += [f"{one.kind} {one.name!r}: {one.outcome} ({one.text})" for one in replay.uplinks]
    return found


def _models(replay: Replay) -> list[str]:
    """How right the maps of each model were."""
    found = []
    for one in replay.models:
        own = rightness(replay, one)
        middle = f"{median(own):.2f}" if own else "not known"
        found.append(
            f"model {one.model_id[:12]} ({one.title}), from {moment(one.since_ms)}: IoU of water "
            f"in the median of {counted(len(own), 'flood frame')}: {middle}"
        )
    return found


def _came(latency: Latency) -> str:
    return f"{latency.n} of {latency.n + latency.never}"


def _known(one: Strategy) -> str:
    return area(one.known[-1][1] if one.known else 0.0)


_ROWS: dict[str, Callable[[Strategy], str]] = {
    "how": lambda one: one.how,
    "sent": lambda one: byte_text(one.sent_bytes),
    "of it files": lambda one: byte_text(one.file_bytes),
    "still to be sent": lambda one: byte_text(one.waiting_bytes),
    "contacts used": lambda one: grouped(one.contacts),
    "first word of a flood, median": lambda one: duration(one.alert.median_s),
    "  90 % within": lambda one: duration(one.alert.p90_s),
    "  came": lambda one: _came(one.alert),
    "its map, median": lambda one: duration(one.map.median_s),
    "  90 % within ": lambda one: duration(one.map.p90_s),
    "  came ": lambda one: _came(one.map),
    "flood rightly mapped": _known,
    "floods missed": lambda one: f"{one.missed} of {one.floods}",
    "  of them by choice": lambda one: grouped(one.missed_by_choice),
    "false alarms": lambda one: grouped(one.false_alarms),
    "  of them with a map": lambda one: grouped(one.false_maps),
}
