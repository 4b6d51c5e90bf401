from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from pyproj import Geod
from rasterio import Affine
from rasterio.warp import Resampling, reproject

from ground import palette
from ground.change import (
    Kind,
    compare,
    dilated,
    disc,
    opened,
    pixel_areas,
    position_sigma,
    within_error,
)
from ground.grids import OUTSIDE, brought, common_grid, pixel_m, same_lattice
from ground.seen import Seen
from onboard import classes
from onboard.errors import ProductError
from onboard.georef import Georef

UTM = "EPSG:32646"
LAND, WATER, CLOUD, NODATA = classes.LAND, classes.WATER, classes.CLOUD, classes.NODATA


def grid(height: int, width: int, x: float = 0.0, y: float = 0.0, px: float = 10.0) -> Georef:
    return Georef(width, height, UTM, (px, 0.0, 500_000.0 + x, 0.0, -px, 2_700_000.0 + y))


def date(mask: np.ndarray, georef: Georef | None = None, **fields: object) -> Seen:
    own = georef or grid(*mask.shape)
    plain = {"sigma_m": 0.0, **fields}
    return Seen("a.fsp", mask.astype(np.uint8), own, **plain)  # type: ignore[arg-type]


# --- kinds ----------------------------------------------------------------------------------


def test_every_pair_of_classes_has_its_kind() -> None:
    values = [LAND, WATER, CLOUD, NODATA]
    one = np.repeat(np.array(values)[:, None], 4, axis=1)
    change = compare(date(one), date(one.T))
    kinds = [[Kind(int(v)).name for v in row] for row in change.kinds]
    unseen = ["HIDDEN", "HIDDEN"]
    assert kinds == [
        ["DRY", "NEW", *unseen],
        ["RECEDED", "STAYED", *unseen],
        ["SHOWN", "SHOWN", "UNSEEN", "UNSEEN"],
        ["SHOWN", "SHOWN", "UNSEEN", "UNSEEN"],
    ]


def test_what_was_not_observed_is_never_change() -> None:
    rng = np.random.default_rng(4)
    one, two = (rng.choice([LAND, WATER, CLOUD, NODATA], (60, 70)) for _ in range(2))
    change = compare(date(one), date(two))
    hidden = np.isin(one, (CLOUD, NODATA)) | np.isin(two, (CLOUD, NODATA))
    moved = np.isin(change.kinds, (Kind.NEW, Kind.RECEDED, Kind.STAYED, Kind.DRY))
    np.testing.assert_array_equal(moved, ~hidden)
    area = pixel_areas(change.georef)[0, 0]
    water = (one == WATER) & np.isin(two, (CLOUD, NODATA))
    assert change.hidden_water_m2 == pytest.approx(water.sum() * area, rel=1e-4)
    shares = [change.amounts[k].share for k in (Kind.NEW, Kind.RECEDED, Kind.STAYED, Kind.DRY)]
    assert sum(shares) == pytest.approx(1.0)


def test_flood_is_shown_apart_where_one_reference_was_used() -> None:
    one, two = np.zeros((40, 40), np.uint8), np.zeros((40, 40), np.uint8)
    one[:, :10] = two[:, :8] = palette.PERMANENT
    two[20:, 15:30] = WATER
    flood = {"subject": "flood", "reference": "ab" * 16}
    change = compare(date(one, **flood), date(two, **flood))
    assert change.subject == "flood"
    assert change.amounts[Kind.NEW].pixels == 20 * 15
    assert change.amounts[Kind.PERMANENT].pixels == 40 * 8
    assert change.amounts[Kind.FALLEN].pixels == 40 * 2
    assert Kind.NEW.text(change.subject) == "new flood"


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"subject": "water", "reference": ""}, "only one date"),
        ({"subject": "flood", "reference": "cd" * 16}, "two permanent-water references"),
    ],
)
def test_without_one_reference_all_of_it_is_water(fields: dict[str, str], word: str) -> None:
    one, two = np.zeros((20, 20), np.uint8), np.zeros((20, 20), np.uint8)
    one[:, :10] = palette.PERMANENT
    two[:, :10] = WATER
    change = compare(date(one, subject="flood", reference="ab" * 16), date(two, **fields))
    assert change.subject == "water"
    assert change.amounts[Kind.STAYED].pixels == 200
    assert change.amounts[Kind.PERMANENT].pixels == 0
    assert word in change.notes[0]


def test_the_same_date_twice_has_no_change() -> None:
    rng = np.random.default_rng(1)
    mask = rng.choice([LAND, WATER, CLOUD, NODATA], (130, 150))
    change = compare(date(mask, sigma_m=50.0), date(mask, sigma_m=50.0))
    assert set(np.unique(change.kinds)) == {Kind.DRY, Kind.STAYED, Kind.UNSEEN}


# --- the error of position ------------------------------------------------------------------


def lake(height: int = 120, width: int = 140, left: int = 40, right: int = 90) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    mask[30:80, left:right] = WATER
    return mask


@pytest.mark.parametrize("shift", [1, 2, 3])
def test_a_shift_within_the_error_is_set_aside(shift: int) -> None:
    moved = np.roll(lake(), (shift, -shift), axis=(0, 1))
    change = compare(date(lake(), sigma_m=30.0), date(moved, sigma_m=40.0))
    assert change.sigma_m == pytest.approx(50.0)
    assert change.amounts[Kind.NEW].pixels == change.amounts[Kind.RECEDED].pixels == 0
    strip = (lake() != moved).sum()
    unsure = change.amounts[Kind.NEW_UNSURE].pixels + change.amounts[Kind.RECEDED_UNSURE].pixels
    assert unsure == strip > 0


def test_a_shift_beyond_the_error_is_change() -> None:
    moved = np.roll(lake(), 9, axis=1)
    change = compare(date(lake(), sigma_m=30.0), date(moved, sigma_m=40.0))
    # All but the corners, where no disc reaches.
    assert change.amounts[Kind.NEW].pixels > 0.97 * 9 * 50
    assert change.amounts[Kind.RECEDED].pixels > 0.97 * 9 * 50


def test_a_flood_along_a_shore_is_counted_whole_and_a_pond_far_away_too() -> None:
    two = lake(right=120)
    two[100:102, 5:8] = WATER
    change = compare(date(lake(), sigma_m=30.0), date(two, sigma_m=40.0))
    assert change.kinds[101, 6] == Kind.NEW
    assert change.amounts[Kind.NEW].pixels > 0.97 * (30 * 50 + 6)
    assert change.kinds[50, 91] == Kind.NEW


def test_the_error_that_is_given_counts_and_an_unknown_one_is_told() -> None:
    one, two = date(lake(), sigma_m=None), date(lake(left=38), sigma_m=None)
    plain = compare(one, two)
    assert plain.sigma_m == 0.0
    assert plain.amounts[Kind.NEW].pixels == 100
    assert len(plain.notes) == 2
    assert "--position-error" in plain.notes[0]
    given = compare(one, two, sigma_m=30.0)
    assert given.amounts[Kind.NEW_UNSURE].pixels == 100
    assert given.notes == ()


def test_other_grids_add_the_error_of_their_pixels() -> None:
    one, two = date(lake(), sigma_m=3.0), date(lake(), grid(120, 140, x=4.0), sigma_m=4.0)
    sigma, notes = position_sigma(one, two, None)
    assert sigma == pytest.approx(math.sqrt(25 + 10**2 / 12), rel=1e-3)
    assert not notes


def slow_opened(flags: np.ndarray, size: int) -> np.ndarray:
    """Opening by its definition; beyond the edge all is true."""
    element = [(r, c) for r, (first, n) in enumerate(disc(size)) for c in range(first, first + n)]
    padded = np.pad(flags, size, constant_values=True)
    out = np.zeros_like(padded)
    height, width = padded.shape
    for row in range(height - size + 1):
        for col in range(width - size + 1):
            if all(padded[row + r, col + c] for r, c in element):
                for r, c in element:
                    out[row + r, col + c] = True
    return out[size:-size, size:-size] & flags


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_opening_and_dilation_are_those_of_the_book(size: int) -> None:
    rng = np.random.default_rng(size)
    coarse = rng.random((6, 7)) < 0.6
    flags = np.kron(coarse, np.ones((4, 5), bool)) & (rng.random((24, 35)) < 0.97)
    np.testing.assert_array_equal(opened(flags, disc(size)), slow_opened(flags, size))
    odd = 2 * size + 1
    points = np.argwhere(flags)
    rows, cols = np.mgrid[:24, :35]
    far = [np.hypot(rows - r, cols - c) for r, c in points]
    near = np.min(far, axis=0) <= odd / 2
    np.testing.assert_array_equal(dilated(flags, disc(odd)), near)


def test_a_disc_is_round_and_as_wide_as_it_says() -> None:
    for size in range(1, 30):
        rows = disc(size)
        assert max(length for _, length in rows) == size
        assert [n for _, n in rows] == [n for _, n in rows[::-1]]
        # A quarter of a disc's area is off by its rim at most.
        assert abs(sum(n for _, n in rows) - math.pi * size**2 / 4) <= 2 * size


def test_huge_errors_set_everything_near_aside_and_small_ones_nothing() -> None:
    one, two = lake() == WATER, lake(right=100) == WATER
    assert within_error(two & ~one, one, 1000.0).sum() == 500
    assert within_error(two & ~one, one, 1.0).sum() == 0


# --- grids and areas ------------------------------------------------------------------------


def test_the_overlap_is_cut_out_without_resampling() -> None:
    rng = np.random.default_rng(7)
    whole = rng.choice([LAND, WATER, CLOUD], (90, 100)).astype(np.uint8)
    one = date(whole[:60, :70], grid(60, 70))
    two = date(whole[20:, 30:], grid(70, 70, x=300.0, y=-200.0))
    change = compare(one, two)
    assert (change.georef.height, change.georef.width) == (40, 40)
    np.testing.assert_array_equal(change.kinds == Kind.STAYED, whole[20:60, 30:70] == WATER)
    assert not np.isin(change.kinds, (Kind.NEW, Kind.RECEDED)).any()


def test_the_finer_grid_is_common_and_the_coarser_one_warped_to_it() -> None:
    fine, coarse = grid(90, 90), grid(30, 20, x=150.0, px=30.0)
    mask = np.arange(600).reshape(30, 20) % 2
    assert not same_lattice(fine, coarse)
    common = common_grid(fine, coarse)
    assert common == common_grid(coarse, fine)
    assert common is not None
    assert common.transform == (10.0, 0.0, 500_150.0, 0.0, -10.0, 2_700_000.0)
    assert (common.height, common.width) == (90, 60)
    np.testing.assert_array_equal(
        brought(mask.astype(np.uint8), coarse, common), np.kron(mask, np.ones((3, 3)))
    )


def test_another_projection_is_warped_and_nothing_is_made_up_beyond_its_edge() -> None:
    one = grid(200, 200)
    mask = np.ones((200, 200), np.uint8)
    inner = common_grid(one, one)
    assert inner == one
    degrees = Georef(220, 220, "EPSG:4326", (1e-4, 0.0, 93.0, 0.0, -1e-4, 24.412))
    found = brought(mask, one, degrees)
    assert {OUTSIDE, WATER} == set(np.unique(found).tolist())
    theirs = np.full((220, 220), OUTSIDE, np.uint8)
    reproject(
        mask,
        theirs,
        src_transform=Affine(*one.transform),
        src_crs=UTM,
        dst_transform=Affine(*degrees.transform),
        dst_crs="EPSG:4326",
        dst_nodata=OUTSIDE,
        resampling=Resampling.nearest,
    )
    assert (found != theirs).mean() < 0.001
    change = compare(date(mask, one), date(np.ones((220, 220), np.uint8), degrees))
    assert change.amounts[Kind.STAYED].pixels > 30_000
    assert change.amounts[Kind.HIDDEN].pixels == change.amounts[Kind.SHOWN].pixels == 0


def test_places_apart_are_refused_in_one_line() -> None:
    one = date(lake())
    for far in (grid(50, 50, x=50_000.0), dataclasses.replace(grid(50, 50), crs="EPSG:32618")):
        with pytest.raises(ProductError, match="do not overlap") as raised:
            compare(one, date(np.zeros((50, 50)), far))
        assert "give two dates of one place" in str(raised.value)


@pytest.mark.parametrize(
    "georef",
    [
        grid(128, 192),
        Georef(128, 64, "EPSG:4326", (0.01, 0.0, 10.0, 0.0, -0.01, 60.0)),
        Georef(100, 100, "EPSG:3857", (50.0, 0.0, 1e6, 0.0, -50.0, 8e6)),
    ],
)
def test_areas_are_those_of_the_ellipsoid(georef: Georef) -> None:
    from ground.place import pixel_to_lonlat

    areas = pixel_areas(georef)
    along = np.linspace(0, 1, 100, endpoint=False)
    zero, one = along * 0, along * 0 + 1
    columns = np.concatenate([along, one, 1 - along, zero]) * georef.width
    rows = np.concatenate([zero, along, one, 1 - along]) * georef.height
    lon, lat = pixel_to_lonlat(georef, columns, rows)
    whole, _ = Geod(ellps="WGS84").polygon_area_perimeter(lon, lat)
    mask = np.ones((georef.height, georef.width), np.uint8)
    change = compare(date(mask, georef), date(mask, georef))
    assert change.amounts[Kind.STAYED].area_m2 == pytest.approx(abs(whole), rel=2e-5)
    assert areas.shape == (-(-georef.height // 64), -(-georef.width // 64))
    assert pixel_m(georef) ** 2 == pytest.approx(abs(whole) / mask.size, rel=0.02)
