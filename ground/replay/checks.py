"""Checks: what a scenario's orbit makes of its stations, targets and frames, before anything runs.

What cannot be meant is an error; what may be meant but should be known is a warning.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ground.replay.captures import Capture, captures, view
from ground.replay.orbit import Orbit, Place
from ground.replay.passes import Contact, Sky
from ground.replay.scenario import FramePlan, Scenario, Span
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
        captures: the frames taken, by time.
        eclipses: when the satellite is in the Earth's shadow.
        warnings: what the operator should know, one line each.
    """

    scenario: Scenario
    orbit: Orbit
    contacts: tuple[Contact, ...]
    captures: tuple[Capture, ...]
    eclipses: tuple[Span, ...]
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
    taken = captures(scenario, sky)
    warnings = [*_stale(scenario), *_deaf(scenario, heard), *_untaken(scenario, taken)]
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
    return Plan(scenario, orbit, tuple(contacts), taken, tuple(sky.eclipses()), tuple(warnings))


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


def _untaken(scenario: Scenario, taken: tuple[Capture, ...]) -> list[str]:
    names = {one.target for one in taken}
    return [
        f"{scenario.where(f'target.{index}')}: target {one.name!r} is never taken: the satellite "
        "does not pass over it in daylight while it is wanted"
        for index, one in enumerate(scenario.targets)
        if one.name not in names
    ]
