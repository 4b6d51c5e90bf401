"""The shipped scenarios: they read, the orbit takes their frames, and they need no warning."""

from __future__ import annotations

from pathlib import Path

import pytest

from ground.replay import checks, load, result
from ground.replay.checks import Plan
from ground.replay.kept import KeptSegmenter
from ground.replay.scenario_file import load as read_scenario
from ground.replay.simulate import simulate
from onboard import signing
from tests.samples import SAMPLES

FOLDER = SAMPLES / "scenarios"
FILES = sorted(path.name for path in FOLDER.glob("*.toml"))


def plan_of(name: str) -> Plan:
    return checks.plan(read_scenario(FOLDER / name))


@pytest.mark.parametrize("name", FILES)
def test_a_shipped_scenario_needs_no_warning(name: str) -> None:
    plan = plan_of(name)
    assert plan.warnings == ()
    assert plan.served
    load.check(plan.scenario, signing.trusted(None))
    assert set(plan.scenario.strategies) == {"raw", "lossless", "masks", "flagged", "prioritised"}


def test_all_three_are_there() -> None:
    assert FILES == ["bad-month.toml", "minute.toml", "month.toml"]


def test_the_minute_needs_nothing_but_the_sample() -> None:
    plan = plan_of("minute.toml")
    assert len(plan.captures) == 8
    assert {one.file for one in plan.captures} == {FOLDER / "../frame.tif"}
    assert not any(one.recipe for one in plan.captures)


def test_the_month_is_one_of_five_hundred_frames_over_a_polar_station() -> None:
    plan = plan_of("month.toml")
    assert plan.scenario.span.seconds == 30 * 86_400
    assert len(plan.captures) >= 500
    (station,) = plan.scenario.stations
    assert station.latitude > 66


def test_the_bad_month_has_everything_that_can_go_wrong() -> None:
    scenario = plan_of("bad-month.toml").scenario
    assert len(scenario.power.safe_modes) >= 2
    assert scenario.stations[0].channel.frame_loss > 0.05
    damaged, whole = (one for one in scenario.uplinks if one.kind == "patch")
    assert damaged.corrupted
    assert not whole.corrupted
    assert damaged.time < whole.time
    half = (whole.time - scenario.span.start) / (scenario.span.end - scenario.span.start)
    assert 0.4 < half < 0.6


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_month_is_the_same_twice_and_the_second_time_from_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of("month.toml")
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    first = simulate(plan, tmp_path / "first", tmp_path / "cache")

    def made(*given: object) -> None:
        raise AssertionError("the network runs again")

    monkeypatch.setattr(KeptSegmenter, "_make", made)
    assert simulate(plan, tmp_path / "second", tmp_path / "cache") == first
    for one in (tmp_path / "first").rglob("*.*"):
        other = tmp_path / "second" / one.relative_to(tmp_path / "first")
        assert one.read_bytes() == other.read_bytes()
    assert result.read(tmp_path / "second" / result.NAME) == first


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_in_the_bad_month_a_patch_improves_the_maps(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    replay = simulate(plan_of("bad-month.toml"), tmp_path / "out", tmp_path / "cache")
    damaged, whole = (one for one in replay.uplinks if one.kind == "patch")
    assert (damaged.outcome, whole.outcome) == ("refused", "done")
    early, shipped = replay.models
    assert early.model_id != shipped.model_id

    def agreement(model_id: str) -> float:
        own = [
            frame.iou
            for frame in replay.frames
            if frame.model_id == model_id and frame.iou is not None
        ]
        assert len(own) > 20
        return sum(own) / len(own)

    assert agreement(shipped.model_id) > agreement(early.model_id) + 0.1
    assert any(one.cause == "interrupted" or one.cause == "not taken" for one in replay.losses)
