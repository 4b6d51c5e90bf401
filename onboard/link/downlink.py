"""Downlink: which products go down in one pass, and in what order.

Alerts first, then one housekeeping packet, then products by value. What is owed to an item is
the wanted sendings less those done. A product gets as many of them as still fit, and waits for
the next pass if not even one whole sending fits; a smaller one behind it may then go first.

All first sendings go before all second ones, so a burst that kills one copy of a product leaves
the other. Nothing is changed in the outbox here: write the stream, make it durable, and only
then `Downlink.commit`. A crash between the two sends the same again, and the ground drops
duplicates; the other order would lose products.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onboard.errors import ConfigError
from onboard.link import cfdp, frames, housekeeping, packets
from onboard.link.apid import Apid
from onboard.link.counters import Counters
from onboard.outbox import Kind, Outbox, Waiting, clock_ms
from onboard.product import ID_BYTES

DEFAULT_SENDINGS = 2
MAX_SENDINGS = 16
MAX_BUDGET = 2**30


@dataclass(frozen=True)
class Sent:
    """One item of a pass: what it was and how often it went."""

    item: Waiting
    sendings: int

    @property
    def name(self) -> str:
        """The product's short id, or the number of the alert."""
        return _stem(self.item) if self.item.kind is Kind.PRODUCT else f"alert {self.item.item}"


@dataclass(frozen=True)
class Downlink:
    """One pass, composed but not recorded.

    Attributes:
        stream: whole frames with sync markers, never more bytes than the budget.
        sent: what it holds, in order.
        waiting: items that still wait for their first sending.
        owed: sendings that are still wanted of items that went down at least once.
        before, after: the counters at its beginning and end.
    """

    stream: bytes
    sent: tuple[Sent, ...]
    waiting: int
    owed: int
    before: Mapping[str, int]
    after: Mapping[str, int]

    def commit(self, outbox: Outbox) -> None:
        """Record the pass, once its stream is safely written."""
        outbox.commit({one.item.item: one.sendings for one in self.sent}, self.before, self.after)


def fill(
    outbox: Outbox,
    budget: int,
    sendings: int = DEFAULT_SENDINGS,
    now_ms: int | None = None,
    frame_length: int = frames.DEFAULT_LENGTH,
    pad: bool = False,
) -> Downlink:
    """Compose one pass.

    Args:
        outbox: what waits.
        budget: bytes that the pass can carry, sync markers and fill included.
        sendings: how often each item is wanted on the ground, 1…16.
        now_ms: time of sending for the packets, UTC milliseconds since 1970; the clock's if None.
        frame_length: of a frame without sync marker.
        pad: fill the rest of the budget with idle frames, as a radio at a fixed rate needs.

    Raises:
        ConfigError: the budget holds no frame, or ``sendings`` is out of range.
    """
    cadu = frames.cadu_length(frame_length)
    if budget < cadu:
        raise ConfigError(f"--budget {budget}: one frame has {cadu} bytes; give at least that")
    if budget > MAX_BUDGET:
        raise ConfigError(f"--budget {budget}: a pass is made in memory; give at most {MAX_BUDGET}")
    if not 1 <= sendings <= MAX_SENDINGS:
        raise ConfigError(f"--sendings {sendings}: choose 1 to {MAX_SENDINGS}")
    now = clock_ms() if now_ms is None else now_ms
    room = _Room(budget // cadu, frame_length)
    before = outbox.counters
    items = outbox.waiting(sendings)
    alerts = [item for item in items if item.kind is Kind.ALERT]
    products = [item for item in items if item.kind is Kind.PRODUCT]
    chosen = _choose(alerts, sendings, room)
    state = [housekeeping.pack(outbox.housekeeping())]
    state = state if room.take(_packet_bytes(state)) else []
    chosen += _choose(products, sendings, room)
    counters = Counters(before)
    whole = _lay_out(chosen, state, counters, now)
    stream = frames.cadus(whole, counters, frame_length)
    if pad:
        stream += frames.idle_cadus(budget // cadu - len(stream) // cadu, counters, frame_length)
    gone = {one.item.item: one.sendings for one in chosen}
    left = [(item, sendings - item.sendings - gone.get(item.item, 0)) for item in items]
    waiting = sum(item.sendings == 0 and item.item not in gone for item in items)
    owed = sum(count for item, count in left if item.sendings or item.item in gone)
    return Downlink(stream, tuple(chosen), waiting, owed, before, counters.values)


class _Room:
    """How many bytes of packets still fit into a number of frames."""

    def __init__(self, count: int, frame_length: int) -> None:
        self.count, self.frame_length, self.used = count, frame_length, 0

    def take(self, size: int) -> bool:
        """Reserve ``size`` bytes if they fit."""
        fits = frames.frames_needed(self.used + size, self.frame_length) <= self.count
        self.used += size if fits else 0
        return fits


def _choose(items: Sequence[Waiting], sendings: int, room: _Room) -> list[Sent]:
    chosen = []
    for item in items:
        size = _packet_bytes(_units(item))
        count = 0
        while count < sendings - item.sendings and room.take(size):
            count += 1
        if count:
            chosen.append(Sent(item, count))
    return chosen


def _units(item: Waiting) -> list[bytes]:
    """User data of the packets of one sending."""
    if item.kind is Kind.ALERT:
        return [item.data]
    assert item.sequence is not None
    return cfdp.pdus(item.data, f"{_stem(item)}.fsp", item.sequence)


def _stem(item: Waiting) -> str:
    return item.data[-ID_BYTES:].hex()[:12]


def _packet_bytes(units: Sequence[bytes]) -> int:
    return sum(len(unit) + packets.OVERHEAD for unit in units)


def _lay_out(
    chosen: Sequence[Sent], state: Sequence[bytes], counters: Counters, now_ms: int
) -> list[bytes]:
    """Packets in order of sending: per round alerts, then products; the state after round one."""
    apids: dict[Kind, Apid] = {Kind.ALERT: Apid.ALERT, Kind.PRODUCT: Apid.CFDP}
    whole: list[bytes] = []

    def add(apid: Apid, units: Sequence[bytes]) -> None:
        for unit in units:
            packet = packets.Packet(apid, counters.packet(apid), now_ms, unit)
            whole.append(packets.pack(packet))

    for turn in range(max((one.sendings for one in chosen), default=0)):
        for kind in Kind:
            for one in chosen:
                if one.item.kind is kind and turn < one.sendings:
                    add(apids[kind], _units(one.item))
            if turn == 0 and kind is Kind.ALERT:
                add(Apid.HOUSEKEEPING, state)
    if not chosen:
        add(Apid.HOUSEKEEPING, state)
    return whole
