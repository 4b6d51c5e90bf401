"""From corners to a grid and back."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.warp import transform

from onboard.corners import fit_corners, places_of, zone_of
from onboard.errors import FrameError
from onboard.georef import Georef

FILE = Path("f.json")


def corners_of(georef: Georef) -> Any:
    found = places_of(georef)
    assert found is not None
    return found


@given(
    latitude=st.floats(-79.0, 83.0),
    longitude=st.floats(-180.0, 180.0),
    turn=st.floats(-math.pi, math.pi),
    skew=st.floats(-0.2, 0.2),
    gsd=st.floats(3.0, 80.0),
)
def test_the_grid_of_a_parallelogram_comes_back(
    latitude: float, longitude: float, turn: float, skew: float, gsd: float
) -> None:
    width, height = 400, 300
    crs = zone_of(latitude, longitude)
    x, y = (v[0] for v in transform("EPSG:4326", crs, [longitude], [latitude]))
    a, d = gsd * math.cos(turn), gsd * math.sin(turn)
    b, e = gsd * math.sin(turn + skew), -gsd * math.cos(turn + skew)
    # Its middle, not its corner, decides on the zone.
    affine = (a, b, x - (a * width + b * height) / 2, d, e, y - (d * width + e * height) / 2)
    georef = Georef(width, height, crs, affine)
    corners = corners_of(georef)
    fit = fit_corners(FILE, corners, width, height)
    # Corners of a lattice may tip the mean over a zone's edge: then the grid is another's.
    if fit.georef.crs == crs:
        np.testing.assert_allclose(fit.georef.transform, affine, atol=0.01)
        assert fit.residual_m < 0.01
    np.testing.assert_allclose((corners_of(fit.georef) - corners + 180) % 360 - 180, 0, atol=0.02)


def test_the_antimeridian() -> None:
    corners = np.array([[10.1, 179.9], [10.1, -179.9], [9.9, -179.9], [9.9, 179.9]])
    fit = fit_corners(FILE, corners, 700, 700)
    assert fit.georef.crs in ("EPSG:32660", "EPSG:32601")
    back = corners_of(fit.georef)
    np.testing.assert_allclose((back - corners + 180) % 360 - 180, 0, atol=1e-3)


@pytest.mark.parametrize(
    ("place", "crs"),
    [
        ((10.0, 3.0), "EPSG:32631"),
        ((-10.0, 3.0), "EPSG:32731"),
        ((0.0, -180.0), "EPSG:32601"),
        ((0.0, 180.0), "EPSG:32601"),
        ((0.0, 179.9), "EPSG:32660"),
        ((84.0, 0.0), "EPSG:5041"),
        ((-80.1, 0.0), "EPSG:5042"),
    ],
)
def test_zones(place: tuple[float, float], crs: str) -> None:
    assert zone_of(*place) == crs


@pytest.mark.parametrize("latitude", [87.0, -87.0])
def test_near_the_poles(latitude: float) -> None:
    up = math.copysign(0.1, latitude)
    if latitude > 0:
        corners = [[latitude + up, 0], [latitude + up, 4], [latitude - up, 4], [latitude - up, 0]]
    else:
        corners = [[latitude - up, 0], [latitude - up, 4], [latitude + up, 4], [latitude + up, 0]]
    fit = fit_corners(FILE, np.array(corners, float), 100, 100)
    np.testing.assert_allclose(corners_of(fit.georef), corners, atol=0.1)


def trapezoid(share: float) -> Any:
    """Corners of a square of 30 km whose lower side is longer by ``share``."""
    more = share * 15_000
    xs = [600_000, 630_000, 630_000 + more, 600_000 - more]
    ys = [2_600_000, 2_600_000, 2_570_000, 2_570_000]
    longitude, latitude = transform("EPSG:32645", "EPSG:4326", xs, ys)
    return np.array([latitude, longitude]).T


def test_the_residual_of_a_trapezoid() -> None:
    # An affine fit leaves a quarter of the surplus at every corner, along the side.
    fit = fit_corners(FILE, trapezoid(0.04), 1000, 1000)
    assert fit.residual_m == pytest.approx(0.04 * 30_000 / 4, rel=0.01)
    assert fit.residual_px == pytest.approx(fit.residual_m / 30, rel=0.03)


def test_corners_that_contradict_each_other() -> None:
    with pytest.raises(FrameError, match=r"^f\.json: its corners contradict each other: \d+ m"):
        fit_corners(FILE, trapezoid(0.3), 1000, 1000)


GOOD = [[24.0, 88.0], [24.0, 88.3], [23.7, 88.3], [23.7, 88.0]]


@pytest.mark.parametrize(
    ("corners", "fault"),
    [
        ([GOOD[0], GOOD[2], GOOD[1], GOOD[3]], "sides cross each other"),
        ([GOOD[0], GOOD[1], GOOD[3], GOOD[2]], "sides cross each other"),
        ([GOOD[1], GOOD[0], GOOD[3], GOOD[2]], "a mirror image"),
        ([[24, 88], [24, 88.1], [24, 88.2], [24, 88.3]], "all but in a line"),
        ([GOOD[0], GOOD[0], GOOD[2], GOOD[3]], "one and the same"),
        ([[24, 88], [24, 88], [24, 88], [24, 88]], "one and the same"),
        ([[24, 88], [24, -92], [-24, -92], [-24, 88]], ""),
    ],
)
def test_corners_that_are_nonsense(corners: Any, fault: str) -> None:
    with pytest.raises(FrameError, match=rf"^f\.json: .*{fault}") as caught:
        fit_corners(FILE, np.array(corners, float), 1000, 1000)
    assert "\n" not in str(caught.value)


def test_a_grid_without_place_has_no_corners() -> None:
    assert places_of(Georef(10, 10)) is None
    assert places_of(Georef(10, 10, 'LOCAL_CS["hall",UNIT["metre",1]]')) is None
    assert places_of(Georef(10, 10, "EPSG:32645", (1e12, 0.0, 0.0, 0.0, 1e12, 0.0))) is None
