"""Raw frames through fly and segment: what comes out, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from onboard import bundle, engines
from onboard.cli import run
from onboard.conditions import Condition
from onboard.link import alerts
from onboard.outbox import Kind, Outbox
from onboard.product import TimeQuality, unpack
from onboard.profile import load
from onboard.runtime import Runtime
from onboard.segment import Segmenter
from tests.raw_frames import counts, write_profile, write_raw
from tests.samples import BUNDLE, crop


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    loaded = bundle.load(BUNDLE, ["tflite", bundle.COMMON])
    return Segmenter(loaded, engines.load("tflite", loaded), loaded.passes, 5)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A piece of the committed frame with much water, as the camera would store it."""
    return write_raw(tmp_path, counts(crop(200, 180, 700, 400) * 1e-4))


def test_the_product_carries_place_time_and_their_errors(
    tmp_path: Path, raw: Path, segmenter: Segmenter
) -> None:
    profile = load(write_profile(tmp_path / "camera.toml"))
    runtime = Runtime(segmenter, segmenter.bundle.limits, profile=profile)
    with Outbox(tmp_path / "outbox.sqlite") as box:
        flown = runtime.fly(raw, box)
        items = {item.kind: item.data for item in box.waiting()}
    product = unpack(items[Kind.PRODUCT])
    assert product.acquired_ms == 1_784_004_000_000
    assert product.acquired_quality is TimeQuality.GNSS
    assert product.acquired_sigma_s == 0.002
    assert product.geolocation_sigma_m == pytest.approx(120.0, abs=1e-3)
    assert product.georef.crs == "EPSG:32645"
    assert product.conditions & Condition.GLINT
    assert alerts.unpack(items[Kind.ALERT]).sigma_m == pytest.approx(120.0, abs=1)
    assert "sun glint possible" in flown.conditions
    assert any("calibrated by the profile" in note for note in flown.notes)


def test_counts_and_reflectance_give_the_same_mask(
    tmp_path: Path, raw: Path, segmenter: Segmenter
) -> None:
    """The samples differ by half a count, so no more than a few pixels on an edge may differ."""
    from onboard.frames import open_frame
    from onboard.scene import ArrayFrame

    plain = dataclasses.replace(segmenter, passes=0)
    profile = load(write_profile(tmp_path / "camera.toml"))
    engine = engines.load("tflite", segmenter.bundle)
    plain = dataclasses.replace(plain, engine=engine)
    image = crop(200, 180, 700, 400).transpose(1, 2, 0) * np.float32(1e-4)
    with open_frame(raw, segmenter.bundle.sensor, profile) as frame:
        found = plain.whole(frame)
    truth = plain.whole(ArrayFrame(image))
    assert (found.classes != truth.classes).mean() < 0.002


def call(*arguments: Any) -> int:
    return run([str(a) for a in arguments])


@pytest.fixture
def fly(tmp_path: Path, raw: Path) -> list[Any]:
    assert call("flash", BUNDLE, "--slots", tmp_path / "slots") == 0
    return ["fly", raw, "--slots", tmp_path / "slots", "--outbox", tmp_path / "outbox.sqlite"]


def test_fly_takes_a_profile_and_says_what_it_found(
    tmp_path: Path, fly: list[Any], capfd: Any
) -> None:
    write_profile(tmp_path / "camera.toml")
    assert call(*fly, "--profile", tmp_path / "camera.toml", "--json", tmp_path / "f.json") == 0
    assert "calibrated by the profile test bench" in capfd.readouterr().out
    (row,) = json.loads((tmp_path / "f.json").read_text("utf-8"))
    assert "sun glint possible" in row["conditions"]
    assert row["product_id"]


def test_fly_refuses_counts_without_a_profile(fly: list[Any], capfd: Any) -> None:
    assert call(*fly) == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert "name the camera's calibration with --profile" in line


def test_fly_refuses_a_profile_of_another_sensor(
    tmp_path: Path, fly: list[Any], capfd: Any
) -> None:
    text = write_profile(tmp_path / "camera.toml").read_text("utf-8")
    (tmp_path / "camera.toml").write_text(text.replace('"vnir4"', '"other"'), "utf-8")
    assert call(*fly, "--profile", tmp_path / "camera.toml") == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert "is a profile of the sensor 'other'" in line


def test_segment_takes_a_profile(tmp_path: Path, raw: Path) -> None:
    write_profile(tmp_path / "camera.toml")
    out = tmp_path / "maps"
    assert call("segment", BUNDLE, raw, "--out", out, "--profile", tmp_path / "camera.toml") == 0
    with rasterio.open(str(out / "f.tif")) as maps:
        assert maps.crs.to_epsg() == 32645
        assert (maps.read(1) == 1).mean() > 0.1
