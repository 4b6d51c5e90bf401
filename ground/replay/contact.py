"""Contact: one pass between the outbox and a station, over a channel, bit by bit in time.

What is sent is what `onboard.link.downlink` composes, what arrives is what `ground.receive`
verifies; here it is only told when which bit was where.
"""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ground.answers import conclude
from ground.channel import Channel, flip_bits
from ground.memory import Memory
from ground.receive import PacketExtractor, Reception, Report, find_frames, receive
from ground.replay.log import ContactLog, FlightLog, key_of
from ground.replay.scenario import Station
from onboard.errors import StreamError
from onboard.link import acks, frames, packets, returns
from onboard.link.apid import Apid
from onboard.link.downlink import MAX_BUDGET, Downlink, fill
from onboard.link.transfers import Transfers
from onboard.outbox import Kind, Outbox
from onboard.product import unpack
from onboard.reference_water import Reference

if TYPE_CHECKING:
    from onboard.product import Unpack

CADU = frames.cadu_length()
STATE = "state"
"""What is neither alert nor file: housekeeping, acknowledgements, ends of transfers."""
_SEQUENCE = slice(5, 9)
"""Where a CFDP unit has its transaction number (727.0-B-5, 5.1)."""


@dataclass(frozen=True)
class Sending:
    """A stream on its way down.

    Attributes:
        begin_ms: when its first bit goes.
        bps: bits per second.
    """

    begin_ms: int
    bps: float

    def at(self, size: int) -> int:
        """When so many bytes have gone, UTC milliseconds, rounded up."""
        return self.begin_ms + -int(-size * 8000 // self.bps)


@dataclass
class Ground:
    """The ground: its stations' channels, and what they know together.

    Attributes:
        seed: of the channels.
        reference: permanent water, against which masks may be coded.
        unpack: decodes products.
        memory: of what is half there.
        returned: answers that wait for the next contact with a way up.
        acks: count of a command → when its acknowledgement was heard, and its text.
    """

    seed: int
    reference: Reference | None = None
    unpack: Unpack = unpack
    memory: Memory = field(default_factory=Memory)
    returned: bytes = b""
    acks: dict[int, int] = field(default_factory=dict)
    _channels: dict[str, tuple[Channel, random.Random]] = field(default_factory=dict)

    def channel(self, station: Station) -> tuple[Channel, random.Random]:
        """The way down to a station, and the chance on the way up."""
        if station.name not in self._channels:
            seed = random.Random(f"{self.seed}/{station.name}").getrandbits(63)
            link = Channel(seed, station.channel)
            self._channels[station.name] = link, random.Random(seed)
        return self._channels[station.name]


def answer(ground: Ground, station: Station, outbox: Outbox) -> int:
    """Send up what the ground answers to transfers; how many bytes went."""
    said, ground.returned = ground.returned, b""
    arrived = _carry_up(said, station, ground.channel(station)[1])
    if arrived:
        # Where nothing of it arrived whole, the next answer says all of it again.
        with contextlib.suppress(StreamError):
            Transfers(outbox).hear(returns.unpack(arrived))
    return len(said)


def _carry_up(stream: bytes, station: Station, rng: random.Random) -> bytes:
    """What of the answers arrives: they suffer the same losses as what comes down."""
    kept = []
    while stream:
        size = packets.header_of(stream).packet_len
        if rng.random() >= station.channel.frame_loss:
            kept.append(stream[:size])
        stream = stream[size:]
    return flip_bits(b"".join(kept), station.channel.bit_error_rate, rng.getrandbits(63))


def downlink(
    outbox: Outbox,
    ground: Ground,
    station: Station,
    contact: ContactLog,
    sendings: int,
    log: FlightLog,
) -> None:
    """Send what fits into a contact, and receive what arrives.

    Args:
        outbox: what waits.
        ground: receives.
        station: that hears it.
        contact: with its times and capacity; takes what happens.
        sendings: how often alerts and files of class 1 are wanted on the ground.
        log: takes when items went and came.
    """
    assert contact.begin_ms is not None
    budget = min(contact.capacity_bytes, MAX_BUDGET)
    link_class = 2 if station.up_bps else 1
    sent = fill(outbox, budget, sendings, contact.begin_ms, link_class=link_class)
    sent.commit(outbox)
    sending = Sending(contact.begin_ms, station.down_bps)
    _note_sent(sent, sending, contact, log)
    channel = ground.channel(station)[0]
    arrived, done = channel.send(sent.stream)
    contact.frames_sent, contact.frames_lost = done.frames, done.frames_lost
    contact.frames_bad = done.frames_hit
    contact.stream = arrived
    # What an earlier sending had delayed comes first.
    contact.arrived_ms = tuple(sending.at((one + 1) * CADU) for one in channel.origins)
    if arrived:
        _receive(arrived, ground, contact, log)


def _receive(stream: bytes, ground: Ground, contact: ContactLog, log: FlightLog) -> None:
    try:
        name = f"contact {contact.number}"
        reception = receive(
            stream,
            name,
            memory=ground.memory,
            reference=ground.reference,
            unpack=ground.unpack,
        )
    except StreamError:
        # Not one whole frame: nobody answers.
        return
    ground.returned = conclude(ground.memory, reception)
    # A frame that came late does not make earlier what was whole before it.
    came: list[int] = []
    for when in contact.arrived_ms:
        came.append(max(when, came[-1] if came else when))
    for key, position in reception.arrived.items():
        when = came[position // CADU - 1]
        item = log.items.get(key)
        if item is not None and item.whole_ms is None:
            item.whole_ms = when
            contact.whole.append(key)
    _hear_acks(reception, came, ground)


def _hear_acks(reception: Reception, came: list[int], ground: Ground) -> None:
    for ack in reception.acks:
        when = came[reception.arrived[acks.pack(ack)] // CADU - 1]
        ground.acks.setdefault(ack.count, when)


def _note_sent(sent: Downlink, sending: Sending, contact: ContactLog, log: FlightLog) -> None:
    """Enter which item's bits went when, as the stream itself says."""
    contact.sent_bytes = len(sent.stream)
    contact.items = dict(Counter(one.item.kind.value for one in sent.sent))
    files = {
        one.item.sequence: (one.item.kind, key_of(one.item.kind, one.item.data))
        for one in sent.sent
        if one.item.sequence is not None
    }
    kinds: Counter[str] = Counter()
    for place, apid, size, data in opened(sent.stream):
        kind, key = _owner(apid, data, files)
        kinds[kind] += size
        item = log.items.get(key)
        if item is not None:
            item.first_ms = item.first_ms or sending.at(place - CADU)
            item.last_ms = sending.at(place)
            item.sent_bytes += size
    contact.by_kind = dict(sorted(kinds.items()))


def _owner(apid: int, data: bytes, files: Mapping[int, tuple[Kind, bytes]]) -> tuple[str, bytes]:
    """Kind and key of the item that a packet is of."""
    if apid == Apid.ALERT:
        return Kind.ALERT.value, data
    if apid == Apid.CFDP:
        found = files.get(int.from_bytes(data[_SEQUENCE], "big"))
        if found is not None:
            return found[0].value, found[1]
    return STATE, b""


def opened(stream: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """The packets of a stream: bytes of it up to their end, APID, size, user data; no idle ones."""
    report = Report()
    extractor = PacketExtractor(report)
    for position, frame in find_frames([stream], report):
        for data in extractor.add(frame):
            packet_apid = packets.header_of(data).apid
            if packet_apid != Apid.IDLE:
                packet = packets.unpack(data)
                yield position, int(packet.apid), len(data), packet.data
