"""What the orbit makes of a scenario, and what is said before anything runs."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest

from ground.replay.checks import plan
from ground.replay.scenario_file import load
from onboard.errors import ConfigError
from tests.ground.replay.example import ROOT, TEXT, TLE, elements, scenario

SCENARIOS = ROOT / "data_samples" / "scenarios"
SHIPPED = [SCENARIOS / f"{name}.toml" for name in ("minute", "month", "bad-month")]


def test_the_plan_of_three_days(tmp_path):
    made = plan(scenario(tmp_path))
    assert {one.station for one in made.contacts} == {"Svalbard", "Inuvik"}
    assert [one.target for one in made.captures] == ["plain"] * 2
    assert made.warnings == ()
    for one in made.captures:
        assert one.off_nadir_deg <= 30
        assert one.sun_elevation_deg >= 20
        assert one.recipe["seed"] == 11
        assert 0 <= one.recipe["cloud_fraction"] <= 0.6
    assert len({one.recipe["weather"] for one in made.captures}) == 2
    # 0.2 after a day, 0.1 after two and a half; taken after 1.23 and 2.23 days.
    floods = [one.recipe["flood_fraction"] for one in made.captures]
    assert floods == pytest.approx([0.1845, 0.1182], abs=1e-4)


def test_one_station_at_a_time(tmp_path):
    made = plan(scenario(tmp_path))
    for before, after in itertools.pairwise(made.served):
        assert before.los <= after.aos
    # Inuvik gives way to Svalbard, which has the greater priority and is heard whole.
    whole = {one for one in made.contacts if one.station == "Svalbard"}
    assert whole <= set(made.served)
    assert not set(made.contacts) <= set(made.served)


def test_power_is_off_once_at_a_time(tmp_path):
    made = plan(scenario(tmp_path))
    for before, after in itertools.pairwise(made.off):
        assert before.span.end <= after.span.start
    (mode,) = [one for one in made.off if one.safe]
    assert mode.span.seconds == 6 * 3600
    assert mode.reason == "safe mode: a star tracker was blinded"
    daily = [one for one in made.off if "daily" in one.reason]
    assert sum((one.span.end - one.span.start for one in daily), timedelta()) == timedelta(hours=12)


def test_another_seed_draws_other_clouds_and_the_same_seed_the_same(tmp_path):
    first, again = (plan(scenario(tmp_path)).captures for _ in range(2))
    other = plan(scenario(tmp_path, TEXT.replace("seed = 7", "seed = 8"))).captures
    assert first == again
    assert [one.time for one in first] == [one.time for one in other]
    assert all(a.recipe != b.recipe for a, b in zip(first, other, strict=True))


def test_a_longer_scenario_changes_no_earlier_frame(tmp_path):
    short = plan(scenario(tmp_path)).captures
    longer = plan(scenario(tmp_path, TEXT.replace("days = 3", "days = 10"))).captures
    assert longer[: len(short)] == short


def frame(time, lat=23.5):
    return f"""
[[frame]]
name = "one"
time = {time}
lat = {lat}
lon = 78
[frame.recipe]
seed = 3
"""


def test_a_frame_at_its_time(tmp_path):
    made = plan(scenario(tmp_path, TEXT + frame("2021-03-17T05:26:17Z")))
    (one,) = [one for one in made.captures if one.target == "one"]
    assert one.off_nadir_deg == pytest.approx(2.3, abs=0.1)
    assert one.recipe == {"seed": 3, "sun_elevation_deg": pytest.approx(57, abs=1)}


@pytest.mark.parametrize(
    ("time", "why"),
    [
        ("2021-03-17T05:10:00Z", "below the satellite's horizon"),
        ("2021-03-17T05:25:00Z", "off nadir"),
    ],
)
def test_a_frame_outside_every_pass_is_refused_with_its_time(tmp_path, time, why):
    with pytest.raises(ConfigError) as caught:
        plan(scenario(tmp_path, TEXT + frame(time)))
    text = str(caught.value)
    line = 1 + (TEXT + frame(time)).splitlines().index(f"time = {time}")
    assert text.startswith(f"{tmp_path / 'three.toml'}:{line}: frame 'one' cannot be taken: ")
    assert why in text
    assert "write 2021-03-17T05:26:17Z" in text


def test_a_frame_that_is_never_passed_over(tmp_path):
    with pytest.raises(ConfigError, match="never passes over in daylight"):
        plan(scenario(tmp_path, TEXT + frame("2021-03-17T05:26:17Z", lat=89.5)))


def test_a_deaf_station_and_a_target_in_the_dark_are_said(tmp_path):
    text = TEXT.replace("lat = 68.32", "elevation_mask_deg = 89.9\nlat = 68.32")
    text += '\n[[target]]\nname = "night"\nlat = -89\nlon = 0\n[target.recipe]\nseed = 1\n'
    made = plan(scenario(tmp_path, text))
    deaf, night = made.warnings
    assert "station 'Inuvik' never hears the satellite" in deaf
    assert "target 'night' is never taken" in night
    headers = [n for n, line in enumerate(text.splitlines(), 1) if line == "[[station]]"]
    assert deaf.startswith(f"{tmp_path / 'three.toml'}:{headers[1]}: ")


def test_nothing_heard_or_nothing_taken_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no station ever hears"):
        plan(
            scenario(
                tmp_path,
                TEXT.replace("elevation_mask_deg = 5", "elevation_mask_deg = 89.9").replace(
                    "lat = 68.32", "elevation_mask_deg = 89.9\nlat = 68.32"
                ),
            )
        )
    with pytest.raises(ConfigError, match="no frame is ever taken"):
        plan(scenario(tmp_path, TEXT.replace("lon = 78.0", "lon = 90.0")))


def test_a_frame_that_power_forbids_is_missed_and_said(tmp_path):
    text = TEXT.replace("start = 1.5", "start = 2021-03-17T05:00:00Z")
    made = plan(scenario(tmp_path, text + frame("2021-03-17T05:26:17Z")))
    assert [one.capture.target for one in made.missed] == ["one", "plain"]
    assert {one.reason for one in made.missed} == {"safe mode: a star tracker was blinded"}
    (warning,) = made.warnings
    assert "frame 'one' is never taken: safe mode: a star tracker was blinded" in warning


def test_frames_a_day_are_rationed(tmp_path):
    text = TEXT.replace("days = 3", "days = 10").replace("[camera]", "[camera]\nmax_frames_day = 1")
    text += '\n[[target]]\nname = "beside"\nlat = 23.6\nlon = 78\n[target.recipe]\nseed = 1\n'
    made = plan(scenario(tmp_path, text))
    times = [one.time for one in made.captures]
    assert all(b - a >= timedelta(days=1) for a, b in itertools.pairwise(times))
    assert made.missed
    assert {one.reason for one in made.missed} == {"1 frames of targets were taken in the 24 hours"}


def test_a_stale_tle_is_warned_of(tmp_path):
    text = TEXT.replace("start = 2021-03-15T00:00:00Z", "start = 2021-06-15T00:00:00Z")
    text = text.replace("2021-03-17T12:00:00Z", "2021-06-17T12:00:00Z")
    text = text.replace("2021-03-16T12:00:00+02:00", "2021-06-16T12:00:00Z")
    text = text.replace("days = 3\n", "days = 12\n")
    (warning,) = plan(scenario(tmp_path, text)).warnings
    line = 1 + text.splitlines().index("tle = [")
    assert warning.startswith(
        f"{tmp_path / 'three.toml'}:{line}: the TLE is of 2021-03-14, 105 days"
    )


def test_a_tle_of_a_satellite_that_has_decayed_by_then(tmp_path):
    falling = elements(97.5, 148.0, 0.001, 10.0, 20.0, 16.3, drag="50000-2")
    text = TEXT.replace(TLE[0], falling[0]).replace(TLE[1], falling[1]).replace("= 3\n", "= 60\n")
    line = 1 + text.splitlines().index("tle = [")
    with pytest.raises(ConfigError) as caught:
        plan(scenario(tmp_path, text))
    said = str(caught.value)
    assert said.startswith(f"{tmp_path / 'three.toml'}:{line}: the TLE of satellite 99999 gives no")
    assert "take one whose epoch is near the scenario's start" in said
    assert "decayed" in said


@pytest.mark.parametrize("path", SHIPPED, ids=[one.stem for one in SHIPPED])
def test_the_shipped_scenarios_make_sense(path):
    made = plan(load(path))
    assert made.warnings == ()
    assert made.captures
    assert {one.station for one in made.served} == {one.name for one in made.scenario.stations}
    for one in made.captures:
        assert one.off_nadir_deg <= made.scenario.camera.max_off_nadir_deg + 0.5
