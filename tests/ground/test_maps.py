from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rio_cogeo.cogeo import cog_validate

from ground import maps, palette
from ground.maps import Sheet, sheet_of, write_maps
from onboard import classes
from onboard.errors import OutputError, ProductError
from onboard.georef import Georef
from tests.ground.sheets import BLOCK, UTM, flown, overcast, permanent_water, sheet


def read(path: Path, band: int = 1) -> Any:
    with rasterio.open(path) as tif:
        return tif.read(band)


def test_mask_lies_where_the_frame_lies(tmp_path: Path) -> None:
    drawn = sheet()
    path, _ = write_maps(drawn, tmp_path, "frame")
    with rasterio.open(path) as tif:
        assert tif.crs.to_epsg() == 32646
        assert tuple(tif.transform)[:6] == UTM
        assert (tif.height, tif.width, tif.count) == (300, 413, 1)
        assert (tif.dtypes[0], tif.nodata, tif.descriptions) == ("uint8", 255, ("class",))
        assert np.array_equal(tif.read(1), drawn.mask)


def test_mask_has_colours_names_and_provenance(tmp_path: Path) -> None:
    path, _ = write_maps(sheet(), tmp_path, "frame")
    with rasterio.open(path) as tif:
        table = tif.colormap(1)
        bands, tags = tif.tags(1), tif.tags()
    for value in (classes.LAND, classes.WATER, classes.CLOUD):
        assert table[value] == (*palette.CLASS_RGB[value], 255)
    assert table[classes.NODATA][3] == 0
    assert bands["CLASS_1"] == "water"
    assert bands["CLASS_2"] == "cloud (not observed)"
    assert tags["FLOODSAT_PRODUCT"] == "4f1c09ab77de32a1"
    assert tags["FLOODSAT_SCENE"] == "5c" * 32
    assert tags["FLOODSAT_MODEL"] == "0d" * 32
    assert tags["FLOODSAT_ENGINE"] == "tflite 2.3.0"
    assert (tags["FLOODSAT_PASSES"], tags["FLOODSAT_SEED"]) == ("12", "20261")
    assert tags["FLOODSAT_THRESHOLDS"] == "p_water ≥ 0.47, p_cloud ≥ 0.55"
    assert tags["FLOODSAT_SUBJECT"] == "water"
    assert tags["FLOODSAT_REFERENCE"].startswith("none")
    assert "must not be read as dry" in tags["FLOODSAT_NOT_OBSERVED"]


def test_uncertainty_is_in_nats_on_the_grid_of_blocks(tmp_path: Path) -> None:
    drawn = sheet()
    _, path = write_maps(drawn, tmp_path, "frame")
    with rasterio.open(path) as tif:
        assert tif.shape == (-(-300 // BLOCK), -(-413 // BLOCK))
        assert tuple(tif.transform)[:6] == (80.0, 0.0, UTM[2], 0.0, -80.0, UTM[5])
        assert tif.descriptions == ("entropy", "epistemic")
        assert tif.units == ("nat", "nat")
        assert tif.dtypes == ("float32", "float32")
        assert np.isnan(tif.nodata)
        # The grid of blocks covers the frame: its far corner is not short of the frame's.
        assert tif.bounds.right >= UTM[2] + 413 * 10
        assert tif.bounds.bottom <= UTM[5] - 300 * 10
        assert np.array_equal(tif.read(1), drawn.entropy, equal_nan=True)
        assert np.array_equal(tif.read(2), drawn.epistemic, equal_nan=True)


@pytest.mark.parametrize("size", [(16, 16), (1, 1), (300, 413), (700, 1100)])
def test_both_are_cloud_optimised(tmp_path: Path, size: tuple[int, int]) -> None:
    for path in write_maps(sheet(*size), tmp_path, "frame"):
        valid, errors, _ = cog_validate(path)
        assert valid, errors


def test_overviews_hold_classes_only(tmp_path: Path) -> None:
    drawn = sheet(700, 1100)
    speckle = np.random.default_rng(3).choice(np.array([0, 1], np.uint8), (200, 300))
    drawn.mask[400:600, 300:600] = speckle
    path, _ = write_maps(drawn, tmp_path, "frame")
    with rasterio.open(path) as tif:
        assert tif.overviews(1)
    with rasterio.open(path, overview_level=0) as small:
        assert small.shape == (350, 550)
        half = small.read(1)
    assert set(np.unique(half)) == set(np.unique(drawn.mask))
    # An overview pixel is what most of its four pixels are. An average of colours would not do:
    # half water and half land looks like cloud.
    corners = np.array([drawn.mask[i::2, j::2] for i in (0, 1) for j in (0, 1)])
    votes = np.array([(corners == value).sum(axis=0) for value in np.unique(drawn.mask)])
    won = np.take_along_axis(votes, np.searchsorted(np.unique(drawn.mask), half)[None], axis=0)[0]
    assert np.array_equal(won, votes.max(axis=0))


def test_nothing_else_is_left_in_the_folder(tmp_path: Path) -> None:
    written = write_maps(sheet(), tmp_path / "new", "frame")
    assert sorted((tmp_path / "new").iterdir()) == sorted(written)
    assert [path.name for path in written] == ["frame.tif", "frame_uncertainty.tif"]


def test_same_sheet_same_bytes(tmp_path: Path) -> None:
    first = [path.read_bytes() for path in write_maps(sheet(), tmp_path / "a", "frame")]
    again = [path.read_bytes() for path in write_maps(sheet(), tmp_path / "b", "frame")]
    assert first == again


def test_a_frame_without_coordinates_says_so(tmp_path: Path) -> None:
    drawn = sheet(crs="")
    with warnings.catch_warnings():
        warnings.simplefilter("error", NotGeoreferencedWarning)
        path, uncertainty = write_maps(drawn, tmp_path, "frame")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        assert cog_validate(uncertainty)[0]
        with rasterio.open(path) as tif:
            assert tif.crs is None
            assert tif.tags()["FLOODSAT_COORDINATES"].startswith("none")
            assert np.array_equal(tif.read(1), drawn.mask)


def test_rotated_and_south_up_grids_survive(tmp_path: Path) -> None:
    grids = {
        "rotated": (8.0, 6.0, 503210.0, 6.0, -8.0, 2703450.0),
        "south_up": (10.0, 0.0, 503210.0, 0.0, 10.0, 2703450.0),
    }
    for name, transform in grids.items():
        drawn = replace(sheet(64, 64), georef=Georef(64, 64, "EPSG:32646", transform))
        path, _ = write_maps(drawn, tmp_path, name)
        with rasterio.open(path) as tif:
            assert tuple(tif.transform)[:6] == transform


def test_a_crs_given_as_wkt_survives(tmp_path: Path) -> None:
    wkt = rasterio.crs.CRS.from_proj4("+proj=laea +lat_0=62 +lon_0=-164 +datum=WGS84").to_wkt()
    drawn = replace(sheet(64, 64), georef=Georef(64, 64, wkt, UTM))
    path, _ = write_maps(drawn, tmp_path, "frame")
    with rasterio.open(path) as tif:
        assert tif.crs == rasterio.crs.CRS.from_wkt(wkt)


def test_shares_add_up() -> None:
    found = maps.shares(np.array([[0, 0, 1], [2, 255, 1]], np.uint8))
    assert (found.land, found.water) == (2 / 6, 2 / 6)
    assert (found.cloud, found.nodata, found.not_observed) == (1 / 6, 1 / 6, 2 / 6)
    assert found.water_of_observed == pytest.approx(0.5)
    assert np.isnan(maps.shares(overcast().mask).water_of_observed)


def test_a_value_that_is_no_class_is_refused(tmp_path: Path) -> None:
    drawn = sheet(32, 32)
    drawn.mask[3, 3] = 7
    with pytest.raises(ProductError, match=r"no class: \[7\]"):
        write_maps(drawn, tmp_path, "frame")
    assert not list(tmp_path.iterdir())


def test_arrays_off_the_grid_are_refused() -> None:
    drawn = sheet(32, 40)
    with pytest.raises(ProductError, match="mask is"):
        replace(drawn, mask=drawn.mask[1:])
    with pytest.raises(ProductError, match="epistemic is"):
        replace(drawn, epistemic=drawn.epistemic[:, 1:])


def test_an_unknown_crs_is_one_clear_line(tmp_path: Path) -> None:
    drawn = replace(sheet(32, 32), georef=Georef(32, 32, "EPSG:999999", UTM))
    with pytest.raises(ProductError, match="unknown to PROJ"):
        write_maps(drawn, tmp_path, "frame")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_a_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("x")
    with pytest.raises(OutputError, match="taken"):
        write_maps(sheet(16, 16), tmp_path / "taken", "frame")


def test_a_flown_product_becomes_its_maps(tmp_path: Path) -> None:
    product = flown()
    path, uncertainty = write_maps(sheet_of(product), tmp_path, product.stem)
    with rasterio.open(path) as tif:
        mask, tags, bands = tif.read(1), tif.tags(), tif.tags(1)
    every = (classes.LAND, classes.WATER, classes.CLOUD, classes.NODATA)
    counts = {value: int((mask == value).sum()) for value in every}
    found = product.statistics
    assert list(counts.values()) == [found.land, found.water, found.cloud, found.nodata]
    assert tags["FLOODSAT_PRODUCT"] == product.product_id.hex()
    assert tags["FLOODSAT_ACQUIRED"].startswith("2026-07-14T10:21:33Z (on-board clock")
    assert tags["FLOODSAT_POSITION"] == "± 35 m (1 sigma)"
    assert bands["CLASS_1"] == "water"
    assert "CLASS_3" not in bands
    assert tags["FLOODSAT_REFERENCE"] == "none: permanent water is not known"
    # One step of 64 levels is ln 2 / 63; a mean over a block lies within the drawn range.
    entropy = read(uncertainty)
    assert np.isfinite(entropy).sum() == (product.entropy != 255).sum()
    assert np.nanmax(entropy) <= np.log(2.0) + 1e-6


def test_with_the_reference_it_becomes_a_flood_map(tmp_path: Path) -> None:
    reference = permanent_water(tmp_path, sheet().georef)
    product = flown(reference)
    path, _ = write_maps(sheet_of(product, reference), tmp_path, product.stem)
    with rasterio.open(path) as tif:
        mask, tags, bands = tif.read(1), tif.tags(), tif.tags(1)
    water, half = product.mask == classes.WATER, product.georef.width // 2
    np.testing.assert_array_equal(mask[:, :half] == palette.PERMANENT, water[:, :half])
    np.testing.assert_array_equal(mask[:, half:] == classes.WATER, water[:, half:])
    assert (mask == classes.WATER).sum() == product.statistics.flood
    assert (bands["CLASS_1"], bands["CLASS_3"]) == ("flood", "permanent water")
    assert tags["FLOODSAT_SUBJECT"] == "flood"
    assert tags["FLOODSAT_REFERENCE"] == reference.version.hex()


def test_without_the_very_reference_it_stays_a_water_map(tmp_path: Path) -> None:
    product = flown(permanent_water(tmp_path, sheet().georef))
    other = permanent_water(tmp_path, sheet(40, 60).georef)
    for reference in (None, other):
        drawn = maps.sheet_of(product, reference)
        assert drawn.labels.subject == "water"
        np.testing.assert_array_equal(drawn.mask, product.mask)
        assert drawn.water_area_m2 == product.statistics.water_area_m2


def test_sheet_of_takes_the_means_of_the_product() -> None:
    product = flown()
    drawn: Sheet = maps.sheet_of(product)
    assert drawn.mean_entropy == product.statistics.mean_entropy
    assert drawn.water_area_m2 == product.statistics.water * 100.0
    seen = np.isfinite(drawn.entropy)
    assert drawn.mean_entropy == pytest.approx(float(drawn.entropy[seen].mean()), abs=0.02)


def test_time_is_written_in_utc() -> None:
    assert maps.utc_text(None) == ""
    assert maps.utc_text(0) == "1970-01-01T00:00:00Z"
    assert maps.utc_text(2**53) == f"{2**53} ms since 1970"
