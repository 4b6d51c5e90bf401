"""Scenario: what a replay plays: a satellite, its orbit and power, stations, frames, uplinks.

Values only; ``scenario_file.py`` reads them from TOML and ``checks.py`` holds them to the orbit.
Every time is UTC. Angles are degrees, WGS 84, east and north positive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from ground.channel import Conditions
from ground.replay.tle import Tle
from onboard.limits import Limits
from onboard.link.downlink import DEFAULT_SENDINGS

StrategyName = Literal["raw", "lossless", "masks", "flagged", "prioritised"]
"""How frames come home: all of them, all of them without loss, all masks, the masks that triage
flags, or those in the order that uncertainty gives them."""
STRATEGIES: tuple[StrategyName, ...] = get_args(StrategyName)

UplinkKind = Literal["command", "bundle", "patch"]
UPLINK_KINDS: tuple[UplinkKind, ...] = get_args(UplinkKind)


class Span(NamedTuple):
    """A stretch of time, UTC.

    Attributes:
        start: its first instant.
        end: its last.
    """

    start: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.end - self.start).total_seconds()

    def holds(self, when: datetime) -> bool:
        """Whether an instant lies in it."""
        return self.start <= when <= self.end


class Curve(NamedTuple):
    """A value over time: straight between the points given, level before and after them.

    Attributes:
        times: of the points, rising.
        values: at them.
    """

    times: tuple[datetime, ...]
    values: tuple[float, ...]

    def at(self, when: datetime) -> float:
        """The value at an instant."""
        seconds = [(one - self.times[0]).total_seconds() for one in self.times]
        return float(np.interp((when - self.times[0]).total_seconds(), seconds, self.values))


@dataclass(frozen=True)
class SafeMode:
    """A stretch in which the payload is off because something went wrong.

    Attributes:
        span: from when to when.
        reason: in the operator's words.
    """

    span: Span
    reason: str


@dataclass(frozen=True)
class Power:
    """When the payload has none.

    Attributes:
        off_in_eclipse: whether it is off in the Earth's shadow.
        off_daily: times of day (UTC) between which it is off every day; a pair whose first is the
            later runs over midnight.
        safe_modes: stretches that nobody planned.
    """

    off_in_eclipse: bool = False
    off_daily: tuple[tuple[time, time], ...] = ()
    safe_modes: tuple[SafeMode, ...] = ()


@dataclass(frozen=True)
class Camera:
    """What frames are taken with.

    Attributes:
        max_off_nadir_deg: how far the satellite can look aside of straight down.
        min_sun_elevation_deg: height of the Sun over a place below which it is not taken.
        max_frames_day: the most frames taken of targets in 24 hours, the earliest first.
    """

    max_off_nadir_deg: float = 25.0
    min_sun_elevation_deg: float = 15.0
    max_frames_day: int = 1000


@dataclass(frozen=True)
class Onboard:
    """The software that flies, and how fast its computer is.

    Attributes:
        bundle: folder of the bundle that is installed at the start.
        engine: that runs it.
        passes: stochastic passes; the bundle's own number if None.
        seconds_per_megapixel: that a frame takes from file to outbox, 10⁶ pixels.
        timing: where that figure is from, in words.
        limits: changes to the bundle's limits of triage, by name.
        quota_mb: that what waits to be sent may take, MiB.
        sendings: how often each alert and class-1 file is wanted on the ground.
    """

    bundle: Path
    engine: str = "tflite"
    passes: int | None = None
    seconds_per_megapixel: float = 1.0
    timing: str = "given by the scenario"
    limits: Mapping[str, float] = field(default_factory=dict)
    quota_mb: int = 256
    sendings: int = DEFAULT_SENDINGS

    def limits_over(self, limits: Limits) -> Limits:
        """A bundle's limits with the scenario's changes."""
        for name, value in self.limits.items():
            limits = limits.with_value(name, value)
        return limits


@dataclass(frozen=True)
class Station:
    """A ground station.

    Attributes:
        name: no other has it.
        latitude: geodetic, −90…90.
        longitude: −180…180.
        height_m: over the ellipsoid.
        elevation_mask_deg: height over the horizon under which it hears nothing.
        down_bps: bits per second down, frames and their marks included.
        up_bps: bits per second up; 0 is a station that only listens.
        priority: where two stations see the satellite at once, the one with the greater priority
            has the contact; the one that began it where they are equal.
        channel: what the link does to frames.
    """

    name: str
    latitude: float
    longitude: float
    height_m: float
    elevation_mask_deg: float
    down_bps: float
    up_bps: float
    priority: int
    channel: Conditions


@dataclass(frozen=True)
class Picture:
    """What a frame shows: a file, or what ``floodsat synth`` makes of a recipe.

    Attributes:
        file: the frame; None where it is made by ``recipe``.
        truth: class raster of what is really there, on the file's grid; None where nobody knows.
        permanent: its permanent-water reference, on the file's grid; None where there is none.
        window: row, column, height and width of the part of the files that is the frame; all of
            them if None.
        turn: quarter turns of it, 0…3; from 4 on mirrored, too, so that one file gives eight.
        recipe: fields of a recipe that are fixed; ``seed`` is the place. Empty for a file.
    """

    file: Path | None = None
    truth: Path | None = None
    permanent: Path | None = None
    window: tuple[int, int, int, int] | None = None
    turn: int = 0
    recipe: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Target:
    """A place that is taken whenever the satellite passes over it in daylight.

    Attributes:
        name: no other target or frame has it.
        latitude: of the frame's middle.
        longitude: of the frame's middle.
        picture: what it shows.
        flood: share of the ground under flood water over time; None leaves it to the recipe.
        clouds: share of cloud, drawn evenly between the two for every frame; None leaves it to
            the recipe.
        span: when it is wanted.
    """

    name: str
    latitude: float
    longitude: float
    picture: Picture
    flood: Curve | None
    clouds: tuple[float, float] | None
    span: Span


@dataclass(frozen=True)
class FramePlan:
    """One frame at a time that the scenario names.

    Attributes:
        name: no other frame or target has it.
        time: when it is taken.
        latitude: of its middle.
        longitude: of its middle.
        picture: what it shows.
    """

    name: str
    time: datetime
    latitude: float
    longitude: float
    picture: Picture


@dataclass(frozen=True)
class Uplink:
    """Something that the ground sends up, in the first contact with an uplink after its time.

    Attributes:
        name: in the operator's words.
        time: from when on it is ready to go.
        kind: a telecommand, a whole bundle or a patch.
        command: name of the telecommand, as ``floodsat command`` spells it; empty for a file.
        arguments: of the telecommand; ids and keys are bytes.
        path: bundle folder, or a patch's file; None for a telecommand. A folder given for a patch
            is the bundle that the patch leads to from the one that is on board.
        corrupted: whether bits of it are wrong when it arrives.
    """

    name: str
    time: datetime
    kind: UplinkKind
    command: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    path: Path | None = None
    corrupted: bool = False


@dataclass(frozen=True)
class Scenario:
    """All of a replay.

    Attributes:
        path: the file that it was read from.
        name: of the replay, for its page.
        seed: of everything that is drawn.
        span: the simulated time.
        satellite: its name.
        tle: its orbit.
        power: when the payload is off.
        camera: what takes frames.
        onboard: what flies.
        stations: at least one, in the file's order.
        targets: places that are taken when the satellite passes over.
        frames: frames at times that the scenario names.
        uplinks: what goes up, by time.
        strategies: that are compared, in the file's order.
        lines: where each key stands in the file, ``station.1.latitude`` → 12; for errors.
    """

    path: Path
    name: str
    seed: int
    span: Span
    satellite: str
    tle: Tle
    power: Power
    camera: Camera
    onboard: Onboard
    stations: tuple[Station, ...]
    targets: tuple[Target, ...]
    frames: tuple[FramePlan, ...]
    uplinks: tuple[Uplink, ...]
    strategies: tuple[StrategyName, ...] = STRATEGIES
    lines: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)

    def seconds(self, when: datetime) -> float:
        """Seconds of an instant from the start."""
        return (when - self.span.start).total_seconds()

    def after(self, seconds: float) -> datetime:
        """The instant so many seconds after the start."""
        return self.span.start + timedelta(seconds=seconds)

    def where(self, key: str) -> str:
        """The file and the line of a key, for errors: ``month.toml:12``."""
        line = self.lines.get(key)
        return f"{self.path}:{line}" if line else str(self.path)
