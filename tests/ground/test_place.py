from __future__ import annotations

import math

import numpy as np
import pytest

from ground import place
from onboard.errors import ProductError
from onboard.georef import Georef


def test_metres_per_degree_are_those_of_the_ellipsoid() -> None:
    # Length of a degree on WGS 84, from the quarter meridian's tables.
    east, north = place.metres_per_degree(0.0)
    assert (east, north) == pytest.approx((111_319.49, 110_574.28), abs=0.01)
    east, north = place.metres_per_degree(60.0)
    assert (east, north) == pytest.approx((55_800.00, 111_412.29), abs=0.01)


def test_utm_pixels_measure_what_they_say() -> None:
    georef = Georef(1000, 800, "EPSG:32646", (10.0, 0.0, 495_000.0, 0.0, -10.0, 2_700_000.0))
    matrix = place.ground_matrix(georef)
    assert matrix is not None
    # On the central meridian the scale factor is 0.9996.
    assert place.pixel_size(matrix) == pytest.approx((10 / 0.9996,) * 2, rel=1e-5)
    assert place.north(matrix) == pytest.approx((0.0, -1.0), abs=1e-6)


def test_geographic_pixels_shrink_with_latitude() -> None:
    georef = Georef(100, 100, "EPSG:4326", (1e-4, 0.0, 10.0, 0.0, -1e-4, 60.005))
    matrix = place.ground_matrix(georef)
    assert matrix is not None
    assert place.pixel_size(matrix) == pytest.approx((5.580, 11.141), abs=0.001)


def test_web_mercator_metres_are_not_metres() -> None:
    georef = Georef(100, 100, "EPSG:3857", (10.0, 0.0, 0.0, 0.0, -10.0, 8_399_738.0))
    matrix = place.ground_matrix(georef)
    assert matrix is not None
    assert place.pixel_size(matrix)[0] == pytest.approx(5.0, rel=0.01)


def test_north_follows_a_rotated_grid() -> None:
    turn = math.radians(30.0)
    a, b = 10 * math.cos(turn), 10 * math.sin(turn)
    georef = Georef(64, 64, "EPSG:32646", (a, b, 500_000.0, b, -a, 2_700_000.0))
    matrix = place.ground_matrix(georef)
    assert matrix is not None
    right, down = place.north(matrix)
    assert (right, down) == pytest.approx((math.sin(turn), -math.cos(turn)), abs=1e-3)


def test_across_the_antimeridian() -> None:
    georef = Georef(1000, 100, "EPSG:4326", (1e-4, 0.0, 179.95, 0.0, -1e-4, 0.005))
    matrix = place.ground_matrix(georef)
    assert matrix is not None
    assert place.pixel_size(matrix)[0] == pytest.approx(11.13, abs=0.01)


def test_without_coordinates_there_is_no_ground() -> None:
    georef = Georef(10, 10)
    assert place.crs_of(georef) is None
    assert place.ground_matrix(georef) is None
    with pytest.raises(ProductError, match="without coordinates"):
        place.pixel_to_lonlat(georef, np.zeros(1), np.zeros(1))


def test_coarser_covers_the_frame() -> None:
    grid = place.coarser(Georef(17, 9, "EPSG:32646", (10.0, 1.0, 5.0, 2.0, -10.0, 6.0)), 8)
    assert (grid.width, grid.height) == (3, 2)
    assert grid.transform == (80.0, 8.0, 5.0, 16.0, -80.0, 6.0)


@pytest.mark.parametrize(
    ("limit", "length"),
    [(1999.0, 1000.0), (2000.0, 2000.0), (0.7, 0.5), (10.0, 10.0), (99.9, 50.0)],
)
def test_round_length(limit: float, length: float) -> None:
    assert place.round_length(limit) == pytest.approx(length)


def test_texts() -> None:
    assert (place.metres_text(500.0), place.metres_text(2000.0)) == ("500 m", "2 km")
    assert place.lonlat_text(-164.25, 62.5) == "62.5000° N, 164.2500° W"
    assert place.lonlat_text(10.0, -1.0) == "1.0000° S, 10.0000° E"
