from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onboard.priority import (
    HALF_LIFE_MS,
    LEAST_VALUE,
    PATIENCE_MS,
    STALE,
    Offer,
    Portion,
    Rank,
    Rule,
    Stored,
    choose,
    give_up,
    ordered,
    score,
)

DAY_MS = 86_400_000
PIECE = 100
FILES = (Rank.PRODUCT, Rank.CHIP)
ONE = Offer(1, Rank.PRODUCT, 4.0, 0, 0, (PIECE,) * 2)


def change(offer: Offer, **fields: object) -> Offer:
    return dataclasses.replace(offer, **fields)  # type: ignore[arg-type]


@st.composite
def offers(draw: st.DrawFn, ranks: Iterable[Rank] = Rank, most: int = 12) -> list[Offer]:
    found = []
    for item in range(draw(st.integers(0, most))):
        rank = draw(st.sampled_from(sorted(ranks)))
        least = 1 if rank.is_file else 0
        count = draw(st.integers(1, 9)) if rank.is_file else 1
        pieces = tuple(draw(st.lists(st.integers(1, PIECE), min_size=count, max_size=count)))
        wanted = draw(st.integers(1, 3))
        sent = draw(st.integers(0, wanted))
        found.append(
            Offer(
                item,
                rank,
                draw(st.floats(0, 1e4)),
                draw(st.integers(-DAY_MS, 60 * DAY_MS)),
                draw(st.integers(-DAY_MS, 60 * DAY_MS)),
                pieces,
                draw(st.integers(0, count - 1)) if least and sent < wanted else 0,
                sent,
                wanted,
            )
        )
    return found


# --- the score ---


def test_the_score_is_worth_per_byte() -> None:
    assert score(ONE) == pytest.approx(4.0 / 200)
    assert score(change(ONE, value=8.0)) == pytest.approx(2 * score(ONE))
    assert score(change(ONE, pieces=(PIECE,) * 4)) == pytest.approx(score(ONE) / 2)


def test_what_was_begun_is_worth_more() -> None:
    assert score(change(ONE, begun=1)) == pytest.approx(2 * score(ONE))


def test_news_loses_worth_down_to_a_rest() -> None:
    half = score(change(ONE, age_ms=HALF_LIFE_MS)) / score(ONE)
    assert half == pytest.approx(STALE + (1 - STALE) / 2)
    assert score(change(ONE, age_ms=10**12)) / score(ONE) == pytest.approx(STALE)


def test_waiting_gains_without_bound() -> None:
    after = [score(change(ONE, waited_ms=n * PATIENCE_MS)) / score(ONE) for n in (1, 2, 1000)]
    assert after == pytest.approx([2, 3, 1001])


def test_a_clock_that_jumped_back_makes_nothing_worth_less_than_fresh() -> None:
    assert score(change(ONE, age_ms=-(10**12), waited_ms=-(10**12))) == score(ONE)


def test_what_is_worth_nothing_has_its_turn_too() -> None:
    old = change(ONE, value=0.0, waited_ms=10**6 * PATIENCE_MS)
    assert score(change(ONE, value=0.0)) == pytest.approx(LEAST_VALUE / 200)
    assert score(old) > score(change(ONE, value=0.5))


@given(st.floats(1e-3, 1), st.integers(0, 10**4), st.integers(0, 10**4))
def test_only_what_waited_long_itself_stands_before_what_waited_long(
    share: float, hours: int, more: int
) -> None:
    """The first bound of the module's docstring."""
    old = hours * 3_600_000
    waiting = change(ONE, value=share, age_ms=10**13, waited_ms=old)
    least = share * old - PATIENCE_MS
    younger = change(ONE, value=1.0, waited_ms=max(0, int(least) - more))
    if least - more >= 0:
        assert score(younger) <= score(waiting) * (1 + 1e-9)


# --- a contact ---


def bytes_of(found: list[Offer], portions: list[Portion]) -> int:
    by_item = {one.item: one for one in found}
    return sum(sum(by_item[p.item].pieces[p.first : p.first + p.pieces]) for p in portions)


def after(found: list[Offer], portions: list[Portion]) -> list[Offer]:
    """What the offers are once the portions went down."""
    by_item = {one.item: one for one in found}
    for p in portions:
        one = by_item[p.item]
        assert (p.turn, p.first) == (one.sent, one.begun)
        done = p.first + p.pieces
        assert p.last == (done == len(one.pieces))
        state = {"begun": 0, "sent": one.sent + 1} if p.last else {"begun": done}
        by_item[p.item] = change(one, **state)
    return list(by_item.values())


def test_alerts_then_state_then_products_then_chips() -> None:
    found = [change(ONE, item=n, rank=rank) for n, rank in enumerate(reversed(Rank))]
    portions = choose(found, 10**6)
    assert [p.item for p in portions] == [3, 2, 1, 0]


def test_all_first_sendings_of_a_rank_go_before_a_repeat() -> None:
    rich = change(ONE, item=1, value=100.0, wanted=2)
    poor = change(ONE, item=2, value=1.0, wanted=2)
    again = change(ONE, item=3, value=1e6, sent=1, wanted=2)
    chip = change(ONE, item=4, rank=Rank.CHIP)
    portions = choose([rich, poor, again, chip], 10**6)
    assert [(p.item, p.turn) for p in portions] == [(1, 0), (2, 0), (3, 1), (1, 1), (2, 1), (4, 0)]


def test_what_does_not_fit_lets_a_smaller_one_go() -> None:
    found = [
        change(ONE, item=1, value=9.0),
        change(ONE, item=2, value=8.0),
        change(ONE, item=3, value=0.1, pieces=(50,)),
    ]
    assert [(p.item, p.last) for p in choose(found, 349)] == [(1, True), (3, True)]


def test_the_room_that_is_left_takes_the_beginning_of_what_was_left_out() -> None:
    found = [
        change(ONE, item=1, value=9.0),
        change(ONE, item=2, value=8.0),
        change(ONE, item=3, value=7.0),
        change(ONE, item=4, value=0.01, pieces=(50,)),
        change(ONE, item=5, rank=Rank.ALERT, pieces=(500,)),
    ]
    tail = Portion(2, 0, 0, 1, False)
    assert choose(found, 350) == [Portion(1, 0, 0, 2, True), Portion(4, 0, 0, 1, True), tail]
    begun = [*found[:2], change(found[2], value=0.1, pieces=(PIECE,) * 9, begun=1), *found[3:]]
    assert choose(begun, 350)[-1] == Portion(3, 0, 1, 1, False)


def test_the_head_of_the_files_goes_in_parts_and_what_fits_goes_too() -> None:
    large = change(ONE, item=1, value=1e6, pieces=(PIECE,) * 10)
    small = change(ONE, item=2, pieces=(30,))
    alert = change(ONE, item=3, rank=Rank.ALERT, pieces=(50,))
    portions = choose([large, small, alert], 390)
    assert portions == [
        Portion(3, 0, 0, 1, True),
        Portion(1, 0, 0, 3, False),
        Portion(2, 0, 0, 1, True),
    ]


def test_what_is_left_beside_the_beginning_of_one_file_begins_no_other() -> None:
    small = change(ONE, item=1, pieces=(1,))
    first = change(ONE, item=2, pieces=(1, 1, 1, 2))
    other = change(ONE, item=3, pieces=(1, 1, 1, 1, 1))
    portions = choose([small, first, other], 5)
    assert portions == [Portion(1, 0, 0, 1, True), Portion(2, 0, 0, 3, False)]


def test_an_alert_is_never_cut() -> None:
    alert = change(ONE, rank=Rank.ALERT, pieces=(50, 50))
    assert choose([alert], 99) == []


@given(offers(), st.integers(0, 2500))
def test_never_over_budget_and_nothing_better_was_left_out(
    found: list[Offer], capacity: int
) -> None:
    portions = choose(found, capacity)
    used = bytes_of(found, portions)
    assert used <= capacity
    cut = [p.item for p in portions if not p.last]
    assert len(cut) <= 2
    room = capacity - used
    for one in after(found, portions):
        if one.sent < one.wanted:
            rest = one.pieces[one.begun :]
            assert sum(rest) > room
            # Of a file that goes in part the next piece does not fit; and where none goes in part,
            # no piece does of a file of which nothing went.
            waits = one.rank.is_file and one.item not in touched(portions)
            if one.item in cut or (waits and not cut):
                assert rest[0] > room
    if any(one.sent < one.wanted and one.rank.is_file for one in found):
        assert_the_head_moves(found, portions, capacity)


def touched(portions: list[Portion]) -> set[int]:
    return {p.item for p in portions}


def assert_the_head_moves(found: list[Offer], portions: list[Portion], capacity: int) -> None:
    waiting = [one for one in found if one.sent < one.wanted and one.rank.is_file]
    head = ordered(waiting)[0]
    ranks = {one.item: one.rank for one in found}
    before = [p for p in portions if not ranks[p.item].is_file]
    room = capacity - bytes_of(found, before)
    moved = [p for p in portions if p.item == head.item]
    if room >= head.pieces[head.begun]:
        assert moved


@given(offers(), st.integers(0, 2500))
def test_the_order_of_the_offers_is_nothing(found: list[Offer], capacity: int) -> None:
    assert choose(found[::-1], capacity) == choose(found, capacity)


@given(offers(), st.integers(0, 2500))
def test_portions_follow_the_order_of_priority(found: list[Offer], capacity: int) -> None:
    by_item = {one.item: one for one in found}
    portions = choose(found, capacity)
    if portions and not portions[-1].last:
        # The tail may be one that was left out before.
        portions = portions[:-1]
    keys = [(by_item[p.item].rank, p.turn, -score(by_item[p.item]), p.item) for p in portions]
    assert keys == sorted(keys)


@given(offers(), st.lists(st.integers(0, 1500), min_size=1, max_size=5))
def test_everything_gets_down_whatever_the_contacts_hold(
    found: list[Offer], capacities: list[int]
) -> None:
    """Files larger than every contact too, as long as now and then one piece fits."""
    pieces = sum(len(one.pieces) * one.wanted for one in found)
    contacts = itertools.chain(capacities, itertools.repeat(PIECE))
    for capacity in itertools.islice(contacts, len(capacities) + pieces):
        found = after(found, choose(found, capacity))
        found = [change(one, waited_ms=one.waited_ms + DAY_MS // 4) for one in found]
    assert all(one.sent >= one.wanted for one in found)


CONTACT_MS = DAY_MS // 4


def later(queue: list[Offer]) -> list[Offer]:
    """The queue at the next contact."""
    return [
        change(one, waited_ms=one.waited_ms + CONTACT_MS, age_ms=one.age_ms + CONTACT_MS)
        for one in queue
        if one.sent < one.wanted
    ]


def latest(share: float, store: int, own: int) -> int:
    """The contact in which an item leaves at the latest: the module's second bound."""
    return int((PATIENCE_MS / CONTACT_MS + store + own) / share) + 2


@settings(max_examples=25)
@given(share=st.floats(0.1, 0.9), pieces=st.integers(1, 9), rich=st.integers(1, 3))
def test_a_stream_that_fills_every_contact_does_not_starve_a_poor_product(
    share: float, pieces: int, rich: int
) -> None:
    """Better ones arrive for ever, as many as each contact holds."""
    queue = [Offer(0, Rank.PRODUCT, share * pieces, 10**12, 0, (PIECE,) * pieces)]
    waited = 0
    for contact in range(1, latest(share, rich + pieces, pieces)):
        fresh = [Offer(contact * rich + n, Rank.PRODUCT, 1.0, 0, 0, (PIECE,)) for n in range(rich)]
        queue += fresh
        queue = after(queue, choose(queue, rich * PIECE))
        if queue[0].sent:
            break
        waited += 1
        queue = later(queue)
    else:
        raise AssertionError("it still waits")
    if share < 0.5 and pieces > 1:
        # The bonus was needed.
        assert waited > 1


@settings(max_examples=25)
@given(
    share=st.floats(0.1, 1.0),
    pieces=st.integers(1, 5),
    rich=st.integers(1, 4),
    quota=st.integers(5, 12),
)
def test_in_a_full_store_a_product_is_sent_or_given_up_by_a_rule(
    share: float, pieces: int, rich: int, quota: int
) -> None:
    """More arrives for ever than the contacts hold; the quota is counted in pieces."""
    queue = [Offer(0, Rank.PRODUCT, share * pieces, 0, 0, (PIECE,) * pieces)]
    for contact in range(1, latest(share, quota, pieces)):
        queue += [Offer(contact * rich + n, Rank.PRODUCT, 1.0, 0, 0, (PIECE,)) for n in range(rich)]
        gone = dict(give_up([Stored(one, len(one.pieces)) for one in queue], quota))
        queue = [one for one in queue if one.item not in gone]
        queue = later(after(queue, choose(queue, PIECE)))
        if all(one.item for one in queue):
            assert gone.get(0, Rule.LOWEST) is Rule.LOWEST
            return
    raise AssertionError("it still waits")


# --- the store ---


def test_rules_apply_in_their_order_and_no_further_than_needed() -> None:
    def stored(item: int, size: int, **fields: object) -> Stored:
        return Stored(change(ONE, item=item, **fields), size)

    items = [
        stored(1, 1001),
        stored(2, 300, sent=1, wanted=1),
        stored(3, 300, sent=1, wanted=1),
        stored(4, 300, value=1.0),
        stored(5, 300, value=2.0),
        stored(6, 300, rank=Rank.CHIP, value=1e6),
        stored(7, 50, rank=Rank.ALERT, value=0.0),
    ]
    order = [
        (1, Rule.TOO_LARGE),
        (2, Rule.SENT),
        (3, Rule.SENT),
        (6, Rule.LOWEST),
        (4, Rule.LOWEST),
        (5, Rule.LOWEST),
    ]
    assert give_up(items, 1000) == order[:3]
    assert give_up(items[1:], 1550) == []
    assert give_up(items[1:], 1549) == order[1:2]
    assert give_up(items[1:], 700) == order[1:4]
    assert give_up(items[1:], 649) == order[1:5]
    assert give_up(items[1:], 300) == order[1:6]
    assert give_up(items[1:], 0) == [(n, Rule.TOO_LARGE) for n in (2, 3, 4, 5, 6, 7)]


@given(offers(), st.data())
def test_what_is_kept_keeps_to_the_quota_and_is_worth_more(
    found: list[Offer], data: st.DataObject
) -> None:
    stored = [Stored(one, data.draw(st.integers(1, 500))) for one in found]
    quota = data.draw(st.integers(0, 2000))
    gone = dict(give_up(stored, quota))
    kept = [one for one in stored if one.offer.item not in gone]
    assert sum(one.size for one in kept) <= quota
    if sum(one.size for one in stored) <= quota:
        assert not gone
    lowest = {item for item, rule in gone.items() if rule is Rule.LOWEST}
    if lowest:
        assert all(one.offer.sent < one.offer.wanted for one in kept)
        whole = ordered(one.offer for one in stored if one.offer.sent < one.offer.wanted)
        fates = [one.item in lowest for one in whole if gone.get(one.item) is not Rule.TOO_LARGE]
        assert fates == sorted(fates)
