"""The orbit against skyfield, pyproj, a formula of its own and the almanac."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyproj
import pytest
from skyfield.api import EarthSatellite, load, wgs84
from skyfield.framelib import itrs

from ground.channel import Conditions
from ground.replay import orbit as orbits
from ground.replay.orbit import Orbit, Place
from ground.replay.passes import Sky
from ground.replay.scenario import Camera, Span, Station
from ground.replay.tle import read_tle
from tests.ground.replay.example import TLE

START = datetime(2021, 3, 15, tzinfo=UTC)
DAYS = 5
ORBIT = Orbit(read_tle(*TLE, "a test"), START)
PLACES = [
    Station("Svalbard", 78.23, 15.40, 450, 5, 1e6, 0, 0, Conditions()),
    Station("Matera", 40.65, 16.70, 500, 10, 1e6, 0, 0, Conditions()),
    Station("Kourou", 5.25, -52.80, 0, 0, 1e6, 0, 0, Conditions()),
    Station("Troll", -72.01, 2.53, 1270, 25, 1e6, 0, 0, Conditions()),
    Station("date line", -17.8, 179.99, 10, 60, 1e6, 0, 0, Conditions()),
]


def span(days=DAYS):
    return Span(START, START + timedelta(days=days))


@pytest.fixture(scope="module")
def timescale():
    return load.timescale(builtin=True)


@pytest.fixture(scope="module")
def sky():
    return Sky(ORBIT, span())


@pytest.fixture(scope="module")
def satellite(timescale):
    return EarthSatellite(*TLE, "a test", timescale)


def events(satellite, timescale, station):
    """Rising, culmination, setting as skyfield finds them: (time, kind) for the whole span."""
    place = wgs84.latlon(station.latitude, station.longitude, station.height_m)
    first, last = (timescale.from_datetime(one) for one in span())
    times, kinds = satellite.find_events(place, first, last, station.elevation_mask_deg)
    return [(one.utc_datetime(), int(kind)) for one, kind in zip(times, kinds, strict=True)]


@pytest.mark.parametrize("station", PLACES, ids=lambda one: one.name)
def test_contacts_are_skyfields(sky, satellite, timescale, station):
    theirs = events(satellite, timescale, station)
    ours = sky.contacts(station)
    # A contact that the span cuts has no event where it is cut.
    rises = [one.aos for one in ours if one.aos > START]
    sets = [one.los for one in ours if one.los < span().end]
    for mine, kind in ((rises, 0), (sets, 2)):
        found = [when for when, one in theirs if one == kind]
        assert len(mine) == len(found) > 0
        for a, b in zip(mine, found, strict=True):
            assert abs((a - b).total_seconds()) < 0.5, (a, b)  # its search stops there
    tops = [when for when, one in theirs if one == 1]
    for one in ours:
        assert min(abs((one.culmination - top).total_seconds()) for top in tops) < 1


@pytest.mark.parametrize("station", PLACES, ids=lambda one: one.name)
def test_skyfield_sees_it_at_the_mask_when_a_contact_begins_and_ends(
    sky, satellite, timescale, station
):
    place = wgs84.latlon(station.latitude, station.longitude, station.height_m)
    view = satellite - place
    ours = sky.contacts(station)
    ends = [
        one for contact in ours for one in (contact.aos, contact.los) if START < one < span().end
    ]
    heights = view.at(timescale.from_datetimes(ends)).altaz()[0].degrees
    assert np.abs(heights - station.elevation_mask_deg).max() < 0.001
    tops = view.at(timescale.from_datetimes([one.culmination for one in ours])).altaz()[0].degrees
    assert np.abs(tops - [one.max_elevation_deg for one in ours]).max() < 0.001


def test_positions_are_skyfields(satellite, timescale):
    seconds = np.linspace(0, DAYS * 86_400, 200)
    times = timescale.from_datetimes([ORBIT.when(one) for one in seconds])
    theirs = satellite.at(times).frame_xyz(itrs).km.T
    apart = np.linalg.norm(ORBIT.positions(seconds) - theirs, axis=1)
    # The motion of the poles and of UT1 in five days.
    assert apart.max() < 0.02


def test_geodetic_and_fixed_are_projs():
    rng = np.random.default_rng(3)
    to_fixed = pyproj.Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
    latitude = np.concatenate([rng.uniform(-90, 90, 200), [90, -90, 0, 89.999999]])
    longitude = rng.uniform(-180, 180, len(latitude))
    height = rng.uniform(-500, 1_000_000, len(latitude))
    theirs = np.stack(to_fixed.transform(longitude, latitude, height), axis=-1) / 1000
    rows = zip(latitude, longitude, height, strict=True)
    ours = np.array([orbits.fixed(Place(*one)) for one in rows])
    assert np.abs(ours - theirs).max() < 1e-6
    back = orbits.geodetic(theirs)
    assert np.abs(back[:, 0] - latitude).max() < 1e-8
    assert np.abs(back[:, 2] - height / 1000).max() < 1e-6
    near = np.abs(latitude) < 89.9
    assert np.abs(back[near, 1] - longitude[near]).max() < 1e-9


@pytest.mark.parametrize(
    ("when", "latitude", "longitude"),
    [
        # March equinox and June solstice of 2021 as the almanacs give them to the minute, and the
        # equation of time there: -7 min 26 s and -1 min 52 s.
        (datetime(2021, 3, 20, 9, 37, tzinfo=UTC), 0.0, 35.75 + 7.433 / 4),
        (datetime(2021, 6, 21, 3, 32, tzinfo=UTC), 23.436, 127.0 + 1.87 / 4),
    ],
)
def test_the_sun_stands_where_the_almanac_says(when, latitude, longitude):
    x, y, z = ORBIT.sun(np.array([ORBIT.seconds(when)]))[0]
    assert np.degrees(np.arcsin(z)) == pytest.approx(latitude, abs=0.01)
    assert np.degrees(np.arctan2(y, x)) == pytest.approx(longitude, abs=0.05)


def test_the_sun_over_golden_is_as_published():
    """The worked example of I. Reda and A. Andreas, *Solar Position Algorithm*, NREL (2004)."""
    when = datetime(2003, 10, 17, 19, 30, 30, tzinfo=UTC)
    sun = ORBIT.sun(np.array([ORBIT.seconds(when)]))
    found = orbits.sun_elevation_deg(sun, Place(39.742476, -105.1786, 1830.14))
    assert found[0] == pytest.approx(39.872, abs=0.01)


def test_the_sun_over_a_place_is_that_of_the_flight_software():
    from onboard.sun import horizon, sun_at

    place = Place(23.5, 78.0)
    seconds = np.linspace(0, 30 * 86_400, 100)
    mine = orbits.sun_elevation_deg(ORBIT.sun(seconds), place)
    suns = [sun_at(ORBIT.when(one)) for one in seconds]
    theirs = [float(horizon(one, np.array(23.5), np.array(78.0)).elevation_deg) for one in suns]
    assert np.abs(mine - np.array(theirs)).max() < 0.01


def test_eclipses_last_as_long_as_the_angle_to_the_sun_says(sky):
    """The share of a circular orbit in a cylinder of shadow (Wertz, *Space Mission Analysis*)."""
    found = [one for one in sky.eclipses() if span().start < one.start and one.end < span().end]
    assert len(found) == pytest.approx(15.1 * DAYS, abs=1)
    middle = ORBIT.seconds(found[0].start) + found[0].seconds / 2
    at = np.array([middle])
    position, sun = ORBIT.positions(at)[0], ORBIT.sun(at)[0]
    after = ORBIT.positions(at + 300)[0]
    cos, sin = np.cos(300 * 7.292e-5), np.sin(300 * 7.292e-5)  # the Earth turns under it
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    normal = np.cross(position, turn @ after)
    beta = np.arcsin(abs(normal @ sun) / np.linalg.norm(normal))
    radius = np.linalg.norm(position)
    half = np.arccos(np.sqrt(1 - (orbits.EARTH_KM / radius) ** 2) / np.cos(beta))
    period = 86_400 / 15.104
    assert found[0].seconds == pytest.approx(period * half / np.pi, rel=0.005)


def test_an_overflight_is_the_nearest_moment(sky):
    place, camera = Place(23.5, 78.0), Camera(30, 20)
    flights = sky.overflights(place, camera)
    assert len(flights) == 3
    for one in flights:
        seconds = ORBIT.seconds(one.time) + np.linspace(-120, 120, 481)
        angles = orbits.off_nadir_deg(ORBIT.positions(seconds), place)
        assert one.off_nadir_deg == pytest.approx(angles.min(), abs=0.01)
        assert one.off_nadir_deg <= 30
        # At noon less an hour and a half: the descending node of this orbit is at 10:20.
        local = (one.time.hour + one.time.minute / 60 + place.longitude / 15) % 24
        assert local == pytest.approx(10.4, abs=0.6)


def test_the_track_crosses_the_equator_twice_a_turn():
    found = orbits.track(ORBIT, span(2), 20)
    crossings = np.count_nonzero(np.diff(np.sign(found.latitude)))
    assert crossings == pytest.approx(2 * 15.104 * 2, abs=2)
    assert 525 < found.height_km.min() < found.height_km.max() < 570
    assert np.abs(found.latitude).max() == pytest.approx(180 - 97.4953, abs=0.3)
    assert found.day.mean() == pytest.approx(0.5, abs=0.02)
    assert found.seconds[0] == 0
    assert found.seconds[-1] == 2 * 86_400
