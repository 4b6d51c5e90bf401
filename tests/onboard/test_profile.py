"""Sensor profiles: what they hold and what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from onboard.conditions import LightLimits
from onboard.errors import ConfigError
from onboard.profile import Calibration, load
from tests.raw_frames import ESUN, gain_of, write_dead, write_profile
from tests.samples import BANDS

NONE_DEAD = np.zeros((4, 6, 8), bool)


def test_a_profile_is_what_its_file_says(tmp_path: Path) -> None:
    dead = NONE_DEAD.copy()
    dead[2, 3, 4] = dead[2, 1, 7] = True
    tail = '[registration]\nreference = "green"\ncorrect_px = 2\n[limits]\ndark_deg = 7.5\n'
    path = write_profile(tmp_path / "camera.toml", dead, tail=tail)
    profile = load(path)
    assert profile.identity == hashlib.sha256(path.read_bytes()).digest()
    assert (profile.sensor, profile.revision, profile.bits) == ("vnir4", "test bench", 12)
    assert profile.full_scale == 4095
    assert profile.bands["nir"] == Calibration(
        gain_of("nir"), pytest.approx(-64 * gain_of("nir")), ESUN["nir"]
    )
    assert (profile.reference, profile.correct_px) == ("green", 2.0)
    assert profile.limits == LightLimits(dark_deg=7.5)
    assert profile.dead is not None
    assert profile.dead.elements["red"].tolist() == [[1, 7], [3, 4]]
    assert profile.name == f"test bench ({profile.identity.hex()[:12]})"


def test_what_may_be_left_out(tmp_path: Path) -> None:
    profile = load(write_profile(tmp_path / "camera.toml"))
    assert profile.dead is None
    assert (profile.reference, profile.correct_px) == ("red", 3.0)
    assert profile.limits == LightLimits()


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("format = 1", "format = 2", "has format version 2"),
        ("format = 1\n", "", "lacks the field format"),
        ('sensor = "vnir4"\n', "", "lacks the field sensor"),
        ('revision = "test bench"', 'revision = " "', "field revision is ' '"),
        ("bits = 12", "bits = 17", "field bits is 17; write a whole number in 8…16"),
        ("[bands.red]\ngain", "[bands.red]\nagin", "lacks the field bands.red.gain"),
        ("esun = 1533.0", "esun = -1", "field bands.red.esun is -1"),
        ("esun = 1533.0", "esun = inf", "field bands.red.esun is inf"),
        ("esun = 1533.0", "esun = 1533.0\nlag = 1", "field bands.red.lag is not known"),
        ("bits = 12", "bits = 12\nbeds = 3", "field beds is not known"),
        ("bits = 12", "bits = ", "is not TOML"),
        ("bits = 12", "bits = 12\nregistration = 3", "registration is no table"),
    ],
)
def test_a_profile_that_makes_no_sense(tmp_path: Path, old: str, new: str, fault: str) -> None:
    path = write_profile(tmp_path / "camera.toml")
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert fault in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tail", "fault"),
    [
        ('[registration]\nreference = "pan"\n', "choose one of blue, green, red, nir"),
        ("[registration]\ncorrect_px = 4\n", "write a number in 0…3"),
        ("[limits]\nglint_deg = 200\n", "write a number in 0…180"),
        ("[limits]\ngleam_deg = 20\n", "field limits.gleam_deg is not known"),
        ('[dead_pixels]\nfile = "d.tif"\n', "lacks the field dead_pixels.sha256"),
        ('[dead_pixels]\nfile = "../d.tif"\nsha256 = "0"\n', "lies beside the profile"),
        ('[dead_pixels]\nfile = "d.tif"\nsha256 = "0"\n', "d.tif: cannot be read"),
    ],
)
def test_tables_that_make_no_sense(tmp_path: Path, tail: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        load(write_profile(tmp_path / "camera.toml", tail=tail))


def test_no_profile_at_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)
    (tmp_path / "big.toml").write_bytes(b"#" * 70_000)
    with pytest.raises(ConfigError, match="more than 65536 bytes; name a sensor profile"):
        load(tmp_path / "big.toml")


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("changed", "is not the dead-pixel map that the profile names"),
        ("text", "is no readable TIFF"),
        ("value", "holds other values than 0 and 1"),
        ("unnamed", "has no plane 'blue'"),
        ("lacking", "has no plane 'nir'"),
    ],
)
def test_a_dead_pixel_map_that_is_none(tmp_path: Path, kind: str, fault: str) -> None:
    path = write_profile(tmp_path / "camera.toml", NONE_DEAD)
    before = hashlib.sha256((tmp_path / "dead.tif").read_bytes()).hexdigest()
    if kind == "text":
        (tmp_path / "dead.tif").write_text("no map", "utf-8")
    elif kind == "value":
        write_dead(tmp_path / "dead.tif", np.full((4, 6, 8), 3))
    elif kind == "unnamed":
        write_dead(tmp_path / "dead.tif", NONE_DEAD, names=("",) * 4)
    elif kind == "lacking":
        write_dead(tmp_path / "dead.tif", NONE_DEAD[:3], names=BANDS[:3])
    else:
        write_dead(tmp_path / "dead.tif", ~NONE_DEAD)
    after = hashlib.sha256((tmp_path / "dead.tif").read_bytes()).hexdigest()
    if kind != "changed":
        path.write_text(path.read_text("utf-8").replace(before, after), "utf-8")
    with pytest.raises(ConfigError, match=fault):
        load(path)
