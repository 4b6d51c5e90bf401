"""Priority: what goes down first, and what is given up first. One order serves both.

Alerts come before the satellite's state, that before products, products before chips. Within a
rank, a sending that is not a repeat comes before one that is; then the larger *score* comes
first, then the item that was queued earlier. The score is worth per byte:

    score = max(value, least) / bytes still to send · (freshness + waited / PATIENCE)
    freshness = STALE + (1 - STALE) · 2^(-age / HALF_LIFE)

News loses worth with its age, down to a rest; an item that waits gains, without bound. That is
linear ageing, as schedulers use it against starvation: when an item has waited t, only such stand
before it as have waited d/D · t - PATIENCE at least, where d is its density (worth per byte) and
D theirs. The store is bounded, so those come to an end: an item is sent or given up after
``(PATIENCE + (M + m) · T) · D / d`` at the latest, where the store holds M pieces, the item m, a
contact comes every T with room for one piece, and D is the largest density that ever comes. A
file of which parts went down has fewer bytes to send, so what was begun is finished.

A contact is filled greedily in that order: each sending goes if it fits whole into what is left.
The first *file* of the order goes even if it does not fit, as many of its pieces as do. What room
is left in the end takes the beginning of the first file of which nothing went, of one that was
begun before if there is one. The rest of a file follows in later contacts. So a file larger than
every contact gets down too, no room stays empty, and each contact that has room for one piece
brings the head of the queue forward.

Everything here is a pure function of figures; `onboard.link.downlink` sends, `onboard.quota`
evicts.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

_HOUR_MS = 3_600_000
HALF_LIFE_MS = 12 * _HOUR_MS
PATIENCE_MS = 72 * _HOUR_MS
STALE = 0.25
LEAST_VALUE = 1e-6
"""Worth of what is worth nothing, so that its turn comes too."""


class Rank(enum.IntEnum):
    """Kinds, in the order in which they go down."""

    ALERT = 0
    STATE = 1
    PRODUCT = 2
    CHIP = 3

    @property
    def is_file(self) -> bool:
        """Whether it may go in parts."""
        return self in (Rank.PRODUCT, Rank.CHIP)


@dataclass(frozen=True)
class Offer:
    """One item that may go down.

    Attributes:
        item: its number; smaller was queued earlier.
        rank: what it is.
        value: how much it is worth; compared within its rank only.
        age_ms: since it was seen, milliseconds; below 0 counts as 0.
        waited_ms: since it was queued, milliseconds; below 0 counts as 0.
        pieces: bytes that each piece of one whole sending takes, in order, each at least 1.
        begun: how many pieces of the present sending went down already.
        sent: whole sendings so far.
        wanted: whole sendings wanted.
    """

    item: int
    rank: Rank
    value: float
    age_ms: int
    waited_ms: int
    pieces: Sequence[int]
    begun: int = 0
    sent: int = 0
    wanted: int = 1

    @property
    def left(self) -> int:
        """Bytes still to send of the present sending; of a whole one if that is complete."""
        return sum(self.pieces[self.begun :]) or sum(self.pieces)


class Portion(NamedTuple):
    """Pieces of one sending that go down in this contact.

    Attributes:
        item: of which item.
        turn: number of the sending, from 0.
        first: index of the first piece.
        pieces: how many pieces.
        last: whether the sending is whole with them.
    """

    item: int
    turn: int
    first: int
    pieces: int
    last: bool


class _Job(NamedTuple):
    """One sending that is wanted."""

    offer: Offer
    turn: int
    first: int

    @property
    def pieces(self) -> Sequence[int]:
        return self.offer.pieces[self.first :]

    def portion(self, pieces: int) -> Portion:
        last = pieces == len(self.pieces)
        return Portion(self.offer.item, self.turn, self.first, pieces, last)


def score(offer: Offer) -> float:
    """Worth per byte still to send, with freshness and age bonus; larger goes first."""
    freshness = STALE + (1 - STALE) * 2 ** (-max(0, offer.age_ms) / HALF_LIFE_MS)
    bonus = max(0, offer.waited_ms) / PATIENCE_MS
    return max(offer.value, LEAST_VALUE) / max(1, offer.left) * (freshness + bonus)


def ordered(offers: Iterable[Offer]) -> list[Offer]:
    """Offers in order of priority, the present sending of each."""
    return sorted(offers, key=lambda one: (one.rank, one.sent, -score(one), one.item))


def choose(offers: Iterable[Offer], capacity: int) -> list[Portion]:
    """What goes down in one contact, in order of priority.

    Args:
        offers: all that waits.
        capacity: bytes of packets that the contact holds.

    Returns:
        Portions of together at most ``capacity`` bytes. Nothing that was left out whole fits into
        the rest, nor the next piece of a file of which a part goes.
    """
    room, head = capacity, True
    portions: list[Portion] = []
    left_out: dict[int, _Job] = {}
    for job in _jobs(offers):
        if job.offer.item in left_out:
            continue
        pieces = _fitting(job.pieces, room)
        if pieces < len(job.pieces):
            left_out[job.offer.item] = job
            pieces = pieces if head and job.offer.rank.is_file else 0
        head = head and not job.offer.rank.is_file
        if pieces:
            room -= sum(job.pieces[:pieces])
            portions.append(job.portion(pieces))
    gone = {one.item for one in portions}
    return portions + _tail([one for item, one in left_out.items() if item not in gone], room)


def _tail(left_out: Sequence[_Job], room: int) -> list[Portion]:
    """The beginning of a file that was left out, if a piece of one fits."""
    files = [job for job in left_out if job.offer.rank.is_file]
    for job in sorted(files, key=lambda one: not one.first):
        pieces = _fitting(job.pieces, room)
        if pieces:
            return [job.portion(pieces)]
    return []


def _jobs(offers: Iterable[Offer]) -> Iterator[_Job]:
    """Every wanted sending, in order of priority."""
    scored = [(one.rank, -score(one), one.item, one) for one in offers]
    jobs = [
        (rank, turn, worth, item, _Job(one, turn, one.begun if turn == one.sent else 0))
        for rank, worth, item, one in scored
        for turn in range(one.sent, one.wanted)
    ]
    return (job for *_, job in sorted(jobs, key=lambda row: row[:4]))


def _fitting(pieces: Sequence[int], room: int) -> int:
    """How many pieces from the front fit."""
    for count, size in enumerate(pieces):
        room -= size
        if room < 0:
            return count
    return len(pieces)


class Rule(enum.Enum):
    """Why an item is given up; the text stands in the outbox's ledger."""

    TOO_LARGE = "larger than the quota"
    SENT = "sent as often as wanted"
    LOWEST = "lowest priority when the quota was full"


class Stored(NamedTuple):
    """An item of the store: what it offers, and the bytes that it takes there."""

    offer: Offer
    size: int


def give_up(stored: Iterable[Stored], quota: int) -> list[tuple[int, Rule]]:
    """What must leave the store so that the rest keeps to the quota.

    In this order, and no further than needed: items that are larger than the quota alone, items
    that were sent as often as wanted (the earliest first), and the rest from the end of the order
    of priority.

    Returns:
        Items with the rule that chose them.
    """
    items = list(stored)
    gone = [(one.offer.item, Rule.TOO_LARGE) for one in items if one.size > quota]
    items = [one for one in items if one.size <= quota]
    excess = sum(one.size for one in items) - quota
    by_item = {one.offer.item: one.size for one in items}
    done = sorted(one.offer.item for one in items if one.offer.sent >= one.offer.wanted)
    open_ = ordered(one.offer for one in items if one.offer.sent < one.offer.wanted)
    candidates = [(item, Rule.SENT) for item in done]
    candidates += [(one.item, Rule.LOWEST) for one in reversed(open_)]
    for item, rule in candidates:
        if excess <= 0:
            break
        excess -= by_item[item]
        gone.append((item, rule))
    return gone
