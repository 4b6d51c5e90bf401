from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio import Affine
from rio_cogeo import cog_validate
from shapely.geometry import shape

from ground import palette
from ground.area_text import area_text
from ground.catalogue import Catalogue
from ground.change import Kind, compare
from ground.change_maps import COLOURS, polygons
from ground.delivery import deliver
from ground.seen import read_seen
from onboard import classes, product
from onboard.cli import run
from onboard.errors import FrameError, ProductError
from tests.ground import sheets
from tests.products import make_product
from tests.samples import BUNDLE


def call(*words: Any) -> int:
    return run(["diff", *(str(word) for word in words)])


def write_map(path: Path, mask: np.ndarray, crs: str | None = "EPSG:32606", **tags: str) -> Path:
    """A class map as somebody else may have written it."""
    place = {} if crs is None else {"crs": crs, "transform": Affine(10, 0, 5e5, 0, -10, 7e6)}
    profile = {"driver": "GTiff", "count": 1, "dtype": mask.dtype, **place}
    with rasterio.open(path, "w", height=mask.shape[0], width=mask.shape[1], **profile) as tif:
        tif.write(mask, 1)
        tif.update_tags(**tags)
    return path


@pytest.fixture
def dates(tmp_path: Path) -> tuple[Path, Path]:
    """A lake, and the same lake after it rose, with a cloud over a part."""
    one = np.zeros((100, 120), np.uint8)
    one[20:60, 30:70] = classes.WATER
    two = one.copy()
    two[20:60, 70:90] = classes.WATER
    two[80:, :40] = classes.CLOUD
    made = []
    for name, mask, day in (("a", one, 0), ("b", two, 3)):
        sent = make_product(
            mask=mask, acquired_ms=1_700_000_000_000 + day * 86_400_000, geolocation_sigma_m=9.0
        )
        path = tmp_path / f"{name}.fsp"
        path.write_bytes(product.pack(sent))
        made.append(path)
    return made[0], made[1]


def test_two_products_are_compared_into_files(
    tmp_path: Path, dates: tuple[Path, Path], capsys: Any
) -> None:
    out = tmp_path / "out"
    words = ["--out", out, "--json", tmp_path / "f.json", "--bundle", BUNDLE]
    assert call(*dates, *words) == 0
    told = capsys.readouterr().out
    assert "before  a.fsp: 2023-11-14T22:13:20Z, water" in told
    assert "new water" in told
    assert "8.01 ha" in told
    assert "became not observed" in told
    assert "± 12.7 m (1 sigma)" in told
    figures = json.loads((tmp_path / "f.json").read_text())
    assert figures == json.loads((out / "change.json").read_text())
    assert figures["kinds"]["new"]["pixels"] == 800
    assert figures["kinds"]["new"]["area_m2"] == pytest.approx(80_064, rel=1e-4)
    assert figures["kinds"]["hidden"]["pixels"] == 800
    assert sorted(path.name for path in out.iterdir()) == [
        "change.geojson",
        "change.json",
        "change.png",
        "change.tif",
    ]
    with Image.open(out / "change.png") as picture:
        assert picture.size == (1400, 900)


def test_the_map_is_a_cog_that_names_its_classes(tmp_path: Path, dates: tuple[Path, Path]) -> None:
    assert call(*dates, "--out", tmp_path / "out") == 0
    path = tmp_path / "out" / "change.tif"
    assert cog_validate(path)[0]
    with rasterio.open(path) as tif:
        kinds = tif.read(1)
        assert tif.nodata == 255
        assert tif.colormap(1)[2][:3] == COLOURS[Kind.NEW]
        assert tif.tags(1)["CLASS_2"] == "new water"
        assert tif.crs.to_epsg() == 32606
    assert (kinds == Kind.NEW).sum() == 800


def test_the_polygons_are_the_map(tmp_path: Path, dates: tuple[Path, Path]) -> None:
    change = compare(*(read_seen(path) for path in dates))
    found = polygons(change)
    for kind, amount in change.amounts.items():
        own = [f for f in found["features"] if f["properties"]["kind"] == kind.name.lower()]
        total = sum(f["properties"]["area_m2"] for f in own)
        expected = 0.0 if kind is Kind.DRY else amount.area_m2
        assert total == pytest.approx(expected, rel=1e-3, abs=0.1), kind
    geopandas = pytest.importorskip("geopandas")
    assert call(*dates, "--out", tmp_path / "out") == 0
    frame = geopandas.read_file(tmp_path / "out" / "change.geojson")
    assert frame.crs.to_epsg() == 4326
    assert frame.geometry.is_valid.all()
    west, south, east, north = found["bbox"]
    for feature in found["features"]:
        bounds = shape(feature["geometry"]).bounds
        assert west <= bounds[0] <= bounds[2] <= east
        assert south <= bounds[1] <= bounds[3] <= north


def test_product_map_and_item_of_one_date_are_the_same(tmp_path: Path) -> None:
    drawn = sheets.flown()
    reference = sheets.permanent_water(tmp_path, drawn.georef)
    sent = sheets.flown(reference)
    data, folder = product.pack(sent), tmp_path / "catalogue"
    sent = product.unpack(data)
    delivery = deliver(sent, data, folder, reference)
    assert delivery.item is not None
    Catalogue(folder).add([delivery.item])
    path = folder / sent.stem
    seen = [read_seen(path.with_suffix(".fsp"), reference)]
    seen += [read_seen(path.with_suffix(ending)) for ending in (".tif", ".json")]
    for one in seen:
        assert one.subject == "flood"
        assert one.reference == reference.version.hex()
        assert one.acquired == "2026-07-14T10:21:33Z"
        assert one.sigma_m == 35.0
        assert (one.mask == palette.PERMANENT).any()
        np.testing.assert_array_equal(one.mask, seen[0].mask)
    assert read_seen(path.with_suffix(".fsp")).subject == "water"
    change = compare(*seen[:2])
    assert change.subject == "flood"
    assert not change.amounts[Kind.NEW].pixels


def test_maps_of_segment_and_of_others_are_read(tmp_path: Path) -> None:
    mask = np.array([[0, 1, 2], [1, 1, 255]], np.float32)
    mask[1, 2] = np.nan
    seen = read_seen(write_map(tmp_path / "a.tif", mask))
    assert seen.mask.tolist() == [[0, 1, 2], [1, 1, 255]]
    assert (seen.subject, seen.acquired, seen.sigma_m) == ("water", "", None)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("none.tif", "none.tif"),
        ("none.fsp", "none.fsp"),
        ("text.txt", "is no product (.fsp), map (.tif) or item"),
        ("junk.tif", "readable GeoTIFF"),
        ("strange.tif", "holds the value 7"),
        ("bands.tif", "no band described as class"),
        ("unlocated.tif", "has no coordinates"),
        ("item.json", "is no STAC item"),
        ("empty.json", "names no class map"),
    ],
)
def test_what_is_no_date_is_refused_in_one_line(
    tmp_path: Path, dates: tuple[Path, Path], capsys: Any, name: str, word: str
) -> None:
    write_map(tmp_path / "strange.tif", np.full((4, 4), 7, np.uint8))
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        write_map(tmp_path / "unlocated.tif", np.zeros((4, 4), np.uint8), crs=None)
    profile = {"driver": "GTiff", "count": 2, "dtype": "uint8", "height": 4, "width": 4}
    with rasterio.open(
        tmp_path / "bands.tif", "w", crs="EPSG:4326", **profile, transform=Affine(1, 0, 9, 0, -1, 9)
    ) as tif:
        tif.write(np.zeros((2, 4, 4), np.uint8))
    (tmp_path / "junk.tif").write_text("junk")
    (tmp_path / "item.json").write_text("[1]")
    (tmp_path / "empty.json").write_text('{"assets": {}}')
    assert call(dates[0], tmp_path / name) == 2
    told = capsys.readouterr().err
    assert word in told
    assert told.count("\n") == 1
    with pytest.raises((ProductError, FrameError)):
        read_seen(tmp_path / name)


def test_areas_in_words() -> None:
    words = [area_text(value) for value in (12.4, 5_000.0, 250_000.0, float("nan"))]
    assert words == ["12 m²", "0.50 ha", "0.25 km²", "not known"]
