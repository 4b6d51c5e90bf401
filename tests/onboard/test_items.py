"""STAC items as frames: which files are the bands, what their numbers mean, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onboard.cli import run
from onboard.errors import FrameError
from onboard.frames import open_frame
from onboard.items import expand, frames_in
from onboard.remote import place
from onboard.sensor import VNIR4
from tests.onboard.test_cli import leftovers, refused
from tests.raw_frames import write_raw
from tests.samples import BANDS, BUNDLE, UTM, crop, write_frame

SIDE = 40
TIME = "2026-02-03T10:11:12Z"
TIFF = "image/tiff; application=geotiff; profile=cloud-optimized"
S2 = {"nodata": 0, "data_type": "uint16", "scale": 0.0001, "offset": -0.1}


def samples(seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    found = rng.integers(1000, 5000, (4, SIDE, SIDE), dtype=np.uint16)
    found[:, :3] = 0
    return found


def separate(folder: Path, image: Any, **settings: Any) -> dict[str, Any]:
    """A file for each band, and assets of STAC 1.0 that name them."""
    folder.mkdir(parents=True, exist_ok=True)
    assets = {}
    for name, plane in zip(BANDS, image):
        write_frame(folder / f"{name}.tif", plane[None], bands=None, **settings)
        assets[name] = {
            "href": f"./{folder.name}/{name}.tif",
            "type": TIFF,
            "roles": ["data", "reflectance"],
            "eo:bands": [{"name": f"B-{name}", "common_name": name}],
            "raster:bands": [S2],
        }
    return assets


def item(name: str, assets: Any, version: str = "1.0.0", **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "stac_version": version,
        "id": name,
        "geometry": None,
        "properties": {"datetime": TIME, **properties},
        "links": [],
        "assets": assets,
    }


def write(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document), "utf-8")
    return path


def collection(*items: Any, **more: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(items), **more}


def reflectance(path: Path) -> Any:
    (frame,) = frames_in(path)
    with open_frame(frame, VNIR4) as found:
        return found.read(0, 0, found.height, found.width).reflectance


@pytest.fixture
def s2(tmp_path: Path) -> Path:
    return write(tmp_path / "item.json", item("S2A_X.SAFE", separate(tmp_path / "a", samples())))


def test_four_files_are_one_frame(s2: Path, tmp_path: Path) -> None:
    (path,) = frames_in(s2)
    whole = write_frame(tmp_path / "whole.tif", samples(), tags={"ACQUIRED": TIME}, nodata=0)
    with open_frame(path, VNIR4) as frame, open_frame(whole, VNIR4) as stacked:
        # The same samples are the same scene, however many files they lie in.
        assert frame.scene_id() == stacked.scene_id()
        assert frame.georef == stacked.georef
        assert frame.acquired == stacked.acquired == "2026-02-03T10:11:12+00:00"
        patch = frame.read(0, 0, SIDE, SIDE)
    expected = samples().transpose(1, 2, 0) * np.float32(1e-4) - np.float32(0.1)
    assert not patch.valid[:3].any()
    assert patch.valid[3:].all()
    np.testing.assert_allclose(patch.reflectance[3:], expected[3:], atol=1e-6)
    assert (patch.reflectance[:3] == 0).all()
    assert path.stem == "S2A_X.SAFE"


def test_one_file_of_stac_1_1(s2: Path, tmp_path: Path) -> None:
    """Bands in another order and more of them; scale and nodata stand at the asset."""
    image = np.concatenate([samples()[::-1], samples(1)[:1]])
    write_frame(tmp_path / "all.tif", image, bands=None)
    names = [*BANDS[::-1], "swir16"]
    asset = {
        "href": "all.tif",
        "type": TIFF,
        "bands": [{"name": f"B{n}", "eo:common_name": name} for n, name in enumerate(names)],
        "raster:scale": 1e-4,
        "raster:offset": -0.1,
        "nodata": 0,
    }
    path = write(tmp_path / "one.json", item("one", {"image": asset}, "1.1.0"))
    np.testing.assert_array_equal(reflectance(path), reflectance(s2))


def test_one_file_comes_before_four(s2: Path, tmp_path: Path) -> None:
    document = json.loads(s2.read_text("utf-8"))
    write_frame(tmp_path / "all.tif", samples(9), bands=None)
    document["assets"]["all"] = {
        "href": "all.tif",
        "type": TIFF,
        "eo:bands": [{"common_name": name} for name in BANDS],
        "raster:bands": [S2] * 4,
    }
    document["assets"]["visual"] = {**document["assets"]["all"], "roles": ["visual"]}
    found = reflectance(write(tmp_path / "both.json", document))
    np.testing.assert_allclose(found[3:], samples(9).transpose(1, 2, 0)[3:] * 1e-4 - 0.1, atol=1e-6)


@pytest.mark.parametrize(
    ("stated", "properties", "offset", "note"),
    [
        (S2, {}, -0.1, None),
        ({**S2, "offset": -1000}, {}, -0.1, "numbers of the file"),
        (S2, {"earthsearch:boa_offset_applied": True}, 0.0, "applied to its files already"),
        (S2, {"earthsearch:boa_offset_applied": False}, -0.1, None),
        ({}, {"s2:processing_baseline": "05.09"}, -0.1, "processing baseline 05.09"),
        ({}, {"s2:processing_baseline": "03.01"}, 0.0, "no scale is stated"),
        ({}, {"platform": "landsat-9", "processing:version": "9"}, 0.0, "no scale is stated"),
        ({"scale": 0.0001}, {}, 0.0, None),
        ({"offset": -0.1}, {}, -0.1, None),
    ],
)
def test_what_the_numbers_mean(
    tmp_path: Path, stated: Any, properties: Any, offset: float, note: str | None
) -> None:
    assets = separate(tmp_path / "a", samples())
    for asset in assets.values():
        asset["raster:bands"] = [stated]
    path = write(tmp_path / "i.json", item("i", assets, **properties))
    found = reflectance(path)[3:]
    np.testing.assert_allclose(found, samples().transpose(1, 2, 0)[3:] * 1e-4 + offset, atol=1e-6)
    with open_frame(frames_in(path)[0], VNIR4) as frame:
        assert [n for n in frame.notes if note and note in n] or note is None
        assert frame.notes or note is None


def test_what_the_files_state_counts_where_the_item_is_silent(tmp_path: Path) -> None:
    import rasterio

    assets = separate(tmp_path / "a", samples())
    for name, asset in assets.items():
        del asset["raster:bands"]
        with rasterio.open(str(tmp_path / "a" / f"{name}.tif"), "r+") as raster:
            raster.scales, raster.offsets = (2e-4,), (-0.2,)
    found = reflectance(write(tmp_path / "i.json", item("i", assets)))[3:]
    np.testing.assert_allclose(found, samples().transpose(1, 2, 0)[3:] * 2e-4 - 0.2, atol=1e-6)


def test_the_finest_pixels_are_taken(tmp_path: Path) -> None:
    assets = separate(tmp_path / "a", samples())
    for name in BANDS:
        write_frame(tmp_path / "a" / f"{name}_20m.tif", samples()[:1, ::2, ::2], bands=None)
        coarse = {**assets[name], "href": f"a/{name}_20m.tif", "gsd": 20}
        assets = {f"{name}_20m": coarse, **assets}
        assets[name] = {**assets[name], "gsd": 10}
    assert reflectance(write(tmp_path / "i.json", item("i", assets))).shape == (SIDE, SIDE, 4)


def test_landsats_near_infrared(tmp_path: Path) -> None:
    assets = separate(tmp_path / "a", samples())
    assets["nir"]["eo:bands"] = [{"name": "OLI_B5", "common_name": "nir08"}]
    (frame,) = frames_in(write(tmp_path / "i.json", item("i", assets)))
    with open_frame(frame, VNIR4) as found:
        assert "nir is the item's nir08" in found.notes


def gone(assets: Any, folder: Path) -> None:
    (folder / "a" / "red.tif").unlink()


def without(assets: Any, folder: Path) -> None:
    del assets["red"]


def twice(assets: Any, folder: Path) -> None:
    assets["again"] = assets["red"]


def coarse(assets: Any, folder: Path) -> None:
    write_frame(folder / "a" / "red.tif", samples()[:1, ::2, ::2], bands=None)


def shifted(assets: Any, folder: Path) -> None:
    import rasterio

    moved = UTM["transform"] @ rasterio.Affine.translation(1, 0)  # type: ignore[operator]
    write_frame(folder / "a" / "red.tif", samples()[:1], bands=None, transform=moved)


def bytes_only(assets: Any, folder: Path) -> None:
    write_frame(folder / "a" / "red.tif", samples()[:1].astype(np.uint8), bands=None)


def elsewhere(assets: Any, folder: Path) -> None:
    assets["red"]["href"] = "gs://bucket/red.tif"


def no_number(assets: Any, folder: Path) -> None:
    assets["red"]["raster:bands"] = [{"scale": "small"}]


def too_few(assets: Any, folder: Path) -> None:
    assets["red"]["eo:bands"] = [{"common_name": "coastal"}, {"common_name": "red"}]


def other_nodata(assets: Any, folder: Path) -> None:
    assets["red"]["raster:bands"] = [{**S2, "nodata": 7}]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (gone, ["red.tif cannot be opened"]),
        (without, ["'red'", "(blue, green, nir)", "eo:bands"]),
        (twice, ["'red'", "'again'", "leave one"]),
        (coarse, ["'red' has 20×20 pixels", "nothing is resampled"]),
        (shifted, ["'blue' and 'red'", "different grids"]),
        (bytes_only, ["'red'", "type uint8"]),
        (elsewhere, ["'red'", "gs://bucket/red.tif", "copy it"]),
        (no_number, ["'small', no number"]),
        (too_few, ["number 2 of", "which has 1"]),
        (other_nodata, ["different nodata"]),
    ],
)
def test_an_item_that_cannot_be_used(tmp_path: Path, spoil: Any, words: list[str]) -> None:
    assets = separate(tmp_path / "a", samples())
    spoil(assets, tmp_path)
    (frame,) = frames_in(write(tmp_path / "i.json", item("i", assets)))
    with pytest.raises(FrameError) as caught:
        open_frame(frame, VNIR4)
    assert str(caught.value).startswith(f"{tmp_path}/i.json#/i.json: ")
    for word in words:
        assert word in str(caught.value)


def test_a_document_that_holds_no_items(tmp_path: Path) -> None:
    for kind in ("Catalog", "Collection"):
        path = write(tmp_path / f"{kind}.json", {"type": kind, "links": []})
        with pytest.raises(FrameError, match=f"is a STAC {kind}; name an item"):
            expand([path])
    with pytest.raises(FrameError, match="holds no item"):
        expand([write(tmp_path / "none.json", collection())])
    with pytest.raises(FrameError, match="no list of features"):
        expand([write(tmp_path / "odd.json", {"type": "FeatureCollection", "features": 3})])
    (frame,) = frames_in(write(tmp_path / "i.json", item("i", {})))
    write(tmp_path / "i.json", item("another", {}))
    with pytest.raises(FrameError, match=r"i\.json#/i\.json: is not in "):
        open_frame(frame, VNIR4)


def test_other_frames_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    sidecar = write_raw(tmp_path / "raw", np.zeros((4, 9, 9), np.uint16))
    scenes = [tmp_path / "f.tif", sidecar, tmp_path / "missing.json", place("s3://b/f.tif")]
    (tmp_path / "bad.json").write_text("{", "utf-8")
    scenes.append(tmp_path / "bad.json")
    assert expand(scenes) == tuple(scenes)


def test_ids_become_names(tmp_path: Path) -> None:
    ids = ["a/b", "c%2Fd", "..", "e.tif", 7]
    found = frames_in(write(tmp_path / "c.json", collection(*(item(str(i), {}) for i in ids[:4]))))
    assert [one.stem for one in found] == ["a%2Fb", "c%252Fd", "[2]", "e.tif"]
    (one,) = frames_in(write(tmp_path / "n.json", {**item("x", {}), "id": 7}))
    assert one.stem == "[0]"


def test_segment_does_what_it_can_of_a_collection(tmp_path: Path, capfd: Any) -> None:
    import rasterio

    good = item("good", separate(tmp_path / "a", crop(64, 64)))
    broken = item("broken", separate(tmp_path / "b", crop(64, 64)))
    (tmp_path / "b" / "nir.tif").write_bytes(b"no TIFF")
    other = item("other", separate(tmp_path / "c", crop(64, 64, 300)))
    more = {"links": [{"rel": "next", "href": "https://host/next"}]}
    path = write(tmp_path / "found.json", collection(good, broken, 7, other, **more))
    out = tmp_path / "o"
    assert run(["segment", str(BUNDLE), str(path), "--out", str(out), "--passes", "1"]) == 2
    lines = capfd.readouterr().err.splitlines()
    assert "has more pages" in lines[0]
    failed = [line for line in lines if line.startswith("failed: ")]
    assert len(failed) == 2
    assert "found.json#/broken.json" in failed[0]
    assert "found.json#/[2].json" in failed[1]
    assert lines[-1].startswith("floodsat: 2 of 4 frames have no maps")
    assert leftovers(out) == ["good.tif", "other.tif"]
    with rasterio.open(str(out / "good.tif")) as maps:
        assert maps.tags()["ACQUIRED"] == "2026-02-03T10:11:12+00:00"


def test_two_items_of_one_id(tmp_path: Path, capfd: Any) -> None:
    path = write(tmp_path / "c.json", collection(item("x", {}), item("x", {})))
    refused(capfd, ["segment", BUNDLE, path, "--out", tmp_path / "o"], "has the name of")
