from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from ground.backdrop import read_rgb, stretch
from onboard import classes
from onboard.errors import FrameError


def write_frame(path: Path, bands: np.ndarray) -> Path:
    count, height, width = bands.shape
    transform = rasterio.Affine(10.0, 0.0, 5e5, 0.0, -10.0, 2e6)
    with rasterio.open(
        path, "w", driver="GTiff", dtype=bands.dtype, count=count, height=height, width=width,
        nodata=0, crs="EPSG:32646", transform=transform,
    ) as tif:  # fmt: skip
        tif.write(bands)
    return path


def ramps() -> np.ndarray:
    """Four bands: a ramp to the right, one downward, a constant, and the ramp reversed."""
    across, down = np.meshgrid(np.arange(1, 201), np.arange(1, 101))
    bands = np.stack([across, down, np.full_like(across, 500), 201 - across])
    return bands.astype(np.uint16)


def test_bands_become_channels(tmp_path: Path) -> None:
    picture = read_rgb(write_frame(tmp_path / "f.tif", ramps()), (4, 2, 1))
    assert picture.shape == (100, 200, 3)
    assert picture.dtype == np.uint8
    assert picture[50, 0].tolist()[0] == 255
    assert picture[50, -1].tolist()[0] == 0
    assert picture[0, 100, 1] == 0
    assert picture[-1, 100, 1] == 255


def test_large_frames_are_decimated(tmp_path: Path) -> None:
    picture = read_rgb(write_frame(tmp_path / "f.tif", ramps()), (1, 2, 3), limit=50)
    assert picture.shape == (25, 50, 3)


def test_nodata_is_black_and_does_not_count(tmp_path: Path) -> None:
    bands = ramps()
    bands[:, :40] = 0
    picture = read_rgb(write_frame(tmp_path / "f.tif", bands), (1, 2, 3))
    assert not picture[:40].any()
    assert picture[40, 100, 1] == 0
    assert picture[-1, 100, 1] == 255


def test_stretch_of_nothing_and_of_a_constant() -> None:
    samples = np.full((3, 4, 4), 7.0)
    assert not stretch(samples, np.zeros((4, 4), bool)).any()
    assert not stretch(samples, np.ones((4, 4), bool)).any()


def test_clouds_do_not_darken_the_land(tmp_path: Path) -> None:
    bands = ramps()
    bands[:, :60] = 9000
    mask = np.zeros((100, 200), np.uint8)
    mask[:60] = classes.CLOUD
    path = write_frame(tmp_path / "f.tif", bands)
    assert read_rgb(path, (1, 2, 4))[60:, :, 0].max() < 10
    for limit in (1280, 77):
        picture = read_rgb(path, (1, 2, 4), mask, limit)
        assert picture[-1, -1, 0] == 255
        assert picture[0].min() == 255
    mask[:] = classes.CLOUD
    assert np.array_equal(read_rgb(path, (1, 2, 4), mask), read_rgb(path, (1, 2, 4)))


def test_bad_frames_are_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match=r"has 4 bands, band 5"):
        read_rgb(write_frame(tmp_path / "f.tif", ramps()), (5, 2, 1))
    (tmp_path / "noise.tif").write_bytes(b"no raster")
    with pytest.raises(FrameError, match=r"noise\.tif"):
        read_rgb(tmp_path / "noise.tif", (3, 2, 1))
