"""Raw twins of generated frames: the whole path from counts to the mask, in a closed loop."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from onboard import bundle, engines
from onboard.classes import WATER
from onboard.conditions import Condition
from onboard.errors import ConfigError
from onboard.frames import open_frame
from onboard.profile import load
from onboard.segment import Segmenter
from tests.samples import BUNDLE
from training.cli.synth import command
from training.synth.frame import Recipe, synthesise
from training.synth.geotiff import write_image
from training.synth.rawframe import draw_camera, write_camera, write_raw

RECIPE = Recipe(seed=11, width=320, height=288, river_width_m=600.0, flood_fraction=0.2)


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """A folder with frame.tif, frame.raw, frame.json and camera.toml; the camera; the truth."""
    folder = tmp_path_factory.mktemp("twins")
    camera = draw_camera(11, RECIPE.height, RECIPE.width, 2.5)
    frame = synthesise(RECIPE)
    write_camera(folder, camera)
    write_image(folder / "frame.tif", frame)
    write_raw(folder, "frame", frame, camera)
    return folder, camera, frame


@pytest.fixture(scope="module")
def opened(twins):
    """Raw twin and GeoTIFF twin, open."""
    folder, _, _ = twins
    sensor = bundle.load(BUNDLE, []).sensor
    profile = load(folder / "camera.toml")
    with (
        open_frame(folder / "frame.json", sensor, profile) as raw,
        open_frame(folder / "frame.tif", sensor) as tiff,
    ):
        yield raw, tiff


def test_the_cameras_faults_are_found(twins, opened):
    _, camera, _ = twins
    raw, _ = opened
    # docs/frames.md says this bound.
    np.testing.assert_allclose(raw.correction.shifts, camera.shifts, atol=0.1)
    assert raw.conditions & Condition.CORRECTED
    dead = int(camera.dead.sum())
    assert f"{dead} dead samples, {dead} filled from their neighbours" in raw.notes


def test_the_grids_are_one(opened):
    raw, tiff = opened
    assert raw.georef.crs == tiff.georef.crs
    np.testing.assert_allclose(raw.georef.transform, tiff.georef.transform, atol=0.01)
    assert raw.capture.time == tiff.capture.time


def test_the_reflectance_is_the_twins(opened):
    a, b = (f.read(0, 0, RECIPE.height, RECIPE.width) for f in opened)
    both = a.valid & b.valid
    assert both.mean() > 0.93
    assert np.abs(a.reflectance - b.reflectance)[both].mean() < 0.005


def test_the_mask_is_the_twins(opened):
    """The stated tolerance: 1 % of the pixels, 0.98 IoU of water; one deterministic pass."""
    loaded = bundle.load(BUNDLE, ["tflite", bundle.COMMON])
    segmenter = Segmenter(loaded, engines.load("tflite", loaded), 0, 0)
    raw, tiff = (segmenter.whole(frame) for frame in opened)
    both = raw.valid & tiff.valid
    assert (raw.classes != tiff.classes)[both].mean() < 0.01
    a, b = ((found.classes == WATER)[both] for found in (raw, tiff))
    assert b.sum() > 5000
    assert (a & b).sum() / (a | b).sum() > 0.98


def test_without_the_correction_it_is_not(opened):
    """What the correction is worth: the same counts, left as they lie."""
    raw, tiff = opened
    corrected = raw.read(0, 0, RECIPE.height, RECIPE.width)
    still = dataclasses.replace(raw.correction, shifts=((0.0, 0.0),) * 4)
    left = still.patch(raw.look, 0, 0, RECIPE.height, RECIPE.width)
    truth = tiff.read(0, 0, RECIPE.height, RECIPE.width)
    both = corrected.valid & truth.valid & left.valid
    errors = [
        np.abs(patch.reflectance - truth.reflectance)[both].mean() for patch in (corrected, left)
    ]
    assert errors[0] < 0.3 * errors[1]


def test_a_camera_without_misregistration_stores_the_frame(tmp_path):
    recipe = dataclasses.replace(RECIPE, width=96, height=64, nodata_wedge=0.2)
    camera = draw_camera(2, 64, 96, 0.0)
    assert not np.any(camera.shifts)
    frame = synthesise(recipe)
    write_camera(tmp_path, camera)
    write_raw(tmp_path, "frame", frame, camera)
    with open_frame(
        tmp_path / "frame.json", bundle.load(BUNDLE, []).sensor, load(tmp_path / "camera.toml")
    ) as raw:
        patch = raw.read(0, 0, 64, 96)
    # A dead element on the edge of the wedge may have nothing to be filled from.
    assert (patch.valid != (frame.dn != 0).all(axis=-1)).sum() <= 4
    live = patch.valid & ~camera.dead.any(axis=0)
    # Half a count of full scale 1.5 under a Sun over 40 degrees.
    error = np.abs(patch.reflectance - frame.dn * np.float32(1e-4))[live]
    assert error.max() < 0.5 * 1.5 / 4031 / np.sin(np.radians(40)) + 1e-4


def test_the_sun_is_down_in_a_polar_winter(tmp_path):
    recipe = dataclasses.replace(RECIPE, width=32, height=32, northing_m=9_000_000.0, weather=0)
    camera = draw_camera(2, 32, 32, 0.0)
    with pytest.raises(ConfigError, match="the Sun is down"):
        write_raw(tmp_path, "frame", synthesise(recipe), camera)


def test_synth_writes_raw_twins(tmp_path: Path):
    options = ["--out", str(tmp_path), "--size", "48", "--count", "2", "--raw"]
    found = CliRunner().invoke(command, [*options, "--misregistration", "1.5"])
    assert found.exit_code == 0, found.output
    names = {path.name for path in tmp_path.iterdir()}
    assert {"camera.toml", "camera_dead.tif", "frame_0.raw", "frame_1.json"} <= names
    fields = json.loads((tmp_path / "frame_0.json").read_text("utf-8"))
    assert (fields["samples"], fields["width"]) == ("frame_0.raw", 48)
    assert (tmp_path / "frame_0.raw").stat().st_size == 48 * 48 * 4 * 2


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (["--raw", "--chips"], "--chips and --raw exclude each other"),
        (["--misregistration", "1"], "add --raw"),
        (["--raw", "--misregistration", "9"], "--misregistration is 9.0; choose 0…6 pixels"),
        (["--raw", "--misregistration", "nan"], "--misregistration is nan"),
    ],
)
def test_options_that_make_no_sense(tmp_path, options, fault):
    arguments = ["--out", str(tmp_path), "--size", "32", *options]
    with pytest.raises(ConfigError, match=fault):
        CliRunner().invoke(command, arguments, catch_exceptions=False)
