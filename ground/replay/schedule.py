"""Schedule: which station has the satellite where several see it; it has one transmitter."""

from __future__ import annotations

from collections.abc import Sequence

from ground.replay.foremost import foremost
from ground.replay.passes import Contact
from ground.replay.scenario import Station

LEAST_SECONDS = 10.0
"""A part of a contact that is shorter is given up: a station needs that long to lock."""


def served(contacts: Sequence[Contact], stations: Sequence[Station]) -> tuple[Contact, ...]:
    """Contacts as they are kept, in order, none overlapping another.

    The station of the greater priority has the satellite; of two that are equal, the one that
    heard it first. What a contact loses to another is cut off, and it may fall into two parts;
    each keeps the culmination of the whole.

    Args:
        contacts: of all stations, in any order.
        stations: theirs.
    """
    priority = {one.name: one.priority for one in stations}
    ordered = sorted(contacts, key=lambda one: (one.aos, one.station))
    pieces = foremost([one.span for one in ordered], [priority[one.station] for one in ordered])
    return tuple(
        ordered[one.which]._replace(aos=one.span.start, los=one.span.end)
        for one in pieces
        if one.span.seconds >= LEAST_SECONDS or one.span == ordered[one.which].span
    )
