"""Of stretches that overlap the foremost counts; one station at a time has the satellite."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ground.channel import Conditions
from ground.replay.foremost import foremost
from ground.replay.passes import Contact
from ground.replay.scenario import Span, Station
from ground.replay.schedule import LEAST_SECONDS, served

START = datetime(2021, 3, 15, tzinfo=UTC)


def at(seconds):
    return START + timedelta(seconds=seconds)


def span(first, last):
    return Span(at(first), at(last))


stretches = st.lists(
    st.tuples(st.integers(0, 30), st.integers(1, 20), st.integers(0, 3)), max_size=8
)


@given(stretches)
def test_at_every_instant_the_highest_rank_counts_and_the_first_of_equals(found):
    spans = [span(first, first + length) for first, length, _ in found]
    ranks = [rank for _, _, rank in found]
    pieces = foremost(spans, ranks)
    for before, after in itertools.pairwise(pieces):
        assert before.span.end <= after.span.start
        # What goes on is one piece.
        assert before.which != after.which or before.span.end < after.span.start
    for half in range(1, 101, 2):
        when = at(half / 2)
        running = [index for index, one in enumerate(spans) if one.start < when < one.end]
        wanted = max(running, key=lambda index: (ranks[index], -index), default=None)
        counts = [one.which for one in pieces if one.span.start < when < one.span.end]
        assert counts == ([] if wanted is None else [wanted])


def stations(*priorities):
    names = "abc"
    return [
        Station(names[index], 0, 0, 0, 5, 1e6, 0, priority, Conditions())
        for index, priority in enumerate(priorities)
    ]


def contact(station, first, last):
    return Contact(station, at(first), at(last), at((first + last) / 2), 45.0)


def kept(contacts, *priorities):
    found = served([contact(*one) for one in contacts], stations(*priorities))
    return [(one.station, (one.aos - START).seconds, (one.los - START).seconds) for one in found]


def test_of_two_that_are_equal_the_one_that_heard_it_first_keeps_it():
    assert kept([("b", 100, 400), ("a", 50, 300)], 0, 0) == [("a", 50, 300), ("b", 300, 400)]


def test_the_greater_priority_takes_it_over_and_gives_it_back():
    found = kept([("a", 0, 600), ("b", 200, 300)], 0, 1)
    assert found == [("a", 0, 200), ("b", 200, 300), ("a", 300, 600)]


@pytest.mark.parametrize("left", [LEAST_SECONDS - 1, LEAST_SECONDS])
def test_a_short_rest_is_given_up(left):
    found = kept([("a", 0, 300 + left), ("b", 100, 300)], 0, 1)
    assert len(found) == (2 if left < LEAST_SECONDS else 3)


def test_a_short_contact_that_nobody_cut_is_kept():
    assert kept([("a", 0, 4)], 0) == [("a", 0, 4)]
