"""The quota: what leaves the outbox so that the rest keeps within its bytes.

`onboard.priority.give_up` says what goes and by which rule; here it goes. An item that was sent as
often as wanted stays for a repeat until its room is needed, and then counts as sent, not evicted.
"""

from __future__ import annotations

from onboard.link.downlink import DEFAULT_SENDINGS
from onboard.outbox import Kind, Outbox, Stock
from onboard.priority import Offer, Rank, Rule, Stored, give_up

_RANKS = {Kind.ALERT: Rank.ALERT, Kind.PRODUCT: Rank.PRODUCT, Kind.CHIP: Rank.CHIP}


def keep_within(
    outbox: Outbox, now_ms: int | None = None, sendings: int = DEFAULT_SENDINGS
) -> list[tuple[int, Rule]]:
    """Evict from an outbox what is beyond its quota, all in one transaction.

    Args:
        outbox: with a quota, else nothing is evicted.
        now_ms: UTC milliseconds since 1970; by the outbox's clock if None.
        sendings: how often each item is wanted on the ground.

    Returns:
        What left, with the rule that chose it.
    """
    quota = outbox.quota
    if quota is None or outbox.stored_bytes <= quota:
        return []
    now = outbox.clock() if now_ms is None else now_ms
    with outbox.transaction():
        gone = give_up([_stored(one, now, sendings) for one in outbox.stock()], quota)
        for item, rule in gone:
            leave = outbox.release if rule is Rule.SENT else outbox.evict
            leave([item], rule.value, now)
    return gone


def make_room(outbox: Outbox) -> None:
    """`keep_within` by the clock, as a step of the service."""
    keep_within(outbox)


def _stored(one: Stock, now_ms: int, sendings: int) -> Stored:
    seen = one.created_ms if one.acquired_ms is None else one.acquired_ms
    offer = Offer(
        one.item,
        _RANKS[one.kind],
        one.value,
        age_ms=now_ms - seen,
        waited_ms=now_ms - one.created_ms,
        pieces=(max(1, one.size),),
        sent=one.sendings,
        wanted=sendings,
    )
    return Stored(offer, one.size)
