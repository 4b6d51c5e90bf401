"""Captures: the frames that a replay takes, planned from the orbit before anything runs."""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from ground.replay import orbit as orbits
from ground.replay.orbit import Place
from ground.replay.passes import Overflight, Sky
from ground.replay.power import Off
from ground.replay.scenario import FramePlan, Scenario, Target

_LEAST_SYNTH_SUN_DEG = 15.0
"""The lowest Sun that ``floodsat synth`` draws shadows of."""
_WEATHERS = 2**63
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Capture:
    """One frame that is taken.

    Attributes:
        name: of the frame; its target's with the time for one of a target.
        target: name of its place, equal for all frames of one target.
        time: when it is taken, UTC.
        latitude: of its middle.
        longitude: of its middle.
        off_nadir_deg: how far the satellite looks aside.
        sun_elevation_deg: over its middle.
        file: the frame; None where it is made by ``recipe``.
        truth: class raster of what is really there, of a file.
        permanent: permanent-water reference, of a file.
        window: row, column, height and width of the part of the files that is the frame, or None.
        turn: quarter turns of it, 0…3; from 4 on mirrored, too.
        recipe: fields of a ``floodsat synth`` recipe, the moment's flood, cloud, weather and Sun
            among them; what is missing is the recipe's default. Empty for a file.
    """

    name: str
    target: str
    time: datetime
    latitude: float
    longitude: float
    off_nadir_deg: float
    sun_elevation_deg: float
    file: Path | None
    truth: Path | None
    permanent: Path | None
    window: tuple[int, int, int, int] | None
    turn: int
    recipe: Mapping[str, Any]


@dataclass(frozen=True)
class Missed:
    """A frame that is not taken though the satellite passes over.

    Attributes:
        capture: the frame.
        reason: why not.
    """

    capture: Capture
    reason: str


def captures(
    scenario: Scenario, sky: Sky, off: Sequence[Off]
) -> tuple[tuple[Capture, ...], tuple[Missed, ...]]:
    """Every frame of a scenario that is taken and every one that is not, in order of time.

    Args:
        scenario: with targets, frames and a camera.
        sky: of the scenario's orbit over its span.
        off: when the payload, its camera too, has no power.
    """
    frames = [(_at(sky, one), False) for one in scenario.frames]
    flights = [
        (_over(scenario, target, flight), True)
        for target in scenario.targets
        for flight in sky.overflights(Place(target.latitude, target.longitude), scenario.camera)
        if target.span.holds(flight.time)
    ]
    taken: list[Capture] = []
    missed: list[Missed] = []
    rationed: list[datetime] = []
    most = scenario.camera.max_frames_day
    for one, of_target in sorted(frames + flights, key=lambda pair: (pair[0].time, pair[0].name)):
        if reason := _reason(one.time, off):
            missed.append(Missed(one, reason))
        elif of_target and len(rationed) >= most and rationed[-most] > one.time - _DAY:
            missed.append(Missed(one, f"{most} frames of targets were taken in the 24 hours"))
        else:
            taken.append(one)
            rationed += [one.time] if of_target else []
    return tuple(taken), tuple(missed)


def _reason(when: datetime, off: Sequence[Off]) -> str:
    """Why there is no power at an instant; empty where there is."""
    index = bisect.bisect_right(off, when, key=lambda one: one.span.start) - 1
    return off[index].reason if index >= 0 and off[index].span.holds(when) else ""


def view(sky: Sky, frame: FramePlan) -> Overflight | None:
    """How the satellite sees a frame's place at its time; None where it is below the horizon."""
    place = Place(frame.latitude, frame.longitude)
    seconds = np.array([sky.orbit.seconds(frame.time)])
    position = sky.orbit.positions(seconds)
    if orbits.elevation_deg(position, place)[0] <= 0:
        return None
    return Overflight(
        frame.time,
        float(orbits.off_nadir_deg(position, place)[0]),
        float(orbits.sun_elevation_deg(sky.orbit.sun(seconds), place)[0]),
    )


def _at(sky: Sky, frame: FramePlan) -> Capture:
    seen = view(sky, frame) or Overflight(frame.time, 90.0, -90.0)
    return _capture(frame, frame.name, seen, {**_light(seen), **frame.picture.recipe})


def _over(scenario: Scenario, target: Target, flight: Overflight) -> Capture:
    """The frame of one overflight of a target: its flood by the curve, its clouds by the seed."""
    rng = _draws(scenario.seed, target.name, flight.time)
    moment: dict[str, Any] = {"weather": int(rng.integers(_WEATHERS))}
    if target.flood is not None:
        moment["flood_fraction"] = round(target.flood.at(flight.time), 4)
    if target.clouds is not None:
        moment["cloud_fraction"] = round(float(rng.uniform(*target.clouds)), 4)
    name = f"{target.name} {flight.time:%Y-%m-%d %H:%M}"
    return _capture(target, name, flight, {**_light(flight), **target.picture.recipe, **moment})


def _capture(
    of: FramePlan | Target, name: str, seen: Overflight, recipe: Mapping[str, Any]
) -> Capture:
    picture = of.picture
    return Capture(
        name,
        of.name,
        seen.time,
        of.latitude,
        of.longitude,
        seen.off_nadir_deg,
        seen.sun_elevation_deg,
        picture.file,
        picture.truth,
        picture.permanent,
        picture.window,
        picture.turn,
        {} if picture.file is not None else recipe,
    )


def _light(seen: Overflight) -> dict[str, Any]:
    return {"sun_elevation_deg": max(_LEAST_SYNTH_SUN_DEG, round(seen.sun_elevation_deg, 2))}


def _draws(seed: int, target: str, when: datetime) -> np.random.Generator:
    """A generator of one overflight's own: another target or more days change no other frame."""
    key = f"{seed}/{target}/{when:%Y-%m-%dT%H}".encode()
    return np.random.Generator(np.random.Philox(int.from_bytes(hashlib.sha256(key).digest()[:8])))
