from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ground.sequencer import REMEMBERED, WINDOW, Sequencer
from onboard.link.frames import NO_PACKET_STARTS, ONLY_IDLE, Frame


def frame(number, data=None, first=NO_PACKET_STARTS):
    """The frame with this running number, which the link cuts to 8 bits."""
    return Frame(1, 0, 0, number % 256, first, data or number.to_bytes(4, "big"))


def run(numbers):
    order = Sequencer()
    placed = [one for number in numbers for one in order.add(frame(number))]
    return [*placed, *order.finish()], order


def numbers_of(placed):
    return [int.from_bytes(one.frame.data, "big") for one in placed]


@given(st.integers(0, 600), st.integers(1, 700))
def test_frames_in_order_pass(first, count):
    placed, order = run(range(first, first + count))
    assert numbers_of(placed) == list(range(first, first + count))
    assert all(one.follows and not one.late for one in placed)
    assert (order.lost, order.repeated, order.late) == (0, 0, 0)


@given(st.integers(0, 2**32), st.integers(0, 300))
def test_what_is_a_little_late_is_put_into_its_place(seed, first):
    rng = random.Random(seed)
    numbers = range(first, first + 400)
    shuffled = [first, *sorted(numbers[1:], key=lambda n: n + rng.uniform(0, WINDOW - 1))]
    placed, order = run(shuffled)
    assert numbers_of(placed) == list(numbers)
    assert (order.lost, order.late) == (0, 0)


@given(st.integers(0, 2**32))
def test_gaps_are_counted_and_marked(seed):
    rng = random.Random(seed)
    kept = [0, *(n for n in range(1, 400) if rng.random() > 0.2), 400]
    placed, order = run(kept)
    assert numbers_of(placed) == kept
    assert order.lost == 401 - len(kept)
    breaks = [b for a, b in pairwise(kept) if b != a + 1]
    assert [int.from_bytes(one.frame.data, "big") for one in placed if not one.follows] == breaks


@given(st.integers(0, 2**32))
def test_frames_that_come_twice_are_dropped(seed):
    rng = random.Random(seed)
    numbers = [n for n in range(300) for _ in range(1 + (rng.random() < 0.3))]
    placed, order = run(numbers)
    assert numbers_of(placed) == list(range(300))
    assert order.repeated == len(numbers) - 300
    assert order.lost == 0


def test_what_comes_when_it_is_not_waited_for_any_more_stands_by_itself():
    numbers = [n for n in range(60) if n != 5]
    numbers.insert(40, 5)
    placed, order = run(numbers)
    assert sorted(numbers_of(placed)) == list(range(60))
    assert [numbers_of([one]) for one in placed if one.late] == [[5]]
    assert (order.lost, order.late) == (0, 1)


@pytest.mark.parametrize("gap", [15, 17, 63, 64, 65, 100, 200, 255])
def test_a_wide_gap_is_counted_modulo_256(gap):
    placed, order = run([*range(20), *range(20 + gap, 60 + gap)])
    assert len(placed) == 60
    assert order.lost == gap
    assert sum(not one.follows for one in placed) == 1


def test_a_stream_that_begins_again_has_lost_nothing():
    placed, order = run([*range(100), *range(100)])
    assert numbers_of(placed) == [*range(100), *range(100)]
    assert (order.lost, order.late) == (0, 0)


def test_idle_frames_look_alike_and_are_no_repeats():
    order = Sequencer()
    numbers = [n for n in range(1000) if n not in (300, 700, 701)]
    placed = [one for n in numbers for one in order.add(frame(n, data=b"UUUU", first=ONLY_IDLE))]
    placed += order.finish()
    assert len(placed) == len(numbers)
    assert (order.lost, order.repeated) == (3, 0)


def test_memory_is_bounded():
    order = Sequencer()
    for number in range(3 * REMEMBERED):
        if number % 7:
            list(order.add(frame(number)))
    assert len(order._marks) <= REMEMBERED
    assert len(order._missing) <= 2 * WINDOW + 1
    assert len(order._early) <= WINDOW
