"""Captures: the frames that a replay takes, planned from the orbit before anything runs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from ground.replay import orbit as orbits
from ground.replay.orbit import Place
from ground.replay.passes import Overflight, Sky
from ground.replay.scenario import FramePlan, Scenario, Target

_LEAST_SYNTH_SUN_DEG = 15.0
"""The lowest Sun that ``floodsat synth`` draws shadows of."""
_WEATHERS = 2**63


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
    recipe: Mapping[str, Any]


def captures(scenario: Scenario, sky: Sky) -> tuple[Capture, ...]:
    """Every frame of a scenario, in order of time.

    Args:
        scenario: with targets, frames and a camera.
        sky: of the scenario's orbit over its span.
    """
    taken = [_at(sky, one) for one in scenario.frames]
    wanted = [
        _over(scenario, target, flight)
        for target in scenario.targets
        for flight in sky.overflights(Place(target.latitude, target.longitude), scenario.camera)
        if target.span.holds(flight.time)
    ]
    wanted.sort(key=lambda one: (one.time, one.name))
    kept = _rationed(wanted, scenario.camera.max_frames_day)
    return tuple(sorted([*taken, *kept], key=lambda one: (one.time, one.name)))


def _rationed(wanted: list[Capture], most: int) -> list[Capture]:
    """At most so many in any 24 hours, the earliest first."""
    kept: list[Capture] = []
    for one in wanted:
        if len(kept) < most or kept[-most].time <= one.time - timedelta(days=1):
            kept.append(one)
    return kept


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
    made = {} if frame.file is not None else {**_light(seen), **frame.recipe}
    return Capture(
        frame.name,
        frame.name,
        frame.time,
        frame.latitude,
        frame.longitude,
        seen.off_nadir_deg,
        seen.sun_elevation_deg,
        frame.file,
        frame.truth,
        frame.permanent,
        made,
    )


def _over(scenario: Scenario, target: Target, flight: Overflight) -> Capture:
    """The frame of one overflight of a target: its flood by the curve, its clouds by the seed."""
    name = f"{target.name} {flight.time:%Y-%m-%d %H:%M}"
    rng = _draws(scenario.seed, target.name, flight.time)
    moment: dict[str, Any] = {"weather": int(rng.integers(_WEATHERS))}
    if target.flood is not None:
        moment["flood_fraction"] = round(target.flood.at(flight.time), 4)
    if target.clouds is not None:
        moment["cloud_fraction"] = round(float(rng.uniform(*target.clouds)), 4)
    return Capture(
        name,
        target.name,
        flight.time,
        target.latitude,
        target.longitude,
        flight.off_nadir_deg,
        flight.sun_elevation_deg,
        None,
        None,
        None,
        {**target.recipe, **_light(flight), **moment},
    )


def _light(seen: Overflight) -> dict[str, Any]:
    return {"sun_elevation_deg": max(_LEAST_SYNTH_SUN_DEG, round(seen.sun_elevation_deg, 2))}


def _draws(seed: int, target: str, when: datetime) -> np.random.Generator:
    """A generator of one overflight's own: another target or more days change no other frame."""
    key = f"{seed}/{target}/{when:%Y-%m-%dT%H}".encode()
    return np.random.Generator(np.random.Philox(int.from_bytes(hashlib.sha256(key).digest()[:8])))
