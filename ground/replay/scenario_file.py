"""A scenario's TOML file: read, checked field by field, and turned into a `Scenario`.

What only the orbit can tell is checked in ``checks.py``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import fields
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

from ground.channel import Channel, Conditions
from ground.replay.lined import LinedFields
from ground.replay.lines import lines_of
from ground.replay.scenario import (
    STRATEGIES,
    UPLINK_KINDS,
    Camera,
    Curve,
    FramePlan,
    Onboard,
    Picture,
    Power,
    SafeMode,
    Scenario,
    Span,
    Station,
    StrategyName,
    Target,
    Uplink,
)
from ground.replay.timing import bench_seconds
from ground.replay.tle import Tle, read_tle
from onboard import commands, formats
from onboard.engines import LOADERS
from onboard.errors import CommandError, ConfigError
from onboard.limits import Limits
from onboard.link.downlink import DEFAULT_SENDINGS, MAX_SENDINGS
from onboard.toml import parse_toml, read_bytes
from training.synth.recipe import Recipe

MAX_BYTES = 2**20
MAX_DAYS = 366.0
MAX_BPS = 1e10
_WHAT = "a TOML file of a scenario, such as those in data_samples/scenarios"
_LINK = ("frame_loss", "bit_error_rate", "burst", "duplicate", "reorder", "span", "delay")
_BYTES = {"scene", "key", "manifest"}
"""Arguments of telecommands that are bytes, written as hexadecimal digits."""


def load(path: Path) -> Scenario:
    """Read a scenario.

    Raises:
        ConfigError: unreadable, no TOML, or a value that makes no sense; one line with file, line
            and key.
    """
    text = read_bytes(path, _WHAT, ConfigError, MAX_BYTES)
    table = parse_toml(path, text, ConfigError)
    return _scenario(LinedFields(path, table, lines_of(text.decode("utf-8"))))


def _scenario(given: LinedFields) -> Scenario:
    given.version(formats.SCENARIO, unsaid=1)
    start = given.as_instant("start", given.take("start"), None)
    days = given.number("days", 0.0, MAX_DAYS)
    if not days:
        given.refuse("days", "is 0; write how many days to play, parts of one too")
    span = Span(start, start + timedelta(days=days))
    satellite, tle = _satellite(given.table("satellite"))
    link = _conditions(given.table("channel"), Conditions())
    scenario = Scenario(
        path=given.path,
        name=given.text("name"),
        seed=given.whole("seed", 0, 2**63 - 1, 0),
        span=span,
        satellite=satellite,
        tle=tle,
        power=_power(given.table("power"), given.tables("safe_mode"), span),
        camera=_camera(given.table("camera")),
        onboard=_onboard(given.table("onboard")),
        stations=tuple(_station(one, link) for one in given.tables("station")),
        targets=tuple(_target(one, span) for one in given.tables("target")),
        frames=tuple(_frame(one, span) for one in given.tables("frame")),
        uplinks=_sorted(_uplink(one, span) for one in given.tables("uplink")),
        strategies=_strategies(given),
        lines=given.lines,
    )
    given.done()
    _check_whole(scenario)
    return scenario


def _check_whole(scenario: Scenario) -> None:
    """What no table alone can tell."""
    if not scenario.stations:
        raise ConfigError(f"{scenario.path}: has no [[station]]; add at least one")
    if not scenario.targets and not scenario.frames:
        raise ConfigError(
            f"{scenario.path}: has neither [[target]] nor [[frame]]; add at least one"
        )
    _check_names(scenario, {"station": [one.name for one in scenario.stations]})
    taken = {
        "target": [one.name for one in scenario.targets],
        "frame": [one.name for one in scenario.frames],
    }
    _check_names(scenario, taken)


def _check_names(scenario: Scenario, names: dict[str, list[str]]) -> None:
    """Refuse a name that two of these kinds of tables have, or two of one kind."""
    seen: set[str] = set()
    for kind, found in names.items():
        for index, name in enumerate(found):
            if name in seen:
                raise ConfigError(
                    f"{scenario.where(f'{kind}.{index}.name')}: the name {name!r} is taken; give "
                    f"every {' and '.join(names)} one of its own"
                )
            seen.add(name)


def _satellite(given: LinedFields) -> tuple[str, Tle]:
    name = given.text("name")
    if given.has("tle_file") and given.has("tle"):
        given.refuse("tle_file", "stands beside tle; keep one of them")
    if given.has("tle_file"):
        path = given.file("tle_file")
        text = read_bytes(path, "a file of a TLE", ConfigError, 4096).decode("ascii", "replace")
        lines, where = [one for one in text.splitlines() if one.strip()], str(path)
        if len(lines) == 3:
            lines = lines[1:]  # the first gives the name
    else:
        lines, where = list(given.words("tle")), given.where("tle")
    given.done()
    if len(lines) != 2:
        raise ConfigError(f"{where}: the TLE has {len(lines)} lines; give line 1 and line 2")
    return name, read_tle(lines[0], lines[1], where)


def _power(given: LinedFields, modes: list[LinedFields], span: Span) -> Power:
    daily = given.pairs("off_daily") if given.has("off_daily") else []
    clocks = [tuple(given.clock("off_daily", one) for one in pair) for pair in daily]
    power = Power(
        given.flag("off_in_eclipse", False),
        tuple((first, last) for first, last in clocks),
        tuple(sorted((_safe_mode(one, span) for one in modes), key=lambda one: one.span.start)),
    )
    given.done()
    if any(first == last for first, last in power.off_daily):
        given.refuse("off_daily", "has a pair of equal times; write when it begins and ends")
    if sum(_length(first, last) for first, last in power.off_daily) >= 24:
        given.refuse("off_daily", "leaves no time with power; shorten it")
    return power


def _length(first: time, last: time) -> float:
    """Hours from one time of day to the next occurrence of another."""
    hours = [one.hour + one.minute / 60 + one.second / 3600 for one in (first, last)]
    return (hours[1] - hours[0]) % 24


def _safe_mode(given: LinedFields, span: Span) -> SafeMode:
    start = _within(given, "start", span)
    hours = given.number("hours", 0, 24 * MAX_DAYS)
    if not hours:
        given.refuse("hours", "is 0; write how long it lasts")
    mode = SafeMode(Span(start, start + timedelta(hours=hours)), given.text("reason"))
    given.done()
    return mode


def _camera(given: LinedFields) -> Camera:
    usual = Camera()
    camera = Camera(
        given.number("max_off_nadir_deg", 0.1, 60, usual.max_off_nadir_deg),
        given.number("min_sun_elevation_deg", -90, 90, usual.min_sun_elevation_deg),
        given.whole("max_frames_day", 1, 100_000, usual.max_frames_day),
    )
    given.done()
    return camera


def _onboard(given: LinedFields) -> Onboard:
    seconds, timing = _timing(given)
    onboard = Onboard(
        bundle=given.file("bundle"),
        engine=given.text("engine", tuple(LOADERS), "tflite"),
        passes=given.whole("passes", 1, 1000) if given.has("passes") else None,
        seconds_per_megapixel=seconds,
        timing=timing,
        limits=_limits(given.table("limits")),
        quota_mb=given.whole("quota_mb", 1, 10**6, 256),
        sendings=given.whole("sendings", 1, MAX_SENDINGS, DEFAULT_SENDINGS),
    )
    given.done()
    return onboard


def _timing(given: LinedFields) -> tuple[float, str]:
    """Seconds for 10⁶ pixels: given, or from a benchmark's figures and a factor."""
    if given.has("bench") and given.has("seconds_per_megapixel"):
        given.refuse("bench", "stands beside seconds_per_megapixel; keep one of them")
    if not given.has("bench"):
        seconds = given.number("seconds_per_megapixel", 0, 1e5)
        if not seconds:
            given.refuse("seconds_per_megapixel", "is 0; write what floodsat bench measured")
        return seconds, f"{seconds:g} s a megapixel, given by the scenario"
    engine = given.text("engine", tuple(LOADERS), "tflite")
    factor = given.number("factor", 1e-3, 1e5, 1.0)
    measured, machine = bench_seconds(given.file("bench"), engine)
    seconds = measured * factor
    return seconds, (
        f"{seconds:.3g} s a megapixel: floodsat bench measured {measured:.3g} s on {machine}, "
        f"times {factor:g} for the flight computer"
    )


def _limits(given: LinedFields) -> dict[str, float]:
    limits, found = Limits(), {}
    for name in given.names():
        value = given.take(name)
        try:
            limits = limits.with_value(name, value)
        except ConfigError as error:
            raise ConfigError(f"{given.where(name)}: {error}") from error
        found[name] = float(value)
    return found


def _conditions(given: LinedFields, usual: Conditions) -> Conditions:
    """A channel; what is not said is as usual."""
    burst = usual.burst
    if given.has("burst"):
        burst = given.number("burst", 1, 1e6) or None
    rates = {
        name: given.number(name, 0, 1, getattr(usual, name))
        for name in _LINK
        if name not in ("burst", "span")
    }
    made = Conditions(**rates, burst=burst, span=given.whole("span", 1, 10_000, usual.span))
    given.done()
    try:
        Channel(0, made)
    except ConfigError as error:
        raise ConfigError(f"{given.where()}: {error}") from error
    return made


def _station(given: LinedFields, link: Conditions) -> Station:
    station = Station(
        name=given.text("name"),
        latitude=given.number("lat", -90, 90),
        longitude=given.number("lon", -180, 180),
        height_m=given.number("height_m", -500, 9000, 0.0),
        elevation_mask_deg=given.number("elevation_mask_deg", 0, 90, 5.0),
        down_bps=given.number("down_bps", 0, MAX_BPS),
        up_bps=given.number("up_bps", 0, MAX_BPS, 0.0),
        priority=given.whole("priority", -1000, 1000, 0),
        channel=_conditions(given.table("channel"), link),
    )
    given.done()
    if not station.down_bps:
        given.refuse("down_bps", "is 0: nothing would come down; write a rate, bits per second")
    if station.elevation_mask_deg >= 90:
        given.refuse("elevation_mask_deg", "is 90: it would hear nothing; write less")
    return station


def _target(given: LinedFields, span: Span) -> Target:
    first = _within(given, "from", span) if given.has("from") else span.start
    last = _within(given, "until", span) if given.has("until") else span.end
    if first >= last:
        given.refuse("until", "is not after from; write a later time")
    target = Target(
        name=given.text("name"),
        latitude=given.number("lat", -90, 90),
        longitude=given.number("lon", -180, 180),
        picture=_picture(given),
        flood=_curve(given, "flood", span) if given.has("flood") else None,
        clouds=_clouds(given) if given.has("clouds") else None,
        span=Span(first, last),
    )
    given.done()
    for name in ("flood", "clouds"):
        if target.picture.file is not None and given.has(name):
            given.refuse(name, "is of frames that are generated; a file shows what it shows")
    if target.flood is not None:
        most = {"flood_fraction": max(target.flood.values)}
        try:
            Recipe(**{**target.picture.recipe, **most})
        except ConfigError as error:
            given.refuse("flood", f"is more than the recipe takes: {error}")
    return target


def _curve(given: LinedFields, name: str, span: Span) -> Curve:
    pairs = given.pairs(name)
    times = [given.as_instant(name, when, span.start) for when, _ in pairs]
    values = [_share(given, name, value) for _, value in pairs]
    if any(after <= before for before, after in itertools.pairwise(times)):
        given.refuse(name, "is not in order of time; write [time, share] pairs, each later")
    return Curve(tuple(times), tuple(values))


def _share(given: LinedFields, name: str, value: Any) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not 0 <= value <= 1:
        given.refuse(name, f"has {value!r}, no share; write a number in 0…1")
    return float(value)


def _clouds(given: LinedFields) -> tuple[float, float]:
    value = given.take("clouds")
    pair = value if isinstance(value, list) else [value, value]
    if len(pair) != 2:
        given.refuse("clouds", f"is {value!r}; write a share, or the least and the most")
    low, high = (_share(given, "clouds", one) for one in pair)
    if low > high:
        given.refuse("clouds", f"is {value!r}; write the least first")
    return low, high


def _frame(given: LinedFields, span: Span) -> FramePlan:
    frame = FramePlan(
        name=given.text("name"),
        time=_within(given, "time", span),
        latitude=given.number("lat", -90, 90),
        longitude=given.number("lon", -180, 180),
        picture=_picture(given),
    )
    given.done()
    return frame


def _picture(given: LinedFields) -> Picture:
    if given.has("file") == given.has("recipe"):
        given.refuse("name", "needs either a file or a table recipe; say where the frame is from")
    if given.has("recipe"):
        for name in ("truth", "permanent", "window", "turn"):
            if given.has(name):
                given.refuse(name, "is of a file; a recipe brings its own")
        return Picture(recipe=_recipe(given.table("recipe")))
    return Picture(
        file=given.file("file"),
        truth=given.file_if("truth"),
        permanent=given.file_if("permanent"),
        window=_window(given) if given.has("window") else None,
        turn=given.whole("turn", 0, 7, 0),
    )


def _window(given: LinedFields) -> tuple[int, int, int, int]:
    value = given.take("window")
    whole = isinstance(value, list) and all(type(one) is int for one in value)
    if not whole or len(value) != 4 or min(value) < 0 or min(value[2:]) < 1:
        given.refuse("window", f"is {value!r}; write [row, column, height, width] in pixels")
    row, col, height, width = value
    return row, col, height, width


def _recipe(given: LinedFields) -> dict[str, Any]:
    """Fields of a recipe, held to what ``floodsat synth`` takes."""
    names = {one.name for one in fields(Recipe)}
    recipe = {name: given.take(name) for name in given.names()}
    for name in recipe:
        if name not in names:
            given.unknown(name, names)
    try:
        Recipe(**recipe)
    except (ConfigError, TypeError) as error:
        raise ConfigError(f"{given.where()}: the recipe makes no sense: {error}") from error
    return recipe


def _uplink(given: LinedFields, span: Span) -> Uplink:
    kind = given.text("kind", UPLINK_KINDS)
    is_command = kind == "command"
    uplink = Uplink(
        name=given.text("name"),
        time=_within(given, "time", span),
        kind=next(one for one in UPLINK_KINDS if one == kind),
        command=given.text("command", tuple(code.text for code in commands.Code))
        if is_command
        else "",
        arguments=_arguments(given) if is_command else {},
        path=None if is_command else given.file("path"),
        corrupted=given.flag("corrupted", False),
    )
    given.done()
    return uplink


def _arguments(given: LinedFields) -> dict[str, Any]:
    """A telecommand's arguments, held to what it takes."""
    found = given.plain("arguments")
    for name in _BYTES & found.keys():
        try:
            found[name] = bytes.fromhex(found[name])
        except (TypeError, ValueError):
            given.table("arguments").refuse(name, "is no hexadecimal text; write digits in pairs")
    code = next(one for one in commands.Code if one.text == given.take("command"))
    try:
        commands.check(commands.Command(code, 1, 0, 1, found))
    except CommandError as error:
        raise ConfigError(f"{given.where('command')}: {error}") from error
    return found


def _strategies(given: LinedFields) -> tuple[StrategyName, ...]:
    if not given.has("strategies"):
        return STRATEGIES
    names = given.words("strategies")
    for name in names:
        if name not in STRATEGIES:
            given.refuse("strategies", f"has {name!r}; choose from {', '.join(STRATEGIES)}")
    return tuple(one for one in STRATEGIES if one in names)


def _within(given: LinedFields, name: str, span: Span) -> datetime:
    when = given.instant(name, span.start)
    if not span.holds(when):
        given.refuse(
            name,
            f"is {when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}, outside the scenario, which runs from "
            f"{span.start:%Y-%m-%dT%H:%M:%SZ} to {span.end:%Y-%m-%dT%H:%M:%SZ}; move it or start, "
            "or give more days",
        )
    return when


def _sorted(uplinks: Iterable[Uplink]) -> tuple[Uplink, ...]:
    return tuple(sorted(uplinks, key=lambda one: one.time))
