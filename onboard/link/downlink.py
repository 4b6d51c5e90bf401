"""Downlink: which items go down in one pass, and in what order.

Alerts first, then what is owed to the ground and one housekeeping packet, then products, then
chips, by the order of `onboard.priority`. Alerts and files of class 1 are wanted a number of
times; what is owed to one is that number less the sendings done. A file of class 2 is sent once,
and after that only what the ground asks for, until it has all (`onboard.link.sender`). The class
is chosen when a file first goes down. A file may go in parts, and the next pass goes on from
there: so no file is too large for the link, and no room stays empty.

All first sendings go before all second ones, so a burst that kills one copy of a product leaves
the other. Nothing is changed in the outbox here: write the stream, make it durable, and only
then `Downlink.commit`. A crash between the two sends the same again, and the ground drops
duplicates; the other order would lose products.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onboard import rawchip
from onboard.acks import Acks
from onboard.errors import ConfigError
from onboard.link import cfdp, frames, housekeeping, packets, sender
from onboard.link.apid import Apid
from onboard.link.counters import Counters
from onboard.link.sender import Sender
from onboard.link.transfers import Transfer, Transfers
from onboard.outbox import Kind, Outbox, Waiting
from onboard.priority import Offer, Portion, Rank, choose
from onboard.product import ID_BYTES

DEFAULT_SENDINGS = 2
MAX_SENDINGS = 16
MAX_BUDGET = 2**30
ENDINGS = {Kind.PRODUCT: "fsp", Kind.CHIP: "fsc"}
RANKS = {Kind.ALERT: Rank.ALERT, Kind.PRODUCT: Rank.PRODUCT, Kind.CHIP: Rank.CHIP}


@dataclass(frozen=True)
class Load:
    """What one item puts into a pass.

    Attributes:
        item: what it is.
        rounds: per sending, which of its units go, in order.
        sendings: how many whole sendings end in this pass.
        part: the unit with which its next sending goes on; 0 where none is cut.
        state: of a class-2 file after the pass; None in class 1 and for alerts.
    """

    item: Waiting
    rounds: tuple[tuple[int, ...], ...]
    sendings: int
    part: int = 0
    state: Sender | None = None

    @property
    def name(self) -> str:
        """The file's short id, or the number of the alert."""
        return f"alert {self.item.item}" if self.item.kind is Kind.ALERT else _stem(self.item)

    @property
    def link_class(self) -> int | None:
        """The CFDP class of a file; None for alerts."""
        if self.item.kind is Kind.ALERT:
            return None
        return 1 if self.state is None else 2

    @property
    def units(self) -> int:
        """Units sent in this pass, repeats counted."""
        return sum(len(one) for one in self.rounds)


@dataclass(frozen=True)
class Downlink:
    """One pass, composed but not recorded.

    Attributes:
        stream: whole frames with sync markers, never more bytes than the budget.
        sent: what it holds, in order.
        waiting: items that still wait for their first sending to end.
        owed: sendings that are still wanted of items that went down at least once.
        open: class-2 files of which the ground has not said that it has them.
        contact: its number, from 1.
        sent_ms: the time that its packets bear, UTC milliseconds since 1970.
        before, after: the counters at its beginning and end.
        answered: transaction numbers whose owed units it holds.
        acknowledged: counts of the commands that it acknowledges.
    """

    stream: bytes
    sent: tuple[Load, ...]
    waiting: int
    owed: int
    open: int
    contact: int
    sent_ms: int
    before: Mapping[str, int]
    after: Mapping[str, int]
    answered: tuple[int, ...] = ()
    acknowledged: tuple[int, ...] = ()

    def commit(self, outbox: Outbox) -> None:
        """Record the pass, once its stream is safely written."""
        files = [one for one in self.sent if one.item.kind is not Kind.ALERT]
        with outbox.transaction():
            outbox.commit(
                {one.item.item: one.sendings for one in self.sent}, self.before, self.after
            )
            Transfers(outbox).record(
                self.contact,
                self.sent_ms,
                {one.item.item: one.state for one in files if one.state is not None},
                self.answered,
                {one.item.item: one.part for one in files if one.state is None},
            )
            Acks(outbox).sent(self.acknowledged)


def fill(
    outbox: Outbox,
    budget: int,
    sendings: int = DEFAULT_SENDINGS,
    now_ms: int | None = None,
    frame_length: int = frames.DEFAULT_LENGTH,
    pad: bool = False,
    link_class: int = 1,
) -> Downlink:
    """Compose one pass.

    Args:
        outbox: what waits.
        budget: bytes that the pass can carry, sync markers and fill included.
        sendings: how often each alert, and each file of class 1, is wanted on the ground, 1…16.
        now_ms: time of sending for the packets, UTC milliseconds since 1970; by the outbox's clock
            if None.
        frame_length: of a frame without sync marker.
        pad: fill the rest of the budget with idle frames, as a radio at a fixed rate needs.
        link_class: CFDP class of files that were not begun yet, 1 or 2.

    Raises:
        ConfigError: the budget holds no frame, or ``sendings`` or the class is out of range.
    """
    check_pass(budget, sendings, link_class, frame_length)
    cadu = frames.cadu_length(frame_length)
    plan = _Plan(outbox, sendings, link_class)
    now = plan.transfers.distinct(outbox.clock() if now_ms is None else now_ms)
    before = outbox.counters
    state = [
        *((Apid.CFDP, key, unit) for key, unit in plan.transfers.owed().items()),
        (Apid.HOUSEKEEPING, 0, housekeeping.pack(outbox.housekeeping())),
        *((Apid.ACK, ack.number, ack.data) for ack in Acks(outbox).due()),
    ]
    # The last packet, an idle one, needs room too.
    capacity = budget // cadu * frames.data_length(frame_length) - packets.MIN_IDLE
    offers = plan.offers(now) + _state_offers([unit for *_, unit in state])
    portions = choose(offers, capacity)
    chosen = plan.loads(portions)
    # Their offers bear the numbers -1, -2, … in this order.
    told = [state[-1 - one.item] for one in portions if one.item < 0]
    owed = tuple(key for apid, key, _ in told if apid is Apid.CFDP)
    counters = Counters(before)
    between = [(apid, unit) for apid, _, unit in told]
    whole = _lay_out(chosen, plan, between, counters, now)
    stream = frames.cadus(whole, counters, frame_length)
    if pad:
        stream += frames.idle_cadus(budget // cadu - len(stream) // cadu, counters, frame_length)
    waiting, still = plan.left(chosen)
    return Downlink(
        stream,
        tuple(chosen),
        waiting,
        still,
        plan.still_open(chosen),
        plan.contact,
        now,
        before,
        counters.values,
        owed,
        tuple(key for apid, key, _ in told if apid is Apid.ACK),
    )


def check_pass(
    budget: int, sendings: int, link_class: int, frame_length: int = frames.DEFAULT_LENGTH
) -> None:
    """Refuse a pass that cannot be composed.

    Raises:
        ConfigError: see `fill`.
    """
    cadu = frames.cadu_length(frame_length)
    if budget < cadu:
        raise ConfigError(f"--budget {budget}: one frame has {cadu} bytes; give at least that")
    if budget > MAX_BUDGET:
        raise ConfigError(f"--budget {budget}: a pass is made in memory; give at most {MAX_BUDGET}")
    if not 1 <= sendings <= MAX_SENDINGS:
        raise ConfigError(f"--sendings {sendings}: choose 1 to {MAX_SENDINGS}")
    if link_class not in cfdp.CLASSES:
        raise ConfigError(f"--class {link_class}: choose 1, or 2 where there is a return path")


def _state_offers(units: Sequence[bytes]) -> list[Offer]:
    """What goes between alerts and files, in this order; numbered from -1 down."""
    count = len(units)
    sizes = [len(unit) + packets.OVERHEAD for unit in units]
    return [
        # Their worth per byte is their place in the order.
        Offer(-1 - place, Rank.STATE, float((count - place) * size), 0, 0, (size,))
        for place, size in enumerate(sizes)
    ]


class _Plan:
    """Choosing items for one pass, each with the units that are due."""

    def __init__(self, outbox: Outbox, sendings: int, link_class: int) -> None:
        self.sendings = sendings
        self.transfers = Transfers(outbox)
        self.contact = self.transfers.contact
        self._open = self.transfers.open()
        self._parts = self.transfers.parts()
        self._link_class = link_class
        # A class-2 file waits until it leaves the queue, however often its bytes went down.
        self.items = outbox.waiting(sendings)

    def offers(self, now_ms: int) -> list[Offer]:
        """What may go down, for `choose`."""
        return [self._offer(one, now_ms) for one in self.items if self._rounds(one)]

    def _offer(self, item: Waiting, now_ms: int) -> Offer:
        units, double = self.units(item), self._sender(item) is not None
        due = self._rounds(item)[0] if double else range(len(units))
        seen = item.created_ms if item.acquired_ms is None else item.acquired_ms
        return Offer(
            item.item,
            RANKS[item.kind],
            item.value,
            age_ms=now_ms - seen,
            waited_ms=now_ms - item.created_ms,
            pieces=[_packet_bytes(units, [unit]) for unit in due],
            begun=0 if double else self._parts.get(item.item, 0),
            sent=0 if double else item.sendings,
            wanted=1 if double else self.sendings,
        )

    def loads(self, portions: Sequence[Portion]) -> list[Load]:
        """What the items put into the pass, in order of priority."""
        own: dict[int, list[Portion]] = {}
        for portion in portions:
            own.setdefault(portion.item, []).append(portion)
        by_item = {one.item: one for one in self.items}
        return [
            self._load(
                by_item[item],
                [due[: one.pieces] for due, one in zip(self._rounds(by_item[item]), found)],
            )
            for item, found in own.items()
            if item in by_item
        ]

    def units(self, item: Waiting) -> Sequence[bytes]:
        """The units of one sending of an item."""
        if item.kind is Kind.ALERT:
            return [item.data]
        assert item.sequence is not None
        raw = item.data.startswith(rawchip.MAGIC)
        name = f"{_stem(item)}.{rawchip.ENDING if raw else ENDINGS[item.kind]}"
        return cfdp.Units(item.data, name, item.sequence, self._sender(item) is not None)

    def left(self, chosen: Sequence[Load]) -> tuple[int, int]:
        """How many items wait for their first sending to end, and how many sendings are owed."""
        gone = {one.item.item: one.sendings for one in chosen}
        simple = [one for one in self.items if self._sender(one) is None]
        left = [(one, one.sendings + gone.get(one.item, 0)) for one in simple]
        waiting = sum(done == 0 for _, done in left)
        owed = sum(self.sendings - done for _, done in left if done)
        double = [one for one in self.items if self._sender(one) is not None]
        ended = {one.item.item for one in chosen if one.state and one.state.sent.all()}
        unsent = [one for one in double if not self._was_sent(one) and one.item not in ended]
        return waiting + len(unsent), owed

    def still_open(self, chosen: Sequence[Load]) -> int:
        """Class-2 files that are on their way after the pass."""
        return len(self._open.keys() | {one.item.item for one in chosen if one.state is not None})

    def _was_sent(self, item: Waiting) -> bool:
        found = self._open.get(item.item)
        return found is not None and bool(found.state.sent.all())

    def _sender(self, item: Waiting) -> Sender | None:
        """The state of a file that goes in class 2, or None."""
        found: Transfer | None = self._open.get(item.item)
        if found is not None:
            return found.state
        fresh = item.sendings == 0 and item.item not in self._parts
        if item.kind is Kind.ALERT or self._link_class == 1 or not fresh:
            return None
        return sender.start(len(item.data))

    def _rounds(self, item: Waiting) -> list[tuple[int, ...]]:
        """Which units each sending that is still due has."""
        state = self._sender(item)
        if state is not None:
            due = tuple(sender.due(state, self.contact))
            return [due] if due else []
        every = tuple(range(len(self.units(item))))
        first = every[self._parts.get(item.item, 0) :]
        return [first, *[every] * (self.sendings - item.sendings - 1)]

    def _load(self, item: Waiting, rounds: list[tuple[int, ...]]) -> Load:
        state = self._sender(item)
        if state is not None:
            (indices,) = rounds
            after = sender.after_sending(state, indices, self.contact)
            return Load(item, tuple(rounds), 0, state=after)
        last = rounds[-1][-1] + 1
        cut = last < len(self.units(item))
        return Load(item, tuple(rounds), len(rounds) - cut, part=last if cut else 0)


def _stem(item: Waiting) -> str:
    return item.data[-ID_BYTES:].hex()[:12]


def _packet_bytes(units: Sequence[bytes], indices: Sequence[int]) -> int:
    if isinstance(units, cfdp.Units):
        return sum(units.size(index) + packets.OVERHEAD for index in indices)
    return sum(len(units[index]) + packets.OVERHEAD for index in indices)


def _lay_out(
    chosen: Sequence[Load],
    plan: _Plan,
    between: Sequence[tuple[Apid, bytes]],
    counters: Counters,
    now_ms: int,
) -> list[bytes]:
    """Packets in order of sending: per round alerts, then files; ``between`` in round one."""
    whole: list[bytes] = []

    def add(apid: Apid, units: Sequence[bytes]) -> None:
        for unit in units:
            packet = packets.Packet(apid, counters.packet(apid), now_ms, unit)
            whole.append(packets.pack(packet))

    def add_round(turn: int, kinds: Sequence[Kind]) -> None:
        for one in chosen:
            if one.item.kind in kinds and turn < len(one.rounds):
                units = plan.units(one.item)
                apid = Apid.ALERT if one.item.kind is Kind.ALERT else Apid.CFDP
                add(apid, [units[index] for index in one.rounds[turn]])

    for turn in range(max((len(one.rounds) for one in chosen), default=1)):
        add_round(turn, [Kind.ALERT])
        if turn == 0:
            for apid, unit in between:
                add(apid, [unit])
        add_round(turn, list(ENDINGS))
    return whole
