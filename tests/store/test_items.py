"""STAC items in an object store and on a web server, and items that pystac makes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio

from onboard.cli import run
from onboard.frames import open_frame
from onboard.items import expand, frames_in
from onboard.remote import Remote, place
from onboard.scene import Crop
from onboard.sensor import VNIR4
from tests.onboard.test_cli import leftovers, refused
from tests.onboard.test_items import S2, TIFF, collection, item
from tests.s3 import Store
from tests.samples import BANDS, BUNDLE, write_frame

SIDE, BLOCK, CHUNK = 512, 128, 16_384


def image() -> Any:
    return np.random.default_rng(8).integers(1001, 5000, (4, SIDE, SIDE), dtype=np.uint16)


@pytest.fixture(scope="module")
def far(running: Store, tmp_path_factory: Any) -> Remote:
    """A collection of one item whose four tiled files lie beside it."""
    folder, here = place("s3://frames/items"), tmp_path_factory.mktemp("items")
    assert isinstance(folder, Remote)
    assets = {}
    for name, plane in zip(BANDS, image(), strict=True):
        local = here / f"{name}.tif"
        tiling = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK}
        write_frame(local, plane[None], bands=None, **tiling)
        (folder / "bands" / local.name).upload(local)  # type: ignore[attr-defined]
        assets[name] = {
            "href": f"bands/{name}.tif",
            "type": TIFF,
            "eo:bands": [{"common_name": name}],
            "raster:bands": [S2],
        }
    document = folder / "found.json"
    document.write_bytes(json.dumps(collection(item("S2X", assets))).encode())
    return document  # type: ignore[return-value]


def on_the_web(store: Store, address: Remote) -> Remote:
    found = place(f"{store.url}/{str(address)[len('s3://') :]}")
    assert isinstance(found, Remote)
    return found


@pytest.mark.parametrize("web", [False, True])
def test_items_far_away_are_read_by_window(store: Store, far: Remote, web: bool) -> None:
    (frame,) = frames_in(on_the_web(store, far) if web else far)
    crop = Crop(130, 260, 100, 90)
    store.forget()
    with open_frame(frame, VNIR4, crop=crop) as found:
        patch = found.read(0, 0, 90, 100)
        found.scene_id()
        np.testing.assert_array_equal(found.read(0, 0, 90, 100).reflectance, patch.reflectance)
        assert found.acquired == "2026-02-03T10:11:12+00:00"
    expected = image()[:, 260:350, 130:230].transpose(1, 2, 0) * 1e-4 - 0.1
    np.testing.assert_allclose(patch.reflectance, expected, atol=1e-6)
    # A block of each of the four files, read for the window and once more to be kept.
    blocks = 4 * BLOCK * BLOCK * 2
    assert store.sent(".tif") <= 2 * (blocks + 4 * 4 * CHUNK)
    assert store.sent(".tif") < 4 * SIDE * SIDE * 2 / 2


def test_segment_takes_a_collection_of_a_store(
    store: Store, far: Remote, tmp_path: Path, capfd: Any
) -> None:
    more = ["--passes", "1", "--window", "100,100,60,50"]
    assert run(["segment", str(BUNDLE), str(far), "--out", "s3://maps/items", *more]) == 0
    capfd.readouterr()
    (tmp_path / "S2X.tif").write_bytes(place("s3://maps/items/S2X.tif").read_bytes())
    with rasterio.open(tmp_path / "S2X.tif") as maps:
        assert (maps.width, maps.height) == (60, 50)
        assert maps.tags()["ACQUIRED"] == "2026-02-03T10:11:12+00:00"


def test_a_catalogue_of_items(store: Store, far: Remote, tmp_path: Path, capfd: Any) -> None:
    arguments = ["segment", str(BUNDLE), str(far), "--out", str(tmp_path), "--passes", "1"]
    for expected in ("1 segmented, 0 done before", "0 segmented, 1 done before"):
        assert run([*arguments, "--catalogue"]) == 0
        assert expected in capfd.readouterr().out
    found = pystac.Item.from_file(str(tmp_path / "S2X.json"))
    assert found.datetime == datetime(2026, 2, 3, 10, 11, 12, tzinfo=UTC)
    assert found.assets["frame"].href == f"{far}#/S2X.json"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("s3://frames/items/none.json", ["no such object"]),
        ("s3://nowhere/none.json", ["bucket does not exist"]),
        ("{web}/frames/items/none.json", ["none.json"]),
        ("s3://frames/items/text.json", ["is not JSON"]),
        ("s3://frames/items/other.json", ["no STAC item"]),
    ],
)
def test_documents_that_are_none(
    store: Store, far: Remote, tmp_path: Path, capfd: Any, name: str, words: list[str]
) -> None:
    far.with_name("text.json").write_bytes(b"<html>")
    far.with_name("other.json").write_bytes(b"{}")
    scene = name.format(web=store.url)
    refused(capfd, ["segment", BUNDLE, scene, "--out", tmp_path / "o"], scene, *words)
    assert leftovers(tmp_path) == []


def test_an_item_whose_file_is_gone(store: Store, far: Remote, tmp_path: Path, capfd: Any) -> None:
    document = json.loads(far.read_text())
    document["features"][0]["assets"]["red"]["href"] = "bands/lost.tif"
    path = far.with_name("lost.json")
    path.write_bytes(json.dumps(document).encode())
    assert run(["segment", str(BUNDLE), str(path), "--out", str(tmp_path)]) == 2
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"failed: {path}#/S2X.json: its asset s3://frames/items/bands/lost")
    assert "1 of 1 frames" in lines[1]


def test_a_signed_address_stays_as_it_is(store: Store, far: Remote, tmp_path: Path) -> None:
    document = json.loads(far.read_text())
    signed = f"{store.url}/frames/items/bands/red.tif?X-Sig=a//b%2Fc&d=/./e"
    document["features"][0]["assets"]["red"]["href"] = signed
    (tmp_path / "signed.json").write_text(json.dumps(document), "utf-8")
    for name in BANDS:
        local = tmp_path / "bands" / f"{name}.tif"
        local.parent.mkdir(exist_ok=True)
        local.write_bytes((far.parent / "bands" / f"{name}.tif").read_bytes())
    store.forget()
    with open_frame(expand([tmp_path / "signed.json"])[0], VNIR4) as found:
        found.scene_id()
    assert {one.path for one in store.log} == {"/frames/items/bands/red.tif"}


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0"])
def test_items_that_pystac_makes(tmp_path: Path, version: str) -> None:
    made = pystac.Item("made", None, None, datetime(2026, 5, 6, tzinfo=UTC), {})
    for name, plane in zip(BANDS, image(), strict=True):
        write_frame(tmp_path / f"{name}.tif", plane[None], bands=None)
        words: dict[str, Any] = (
            {"eo:bands": [{"name": name, "common_name": name}], "raster:bands": [S2]}
            if version == "1.0.0"
            else {
                "bands": [{"name": name, "eo:common_name": name}],
                "raster:scale": 1e-4,
                "raster:offset": -0.1,
                "nodata": 0,
            }
        )
        made.add_asset(name, pystac.Asset(f"./{name}.tif", media_type=TIFF, extra_fields=words))
    made.set_self_href(str(tmp_path / "made.json"))
    written = {**made.to_dict(include_self_link=False), "stac_version": version}
    pystac.Item.from_dict(written)
    (tmp_path / "made.json").write_text(json.dumps(written), "utf-8")
    (frame,) = frames_in(tmp_path / "made.json")
    with open_frame(frame, VNIR4) as found:
        patch = found.read(0, 0, SIDE, SIDE)
        assert found.acquired == "2026-05-06T00:00:00+00:00"
    np.testing.assert_allclose(
        patch.reflectance, image().transpose(1, 2, 0) * 1e-4 - 0.1, atol=1e-6
    )
