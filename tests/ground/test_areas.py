from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from pyproj import Geod
from rasterio.features import rasterize
from shapely.geometry import shape

from ground import areas, palette
from ground.areas import Patch, confidence, footprint, patches, totals, write_areas
from ground.lonlat import Globe, bounds
from ground.maps import Sheet, sheet_of
from ground.place import WGS84_A, WGS84_E2
from onboard import classes
from onboard.errors import ProductError
from onboard.georef import Georef
from onboard.product import LN2
from tests.ground.sheets import UTM, flown, permanent_water, sheet

FIELDS = {
    "class", "reason", "pixels", "area_m2", "confidence", "mean_entropy", "max_entropy",
    "mean_epistemic", "max_epistemic", "position_sigma_m", "acquired", "product",
}  # fmt: skip


def on(georef: Georef, mask: np.ndarray | None = None) -> Sheet:
    """A sheet on that grid; everything water unless a mask is given."""
    plain = sheet(georef.height, georef.width)
    mask = np.ones((georef.height, georef.width), np.uint8) if mask is None else mask
    return replace(plain, georef=georef, mask=mask)


def written(drawn: Sheet, folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(write_areas(drawn, folder / "a.geojson").read_text("utf-8"))
    return found


def rings(geometry: dict[str, Any]) -> list[tuple[bool, list[list[float]]]]:
    """(whether exterior, positions) of every ring."""
    many = geometry["coordinates"]
    polygons = [many] if geometry["type"] == "Polygon" else many
    return [(not i, ring) for polygon in polygons for i, ring in enumerate(polygon)]


def signed(ring: list[list[float]]) -> float:
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise(ring)) / 2


def test_it_is_what_rfc_7946_wants(tmp_path: Path) -> None:
    found = written(sheet(), tmp_path)
    assert found["type"] == "FeatureCollection"
    assert "crs" not in found
    assert len({one["id"] for one in found["features"]}) == len(found["features"]) > 2
    west, south, east, north = found["bbox"]
    for one in found["features"]:
        assert one["properties"].keys() == FIELDS
        for exterior, ring in rings(one["geometry"]):
            assert ring[0] == ring[-1]
            assert (signed(ring) > 0) == exterior
            assert all(west <= lon <= east and south <= lat <= north for lon, lat in ring)
            assert all(round(value, 6) == value for place in ring for value in place)
        assert one["bbox"] == pytest.approx(shape(one["geometry"]).bounds)


@pytest.mark.parametrize("down", [10.0, -10.0])
@pytest.mark.parametrize("right", [10.0, -10.0])
def test_rings_run_the_right_way_on_any_grid(tmp_path: Path, down: float, right: float) -> None:
    mask = np.ones((9, 9), np.uint8)
    mask[4, 4] = 0
    georef = Georef(9, 9, "EPSG:32646", (right, 0.0, 503_210.0, 0.0, down, 2_703_450.0))
    (one,) = written(on(georef, mask), tmp_path)["features"]
    turns = [(exterior, signed(ring) > 0) for exterior, ring in rings(one["geometry"])]
    assert turns == [(True, True), (False, False)]


def test_geopandas_reads_every_pixel_back(tmp_path: Path) -> None:
    """Drawn on the grid again, the features are the mask."""
    drawn = sheet()
    frame = geopandas.read_file(write_areas(drawn, tmp_path / "a.geojson"))
    assert frame.crs.to_epsg() == 4326
    assert frame.is_valid.all()
    value = {"water": 1, "cloud": classes.CLOUD, "no data": classes.NODATA}
    names = frame["reason"].fillna(frame["class"])
    again = rasterize(
        zip(frame.to_crs(drawn.georef.crs).geometry, names.map(value), strict=True),
        out_shape=drawn.mask.shape,
        transform=rasterio.Affine(*drawn.georef.transform),
        dtype=np.uint8,
    )
    assert np.array_equal(again, drawn.mask)


def test_areas_are_those_of_the_ellipsoid(tmp_path: Path) -> None:
    # A cell of one degree at the equator, by the closed form for a zone of an ellipsoid.
    e = WGS84_E2**0.5
    sine = np.sin(np.radians(1.0))
    zone = sine / (1 - WGS84_E2 * sine**2) + np.log((1 + e * sine) / (1 - e * sine)) / (2 * e)
    cell = np.radians(1.0) * WGS84_A**2 * (1 - WGS84_E2) / 2 * zone
    grid = Georef(100, 100, "EPSG:4326", (0.01, 0.0, 0.0, 0.0, -0.01, 1.0))
    (one,) = written(on(grid), tmp_path)["features"]
    assert one["properties"]["area_m2"] == pytest.approx(cell, rel=1e-5)
    # On the central meridian of UTM the scale is 0.9996.
    (one,) = written(on(Georef(64, 64, "EPSG:32646", (10, 0, 499_680, 0, -10, 2.7e6))), tmp_path)[
        "features"
    ]
    assert one["properties"]["area_m2"] == pytest.approx(640**2 / 0.9996**2, rel=1e-6)


def test_small_patches_and_holes_are_kept(tmp_path: Path) -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[5:30, 5:40] = 1
    mask[10:14, 10:14] = 0
    mask[20, 20] = classes.CLOUD
    mask[39, 59] = 1
    made = written(replace(sheet(40, 60), mask=mask), tmp_path)["features"]
    assert [(one["properties"]["class"], one["properties"]["pixels"]) for one in made] == [
        ("water", 25 * 35 - 16 - 1), ("water", 1), ("not observed", 1),
    ]  # fmt: skip
    assert [exterior for exterior, _ in rings(made[0]["geometry"])] == [True, False, False]


@pytest.mark.parametrize("seed", range(3))
def test_noise_stays_valid_and_whole(tmp_path: Path, seed: int) -> None:
    """Patches that touch in corners, holes in holes: nothing overlaps, nothing is lost."""
    values = np.array([0, 1, 2, 255], np.uint8)
    mask = np.random.default_rng(seed).choice(values, (24, 24), p=(0.3, 0.4, 0.2, 0.1))
    frame = geopandas.read_file(
        write_areas(replace(sheet(24, 24), mask=mask), tmp_path / "a.geojson")
    )
    assert frame.is_valid.all()
    assert frame["pixels"].sum() == (mask != 0).sum()
    flat = frame.to_crs("EPSG:32646").geometry
    assert flat.area.sum() == pytest.approx(flat.union_all().area, rel=1e-4)


def test_uncertainty_is_that_of_the_pixels() -> None:
    drawn = sheet(32, 32)
    mask = np.zeros((32, 32), np.uint8)
    mask[4:12, 0:4] = 1
    entropy = np.zeros((4, 4), np.float32)
    entropy[0, 0], entropy[1, 0] = 0.6, 0.2
    (one,) = patches(replace(drawn, mask=mask, entropy=entropy, epistemic=entropy / 4)) or []
    assert one.mean_entropy == pytest.approx(0.4)
    assert one.max_entropy == pytest.approx(0.6)
    assert one.mean_epistemic == pytest.approx(0.1)
    assert one.max_epistemic == pytest.approx(0.15)


@pytest.mark.parametrize(
    ("share", "pixels", "said"),
    [
        (0.0, 64, "high"), (0.249, 64, "high"), (0.251, 64, "medium"), (0.0, 63, "medium"),
        (0.499, 9, "medium"), (0.501, 1000, "low"), (1.0, 64, "low"),
    ],
)  # fmt: skip
def test_confidence_goes_by_a_rule(share: float, pixels: int, said: str) -> None:
    assert confidence(Patch(1, pixels, None, share * LN2), 8) == said
    assert confidence(Patch(classes.CLOUD, pixels, None, share * LN2), 8) is None


def test_flood_is_claimed_only_with_the_reference(tmp_path: Path) -> None:
    reference = permanent_water(tmp_path, sheet().georef)
    product = flown(reference)
    with_it = {one.value for one in patches(sheet_of(product, reference)) or []}
    assert with_it >= {classes.WATER, palette.PERMANENT}
    names = [one["properties"]["class"] for one in
             written(sheet_of(product, reference), tmp_path)["features"]]  # fmt: skip
    assert set(names) == {"flood", "permanent water", "not observed"}
    found = written(sheet_of(product), tmp_path)
    assert {one["properties"]["class"] for one in found["features"]} == {"water", "not observed"}
    assert found["features"][0]["properties"]["position_sigma_m"] == 35.0


def test_a_frame_without_coordinates_has_no_geometry(tmp_path: Path) -> None:
    drawn = sheet(crs="")
    found = written(drawn, tmp_path)
    assert "bbox" not in found
    assert found["floodsat"]["coordinates"].startswith("none: the frame came without")
    assert all(one["geometry"] is None for one in found["features"])
    assert all(one["properties"]["area_m2"] is None for one in found["features"])
    counts = [one["properties"]["pixels"] for one in found["features"]]
    assert counts == [int((drawn.mask == value).sum()) for value in (1, 2, 255)]
    assert footprint(drawn) == (None, None)


def test_more_patches_than_water_has_are_told_in_sum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(areas, "MAX_PATCHES", 2)
    found = written(sheet(), tmp_path)
    assert found["floodsat"]["coordinates"].startswith("none: more than 2 patches")
    assert [one["geometry"] for one in found["features"]] == [None] * 3
    assert totals(sheet())[0].pixels == int((sheet().mask == 1).sum())


def test_a_dry_map_has_no_features(tmp_path: Path) -> None:
    found = written(on(Georef(9, 9, "EPSG:32646", UTM), np.zeros((9, 9), np.uint8)), tmp_path)
    assert found["features"] == []
    assert len(found["bbox"]) == 4


# --- the antimeridian and the poles ---


@pytest.mark.parametrize(
    "georef",
    [
        Georef(400, 300, "EPSG:32660", (100.0, 0.0, 790_000.0, 0.0, -100.0, 2_000_000.0)),
        Georef(400, 300, "EPSG:32701", (100.0, 0.0, 166_000.0, 0.0, -100.0, 8_000_000.0)),
        Georef(1000, 100, "EPSG:4326", (1e-3, 0.0, 179.5, 0.0, -1e-3, 10.0)),
        Georef(1000, 100, "EPSG:4326", (1e-3, 0.0, -180.5, 0.0, -1e-3, 10.0)),
        Georef(300, 300, "EPSG:3413", (100.0, 0.0, -1.8e6, 0.0, -100.0, 1.8e6)),
    ],
)
def test_polygons_are_cut_at_the_antimeridian(tmp_path: Path, georef: Georef) -> None:
    found = written(on(georef), tmp_path)
    (one,) = found["features"]
    assert one["geometry"]["type"] == "MultiPolygon"
    parts = shapely.get_parts(shape(one["geometry"]))
    assert shape(one["geometry"]).is_valid
    assert sorted(part.bounds[0] == -180.0 for part in parts) == [False, True]
    assert sorted(part.bounds[2] == 180.0 for part in parts) == [False, True]
    assert all(part.bounds[2] - part.bounds[0] < 5.0 for part in parts)
    for box in (one["bbox"], found["bbox"]):
        west, south, east, north = box
        assert west > 170.0
        assert east < -170.0
        assert south < north
    pieces = sum(geodesic(part) for part in parts)
    assert pieces == pytest.approx(one["properties"]["area_m2"], rel=1e-4)


def geodesic(part: shapely.Polygon) -> float:
    """Area of a polygon of degrees, its edges straight in degrees as RFC 7946 draws them, m²."""
    fine = shapely.segmentize(part, 0.05)
    return float(abs(Geod(ellps="WGS84").geometry_area_perimeter(fine)[0]))


@pytest.mark.parametrize(("crs", "pole"), [("EPSG:5041", 90.0), ("EPSG:5042", -90.0)])
def test_a_pole_gets_an_edge_of_its_own(tmp_path: Path, crs: str, pole: float) -> None:
    georef = Georef(60, 60, crs, (5000.0, 0.0, 1_850_000.0, 0.0, -5000.0, 2_150_000.0))
    found = written(on(georef), tmp_path)
    (one,) = found["features"]
    geometry = shape(one["geometry"])
    assert geometry.is_valid
    assert (found["bbox"][0], found["bbox"][2]) == (-180.0, 180.0)
    assert pole in (found["bbox"][1], found["bbox"][3])
    # UPS shrinks by 0.994 at the pole.
    assert one["properties"]["area_m2"] == pytest.approx(3e5**2 / 0.994**2, rel=1e-3)
    places = [shapely.Point(lon, pole * 0.9999) for lon in range(-179, 180, 7)]
    assert all(geometry.contains(place) for place in places)


def test_around_a_pole_every_pixel_lies_in_its_patch(tmp_path: Path) -> None:
    georef = Georef(41, 37, "EPSG:5041", (4000.0, 0.0, 1_925_000.0, 0.0, -4000.0, 2_071_000.0))
    mask = np.random.default_rng(2).choice(np.array([0, 1], np.uint8), (37, 41), p=(0.4, 0.6))
    mask[15:22, 15:24] = 1
    mask[17:19, 17:20] = 0
    drawn = on(georef, mask)
    geometry = shapely.union_all(
        [shape(one["geometry"]) for one in written(drawn, tmp_path)["features"]]
    )
    rows, columns = np.mgrid[:37, :41]
    points = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1)
    lonlat = Globe(georef).lonlat(points)
    lonlat[:, 0] = (lonlat[:, 0] + 180.0) % 360.0 - 180.0
    inside = shapely.contains_xy(geometry, lonlat[:, 0], lonlat[:, 1])
    assert np.array_equal(inside.reshape(37, 41), mask == 1)


def test_a_box_goes_the_short_way_round() -> None:
    def at(west: float, east: float) -> shapely.Polygon:
        return shapely.box(west, 0.0, east, 1.0)

    assert bounds([]) is None
    assert bounds([at(10, 20), at(-50, -40)]) == (-50.0, 0.0, 20.0, 1.0)
    assert bounds([at(170, 180), at(-180, -175)]) == (170.0, 0.0, -175.0, 1.0)
    assert bounds([at(-180, 0), at(0, 180)]) == (-180.0, 0.0, 180.0, 1.0)


# --- coordinates that are nonsense ---


@pytest.mark.parametrize(
    ("georef", "said"),
    [
        (Georef(9, 9, "EPSG:4326", (1.0, 0.0, 0.0, 0.0, -1.0, 95.0)), "latitude 95°, beyond"),
        (Georef(9, 9, "EPSG:4326", (1.0, 0.0, 999.0, 0.0, -1.0, 9.0)), "longitude 1008°"),
        (Georef(9, 9, "EPSG:32646", (0.0, 0.0, 5e5, 0.0, -9.0, 2e6)), "no size on its grid"),
        (Georef(9, 9, "EPSG:32646", (1e-5, 0.0, 5e5, 0.0, -1e-5, 2e6)), "no size on the ground"),
        (Georef(9, 9, "EPSG:32646", (9.0, 0.0, 5e12, 0.0, -9.0, 2e6)), "nowhere on Earth"),
        (Georef(9, 9, "EPSG:32646", (1e308, 0.0, 5e5, 0.0, -9.0, 2e6)), "nowhere on Earth"),
        (Georef(9, 9, "EPSG:999999", (9.0, 0.0, 5e5, 0.0, -9.0, 2e6)), "unknown to PROJ"),
        (Georef(9, 9, "EPSG:5703", (9.0, 0.0, 5e5, 0.0, -9.0, 2e6)), "no map of the Earth"),
        (Georef(9, 9, 'LOCAL_CS["x",UNIT["metre",1]]', UTM), "the frame with a"),
    ],
)
def test_nonsense_is_one_clear_line(georef: Georef, said: str) -> None:
    with pytest.raises(ProductError, match=said) as caught:
        Globe(georef)
    assert "\n" not in str(caught.value)
    assert "; mend" in str(caught.value) or "; fly" in str(caught.value)
