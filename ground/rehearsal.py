"""Rehearsal: contact after contact between an outbox and a ground station, over a bad link.

Everything but the radio is what flies and what receives: the stream that `downlink` writes goes
through a `Channel` to `receive`, and its answers go up over a link that loses as many packets and
flips as many bits. Both ends keep nothing in memory between contacts but what they store.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from ground.answers import conclude
from ground.channel import Channel, Conditions, flip_bits
from ground.memory import Memory
from ground.receive import receive
from onboard.errors import StreamError
from onboard.link import packets, returns
from onboard.link.downlink import fill
from onboard.link.transfers import Transfers
from onboard.outbox import Outbox

ORBIT_MS = 5_400_000


@dataclass(frozen=True)
class Plan:
    """How contacts are made.

    Attributes:
        link_class: CFDP class, 1 or 2.
        sendings: of class 1.
        budget: bytes of a contact.
        contacts: at most this many.
        start_ms: time of the first, UTC milliseconds since 1970; then one each orbit.
    """

    link_class: int = 2
    sendings: int = 2
    budget: int = 200_000
    contacts: int = 100
    start_ms: int = 1_700_000_000_000


@dataclass
class Rehearsal:
    """What came of it.

    Attributes:
        contacts: that were made.
        bytes_down, bytes_up: of all streams.
        delivered: product → the contact in which it arrived first.
        streams: what arrived of each contact's frames.
        done: whether nothing was left to send.
    """

    contacts: int = 0
    bytes_down: int = 0
    bytes_up: int = 0
    delivered: dict[bytes, int] = field(default_factory=dict)
    streams: list[bytes] = field(default_factory=list)
    done: bool = False


def rehearse(outbox: Outbox, conditions: Conditions, seed: int, plan: Plan) -> Rehearsal:
    """Make contacts until nothing is left to send, or ``plan.contacts`` are over.

    Args:
        outbox: with what is to be sent.
        conditions: of the link; their losses and bit errors hold for the way up too.
        seed: of both ways.
        plan: how contacts are made.
    """
    down, up = Channel(seed, conditions), random.Random(seed)
    found, memory, returned = Rehearsal(), Memory(), b""
    for number in range(plan.contacts):
        _hear(outbox, returned)
        contact = fill(
            outbox,
            plan.budget,
            plan.sendings,
            plan.start_ms + number * ORBIT_MS,
            link_class=plan.link_class,
        )
        contact.commit(outbox)
        if not contact.sent and not contact.open and not contact.answered:
            found.done = True
            return found
        stream, _ = down.send(contact.stream)
        found.contacts += 1
        found.bytes_down += len(contact.stream)
        found.streams.append(stream)
        said = _receive(stream, memory, found)
        found.bytes_up += len(said)
        returned = _carry_up(said, conditions, up)
    return found


def _hear(outbox: Outbox, returned: bytes) -> None:
    try:
        Transfers(outbox).hear(returns.unpack(returned))
    except StreamError:
        # Nothing of it arrived whole.
        return


def _receive(stream: bytes, memory: Memory, found: Rehearsal) -> bytes:
    """Take in one contact; what the ground answers."""
    try:
        reception = receive(stream, memory=memory)
    except StreamError:
        # A contact without one whole frame: nobody answers.
        return b""
    for data, _ in reception.products:
        found.delivered.setdefault(data, found.contacts)
    return conclude(memory, reception)


def _carry_up(stream: bytes, conditions: Conditions, rng: random.Random) -> bytes:
    kept = []
    while stream:
        size = packets.header_of(stream).packet_len
        if rng.random() >= conditions.frame_loss:
            kept.append(stream[:size])
        stream = stream[size:]
    return flip_bits(b"".join(kept), conditions.bit_error_rate, rng.getrandbits(64))
