"""Contacts of any round orbit: in order, apart, above the mask and nowhere else."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ground.channel import Conditions
from ground.replay import orbit as orbits
from ground.replay.orbit import Orbit, Place
from ground.replay.passes import Sky
from ground.replay.scenario import Camera, Span, Station
from ground.replay.tle import read_tle
from tests.ground.replay.example import elements

START = datetime(2021, 3, 15, tzinfo=UTC)
MARGIN_S = 0.05

degrees = st.floats(0, 359.9)


def orbits_of(turns):
    """Elements of round orbits of any plane with so many turns a day."""
    return st.builds(
        elements,
        inclination=st.floats(0, 180),
        node=degrees,
        eccentricity=st.floats(0, 0.02),
        perigee=degrees,
        anomaly=degrees,
        turns=turns,
    )


places = st.tuples(st.floats(-90, 90), st.floats(-180, 180), st.floats(-400, 5000))


@settings(max_examples=40)
@given(
    lines=orbits_of(st.floats(2.0, 15.4)),
    place=places,
    mask=st.floats(0, 85),
    hours=st.floats(0.2, 30),
)
def test_contacts(lines, place, mask, hours):
    span = Span(START, START + timedelta(hours=hours))
    path = Orbit(read_tle(*lines, "a test"), START)
    station = Station("any", *place, mask, 1e6, 0, 0, Conditions())
    found = Sky(path, span).contacts(station)
    for before, after in itertools.pairwise(found):
        assert before.los < after.aos

    def height(seconds):
        return orbits.elevation_deg(path.positions(seconds), Place(*place))

    seconds = np.arange(0, span.seconds, 5.0)
    inside = np.zeros(len(seconds), bool)
    margin = np.zeros(len(seconds), bool)
    for one in found:
        first, last = path.seconds(one.aos), path.seconds(one.los)
        assert 0 <= first <= path.seconds(one.culmination) <= last <= span.seconds
        during = np.linspace(first, last, 50)
        assert height(during).min() >= mask
        assert height(during).max() <= one.max_elevation_deg + 1e-4
        inside |= (seconds >= first) & (seconds <= last)
        margin |= (np.abs(seconds - first) < MARGIN_S) | (np.abs(seconds - last) < MARGIN_S)
    outside = height(seconds[~inside & ~margin])
    assert (outside <= mask).all()


@settings(max_examples=30)
@given(
    lines=orbits_of(st.floats(13.5, 15.4)),
    place=places,
    reach=st.floats(1, 50),
    sun=st.floats(-10, 60),
)
def test_overflights(lines, place, reach, sun):
    span = Span(START, START + timedelta(hours=24))
    path, where = Orbit(read_tle(*lines, "a test"), START), Place(*place)
    found = Sky(path, span).overflights(where, Camera(reach, sun))
    for before, after in itertools.pairwise(found):
        assert before.time < after.time
    at = np.array([path.seconds(one.time) for one in found])
    if len(at):
        assert orbits.elevation_deg(path.positions(at), where).min() > 0
        assert orbits.off_nadir_deg(path.positions(at), where).max() <= reach + 1e-3
        assert orbits.sun_elevation_deg(path.sun(at), where).min() >= sun - 1e-3
    # And no moment of a fine grid is missed: each that is good enough is near one that was found.
    seconds = np.arange(0, span.seconds, 10.0)
    positions = path.positions(seconds)
    good = (orbits.elevation_deg(positions, where) > 0) & (
        orbits.off_nadir_deg(positions, where) < reach
    )
    good &= orbits.sun_elevation_deg(path.sun(seconds), where) > sun + 3
    for moment in seconds[good]:
        assert np.abs(at - moment).min() < 600
