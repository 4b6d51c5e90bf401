"""Frames in an object store: what is read of them, what comes out, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from onboard.cli import run
from onboard.errors import FrameError
from onboard.frames import open_frame
from onboard.remote import place
from onboard.scene import Crop
from onboard.sensor import VNIR4
from tests.onboard.test_cli import leftovers, refused
from tests.s3 import Store
from tests.samples import BANDS, BUNDLE

TILE = 256
CHUNK = 16_384
"""GDAL asks for a whole number of these."""


def tiled(path: Path, side: int, seed: int = 0) -> Path:
    """A tiled GeoTIFF of noise, which no compression would make smaller."""
    rng = np.random.default_rng(seed)
    with rasterio.open(
        path, "w", driver="GTiff", width=side, height=side, count=4, dtype="uint16", tiled=True,
        blockxsize=TILE, blockysize=TILE, interleave="pixel", crs="EPSG:32632",
        transform=rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000),
    ) as raster:  # fmt: skip
        raster.write(rng.integers(200, 4000, (4, side, side), dtype=np.uint16))
        raster.descriptions = BANDS
        raster.update_tags(ACQUIRED="2026-03-01T10:00:00Z")
    return path


def put(local: Path, address: str) -> str:
    place(address).upload(local)  # type: ignore[attr-defined]
    return address


@pytest.fixture(scope="module")
def large(running: Store, tmp_path_factory: Any) -> tuple[Path, str]:
    """32 MB, here and in the store."""
    local = tiled(tmp_path_factory.mktemp("large") / "large.tif", 2048)
    return local, put(local, "s3://frames/year/large.tif")


@pytest.fixture(scope="module")
def small(running: Store, tmp_path_factory: Any) -> tuple[Path, str]:
    local = tiled(tmp_path_factory.mktemp("small") / "small.tif", 600, seed=1)
    return local, put(local, "s3://frames/small.tif")


def maps_of(path: Path) -> Any:
    with rasterio.open(path) as raster:
        return raster.read(), raster.crs, raster.transform


def segment(scene: str, out: Any, *more: str) -> int:
    return run(["segment", str(BUNDLE), scene, "--out", str(out), "--passes", "2", *more])


def same_maps(a: Path, b: Path) -> None:
    (here, *grid), (there, *grid_there) = maps_of(a), maps_of(b)
    np.testing.assert_array_equal(here, there)
    assert grid == grid_there


def test_a_window_reads_a_small_part(store: Store, large: tuple[Path, str], tmp_path: Path) -> None:
    local, address = large
    window = ("--window", "1300,700,200,150")
    assert segment(address, tmp_path / "far", *window) == 0
    # The window lies in two tiles of 524,288 bytes; the directory and whole chunks come on top.
    tiles = 2 * TILE * TILE * 4 * 2
    assert 200 * 150 * 8 <= store.sent("large.tif") <= tiles + 8 * CHUNK
    assert store.sent("large.tif") < local.stat().st_size / 25
    assert segment(str(local), tmp_path / "here", *window) == 0
    same_maps(tmp_path / "far" / "large.tif", tmp_path / "here" / "large.tif")


def test_a_window_is_the_frame_that_was_cut_out(
    store: Store, large: tuple[Path, str], tmp_path: Path
) -> None:
    crop = Crop(2048 - 130, 2048 - 90, 130, 90)
    with open_frame(place(large[1]), VNIR4, crop=crop) as far:
        read = far.read(-20, -10, 60, 60)
        scene, georef = far.scene_id(), far.georef
        np.testing.assert_array_equal(far.read(-20, -10, 60, 60).reflectance, read.reflectance)
    with rasterio.open(large[0]) as raster:
        window = rasterio.windows.Window(*crop)
        samples, transform = raster.read(window=window), raster.window_transform(window)
    assert georef.transform == tuple(transform)[:6]
    with rasterio.open(
        tmp_path / "cut.tif", "w", driver="GTiff", width=130, height=90, count=4, dtype="uint16",
        crs="EPSG:32632", transform=transform,
    ) as raster:  # fmt: skip
        raster.write(samples)
    with open_frame(tmp_path / "cut.tif", VNIR4) as cut:
        assert cut.scene_id() == scene


def test_opening_reads_the_directory_alone(store: Store, large: tuple[Path, str]) -> None:
    with open_frame(place(large[1]), VNIR4) as frame:
        assert frame.acquired == "2026-03-01T10:00:00+00:00"
    assert store.sent("large.tif") <= 2 * CHUNK


def test_a_frame_is_read_about_once(
    store: Store, small: tuple[Path, str], tmp_path: Path, capfd: Any
) -> None:
    local, address = small
    assert segment(address, tmp_path / "far") == 0
    assert "note" not in capfd.readouterr().err
    size = local.stat().st_size
    assert size * 0.95 <= store.sent("small.tif") <= size * 1.1
    assert segment(str(local), tmp_path / "here") == 0
    same_maps(tmp_path / "far" / "small.tif", tmp_path / "here" / "small.tif")


def test_maps_go_into_the_store_whole(
    store: Store, small: tuple[Path, str], tmp_path: Path
) -> None:
    window = ("--window", "0,0,100,100")
    assert segment(small[1], "s3://maps/run/1", *window) == 0
    assert segment(str(small[0]), tmp_path, *window) == 0
    found = place("s3://maps/run/1/small.tif")
    (tmp_path / "back.tif").write_bytes(found.read_bytes())
    same_maps(tmp_path / "back.tif", tmp_path / "small.tif")
    assert [one.name for one in found.parent.iterdir()] == ["small.tif"]


def test_a_frame_that_was_replaced_is_read_anew(store: Store, tmp_path: Path) -> None:
    ids = []
    for seed in (3, 4):
        address = put(tiled(tmp_path / "same.tif", 64, seed), "s3://frames/same.tif")
        with (
            open_frame(place(address), VNIR4) as far,
            open_frame(tmp_path / "same.tif", VNIR4) as f,
        ):
            ids.append(far.scene_id())
            assert ids[-1] == f.scene_id()
    assert ids[0] != ids[1]


@pytest.mark.parametrize(
    ("scene", "words"),
    [
        ("s3://frames/none.tif", ("s3://frames/none.tif", "key does not exist")),
        ("s3://nowhere/f.tif", ("s3://nowhere/f.tif", "bucket does not exist")),
        ("s3://frames//f.tif", ("s3://frames//f.tif", "is no address")),
        ("s3://", ("s3://", "is no address")),
    ],
)
def test_an_object_that_is_not_there(
    store: Store, tmp_path: Path, capfd: Any, scene: str, words: tuple[str, ...]
) -> None:
    refused(capfd, ["segment", BUNDLE, scene, "--out", tmp_path / "o"], *words)
    assert leftovers(tmp_path) == []


def test_a_bucket_for_the_maps_that_is_not_there(
    store: Store, small: tuple[Path, str], capfd: Any
) -> None:
    arguments = ["segment", BUNDLE, small[1], "--out", "s3://nowhere/maps"]
    refused(capfd, arguments, "s3://nowhere/maps", "make the bucket")
    assert not store.sent("small.tif")


@pytest.mark.parametrize("out", ["o", "s3://maps/credentials"])
def test_no_credentials(
    store: Store, small: tuple[Path, str], tmp_path: Path, capfd: Any, monkeypatch: Any, out: str
) -> None:
    import s3fs

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    s3fs.S3FileSystem.clear_instance_cache()
    target = out if out.startswith("s3:") else str(tmp_path / out)
    refused(capfd, ["segment", BUNDLE, small[1], "--out", target], "AWS_SECRET_ACCESS_KEY")
    s3fs.S3FileSystem.clear_instance_cache()
    assert leftovers(tmp_path) == []


def test_a_store_that_is_away(store: Store, tmp_path: Path, capfd: Any, monkeypatch: Any) -> None:
    # Nothing listens on port 1.
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    arguments = ["segment", BUNDLE, "s3://frames/small.tif", "--out"]
    refused(capfd, [*arguments, tmp_path / "o"], "s3://frames/small.tif", "onnect")
    refused(capfd, [*arguments, "s3://maps/o"], "s3://maps/o", "AWS_ENDPOINT_URL")


def test_a_store_that_fails_in_the_middle(
    store: Store, large: tuple[Path, str], tmp_path: Path, capfd: Any
) -> None:
    store.broken_after = 4
    arguments = ["segment", BUNDLE, large[1], "--out", tmp_path / "o", "--window", "0,0,1500,600"]
    refused(capfd, arguments, large[1], "cannot be read to the end", "run it again")
    assert leftovers(tmp_path) == []
    # Asked for again, but not for ever.
    assert 4 < len(store.log) <= 4 + 8 * 3


def test_a_store_that_fails_when_the_maps_are_put_there(
    store: Store, small: tuple[Path, str], capfd: Any, monkeypatch: Any
) -> None:
    from onboard import mapfile as module

    written = module.write_tiles

    def then_breaks(*arguments: Any) -> None:
        written(*arguments)
        store.broken_after = len(store.log)

    monkeypatch.setattr(module, "write_tiles", then_breaks)
    window = ("--window", "0,0,64,64")
    arguments = ["segment", BUNDLE, small[1], "--out", "s3://maps/broken", *window]
    refused(capfd, arguments, "s3://maps/broken/small.tif")
    assert len(store.log) < 100
    store.forget()
    assert not place("s3://maps/broken").exists()


def test_a_window_beyond_the_frame(small: tuple[Path, str], tmp_path: Path, capfd: Any) -> None:
    arguments = ["segment", BUNDLE, small[1], "--out", tmp_path, "--window", "500,0,101,10"]
    refused(capfd, arguments, "has 600×600 pixels", "500,0,101,10")
    assert run([*map(str, arguments[:-1]), "1,2,3"]) == 2
    assert "is no window" in capfd.readouterr().err
    with pytest.raises(FrameError, match="not within"):
        open_frame(small[0], VNIR4, crop=Crop(0, 0, 0, 5))


def test_a_catalogue_keeps_frames_of_a_store(store: Store, tmp_path: Path, capfd: Any) -> None:
    address = put(tiled(tmp_path / "kept.tif", 64, 7), "s3://frames/kept.tif")
    more = ("--catalogue",)
    for expected in ("1 segmented, 0 done before", "0 segmented, 1 done before"):
        store.forget()
        assert segment(address, tmp_path / "o", *more) == 0
        assert expected in capfd.readouterr().out
    # Known from its size and time alone.
    assert not store.sent("kept.tif")
    refused(capfd, ["segment", BUNDLE, address, "--out", "s3://maps/o", *more], "s3://maps/o")
    arguments = ["segment", BUNDLE, address, "--out", tmp_path / "o", *more]
    refused(capfd, [*arguments, "--window", "0,0,9,9"], "--window")
