"""Frames of raw counts, from the file to reflectance."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onboard.capture import TimeQuality
from onboard.conditions import Condition
from onboard.errors import ConfigError, FrameError
from onboard.frames import open_frame
from onboard.profile import Profile, load
from onboard.raw import RawFrame
from onboard.registration import resample
from onboard.sensor import VNIR4, Sensor
from tests.raw_frames import (
    DARK,
    ESUN,
    TIME,
    counts,
    gain_of,
    write_dead,
    write_profile,
    write_raw,
)
from tests.samples import BANDS, crop, write_frame

STEP = max(math.pi * gain_of(band) / ESUN[band] for band in BANDS)
"""Reflectance of one count under an overhead Sun."""


def scene(height: int, width: int, row: int = 0, col: int = 0) -> Any:
    """Reflectance ``(bands, height, width)`` of a piece of the committed frame."""
    return crop(height, width, row, col).astype(np.float64) * 1e-4


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    return load(write_profile(tmp_path / "camera.toml"))


@pytest.mark.parametrize("interleave", ["bsq", "bil", "bip"])
@pytest.mark.parametrize("order", ["little", "big"])
def test_counts_become_the_reflectance_that_made_them(
    tmp_path: Path, profile: Profile, interleave: str, order: str
) -> None:
    truth = scene(40, 50)
    path = write_raw(tmp_path, counts(truth), interleave=interleave, byte_order=order)
    with open_frame(path, VNIR4, profile) as frame:
        patch = frame.read(0, 0, 40, 50)
        part = frame.read(7, 11, 20, 30)
    assert patch.valid.all()
    # Half a count of rounding under a Sun at 68 degrees.
    np.testing.assert_allclose(patch.reflectance.transpose(2, 0, 1), truth, atol=0.56 * STEP)
    np.testing.assert_array_equal(part.reflectance, patch.reflectance[7:27, 11:41])


def test_the_formula_at_one_pixel(tmp_path: Path, profile: Profile) -> None:
    from onboard.sun import horizon, sun_at
    from tests.raw_frames import WHEN, places

    dn = np.full((4, 9, 9), 1000, np.uint16)
    with open_frame(write_raw(tmp_path, dn), VNIR4, profile) as frame:
        found = frame.read(4, 4, 1, 1).reflectance[0, 0]
    latitude, longitude = places(9, 9)
    sun = sun_at(WHEN)
    seen = horizon(sun, np.array(latitude.mean()), np.array(longitude.mean()))
    for band, value in zip(BANDS, found):
        light = gain_of(band) * (1000 - DARK)
        expected = math.pi * light * sun.distance_au**2 / (ESUN[band] * float(seen.cos_zenith))
        assert float(value) == pytest.approx(expected, rel=1e-6)


def test_the_sun_is_that_of_every_pixel(tmp_path: Path, profile: Profile) -> None:
    """A frame of 600 km is as bright at its bright end as at its dark one."""
    from tests import raw_frames

    truth = np.full((4, 60, 60), 0.2)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(raw_frames, "GSD", 10_000.0)
        path = write_raw(tmp_path, counts(truth))
    with open_frame(path, VNIR4, profile) as frame:
        found = frame.read(0, 0, 60, 60).reflectance
    np.testing.assert_allclose(found, 0.2, rtol=0.01)


def test_a_window_beyond_the_border_is_mirrored(tmp_path: Path, profile: Profile) -> None:
    with open_frame(write_raw(tmp_path, counts(scene(20, 20))), VNIR4, profile) as frame:
        whole, wide = frame.read(0, 0, 20, 20), frame.read(-5, -5, 30, 30)
    np.testing.assert_array_equal(wide.reflectance[:5, 5:25], whole.reflectance[:5][::-1])


def test_the_scene_id_is_of_the_counts(tmp_path: Path, profile: Profile) -> None:
    dn = counts(scene(70, 30))
    with open_frame(write_raw(tmp_path, dn), VNIR4, profile) as frame:
        found = frame.scene_id()
        assert frame.sample_bytes == dn.size * 2
    head = np.array([30, 70, 4], "<u4").tobytes() + b"uint16"
    assert found == hashlib.sha256(head + dn.transpose(1, 2, 0).astype("<u2").tobytes()).digest()


def test_bands_may_stand_in_any_order_among_others(tmp_path: Path, profile: Profile) -> None:
    dn = counts(scene(20, 20))
    with open_frame(write_raw(tmp_path, dn), VNIR4, profile) as frame:
        expected, identity = frame.read(0, 0, 20, 20), frame.scene_id()
    mixed = np.stack([dn[3], dn[1], dn[1] * 0 + 5, dn[0], dn[2]])
    names = ["nir", "green", "pan", "blue", "red"]
    with open_frame(write_raw(tmp_path, mixed, bands=names), VNIR4, profile) as frame:
        np.testing.assert_array_equal(frame.read(0, 0, 20, 20).reflectance, expected.reflectance)
        assert frame.scene_id() == identity


def test_all_bands_zero_is_no_data(tmp_path: Path, profile: Profile) -> None:
    dn = counts(scene(20, 20))
    dn[:, 3, 4] = 0
    with open_frame(write_raw(tmp_path, dn), VNIR4, profile) as frame:
        patch = frame.read(0, 0, 20, 20)
    assert np.argwhere(~patch.valid).tolist() == [[3, 4]]
    assert (patch.reflectance[3, 4] == 0).all()


def test_place_time_and_their_errors(tmp_path: Path, profile: Profile) -> None:
    with open_frame(write_raw(tmp_path, counts(scene(20, 30))), VNIR4, profile) as frame:
        assert frame.georef.crs == "EPSG:32645"
        expected = (30, 0, 640_000, 0, -30, 2_640_000)
        np.testing.assert_allclose(frame.georef.transform, expected, atol=1e-3)
        assert frame.capture.quality is TimeQuality.GNSS
        assert frame.capture.time_sigma_s == 0.002
        assert frame.capture.geolocation_sigma_m == pytest.approx(120.0, abs=1e-3)
        assert frame.acquired == "2026-07-14T04:40:00+00:00"
        assert any("calibrated by the profile test bench (" in note for note in frame.notes)


def test_the_sidecar_may_be_toml_and_the_samples_may_be_named(
    tmp_path: Path, profile: Profile
) -> None:
    fields = json.loads(write_raw(tmp_path, counts(scene(20, 20))).read_text("utf-8"))
    (tmp_path / "f.json").unlink()
    corners = fields.pop("corners")
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in fields.items())
    for name, at in corners.items():
        text += f"[corners.{name}]\n" + "".join(f"{k} = {v!r}\n" for k, v in at.items())
    (tmp_path / "f.toml").write_text(text, "utf-8")
    for name in ("f.toml", "f.raw"):
        with open_frame(tmp_path / name, VNIR4, profile) as frame:
            assert frame.read(0, 0, 20, 20).valid.all()


def test_a_geotiff_of_counts_is_calibrated_alike(tmp_path: Path, profile: Profile) -> None:
    from rasterio.transform import Affine

    dn = counts(scene(20, 30))
    tags = {
        "RADIOMETRY": "counts",
        "ACQUIRED": TIME,
        "ACQUIRED_QUALITY": "clock",
        "ACQUIRED_SIGMA_S": "0.5",
        "GEOLOCATION_SIGMA_M": "80",
    }
    place = {"crs": "EPSG:32645", "transform": Affine(30, 0, 640_000, 0, -30, 2_640_000)}
    path = write_frame(tmp_path / "f.tif", dn, tags=tags, **place)
    with open_frame(path, VNIR4, profile) as frame:
        found = frame.read(0, 0, 20, 30).reflectance
        assert frame.capture.quality is TimeQuality.CLOCK
        assert frame.capture.time_sigma_s == 0.5
        assert frame.capture.geolocation_sigma_m == 80
        tiff_id = frame.scene_id()
    with open_frame(write_raw(tmp_path, dn), VNIR4, profile) as frame:
        np.testing.assert_allclose(found, frame.read(0, 0, 20, 30).reflectance, rtol=1e-6)
        assert frame.scene_id() == tiff_id


# --- dead pixels ------------------------------------------------------------------------------


def test_dead_pixels_are_filled_and_counted(tmp_path: Path) -> None:
    rows, cols = np.mgrid[0:40, 0:50]
    ramp = 0.1 + 0.002 * rows + 0.001 * cols
    truth = np.stack([ramp, ramp + 0.02, ramp + 0.04, ramp + 0.06])
    dead = np.zeros((4, 40, 50), bool)
    dead[0, 11, 13] = dead[2, 30, 30] = True  # single ones
    dead[1, 20] = True  # a whole line
    dead[3, :, 7:10] = True  # three columns
    dn = counts(truth)
    broken = np.where(dead, 4095, dn).astype(np.uint16)
    profile = load(write_profile(tmp_path / "camera.toml", dead))
    with open_frame(write_raw(tmp_path, broken), VNIR4, profile) as frame:
        patch = frame.read(0, 0, 40, 50)
        part = frame.read(15, 5, 10, 10)
        note = f"{int(dead.sum())} dead samples, {int(dead.sum())} filled from their neighbours"
        assert note in frame.notes
    assert patch.valid.all()
    # A plane is interpolated as it is.
    np.testing.assert_allclose(patch.reflectance.transpose(2, 0, 1), truth, atol=2 * STEP)
    np.testing.assert_array_equal(part.reflectance, patch.reflectance[15:25, 5:15])


def test_a_hole_too_wide_to_fill_has_no_data(tmp_path: Path) -> None:
    dead = np.zeros((4, 40, 40), bool)
    dead[1, 10:21, 10:21] = True
    profile = load(write_profile(tmp_path / "camera.toml", dead))
    with open_frame(write_raw(tmp_path, counts(scene(40, 40))), VNIR4, profile) as frame:
        valid = frame.read(0, 0, 40, 40).valid
        assert "121 dead samples, 96 filled from their neighbours, 25 without any" in frame.notes
    hole = np.zeros((40, 40), bool)
    hole[13:18, 13:18] = True
    np.testing.assert_array_equal(~valid, hole)


def test_the_dead_row_of_a_line_scanner_holds_for_every_row(tmp_path: Path) -> None:
    dead = np.zeros((4, 1, 40), bool)
    dead[2, 0, 17] = True
    dn = counts(np.full((4, 30, 40), 0.2))
    dn[2, :, 17] = 4095
    profile = load(write_profile(tmp_path / "camera.toml", dead))
    with open_frame(write_raw(tmp_path, dn), VNIR4, profile) as frame:
        np.testing.assert_allclose(frame.read(0, 0, 30, 40).reflectance, 0.2, atol=STEP)
        assert "30 dead samples, 30 filled from their neighbours" in frame.notes


def test_a_pixel_dead_in_every_band_is_filled(tmp_path: Path) -> None:
    dead = np.zeros((4, 30, 40), bool)
    dead[:, 5, 6] = True
    dn = counts(np.full((4, 30, 40), 0.2))
    dn[:, 5, 6] = 0
    profile = load(write_profile(tmp_path / "camera.toml", dead))
    with open_frame(write_raw(tmp_path, dn), VNIR4, profile) as frame:
        patch = frame.read(0, 0, 30, 40)
    assert patch.valid.all()
    np.testing.assert_allclose(patch.reflectance, 0.2, atol=STEP)


def test_nothing_is_filled_from_where_no_data_is(tmp_path: Path) -> None:
    dead = np.zeros((4, 30, 40), bool)
    dead[1, 15, 20] = True
    dn = counts(np.full((4, 30, 40), 0.2))
    dn[:, :, :20] = 0
    profile = load(write_profile(tmp_path / "camera.toml", dead))
    with open_frame(write_raw(tmp_path, dn), VNIR4, profile) as frame:
        patch = frame.read(0, 0, 30, 40)
    np.testing.assert_allclose(patch.reflectance[15, 20], 0.2, atol=STEP)
    assert patch.valid.sum() == 30 * 20


# --- registration -----------------------------------------------------------------------------


def shifted(planes: Any, shifts: Any) -> Any:
    """Planes whose content lies ``shifts`` lower and further right; edges are repeated."""
    out = []
    for plane, (down, right) in zip(planes, shifts):
        wide = np.pad(plane, 12, mode="edge").astype(np.float32)
        moved, _ = resample(wide, np.ones(wide.shape, bool), (-down, -right), 12)
        out.append(moved)
    return np.stack(out)


SHIFTS = ((0.6, -1.3), (-2.4, 0.25), (0.0, 0.0), (1.7, 2.9))


def test_shifted_bands_are_laid_back(tmp_path: Path, profile: Profile) -> None:
    truth = scene(400, 420, 200, 300)
    path = write_raw(tmp_path, counts(shifted(truth, SHIFTS)))
    with open_frame(path, VNIR4, profile) as frame:
        patch = frame.read(0, 0, 400, 420)
        part = frame.read(100, 150, 64, 64)
        assert frame.conditions & Condition.CORRECTED
        assert not frame.conditions & (Condition.MISREGISTERED | Condition.UNREGISTERED)
        assert frame.correction is not None
        np.testing.assert_allclose(frame.correction.shifts, SHIFTS, atol=0.1)
        assert sum("was laid back" in note for note in frame.notes) == 3
    np.testing.assert_array_equal(part.reflectance, patch.reflectance[100:164, 150:214])
    inner = (slice(10, -10), slice(10, -10))
    assert patch.valid[inner].all()
    assert not patch.valid[:2].all()  # what a band did not see has no data
    error = np.abs(patch.reflectance.transpose(2, 0, 1) - truth)[(slice(None), *inner)]
    before = np.abs(shifted(truth, SHIFTS) - truth)[(slice(None), *inner)]
    for band in (0, 1, 3):
        assert error[band].mean() < 0.25 * before[band].mean()


def test_shifts_beyond_the_limit_are_flagged_and_left(tmp_path: Path, profile: Profile) -> None:
    truth = scene(400, 420, 200, 300)
    path = write_raw(tmp_path, counts(shifted(truth, ((0, 0), (0, 0), (0, 0), (4.5, -1.0)))))
    with open_frame(path, VNIR4, profile) as frame:
        assert frame.conditions & Condition.MISREGISTERED
        assert frame.correction is not None
        assert frame.correction.shifts[3] == (0.0, 0.0)
        assert any(note.startswith("nir lies (+4.5") for note in frame.notes)


def test_a_smaller_limit_of_the_profile(tmp_path: Path) -> None:
    path = write_profile(tmp_path / "camera.toml", tail="[registration]\ncorrect_px = 1.0\n")
    moved = shifted(scene(400, 420, 200, 300), ((0, 0), (0, 0), (0, 0), (1.5, 0.0)))
    with open_frame(write_raw(tmp_path, counts(moved)), VNIR4, load(path)) as frame:
        assert frame.conditions & Condition.MISREGISTERED


def test_aligned_bands_are_left_alone(tmp_path: Path, profile: Profile) -> None:
    truth = scene(400, 420, 200, 300)
    with open_frame(write_raw(tmp_path, counts(truth)), VNIR4, profile) as frame:
        assert frame.correction is not None
        assert not any(any(shift) for shift in frame.correction.shifts)
        assert not frame.conditions & (
            Condition.CORRECTED | Condition.MISREGISTERED | Condition.UNREGISTERED
        )


def test_what_shows_nothing_is_not_measured(tmp_path: Path, profile: Profile) -> None:
    noise = 0.05 + np.random.default_rng(3).normal(0, 0.001, (4, 400, 400))
    with open_frame(write_raw(tmp_path, counts(noise)), VNIR4, profile) as frame:
        assert frame.conditions & Condition.UNREGISTERED
        assert frame.correction is not None
        assert not any(any(shift) for shift in frame.correction.shifts)


def test_a_calibrated_frame_is_flagged_but_not_resampled(tmp_path: Path, profile: Profile) -> None:
    moved = shifted(crop(400, 420, 200, 300), SHIFTS)
    path = write_frame(tmp_path / "f.tif", np.clip(np.rint(moved), 1, None).astype(np.uint16))
    with open_frame(path, VNIR4, profile) as frame:
        assert frame.correction is None
        assert frame.conditions & Condition.MISREGISTERED
        assert any("reflectance is not resampled" in note for note in frame.notes)


# --- light ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time", "flag"),
    [
        ("2026-07-14T06:00:00Z", Condition.GLINT),
        ("2026-12-21T06:00:00Z", Condition(0)),
        ("2026-12-21T01:55:00Z", Condition.LOW_SUN),
        ("2026-12-21T01:10:00Z", Condition.DARK),
    ],
)
def test_flags_of_the_light(tmp_path: Path, profile: Profile, time: str, flag: Condition) -> None:
    path = write_raw(tmp_path, counts(scene(20, 20)), time=time)
    with open_frame(path, VNIR4, profile) as frame:
        assert frame.conditions & ~Condition.UNREGISTERED == flag


def test_flags_need_no_profile_on_a_calibrated_frame(tmp_path: Path) -> None:
    path = write_frame(tmp_path / "f.tif", crop(9, 9), tags={"ACQUIRED": "2026-12-20T22:00:00Z"})
    with open_frame(path, VNIR4) as frame:
        assert frame.conditions == Condition.DARK
        assert frame.read(0, 0, 9, 9).valid.all()


def test_looking_away_from_the_mirror_image_is_no_glint(tmp_path: Path, profile: Profile) -> None:
    view = {"view_zenith_deg": 30.0, "view_azimuth_deg": 180.0}
    near = write_raw(tmp_path, counts(scene(20, 20)), time="2026-03-20T06:10:00Z", **view)
    with open_frame(near, VNIR4, profile) as frame:
        assert not frame.conditions & Condition.GLINT
    view["view_azimuth_deg"] = 0.0
    far = write_raw(tmp_path, counts(scene(20, 20)), time="2026-03-20T06:10:00Z", **view)
    with open_frame(far, VNIR4, profile) as frame:
        assert frame.conditions & Condition.GLINT


def test_thresholds_of_the_profile(tmp_path: Path) -> None:
    tail = "[limits]\ndark_deg = 80\nlow_sun_deg = 85\nglint_deg = 0\n"
    profile = load(write_profile(tmp_path / "camera.toml", tail=tail))
    with open_frame(write_raw(tmp_path, counts(scene(20, 20))), VNIR4, profile) as frame:
        assert frame.conditions & ~Condition.UNREGISTERED == Condition.DARK


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "field",
    [
        "format",
        "sensor",
        "samples",
        "width",
        "height",
        "bands",
        "interleave",
        "byte_order",
        "time",
        "time_quality",
        "time_sigma_s",
        "corners",
        "corner_sigma_m",
    ],
)
def test_a_sidecar_without_a_field(tmp_path: Path, profile: Profile, field: str) -> None:
    path = write_raw(tmp_path, counts(scene(20, 20)))
    fields = json.loads(path.read_text("utf-8"))
    del fields[field]
    path.write_text(json.dumps(fields), "utf-8")
    with pytest.raises(FrameError, match=rf"^\S+f\.json: lacks the field {field}; add it$"):
        open_frame(path, VNIR4, profile)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"format": 2}, "has format version 2"),
        ({"width": 0}, "field width is 0"),
        ({"height": 20.0}, "field height is 20.0"),
        ({"width": True}, "field width is True"),
        ({"interleave": "pixel"}, "choose one of bip, bil, bsq"),
        ({"byte_order": "middle"}, "choose one of little, big"),
        ({"time_quality": "good"}, "choose one of file, clock, gnss"),
        ({"time": "soon"}, "field time is 'soon', no ISO 8601 time"),
        ({"time": "1900-01-01"}, "outside 1958"),
        ({"time_sigma_s": -1}, "field time_sigma_s is -1"),
        ({"time_sigma_s": math.nan}, "field time_sigma_s is nan"),
        ({"corner_sigma_m": "far"}, "field corner_sigma_m is 'far'"),
        ({"corner_sigma_m": math.inf}, "field corner_sigma_m is inf"),
        ({"bands": ["blue", "blue", "red", "nir"]}, "a list of different names"),
        ({"bands": []}, "a list of different names"),
        ({"bands": ["blue", "green", "red", "swir"]}, "lacks the band 'nir'"),
        ({"sensor": "other"}, "is a frame of the sensor 'other'"),
        ({"samples": "../f.raw"}, "lie beside the sidecar"),
        ({"samples": "g.raw"}, "cannot be read"),
        ({"view_zenith_deg": 95}, "field view_zenith_deg is 95"),
        ({"tiem": TIME}, "field tiem is not known"),
        ({"corners": [1, 2]}, "corners is no table"),
    ],
)
def test_a_sidecar_that_makes_no_sense(
    tmp_path: Path, profile: Profile, change: dict[str, Any], fault: str
) -> None:
    path = write_raw(tmp_path, counts(scene(20, 20)))
    fields = {**json.loads(path.read_text("utf-8")), **change}
    path.write_text(json.dumps(fields), "utf-8")
    with pytest.raises(FrameError) as caught:
        open_frame(path, VNIR4, profile)
    assert fault in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[1]", "\xff", '{"a":' * 100_000])
@pytest.mark.parametrize("suffix", [".json", ".toml"])
def test_a_sidecar_that_is_none(tmp_path: Path, profile: Profile, text: str, suffix: str) -> None:
    path = tmp_path / f"f{suffix}"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(FrameError, match=rf"f\{suffix}: "):
        open_frame(path, VNIR4, profile)


def test_samples_without_a_sidecar(tmp_path: Path, profile: Profile) -> None:
    (tmp_path / "g.raw").write_bytes(b"12")
    with pytest.raises(FrameError, match=r"g\.raw: has no sidecar; lay g\.json or g\.toml"):
        open_frame(tmp_path / "g.raw", VNIR4, profile)


@pytest.mark.parametrize("change", [-2, -1, 1, 2000])
def test_samples_shorter_or_longer_than_stated(
    tmp_path: Path, profile: Profile, change: int
) -> None:
    path = write_raw(tmp_path, counts(scene(20, 20)))
    data = (tmp_path / "f.raw").read_bytes()
    (tmp_path / "f.raw").write_bytes(data[:change] if change < 0 else data + bytes(change))
    with pytest.raises(FrameError, match=rf"has {3200 + change} bytes, its sidecar states 3200"):
        open_frame(path, VNIR4, profile)


def test_samples_cut_short_while_they_are_read(tmp_path: Path, profile: Profile) -> None:
    path = write_raw(tmp_path, counts(scene(200, 20)))
    with open_frame(path, VNIR4, profile) as frame:
        with (tmp_path / "f.raw").open("r+b") as file:
            file.truncate(1000)
        with pytest.raises(FrameError, match="breaks off or is damaged"):
            frame.scene_id()


def test_the_wrong_byte_order_is_seen(tmp_path: Path, profile: Profile) -> None:
    path = write_raw(tmp_path, counts(scene(20, 20)), byte_order="big")
    path.write_text(path.read_text("utf-8").replace('"big"', '"little"'), "utf-8")
    with pytest.raises(FrameError, match="beyond 12 bits; mend the byte order"):
        open_frame(path, VNIR4, profile)


def test_one_flipped_bit_is_no_reason_to_refuse(tmp_path: Path, profile: Profile) -> None:
    dn = counts(scene(20, 20))
    dn[1, 10, 10] |= 0x8000
    with open_frame(write_raw(tmp_path, dn), VNIR4, profile) as frame:
        assert frame.read(0, 0, 20, 20).reflectance[10, 10, 1] < 1.6


def test_counts_without_a_profile(tmp_path: Path) -> None:
    path = write_raw(tmp_path, counts(scene(20, 20)))
    with pytest.raises(FrameError, match="holds raw counts; name the camera's calibration with"):
        open_frame(path, VNIR4)


@pytest.mark.parametrize("lacks", ["time", "place"])
def test_counts_under_an_unknown_sun(tmp_path: Path, profile: Profile, lacks: str) -> None:
    tags = (
        {"RADIOMETRY": "counts"} if lacks == "time" else {"RADIOMETRY": "counts", "ACQUIRED": TIME}
    )
    local = {} if lacks == "time" else {"crs": 'LOCAL_CS["hall",UNIT["metre",1]]'}
    path = write_frame(tmp_path / "f.tif", counts(scene(9, 9)), tags=tags, **local)
    with pytest.raises(FrameError, match="not where and when they were taken"):
        open_frame(path, VNIR4, profile)


def test_the_sun_below_the_horizon(tmp_path: Path, profile: Profile) -> None:
    path = write_raw(tmp_path, counts(scene(20, 20)), time="2026-07-14T19:00:00Z")
    with pytest.raises(FrameError, match=r"the Sun is below the horizon there and then \(-"):
        open_frame(path, VNIR4, profile)


def test_a_profile_of_another_sensor(tmp_path: Path) -> None:
    text = write_profile(tmp_path / "camera.toml").read_text("utf-8")
    (tmp_path / "other.toml").write_text(text.replace('"vnir4"', '"vnir8"'), "utf-8")
    path = write_raw(tmp_path, counts(scene(20, 20)))
    with pytest.raises(ConfigError, match="is a profile of the sensor 'vnir8', the bundle is for"):
        open_frame(path, VNIR4, load(tmp_path / "other.toml"))
    swir = Sensor("vnir4", (*BANDS, "swir"))
    with pytest.raises(ConfigError, match="has no calibration of the band 'swir'"):
        open_frame(path, swir, load(tmp_path / "camera.toml"))


def test_a_dead_map_of_another_size(tmp_path: Path) -> None:
    profile = load(write_profile(tmp_path / "camera.toml", np.zeros((4, 20, 21), bool)))
    path = write_raw(tmp_path, counts(scene(20, 20)))
    with pytest.raises(FrameError, match=r"has 20×20 pixels, the dead-pixel map \S+ 21×20;"):
        open_frame(path, VNIR4, profile)


@pytest.mark.parametrize(
    ("tags", "fault"),
    [
        ({"RADIOMETRY": "radiance"}, "tag RADIOMETRY is 'radiance'"),
        ({"ACQUIRED": TIME, "ACQUIRED_QUALITY": "good"}, "field ACQUIRED_QUALITY is 'good'"),
        ({"ACQUIRED_SIGMA_S": "small"}, "field ACQUIRED_SIGMA_S is"),
        ({"GEOLOCATION_SIGMA_M": "-3"}, "field GEOLOCATION_SIGMA_M is -3"),
        ({"VIEW_ZENITH_DEG": "100"}, "field VIEW_ZENITH_DEG is 100"),
    ],
)
def test_tags_that_make_no_sense(tmp_path: Path, tags: dict[str, str], fault: str) -> None:
    path = write_frame(tmp_path / "f.tif", crop(9, 9), tags=tags)
    with pytest.raises(FrameError, match=fault):
        open_frame(path, VNIR4)


def test_counts_that_are_no_integers(tmp_path: Path) -> None:
    samples = crop(9, 9).astype(np.float32)
    path = write_frame(tmp_path / "f.tif", samples, tags={"RADIOMETRY": "counts"})
    with pytest.raises(FrameError, match="says it holds counts but has float32 samples"):
        open_frame(path, VNIR4)


def test_dead_map_helper_names_its_planes(tmp_path: Path) -> None:
    path = write_profile(tmp_path / "camera.toml", np.zeros((4, 3, 3), bool))
    write_dead(tmp_path / "dead.tif", np.ones((4, 3, 3)))
    with pytest.raises(ConfigError, match="is not the dead-pixel map that the profile names"):
        load(path)


# --- what it costs ----------------------------------------------------------------------------


def test_opening_a_large_frame_reads_little_of_it(
    tmp_path: Path, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    height, width = 3000, 4000
    path = write_raw(tmp_path, np.zeros((4, 1, 1), np.uint16))
    from tests.raw_frames import sidecar

    path.write_text(json.dumps(sidecar(height, width)), "utf-8")
    with (tmp_path / "f.raw").open("wb") as file:
        file.truncate(height * width * 8)
    read, whole = [], RawFrame.samples

    def counted(self: Any, row: int, col: int, height: int, width: int) -> Any:
        read.append(height * width)
        return whole(self, row, col, height, width)

    monkeypatch.setattr(RawFrame, "samples", counted)
    with open_frame(path, VNIR4, profile) as frame:
        assert sum(read) < 0.08 * height * width
        assert max(read) < 0.03 * height * width
        assert frame.conditions & Condition.UNREGISTERED
