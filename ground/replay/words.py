"""Words: what a replay says to people, in sentences, figures and tables.

Everything is computed from the replay's result; where a thing is not known a dash stands for it.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from statistics import median

from ground.place import lonlat_text
from ground.replay.result import Flying, Latency, Replay, Station, Strategy
from ground.wording import (
    FIRM,
    area,
    byte_text,
    counted,
    day,
    duration,
    grouped,
    moment,
    percent,
    significant,
    split_duration,
)

TODAY = "raw"
"""The strategy that stands for how it is done today: whole frames come down."""
KINDS = {
    "alert": "alerts",
    "product": "flood maps",
    "chip": "chips for labelling",
    "state": "housekeeping",
}


@dataclass(frozen=True)
class Figure:
    """One big number: its value, its unit, what it is, and what stands behind it."""

    value: str
    unit: str
    label: str
    detail: str


@dataclass(frozen=True)
class Cell:
    """A strategy's value of one measure.

    Attributes:
        text: the value with its unit.
        more: what stands behind it; may be empty.
        share: of the longest bar in its row, 0…1; None where no bar is drawn.
    """

    text: str
    more: str = ""
    share: float | None = None


@dataclass(frozen=True)
class Measure:
    """A row of the comparison: one measure of every strategy."""

    name: str
    about: str
    cells: tuple[Cell, ...]


def named(replay: Replay, name: str) -> Strategy | None:
    """The strategy of that name, None where it was not played."""
    return next((one for one in replay.strategies if one.name == name), None)


def when(replay: Replay) -> str:
    """Say from when to when: ``1 July 2026 to 31 July 2026``."""
    first, last = day(replay.span.start_ms), day(replay.span.end_ms)
    return first if first == last else f"{first} to {last}"


def length(replay: Replay) -> str:
    """Say how long the replay is."""
    return duration((replay.span.end_ms - replay.span.start_ms) / 1000).replace(f".0{FIRM}", FIRM)


def lead(replay: Replay) -> list[str]:
    """Say in plain words what flooded and how soon it was known, against today's way."""
    ours, today = named(replay, replay.shown), named(replay, TODAY)
    photographed = replay.photographed[-1][1] if replay.photographed else 0.0
    floods = [f for f in replay.frames if (f.flood_km2 or 0.0) >= replay.flood_limit_km2]
    places = len({frame.target for frame in floods})
    found = (
        f"In {length(replay)} {replay.span.satellite} took "
        f"{counted(len(replay.frames), 'frame')}; {grouped(len(floods))} of them showed flood, "
        f"{area(photographed)} at {counted(places, 'place')}."
    )
    if not floods:
        found = (
            f"In {length(replay)} {replay.span.satellite} took "
            f"{counted(len(replay.frames), 'frame')}; none of them showed flood."
        )
    said = [found]
    if ours is not None and ours.floods:
        said.append(_soon(ours, today if today is not ours else None))
    return [*said, *_models(replay)]


def _models(replay: Replay) -> list[str]:
    """Say whether a model that came up made the maps better."""
    found = [(one, rightness(replay, one)) for one in replay.models]
    known = [(one, median(right)) for one, right in found if right]
    if len(known) < 2:
        return []
    (first, before), (last, after) = known[0], known[-1]
    return [
        f"The model on board since {moment(last.since_ms)} UTC ({last.title}) maps them with an "
        f"IoU of water of {after:.2f} in the median; the first ({first.title}) had {before:.2f}."
    ]


def rightness(replay: Replay, model: Flying) -> list[float]:
    """IoU of water between mask and truth, of each frame with flood that a model looked at."""
    return [
        frame.iou
        for frame in replay.frames
        if frame.model_id == model.model_id
        and frame.iou is not None
        and (frame.flood_km2 or 0.0) >= replay.flood_limit_km2
    ]


def _soon(ours: Strategy, today: Strategy | None) -> str:
    if ours.alert.median_s is None:
        return "Of fewer than half of these floods a word had reached the ground at the end."
    text = (
        f"Of half of these floods the first word was on the ground within "
        f"{duration(ours.alert.median_s)} of the picture"
    )
    if ours.map.median_s is not None:
        text += f", the map within {duration(ours.map.median_s)}"
    if today is None:
        return text + "."
    if today.map.median_s is None:
        few = "fewer than half" if today.map.n else "none of them"
        return f"{text}. Sending whole frames, as is done today, brought {few} down."
    text += f". Sending whole frames, as is done today, takes {duration(today.map.median_s)}"
    if today.map.never > ours.map.never:
        due = today.map.n + today.map.never
        text += f" and brought only {grouped(today.map.n)} of {grouped(due)} down"
    return text + "."


def figures(replay: Replay) -> list[Figure]:
    """The big numbers of the page."""
    ours, today = named(replay, replay.shown), named(replay, TODAY)
    found = []
    if ours is not None:
        found += [_soon_figure("first word of a flood", ours.alert, today.alert if today else None)]
        found += [_soon_figure("map of a flood", ours.map, today.map if today else None)]
        found += [_area_figure(replay, ours), _missed_figure(ours)]
    return [*found, *_volume_figure(replay, ours), *_link_figures(replay)]


def _soon_figure(label: str, found: Latency, today: Latency | None) -> Figure:
    value, unit = split_duration(found.median_s)
    half = "half of the floods" if found.median_s is not None else "not half of the floods came"
    detail = f"{half}; {spread(found)}"
    if today is not None:
        came = "not half of them" if today.median_s is None else duration(today.median_s)
        detail += f". Whole frames: {came}"
    return Figure(value, unit, f"from picture to {label}", detail)


def spread(found: Latency) -> str:
    """Say within what nine of ten came, if they did, and how many came in all."""
    most = "" if found.p90_s is None else f"9 of 10 within {duration(found.p90_s)}; "
    return most + arrived(found)


def arrived(found: Latency) -> str:
    """Say how many came of those that were due: ``12 of 14 came``."""
    return f"{grouped(found.n)} of {grouped(found.n + found.never)} came"


def _area_figure(replay: Replay, ours: Strategy) -> Figure:
    photographed = replay.photographed[-1][1] if replay.photographed else 0.0
    known = ours.known[-1][1] if ours.known else 0.0
    share = percent(known / photographed) if photographed else f"–{FIRM}%"
    detail = f"{share} of the {area(photographed)} that clear sky showed"
    return Figure(significant(known), "km²", "of flood rightly on maps on the ground", detail)


def _missed_figure(ours: Strategy) -> Figure:
    detail = f"of {counted(ours.floods, 'frame')} with flood; "
    detail += f"{grouped(ours.missed_by_choice)} of them taken for dry or unusable on board; "
    detail += counted(ours.false_alarms, "false alarm")
    return Figure(
        grouped(ours.missed), "", "missed flood" if ours.missed == 1 else "missed floods", detail
    )


def _volume_figure(replay: Replay, ours: Strategy | None) -> list[Figure]:
    raw = sum(frame.sample_bytes for frame in replay.frames)
    if ours is None or not ours.sent_bytes or not raw:
        return []
    ratio = raw / ours.sent_bytes
    detail = f"{byte_text(raw)} of frames taken, {byte_text(ours.sent_bytes)} sent, all included"
    return [Figure(significant(ratio), "times", "less to send", detail)]


def _link_figures(replay: Replay) -> list[Figure]:
    used = [contact for contact in replay.contacts if contact.sent_bytes]
    sent = sum(contact.frames_sent for contact in used)
    hurt = sum(contact.frames_lost + contact.frames_bad for contact in used)
    detail = f"{grouped(hurt)} of {counted(sent, 'transfer frame')} lost or damaged on the way"
    if sent:
        detail += f", {percent(hurt / sent)}"
    label = "contact used" if len(used) == 1 else "contacts used"
    of = f"of {grouped(len(replay.contacts))}"
    return [Figure(grouped(len(used)), of, label, detail)]


def comparison(replay: Replay) -> list[Measure]:
    """The rows of the comparison, one measure each, a cell for every strategy."""
    every = replay.strategies
    photographed = replay.photographed[-1][1] if replay.photographed else 0.0
    return [
        _measure(
            "First word of a flood",
            "from the picture to the ground, median",
            [_soon_cell(one.alert) for one in every],
            [one.alert.median_s for one in every],
        ),
        _measure(
            "Map of a flood",
            "from the picture to the ground, median",
            [_soon_cell(one.map) for one in every],
            [one.map.median_s for one in every],
        ),
        _measure(
            "Flooded area known at the end",
            f"rightly, on maps; {area(photographed)} was photographed",
            [Cell(area(one.known[-1][1] if one.known else 0.0)) for one in every],
            [one.known[-1][1] if one.known else 0.0 for one in every],
        ),
        _measure(
            "Missed floods",
            "neither alert nor map at the end",
            [
                Cell(
                    f"{grouped(one.missed)} of {grouped(one.floods)}",
                    f"{grouped(one.missed_by_choice)} taken for dry or unusable",
                )
                for one in every
            ],
            [one.missed for one in every],
        ),
        _measure(
            "False alarms",
            "alerts or maps of a flood that is none",
            [
                Cell(
                    counted(one.false_alarms, "frame"),
                    f"{grouped(one.false_maps)} of them with a map",
                )
                for one in every
            ],
            [one.false_alarms for one in every],
        ),
        _measure(
            "Sent over the link",
            "transfer frames, everything included",
            [
                Cell(byte_text(one.sent_bytes), f"{byte_text(one.waiting_bytes)} still waiting")
                for one in every
            ],
            [one.sent_bytes for one in every],
        ),
        _measure(
            "Contacts used",
            f"of {grouped(len(replay.contacts))}",
            [Cell(counted(one.contacts, "contact")) for one in every],
            [one.contacts for one in every],
        ),
        Measure("How it was computed", "", tuple(Cell(one.how, one.note) for one in every)),
    ]


def _soon_cell(found: Latency) -> Cell:
    return Cell("not half" if found.median_s is None else duration(found.median_s), spread(found))


def _measure(name: str, about: str, cells: list[Cell], values: list[float | None]) -> Measure:
    top = max((value for value in values if value is not None), default=0.0)
    shares = [None if value is None or not top else value / top for value in values]
    drawn = (Cell(c.text, c.more, share) for c, share in zip(cells, shares, strict=True))
    return Measure(name, about, tuple(drawn))


def causes(replay: Replay) -> list[tuple[str, int]]:
    """The causes in the ledger with how often each occurs, the most frequent first."""
    return Counter(loss.cause for loss in replay.losses).most_common()


def settings(replay: Replay) -> list[tuple[str, str]]:
    """(name, value) of where the figures come from."""
    span = replay.span
    age = (span.start_ms - span.tle_epoch_ms) / 86_400_000
    older = f"{math.fabs(age):.1f} days {'before' if age >= 0 else 'after'} the start"
    return [
        ("scenario", f"{span.name}, seed {span.seed}"),
        ("satellite", span.satellite),
        ("orbit", f"TLE with its epoch {older}"),
        *((station.name, _station_text(station)) for station in replay.stations),
        *((f"model {at + 1}", f"{m.title}: {m.model_id}") for at, m in enumerate(replay.models)),
        *replay.settings.items(),
        ("flood counts from", area(replay.flood_limit_km2)),
        ("software", f"FloodSat {replay.software}"),
    ]


def _station_text(station: Station) -> str:
    up = f"{rate(station.up_bps)} up" if station.up_bps else "nothing up"
    return (
        f"{lonlat_text(*station.place)}, from {station.mask_deg:g}° elevation, "
        f"{rate(station.down_bps)} down, {up}"
    )


def rate(bps: float) -> str:
    """Write bits per second: ``2 Mbit/s``."""
    for unit, size in (("Mbit/s", 1e6), ("kbit/s", 1e3)):
        if bps >= size:
            return f"{bps / size:g}{FIRM}{unit}"
    return f"{bps:g}{FIRM}bit/s"
