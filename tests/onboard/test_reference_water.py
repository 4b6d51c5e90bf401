from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from onboard.errors import FrameError
from onboard.georef import Georef
from onboard.reference_water import UNKNOWN, PermanentWater

UTM = "EPSG:32606"
RASTER = np.random.default_rng(0).integers(0, 2, (20, 30)).astype(np.uint8)
GRID = (10.0, 0.0, 5e5, 0.0, -10.0, 7e6)


def written(path: Path, transform: Any = GRID) -> PermanentWater:
    profile = {"driver": "GTiff", "width": 30, "height": 20, "count": 1, "dtype": "uint8"}
    where = {"crs": UTM, "transform": rasterio.Affine(*transform)}
    with rasterio.open(path, "w", **profile, **where) as out:
        out.write(RASTER, 1)
    return PermanentWater(path)


def test_on_its_own_grid_it_is_itself(tmp_path):
    found = written(tmp_path / "r.tif").on(Georef(30, 20, UTM, GRID))
    np.testing.assert_array_equal(found, RASTER)


@pytest.mark.parametrize(
    "transform",
    [
        (7.0, 0.0, 5e5 - 23.0, 0.0, -6.0, 7e6 + 31.0),
        (4.0, 3.0, 5e5 + 3.0, 3.0, -4.0, 7e6 - 60.0),
        (-9.0, 0.0, 5e5 + 280.0, 0.0, 9.0, 7e6 - 150.0),
    ],
)
@pytest.mark.parametrize("own", [GRID, (6.0, 8.0, 5e5, 8.0, -6.0, 7e6)])
def test_a_pixel_is_what_lies_under_its_centre(tmp_path, transform, own):
    georef = Georef(41, 37, UTM, transform)
    found = written(tmp_path / "r.tif", own).on(georef)
    inverse = ~rasterio.Affine(*own)
    for row in range(37):
        for col in range(41):
            x, y = inverse * (rasterio.Affine(*transform) * (col + 0.5, row + 0.5))
            inside = 0 <= x < 30 and 0 <= y < 20
            expected = RASTER[int(y), int(x)] if inside else UNKNOWN
            assert found[row, col] == expected


def test_it_is_exact_within_its_own_crs_only(tmp_path):
    reference = written(tmp_path / "r.tif")
    assert reference.exact(Georef(5, 5, UTM, GRID))
    assert not reference.exact(Georef(5, 5, "EPSG:32607", GRID))
    assert not reference.exact(Georef(5, 5, "no CRS at all", GRID))
    assert not reference.exact(Georef(5, 5))


def test_what_is_read_is_what_its_version_names(tmp_path, monkeypatch):
    """The file is read once: a newer one cannot come between the pixels and the version."""
    path = tmp_path / "r.tif"
    first = written(path)
    read_bytes = Path.read_bytes

    def read_and_replace(self):
        data = read_bytes(self)
        path.write_bytes(b"another file")
        return data

    monkeypatch.setattr(Path, "read_bytes", read_and_replace)
    again = PermanentWater(path)
    assert again.version == first.version
    np.testing.assert_array_equal(again.on(Georef(30, 20, UTM, GRID)), RASTER)


@pytest.mark.parametrize("data", [b"", b"II*\0 and no more", None])
def test_what_is_no_raster_is_refused(tmp_path, data):
    if data is not None:
        (tmp_path / "r.tif").write_bytes(data)
    with pytest.raises(FrameError, match=r"r\.tif: is not a readable GeoTIFF"):
        PermanentWater(tmp_path / "r.tif")
