"""Lanes: the contacts of a replay along time, as the page draws them.

A short replay has a lane for each station over its whole length, a longer one a lane for each
day (UTC) with all stations on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from ground.replay.result import Contact, Frame, Off, Replay
from ground.replay.words import KINDS
from ground.wording import byte_text, counted, grouped, moment, percent

DAY_MS = 86_400_000
SHORT_MS = 36 * 3_600_000
KIND_COLOURS = {
    "alert": "alert",
    "product": "product",
    "chip": "chip",
    "state": "housekeeping",
}
"""Kind of packet → its colour in the page's style sheet."""


@dataclass(frozen=True)
class Bar:
    """A stretch of a lane.

    Attributes:
        left, width: in per cent of the lane.
        label: what it is, in words.
        sent: bytes that went down in it.
        fill: what is painted over it, as a CSS image; may be empty.
    """

    left: float
    width: float
    label: str
    sent: int = 0
    fill: str = ""


@dataclass(frozen=True)
class Lane:
    """A lane: its label, its contacts, and when the payload was off unplanned."""

    label: str
    passes: tuple[Bar, ...]
    off: tuple[Bar, ...]


@dataclass(frozen=True)
class Card:
    """A contact in words.

    Attributes:
        title: number, station and time.
        about: how it went, in a sentence.
        note: why it was not used; may be empty.
        whole: (id, name, id of its map in the page or "") of what it brought home.
        rows: (name, value).
    """

    title: str
    about: str
    note: str
    whole: tuple[tuple[str, str, str], ...]
    rows: tuple[tuple[str, str], ...]


def lanes(replay: Replay) -> tuple[list[Lane], list[str]]:
    """Return the lanes, their contacts in order of time within the page, and the time's labels.

    The passes of all lanes together stand in the order of `in_order`.
    """
    start, end = replay.span.start_ms, replay.span.end_ms
    if end - start <= SHORT_MS:
        by_station = [
            _lane(one.name, start, end, [c for c in replay.contacts if c.station == one.name], ())
            for one in replay.stations
        ]
        unplanned = tuple(_off(off, start, end) for off in replay.off if off.safe)
        shown = [Lane(lane.label, lane.passes, unplanned) for lane in by_station]
        return shown, [moment(start + (end - start) * i // 4)[-5:] for i in range(5)]
    days = range(start // DAY_MS, (end - 1) // DAY_MS + 1)
    found = []
    for day in days:
        first, last = day * DAY_MS, (day + 1) * DAY_MS
        here = [c for c in replay.contacts if first <= c.aos_ms < last]
        off = [o for o in replay.off if o.safe and o.begin_ms < last and o.end_ms > first]
        found.append(_lane(_day_label(first), first, last, here, off))
    return found, ["00", "06", "12", "18", "24 h"]


def in_order(replay: Replay) -> list[Contact]:
    """The contacts in the order in which the lanes show them."""
    if replay.span.end_ms - replay.span.start_ms <= SHORT_MS:
        return [c for one in replay.stations for c in replay.contacts if c.station == one.name]
    return list(replay.contacts)


def _lane(
    label: str, first: int, last: int, contacts: Iterable[Contact], off: Iterable[Off]
) -> Lane:
    passes = (
        Bar(
            *_place(contact.aos_ms, contact.los_ms, first, last),
            f"Contact {contact.number}, {title(contact)}",
            contact.sent_bytes,
            fill(contact),
        )
        for contact in contacts
    )
    return Lane(label, tuple(passes), tuple(_off(one, first, last) for one in off))


def _off(off: Off, first: int, last: int) -> Bar:
    return Bar(*_place(off.begin_ms, off.end_ms, first, last), off.reason)


def _place(begin: int, end: int, first: int, last: int) -> tuple[float, float]:
    begin, end = max(begin, first), min(end, last)
    length = last - first
    # A bar at the very end keeps its least width within the lane.
    left = min(100 * (begin - first) / length, 99.5)
    return round(left, 3), round(100 * (end - begin) / length, 3)


def _day_label(first: int) -> str:
    when = datetime.fromtimestamp(first / 1000, UTC)
    return f"{when.day} {when:%b}"


def fill(contact: Contact) -> str:
    """Return a CSS gradient of what went down, by its share; ``""`` where nothing did."""
    total = sum(contact.by_kind.get(kind, 0) for kind in KINDS)
    if not total:
        return ""
    stops, below = [], 0.0
    for kind in KINDS:
        share = 100 * contact.by_kind.get(kind, 0) / total
        if share:
            stops.append(f"var(--{KIND_COLOURS[kind]}) {below:.1f}% {below + share:.1f}%")
            below += share
    return f"linear-gradient(to top,{','.join(stops)})"


def title(contact: Contact) -> str:
    """Say which contact it is: ``Svalbard, 2026-07-14 10:21 to 10:29 UTC``."""
    return f"{contact.station}, {moment(contact.aos_ms)} to {moment(contact.los_ms)[-5:]} UTC"


def cards(replay: Replay, maps: dict[str, str]) -> list[Card]:
    """Return the card of each contact, in the order of `in_order`.

    Args:
        replay: whose contacts.
        maps: id of a product whose map is in the page → that map's id there.
    """
    frames = {frame.number: frame for frame in replay.frames}
    named = {}
    for product in replay.products:
        kind = "chip of " if product.kind == "chip" else ""
        named[product.id] = f"{kind}{_frame_name(frames.get(product.frame))}"
    return [_card(contact, named, maps) for contact in in_order(replay)]


def _frame_name(frame: Frame | None) -> str:
    return frame.name if frame else "a frame"


def _card(contact: Contact, named: dict[str, str], maps: dict[str, str]) -> Card:
    def full(short: str) -> str:
        return next((one for one in named if one.startswith(short)), short)

    whole = tuple(
        (short, named.get(full(short), short), maps.get(full(short), "")) for short in contact.whole
    )
    return Card(
        title=f"{contact.number} · {title(contact)}",
        about=f"{contact.max_elevation_deg:.0f}° over the horizon at its highest",
        note=contact.note,
        whole=whole,
        rows=_rows(contact),
    )


def _rows(contact: Contact) -> tuple[tuple[str, str], ...]:
    if not contact.sent_bytes:
        return (("Sent", "nothing"), ("Received from the ground", byte_text(contact.up_bytes)))
    rest = contact.sent_bytes - sum(contact.by_kind.values())
    hurt = contact.frames_lost + contact.frames_bad
    share = f", {percent(hurt / contact.frames_sent)}" if contact.frames_sent else ""
    return (
        ("Sent", f"{byte_text(contact.sent_bytes)} of {byte_text(contact.capacity_bytes)}"),
        *(
            (name.capitalize(), _kind_text(contact, kind))
            for kind, name in KINDS.items()
            if contact.by_kind.get(kind)
        ),
        ("Headers and idle fill", byte_text(max(0, rest))),
        (
            "Transfer frames",
            f"{grouped(contact.frames_sent)}; {grouped(hurt)} lost or damaged{share}",
        ),
        ("Received from the ground", byte_text(contact.up_bytes)),
    )


def _kind_text(contact: Contact, kind: str) -> str:
    count = contact.items.get(kind)
    text = byte_text(contact.by_kind[kind])
    return f"{text} in {counted(count, 'item')}" if count else text
