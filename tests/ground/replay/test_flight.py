"""A flight's rare turns: commands that hold frames, power that goes, a full store."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from ground.replay import checks, load
from ground.replay.atlas import Atlas
from ground.replay.craft import Craft, Fit, mission_key
from ground.replay.flight import fly
from ground.replay.log import Clock, FlightLog, ItemLog
from ground.replay.scenario_file import load as read_scenario
from ground.replay.scenes import grid_of, scenes
from ground.replay.strategies import RULES
from onboard import signing
from onboard.errors import BundleError, EngineError
from onboard.outbox import Cause, name_of
from onboard.priority import Rule
from onboard.sensor import VNIR4
from onboard.settings import Settings
from tests.ground.replay.test_simulate import text
from tests.samples import BUNDLE

SLOW = "seconds_per_megapixel = 100_000"
TAKES_MS = 3_686_400
PAUSE = """
[[uplink]]
name = "{name}"
time = 2021-03-16T0{hour}:00:00Z
kind = "command"
command = "{command}"
"""


def flown(folder: Path, scenario: str) -> FlightLog:
    """One flight of the software as it is."""
    path = folder / "scenario.toml"
    path.write_text(scenario, "utf-8")
    plan = checks.plan(read_scenario(path))
    made = scenes(plan.captures, VNIR4, folder / "cache")
    atlas = Atlas((grid_of(one), one.permanent) for one in made if one.permanent)
    (folder / "work").mkdir()
    fit = Fit(
        BUNDLE,
        "tflite",
        1,
        lambda own: own,
        1,
        plan.scenario.onboard.seconds_per_megapixel,
        RULES["prioritised"],
        atlas,
        folder / "cache",
        (signing.DEMO_KEY,),
    )
    return fly(plan, made, fit, folder / "work")


def without(scenario: str, table: str) -> str:
    """A scenario without the tables of a name."""
    first, *rest = scenario.split(f"[[{table}]]")
    return first + "".join("[[" + part.split("[[", 1)[1] for part in rest if "[[" in part)


def test_what_a_command_pauses_waits_for_the_one_that_resumes(tmp_path: Path) -> None:
    plain = without(without(text(), "uplink"), "safe_mode")
    slow = plain.replace("seconds_per_megapixel = 900", SLOW)
    slow = slow.replace("96, 96]", "192, 192]").replace("64, 900", "64, 800")
    slow += PAUSE.format(name="wait", hour=6, command="pause")
    slow += PAUSE.format(name="go on", hour=8, command="resume")
    log = flown(tmp_path, slow)
    pause, resume = log.uplinks
    frames = list(log.frames.values())
    assert (pause.outcome, resume.outcome) == ("done", "done")
    assert pause.up_ms is not None
    # The service looks up between frames: the one in work is finished first.
    assert frames[1].begun_ms < pause.up_ms < frames[1].done_ms == pause.done_ms  # type: ignore[operator]
    assert frames[2].begun_ms == resume.done_ms
    assert [one.done_ms - one.begun_ms for one in frames] == [TAKES_MS] * 4  # type: ignore[operator]


def test_what_is_queued_is_sent_waits_or_is_in_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that holds one map: the others leave it before there is a contact."""
    monkeypatch.setattr(Settings, "quota", property(lambda self: 500))
    log = flown(tmp_path, text())
    evicted = {one.name: one for one in log.losses if one.cause == Cause.EVICTED.value}
    whole = {name(one) for one in log.items.values() if one.whole_ms is not None}
    assert evicted
    assert whole
    assert not whole & evicted.keys()
    assert whole | evicted.keys() == {name(one) for one in log.items.values()}
    assert log.waiting_bytes == 0
    for one in evicted.values():
        assert one.frame in log.frames
        assert one.reason == Rule.LOWEST.value
        assert one.at_ms >= min(frame.done_ms or 0 for frame in log.frames.values())


def name(item: ItemLog) -> str:
    """An item's short name in the ledger."""
    return name_of(item.kind, item.data).hex()[:12]


def craft(folder: Path, **changes: object) -> Craft:
    fit = Fit(
        BUNDLE, "tflite", 1, lambda own: own, 1, 1.0, RULES["flagged"], None, folder / "cache",
        (signing.DEMO_KEY,),
    )  # fmt: skip
    fit = dataclasses.replace(fit, **changes)  # type: ignore[arg-type]
    return Craft(folder / "craft", fit, Clock(1_600_000_000_000), FlightLog(), {})


def test_power_that_goes_leaves_what_is_in_storage(tmp_path: Path) -> None:
    with craft(tmp_path) as satellite:
        satellite.on()
        first = satellite.outbox.status
        satellite.off()
        assert not satellite.powered
        satellite.on()
        second = satellite.outbox.status
        assert first is not None
        assert second is not None
        assert (first.starts, second.starts) == (1, 2)
        assert second.memory_bytes == second.free_bytes == 0, "no figure of this computer"


def test_software_that_cannot_go_on_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text(text(), "utf-8")

    def broken(*given: object) -> None:
        raise EngineError("engine tflite: gives no result")

    monkeypatch.setattr("ground.replay.kept.KeptSegmenter.run", broken)
    with pytest.raises(EngineError, match=r"frame 'part 0': .* cannot go on: .*no result"):
        flown(tmp_path, text())


def test_a_mission_has_the_same_key_every_time(tmp_path: Path) -> None:
    _, other = mission_key(tmp_path, 6)
    (path, key), (_, again) = mission_key(tmp_path, 5), mission_key(tmp_path, 5)
    same, public = signing.raw(again.public_key()), signing.raw(key.public_key())
    assert same == public != signing.raw(other.public_key())
    (read,) = signing.read_public([path]).values()
    assert signing.raw(read) == signing.raw(key.public_key())


def test_a_bundle_that_nobody_trusted_signed_is_refused_before_the_flight(tmp_path: Path) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text(text(), "utf-8")
    scenario = read_scenario(path)
    load.check(scenario, signing.trusted(None))
    stranger, _ = mission_key(tmp_path, 1)
    with pytest.raises(BundleError):
        load.check(scenario, signing.read_public([stranger]))
