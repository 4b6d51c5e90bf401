from __future__ import annotations

import copy
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
from pystac.extensions.classification import ClassificationExtension
from pystac.extensions.file import FileExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.raster import RasterExtension
from shapely.geometry import shape

import ground.delivery
from ground import palette, stac
from ground.catalogue import Catalogue
from ground.delivery import deliver
from ground.maps import Sheet
from onboard.georef import Georef
from onboard.product import Product, pack, unpack
from tests.ground.catalogues import checked, offline, published
from tests.ground.sheets import flown, permanent_water, sheet
from tests.products import make_product


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The picture is drawn in the tests of the quicklook; here a small one stands for it."""

    def small(drawn: Sheet, path: Path, rgb: object = None) -> Path:
        path.write_bytes(palette.png_bytes(palette.mask_rgba(drawn.mask)))
        return path

    monkeypatch.setattr(ground.delivery, "write_quicklook", small)


def delivered(folder: Path, product: Product | None = None, **how: object) -> pystac.Item:
    """The item of a delivered product, read and validated by pystac."""
    product = flown() if product is None else product
    one = deliver(product, pack(product), folder, **how)  # type: ignore[arg-type]
    assert one.item is not None
    Catalogue(folder).add([one.item])
    (item,) = checked(folder)
    return item


def test_every_extension_is_checked_by_its_published_schema() -> None:
    assert set(stac.EXTENSIONS) == set(published())


def test_an_item_is_valid_and_says_where_and_when(tmp_path: Path) -> None:
    item = delivered(tmp_path)
    assert item.to_dict()["stac_version"] == "1.1.0"
    assert item.datetime is not None
    assert item.datetime.isoformat() == "2026-07-14T10:21:33+00:00"
    assert item.bbox == pytest.approx(shape(item.geometry).bounds)
    projection = ProjectionExtension.ext(item)
    assert projection.code == "EPSG:32646"
    assert projection.shape == [300, 413]
    assert projection.transform[:6] == list(sheet().georef.transform)
    assert item.properties["floodsat:position_sigma_m"] == 35.0
    assert item.properties["floodsat:subject"] == "water"
    assert item.properties["processing:software"]["tflite"] == "2.3.0"
    assert item.properties["gsd"] == pytest.approx(10, abs=0.01)


def test_its_assets_are_the_files(tmp_path: Path) -> None:
    item = delivered(tmp_path)
    stem = item.id
    assert {asset.href for asset in item.assets.values()} == {
        f"./{name}" for name in stac.asset_names(stem)
    }
    for asset in item.assets.values():
        data = Path(str(asset.get_absolute_href())).read_bytes()
        file = FileExtension.ext(asset)
        assert file.size == len(data)
        assert file.checksum == "1220" + hashlib.sha256(data).hexdigest()
    assert not [one for one in tmp_path.glob(f"{stem}*") if one.name not in
                {f"{stem}.json", *stac.asset_names(stem)}]  # fmt: skip


def test_the_bands_are_those_of_the_files(tmp_path: Path) -> None:
    item = delivered(tmp_path)
    for name in ("classes", "uncertainty"):
        asset = item.assets[name]
        with rasterio.open(str(asset.get_absolute_href())) as tif:
            bands = RasterExtension.ext(asset).bands
            assert bands is not None
            assert [one.data_type for one in bands] == list(tif.dtypes)
            assert [one["name"] for one in asset.extra_fields["bands"]] == list(tif.descriptions)
            assert [one.nodata for one in bands] == [
                "nan" if np.isnan(tif.nodata) else tif.nodata
            ] * tif.count
            assert ProjectionExtension.ext(asset).shape == list(tif.shape)
            assert ProjectionExtension.ext(asset).transform[:6] == list(tif.transform)[:6]


def test_the_classes_are_those_of_the_palette(tmp_path: Path) -> None:
    for subject, reference in (
        ("water", None),
        ("flood", permanent_water(tmp_path, sheet().georef)),
    ):
        item = delivered(tmp_path / subject, flown(reference), reference=reference)
        found = ClassificationExtension.ext(item.assets["classes"]).classes
        assert found is not None
        names = palette.class_names(subject)  # type: ignore[arg-type]
        assert {one.value: one.description for one in found} == names
        for one in found:
            assert f"#{one.color_hint}".lower() == palette.css(palette.CLASS_RGB[one.value])
        assert sum("not observed" in str(one.description) for one in found) == 2
        assert item.properties["floodsat:subject"] == subject


def test_a_frame_without_coordinates_has_no_geometry(tmp_path: Path) -> None:
    product = make_product(3, georef=Georef(33, 24))
    item = delivered(tmp_path, unpack(pack(product)))
    assert item.geometry is None
    assert item.bbox is None
    assert item.properties["floodsat:located"] is False
    assert "proj:code" not in item.properties


def test_a_frame_without_a_time_has_none(tmp_path: Path) -> None:
    for ms in (None, 2**53):
        product = unpack(pack(make_product(3, acquired_ms=ms)))
        folder = tmp_path / str(ms)
        item = delivered(folder, product)
        assert item.datetime is None
        assert item.properties["start_datetime"] == stac.EVER[0]
        (day,) = Catalogue(folder).days()
        assert day == f"undated-{product.stem[:2]}"


@pytest.mark.parametrize(
    "georef",
    [
        Georef(33, 24, "EPSG:32660", (1000.0, 0.0, 790_000.0, 0.0, -1000.0, 2_000_000.0)),
        Georef(33, 24, "EPSG:5041", (5000.0, 0.0, 1_920_000.0, 0.0, -5000.0, 2_060_000.0)),
        Georef(33, 24, "EPSG:4326", (1e-3, 0.0, 20.0, 0.0, -1e-3, 50.0)),
        Georef(
            33, 24, rasterio.crs.CRS.from_proj4("+proj=laea +lat_0=62 +lon_0=-164").to_wkt(),
            (10.0, 0.0, 0.0, 0.0, -10.0, 0.0),
        ),
    ],
)  # fmt: skip
def test_items_of_odd_places_are_valid(tmp_path: Path, georef: Georef) -> None:
    item = delivered(tmp_path, unpack(pack(make_product(3, georef=georef))))
    assert shape(item.geometry).is_valid
    assert ("proj:code" in item.properties) == georef.crs.startswith("EPSG:")


@pytest.mark.parametrize(
    ("where", "name", "value"),
    [
        ("properties", "proj:shape", "300"), ("properties", "processing:level", 2),
        ("properties", "datetime", "yesterday"), ("asset", "file:size", -1),
        ("asset", "classification:classes", []), ("asset", "raster:bands", [{}]),
    ],
)  # fmt: skip
def test_the_validator_would_notice(tmp_path: Path, where: str, name: str, value: object) -> None:
    good = delivered(tmp_path).to_dict()
    bad = copy.deepcopy(good)
    (bad["properties"] if where == "properties" else bad["assets"]["classes"])[name] = value
    with offline(), pytest.raises((pystac.errors.STACValidationError, ValueError)):
        pystac.Item.from_dict(bad).validate()


def test_a_seed_of_64_bits_survives(tmp_path: Path) -> None:
    product = unpack(pack(replace(make_product(3), seed=2**64 - 1)))
    assert delivered(tmp_path, product).properties["floodsat:seed"] == str(2**64 - 1)


def test_the_same_map_gives_the_same_item(tmp_path: Path) -> None:
    drawn: Sheet = sheet(32, 32)
    one = stac.item(drawn, tmp_path, "a", "2026-07-14")
    assert one == stac.item(replace(drawn), tmp_path, "a", "2026-07-14")
    assert one["assets"] == {}
