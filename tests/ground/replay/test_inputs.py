"""Files that a scenario names and that cannot be used are found before anything runs."""

from __future__ import annotations

import numpy as np
import pytest

from ground.replay import inputs
from onboard.errors import BundleError, FloodsatError, FrameError
from tests.ground.replay.example import BUNDLE, TEXT, scenario
from tests.samples import FRAME, SAMPLES, write_frame

WHOLE = f"""
[[frame]]
name = "a piece"
time = 2021-03-17T05:26:17Z
lat = 23.5
lon = 78
file = "{FRAME.as_posix()}"
truth = "{SAMPLES.as_posix()}/frame_truth.tif"
permanent = "{SAMPLES.as_posix()}/frame_permanent.tif"
window = [0, 0, 512, 512]
"""


def test_what_can_be_used_is_let_through(tmp_path):
    inputs.check(scenario(tmp_path, TEXT + WHOLE))


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("[0, 0, 512, 512]", "[600, 0, 512, 512]", "reaches beyond .*frame.tif, which has 1024"),
        ("[0, 0, 512, 512]", "[0, 1024, 1, 1]", "reaches beyond"),
        ("frame_truth.tif", "keys/demo.key", "demo.key cannot be read as a raster; name a GeoTIFF"),
        (FRAME.as_posix(), f"{SAMPLES.as_posix()}/frame_truth.tif", "has 1 bands, the bundle's"),
        (f"{SAMPLES.as_posix()}/frame_permanent.tif", "small.tif", "small.tif is not on the grid"),
    ],
)
def test_a_frame_that_cannot_be_used(tmp_path, old, new, fault):
    write_frame(tmp_path / "small.tif", np.zeros((1, 8, 8), np.uint8), bands=("permanent_water",))
    text = TEXT + WHOLE.replace(old, new)
    line = 1 + text.splitlines().index("[[frame]]")
    with pytest.raises(FrameError, match=rf"three\.toml:{line}: .*{fault}"):
        inputs.check(scenario(tmp_path, text))


def test_a_bundle_that_is_none(tmp_path):
    (tmp_path / "bundle").mkdir()
    with pytest.raises(BundleError, match="bundle"):
        inputs.check(scenario(tmp_path, TEXT.replace(BUNDLE.as_posix(), "bundle", 1)))


def test_an_upload_that_no_satellite_takes(tmp_path):
    (tmp_path / "upload").mkdir()
    at = TEXT.rindex(BUNDLE.as_posix())
    text = TEXT[:at] + "upload" + TEXT[at + len(BUNDLE.as_posix()) :]
    with pytest.raises(FloodsatError, match="upload"):
        inputs.check(scenario(tmp_path, text))
