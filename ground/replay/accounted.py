"""Accounted strategies: whole frames brought home, of which only bytes are counted.

The bytes are those of the same packets and transfer frames, in the same contacts, first in first
out. All else is taken as kindly to them as can be: the store on board is endless, no frame waits
for a processor, what the channel loses is sent again at once at the price of its bytes alone, and
on the ground the network takes no time. So the figures are bounds from below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ground.replay.contact import CADU
from ground.replay.log import ContactLog
from ground.replay.scenario import Station
from onboard.link import cfdp, frames, packets

_NAME = "000000000000.tif"


@dataclass(frozen=True)
class Frame:
    """A frame that is to come home.

    Attributes:
        number: of the frame.
        taken_ms: when.
        size: of its file, bytes.
    """

    number: int
    taken_ms: int
    size: int


@dataclass
class Account:
    """What was counted.

    Attributes:
        whole_ms: number of a frame → when its last byte was on the ground.
        sent_bytes: of all transfer frames.
        file_bytes: of the files that came.
        contacts: in which anything was sent.
        waiting_bytes: of files that had not come at the end.
    """

    whole_ms: dict[int, int]
    sent_bytes: int = 0
    file_bytes: int = 0
    contacts: int = 0
    waiting_bytes: int = 0


def wire_bytes(size: int) -> int:
    """Bytes of all packets that carry a file once, whatever transfer frames they stand in."""
    # The data of the units is not needed to know how long they are.
    units = cfdp.Units(bytes(size), _NAME, 0)
    return sum(units.size(index) + packets.OVERHEAD for index in range(len(units)))


def lost_share(station: Station) -> float:
    """Share of transfer frames that a station's channel loses or damages, on average."""
    whole = (1 - station.channel.bit_error_rate) ** (8 * CADU)
    return 1 - (1 - station.channel.frame_loss) * whole


def account(
    taken: Sequence[Frame], contacts: Sequence[ContactLog], stations: Sequence[Station]
) -> Account:
    """Count what it takes to bring files home.

    Args:
        taken: in order of time.
        contacts: with the times in which there is power.
        stations: of the contacts.
    """
    by_name = {one.name: one for one in stations}
    found, room = Account({}), frames.data_length()
    # What is left of each file, in bytes of packets.
    owed = [float(wire_bytes(frame.size)) for frame in taken]
    at = 0
    for contact in contacts:
        if contact.begin_ms is None:
            continue
        station = by_name[contact.station]
        left = contact.capacity_bytes // CADU * room * (1 - lost_share(station))
        began, used = left, 0.0
        while at < len(taken) and taken[at].taken_ms <= contact.begin_ms and left > 0:
            goes = min(left, owed[at])
            left, used = left - goes, used + goes
            owed[at] -= goes
            if owed[at] <= 0:
                share = used / began
                span = contact.capacity_bytes * 8000 / station.down_bps
                found.whole_ms[taken[at].number] = contact.begin_ms + round(share * span)
                found.file_bytes += taken[at].size
                at += 1
        if used:
            found.contacts += 1
            count = -int(-used // (room * (1 - lost_share(station))))
            found.sent_bytes += count * CADU
    found.waiting_bytes = sum(one.size for one in taken[at:])
    return found
