from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from onboard.errors import FrameError
from onboard.mirror import mirror
from onboard.scene import ArrayFrame, Frame
from onboard.sensor import VNIR4
from tests.samples import BANDS, UTM, crop, write_frame

BARE = {"crs": None, "transform": rasterio.Affine.identity()}


def test_reads_reflectance_in_the_sensors_order(tmp_path: Path) -> None:
    samples = crop(20, 30)
    path = write_frame(tmp_path / "f.tif", samples[::-1], bands=BANDS[::-1])
    with Frame(path, VNIR4) as frame:
        patch = frame.read(0, 0, 20, 30)
    expected = samples.transpose(1, 2, 0).astype(np.float32) * np.float32(1e-4)
    np.testing.assert_array_equal(patch.reflectance, expected)
    assert patch.reflectance.dtype == np.float32


def test_band_order_in_the_file_does_not_change_the_scene_id(tmp_path: Path) -> None:
    samples = crop(20, 30)
    ids = []
    for name, order in (("a", 1), ("b", -1)):
        path = write_frame(tmp_path / f"{name}.tif", samples[::order], bands=BANDS[::order])
        with Frame(path, VNIR4) as frame:
            ids.append(frame.scene_id())
    assert ids[0] == ids[1]


def test_the_scene_id_is_what_its_docstring_says(tmp_path: Path) -> None:
    samples = crop(300, 21)
    with Frame(write_frame(tmp_path / "f.tif", samples), VNIR4) as frame:
        found = frame.scene_id()
    head = np.array([21, 300, 4], "<u4").tobytes() + b"uint16"
    body = np.ascontiguousarray(samples.transpose(1, 2, 0), "<u2").tobytes()
    assert found == hashlib.sha256(head + body).digest()
    image = samples.transpose(1, 2, 0).astype(np.float32)
    head = np.array([21, 300, 4], "<u4").tobytes() + b"float32"
    assert ArrayFrame(image).scene_id() == hashlib.sha256(head + image.tobytes()).digest()


def test_band_names_may_be_written_large(tmp_path: Path) -> None:
    path = write_frame(tmp_path / "f.tif", crop(9, 9), bands=("Blue", "GREEN ", "Red", "NIR"))
    with Frame(path, VNIR4) as frame:
        assert frame.notes == []


def test_a_crs_without_a_code_is_kept_in_words(tmp_path: Path) -> None:
    own = "+proj=laea +lat_0=10 +lon_0=20 +datum=WGS84 +units=m"
    with Frame(write_frame(tmp_path / "f.tif", crop(9, 9), crs=own), VNIR4) as frame:
        assert not frame.georef.crs.startswith("EPSG")
        assert rasterio.crs.CRS.from_wkt(frame.georef.crs) == rasterio.crs.CRS.from_string(own)


def test_nodata_reads_as_zero_whatever_fills_it(tmp_path: Path) -> None:
    samples = crop(9, 9).astype(np.float32) * 1e-4
    samples[:, 2, 3] = -9999
    with Frame(write_frame(tmp_path / "f.tif", samples, nodata=-9999), VNIR4) as frame:
        assert (frame.read(0, 0, 9, 9).reflectance[2, 3] == 0).all()


def test_one_changed_sample_changes_the_scene_id(tmp_path: Path) -> None:
    samples = crop(300, 20)
    other = samples.copy()
    other[2, 299, 3] += 1
    ids = []
    for name, data in (("a", samples), ("b", other)):
        with Frame(write_frame(tmp_path / f"{name}.tif", data), VNIR4) as frame:
            ids.append(frame.scene_id())
    assert ids[0] != ids[1]


def test_a_window_beyond_the_border_is_mirrored(tmp_path: Path) -> None:
    samples = crop(17, 23)
    with Frame(write_frame(tmp_path / "f.tif", samples), VNIR4) as frame:
        patch = frame.read(-40, -9, 100, 80)
    rows, cols = mirror(-40, 100, 17), mirror(-9, 80, 23)
    expected = samples[:, rows][:, :, cols].transpose(1, 2, 0).astype(np.float32) * np.float32(1e-4)
    np.testing.assert_array_equal(patch.reflectance, expected)


def test_array_frame_reads_like_a_file(tmp_path: Path) -> None:
    samples = crop(33, 21)
    image = samples.transpose(1, 2, 0).astype(np.float32) * np.float32(1e-4)
    with Frame(write_frame(tmp_path / "f.tif", samples), VNIR4) as frame:
        a, b = frame.read(-5, 3, 64, 32), ArrayFrame(image).read(-5, 3, 64, 32)
    np.testing.assert_array_equal(a.reflectance, b.reflectance)
    np.testing.assert_array_equal(a.valid, b.valid)


@pytest.mark.parametrize("kind", ["zeros", "nodata", "nan", "mask"])
def test_nodata_is_found(tmp_path: Path, kind: str) -> None:
    samples = crop(16, 16).astype(np.float32) * 1e-4
    settings: Any = {}
    if kind == "zeros":
        samples[:, 3, 4] = 0
    if kind == "nodata":
        samples[1, 3, 4] = -9
        settings["nodata"] = -9
    if kind == "nan":
        samples[2, 3, 4] = np.nan
    path = write_frame(tmp_path / "f.tif", samples, **settings)
    if kind == "mask":
        flags = np.full((16, 16), 255, np.uint8)
        flags[3, 4] = 0
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(str(path), "r+") as out:
            out.write_mask(flags)
    with Frame(path, VNIR4) as frame:
        valid = frame.read(0, 0, 16, 16).valid
    assert not valid[3, 4]
    assert valid.sum() == 16 * 16 - 1


def test_a_single_zero_band_is_data(tmp_path: Path) -> None:
    samples = crop(16, 16)
    samples[3] = 0
    with Frame(write_frame(tmp_path / "f.tif", samples), VNIR4) as frame:
        assert frame.read(0, 0, 16, 16).valid.all()


def test_the_files_own_scale_wins(tmp_path: Path) -> None:
    path = write_frame(tmp_path / "f.tif", crop(16, 16))
    with rasterio.open(str(path), "r+") as out:
        out.scales, out.offsets = (2e-5,) * 4, (-0.1,) * 4
    with Frame(path, VNIR4) as frame:
        found = frame.read(0, 0, 1, 1).reflectance[0, 0]
    np.testing.assert_allclose(found, crop(16, 16)[:, 0, 0] * 2e-5 - 0.1, rtol=1e-5)


def test_float_frames_are_reflectance(tmp_path: Path) -> None:
    samples = crop(16, 16).astype(np.float32) * np.float32(1e-4)
    with Frame(write_frame(tmp_path / "f.tif", samples), VNIR4) as frame:
        np.testing.assert_array_equal(
            frame.read(0, 0, 16, 16).reflectance, samples.transpose(1, 2, 0)
        )


def test_georeferencing(tmp_path: Path) -> None:
    with Frame(write_frame(tmp_path / "f.tif", crop(10, 12)), VNIR4) as frame:
        assert frame.georef.crs == "EPSG:32645"
        assert frame.georef.transform == (30.0, 0.0, 600000.0, 0.0, -30.0, 2600000.0)
        assert (frame.height, frame.width) == (10, 12)
        assert frame.notes == []


def test_without_coordinates_is_allowed_and_said(tmp_path: Path) -> None:
    path = tmp_path / "f.tif"
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        write_frame(path, crop(10, 12), **BARE)
    with Frame(path, VNIR4) as frame:
        assert not frame.georef.located
        assert any("no coordinates" in note for note in frame.notes)


def test_unnamed_bands_are_taken_in_order_and_said(tmp_path: Path) -> None:
    with Frame(write_frame(tmp_path / "f.tif", crop(10, 12), bands=None), VNIR4) as frame:
        assert any("no names" in note for note in frame.notes)


def test_a_missing_band(tmp_path: Path) -> None:
    path = write_frame(tmp_path / "f.tif", crop(10, 12)[:3], bands=BANDS[:3])
    with pytest.raises(FrameError, match=r"f\.tif: lacks the band 'nir'"):
        Frame(path, VNIR4)


@pytest.mark.parametrize("dtype", ["uint8", "float64", "complex64", "uint32"])
def test_a_wrong_sample_type(tmp_path: Path, dtype: str) -> None:
    path = write_frame(tmp_path / "f.tif", np.ones((4, 9, 9), dtype))
    with pytest.raises(FrameError, match=f"samples of type {dtype}; convert"):
        Frame(path, VNIR4)


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "f.tif"
    path.touch()
    with pytest.raises(FrameError, match="is empty"):
        Frame(path, VNIR4)


@pytest.mark.parametrize("keep", [3, 100, 400])
def test_a_header_cut_short(tmp_path: Path, keep: int) -> None:
    whole = write_frame(tmp_path / "w.tif", crop(64, 64), compress="deflate").read_bytes()
    path = tmp_path / "f.tif"
    path.write_bytes(whole[:keep])
    with pytest.raises(FrameError, match=r"f\.tif"), Frame(path, VNIR4) as frame:
        frame.scene_id()


def test_samples_cut_short(tmp_path: Path) -> None:
    # Written in one go with the directory in front, as a camera would stream it.
    whole = write_frame(tmp_path / "w.tif", crop(200, 200), driver="COG").read_bytes()
    path = tmp_path / "f.tif"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FrameError, match="breaks off or is damaged"), Frame(path, VNIR4) as frame:
        frame.scene_id()


@pytest.mark.parametrize("what", ["missing", "folder", "text"])
def test_no_tiff_at_all(tmp_path: Path, what: str) -> None:
    path = tmp_path / "f.tif"
    if what == "folder":
        path.mkdir()
    if what == "text":
        path.write_text("hello", "utf-8")
    with pytest.raises(FrameError, match=r"f\.tif"):
        Frame(path, VNIR4)


def test_absurd_dimensions(tmp_path: Path) -> None:
    path = tmp_path / "f.tif"
    profile = {"driver": "GTiff", "count": 4, "dtype": "uint16", **UTM}
    with rasterio.open(
        str(path), "w", width=60_000, height=60_000, SPARSE_OK=True, BIGTIFF="YES", **profile
    ) as out:
        out.descriptions = BANDS
    with pytest.raises(FrameError, match="claims 60000×60000 pixels"):
        Frame(path, VNIR4)
