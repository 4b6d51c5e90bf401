"""The Sun against published values."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import numpy as np
import pytest

from onboard.sun import Horizon, glint_deg, horizon, sun_at

UTC = timezone.utc

# Day of the year and distance in au: Landsat 7 Science Data Users Handbook, table 11.4.
DISTANCES = (
    (1, 0.98331), (15, 0.98365), (32, 0.98536), (46, 0.98774), (60, 0.99084), (74, 0.99446),
    (91, 0.99926), (106, 1.00353), (121, 1.00756), (135, 1.01087), (152, 1.01403),
    (166, 1.01577), (182, 1.01667), (196, 1.01646), (213, 1.01497), (227, 1.01281),
    (242, 1.00969), (258, 1.00566), (274, 1.00119), (288, 0.99718), (305, 0.99253),
    (319, 0.98916), (335, 0.98608), (349, 0.98426), (365, 0.98333),
)  # fmt: skip


def test_the_worked_example_of_meeus() -> None:
    # Example 25.a: 1992 October 13, 0h dynamical time.
    sun = sun_at(datetime(1992, 10, 13, tzinfo=UTC))
    assert sun.right_ascension_deg == pytest.approx(198.38083, abs=1e-4)
    assert sun.declination_deg == pytest.approx(-7.78507, abs=1e-4)
    assert sun.distance_au == pytest.approx(0.99766, abs=5e-6)


def test_sidereal_time_of_meeus() -> None:
    # Examples 12.a and 12.b: apparent 13h10m46.1351s, mean 8h34m57.0896s.
    first = sun_at(datetime(1987, 4, 10, tzinfo=UTC)).sidereal_deg
    second = sun_at(datetime(1987, 4, 10, 19, 21, tzinfo=UTC)).sidereal_deg
    assert first == pytest.approx((13 + 10 / 60 + 46.1351 / 3600) * 15, abs=5e-4)
    assert second == pytest.approx((8 + 34 / 60 + 57.0896 / 3600) * 15, abs=2e-3)


def test_the_worked_example_of_nrel() -> None:
    # Reda and Andreas, NREL/TP-560-34302, table A5.1: without refraction, 1830 m up.
    when = datetime(2003, 10, 17, 12, 30, 30, tzinfo=timezone(timedelta(hours=-7)))
    sun = sun_at(when)
    seen = horizon(sun, np.array(39.742476), np.array(-105.1786))
    assert sun.right_ascension_deg == pytest.approx(202.22741, abs=0.01)
    assert sun.declination_deg == pytest.approx(-9.31434, abs=0.01)
    assert sun.distance_au == pytest.approx(0.9965422974, abs=2e-5)
    assert float(seen.elevation_deg) == pytest.approx(39.872046, abs=0.01)
    assert float(seen.azimuth_deg) == pytest.approx(194.340241, abs=0.01)


def test_the_distance_through_a_year() -> None:
    for day, au in DISTANCES:
        found = sun_at(datetime(2001, 1, 1, 12, tzinfo=UTC) + timedelta(days=day - 1))
        assert found.distance_au == pytest.approx(au, abs=2e-4), day


def test_a_zone_changes_nothing() -> None:
    there = datetime(2026, 7, 14, 19, 21, tzinfo=timezone(timedelta(hours=9)))
    assert sun_at(there) == sun_at(there.astimezone(UTC))


def test_noon_midnight_and_the_other_side() -> None:
    sun = sun_at(datetime(2026, 3, 20, 12, 7, tzinfo=UTC))
    seen = horizon(sun, np.array([0.0, 0.0, 60.0, -60.0]), np.array([0.0, 180.0, 0.0, 0.0]))
    np.testing.assert_allclose(seen.elevation_deg, [90, -90, 30, 30], atol=0.3)
    np.testing.assert_allclose(seen.azimuth_deg[2:], [180, 0], atol=0.6)


def test_the_sun_rises_in_the_east() -> None:
    sun = sun_at(datetime(2026, 3, 20, 7, 0, tzinfo=UTC))
    seen = horizon(sun, np.array(45.0), np.array(0.0))
    assert 0 < float(seen.elevation_deg) < 20
    assert 80 < float(seen.azimuth_deg) < 110


@pytest.mark.parametrize(
    ("view", "angle"),
    [
        ((0.0, 0.0), 30.0),  # straight down: the Sun's own zenith angle
        ((30.0, 280.0), 0.0),  # opposite the Sun at the same height: its mirror image
        ((30.0, 100.0), 60.0),  # on the Sun's side
        ((10.0, 280.0), 20.0),
    ],
)
def test_the_glint_angle(view: tuple[float, float], angle: float) -> None:
    sun = Horizon(np.cos(np.radians([30.0])), np.array([100.0]))
    # An arc cosine near 1 keeps half of the digits.
    assert float(glint_deg(sun, *view)[0]) == pytest.approx(angle, abs=1e-5)
