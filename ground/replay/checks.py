"""Checks: what a scenario's orbit makes of its stations, targets and frames, before anything runs.

What cannot be meant is an error; what may be meant but should be known is a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from ground.replay.captures import Capture, Missed, captures, view
from ground.replay.orbit import Orbit, Place
from ground.replay.passes import Contact, Sky
from ground.replay.power import Off, off_times
from ground.replay.scenario import FramePlan, Scenario
from ground.replay.schedule import served
from ground.replay.tle import STALE_DAYS
from onboard.errors import ConfigError

_DAY_S = 86_400.0
_SLACK_DEG = 0.5


@dataclass(frozen=True)
class Plan:
    """What the orbit gives a scenario.

    Attributes:
        scenario: of the plan.
        orbit: of its satellite, with the scenario's start as origin.
        contacts: of every station, by time of acquisition; those of two stations may overlap.
        served: the same as they are kept: one station at a time, by priority.
        captures: the frames taken, by time.
        missed: the frames that are not taken though the satellite passes over, and why.
        off: when the payload has no power, and why.
        warnings: what the operator should know, one line each.
    """

    scenario: Scenario
    orbit: Orbit
    contacts: tuple[Contact, ...]
    served: tuple[Contact, ...]
    captures: tuple[Capture, ...]
    missed: tuple[Missed, ...]
    off: tuple[Off, ...]
    warnings: tuple[str, ...]


def plan(scenario: Scenario) -> Plan:
    """Lay a scenario over its orbit.

    Raises:
        ConfigError: the elements do not reach the scenario, a frame's place is not in sight at
            its time, or nothing is ever taken or heard.
    """
    orbit = Orbit(scenario.tle, scenario.span.start)
    try:
        sky = Sky(orbit, scenario.span)
    except ConfigError as error:
        raise ConfigError(f"{scenario.where('satellite.tle')}: {error}") from error
    for index, frame in enumerate(scenario.frames):
        _check_frame(scenario, sky, frame, f"frame.{index}.time")
    heard = {one.name: sky.contacts(one) for one in scenario.stations}
    off = off_times(scenario.power, scenario.span, sky.eclipses())
    taken, missed = captures(scenario, sky, off)
    warnings = [*_stale(scenario), *_deaf(scenario, heard), *_untaken(scenario, taken, missed)]
    if not any(heard.values()):
        raise ConfigError(
            f"{scenario.path}: no station ever hears the satellite; give more days, a lower "
            "elevation_mask_deg, or stations nearer to its track"
        )
    if not taken:
        raise ConfigError(
            f"{scenario.path}: no frame is ever taken; give more days, a wider max_off_nadir_deg, "
            "or targets that have daylight when the satellite passes"
        )
    contacts = sorted((one for found in heard.values() for one in found), key=lambda one: one.aos)
    return Plan(
        scenario,
        orbit,
        tuple(contacts),
        served(contacts, scenario.stations),
        taken,
        missed,
        off,
        tuple(warnings),
    )


def _check_frame(scenario: Scenario, sky: Sky, frame: FramePlan, key: str) -> None:
    """Refuse a frame that the satellite cannot take at its time, and say when it can."""
    seen, limit = view(sky, frame), scenario.camera.max_off_nadir_deg
    if seen is not None and seen.off_nadir_deg <= limit + _SLACK_DEG:
        return
    why = "it is below the satellite's horizon then"
    if seen is not None:
        why = (
            f"its place is {seen.off_nadir_deg:.0f}° off nadir then, the camera reaches {limit:g}°"
        )
    flights = sky.overflights(Place(frame.latitude, frame.longitude), scenario.camera)
    cure = "it never passes over in daylight: move the place, or give more days"
    if flights:
        near = min(flights, key=lambda one: abs(one.time - frame.time))
        cure = f"write {near.time:%Y-%m-%dT%H:%M:%SZ}, when it passes over"
    raise ConfigError(f"{scenario.where(key)}: frame {frame.name!r} cannot be taken: {why}; {cure}")


def _stale(scenario: Scenario) -> list[str]:
    """A warning where some of the scenario is far from the elements' epoch."""
    epoch = scenario.tle.epoch

    def days(when: datetime) -> float:
        return abs((when - epoch).total_seconds()) / _DAY_S

    worst = max(days(scenario.span.start), days(scenario.span.end))
    if worst <= STALE_DAYS:
        return []
    return [
        f"{scenario.where('satellite.tle')}: the TLE is of {epoch:%Y-%m-%d}, {worst:.0f} days from "
        "some of the scenario; contacts may be off by minutes; take a TLE of its time"
    ]


def _deaf(scenario: Scenario, heard: dict[str, list[Contact]]) -> list[str]:
    return [
        f"{scenario.where(f'station.{index}')}: station {one.name!r} never hears the satellite"
        for index, one in enumerate(scenario.stations)
        if not heard[one.name]
    ]


def _untaken(
    scenario: Scenario, taken: Sequence[Capture], missed: Sequence[Missed]
) -> Iterator[str]:
    """What of the scenario's targets and frames never comes to be."""
    names = {one.target for one in taken}
    reasons = {one.capture.target: one.reason for one in missed}
    wanted = [(f"target.{index}", one.name) for index, one in enumerate(scenario.targets)]
    wanted += [(f"frame.{index}", one.name) for index, one in enumerate(scenario.frames)]
    unseen = "the satellite does not pass over it in daylight while it is wanted"
    for key, name in wanted:
        if name not in names:
            kind = key.partition(".")[0]
            why = reasons.get(name, unseen)
            yield f"{scenario.where(key)}: {kind} {name!r} is never taken: {why}"
