"""Outlook: what a plan says to an operator before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from rich.table import Table

from ground.replay.checks import Plan
from ground.replay.passes import Contact

_MOST = 20
"""Frames that are listed in the terminal; ``--json`` has all."""


def tables(plan: Plan) -> Iterator[Table]:
    """Contacts by station, and the first of the frames."""
    yield _stations(plan)
    yield _frames(plan)


def _stations(plan: Plan) -> Table:
    table = Table(
        "station", "contacts", "a day", "minutes", "longest", "highest", "down", "up", box=None
    )
    days = plan.scenario.span.seconds / 86_400
    for station in plan.scenario.stations:
        found = [one for one in plan.served if one.station == station.name]
        seconds = [one.seconds for one in found]
        table.add_row(
            station.name,
            str(len(found)),
            f"{len(found) / days:.1f}",
            f"{sum(seconds) / 60:.0f}",
            f"{max(seconds, default=0) / 60:.1f} min",
            f"{max((one.max_elevation_deg for one in found), default=0):.0f}°",
            f"{sum(seconds) * station.down_bps / 8e6:.1f} MB",
            f"{sum(seconds) * station.up_bps / 8e6:.1f} MB" if station.up_bps else "none",
        )
    return table


def _frames(plan: Plan) -> Table:
    table = Table("frame", "taken (UTC)", "off nadir", "Sun", "place", box=None)
    for one in plan.captures[:_MOST]:
        table.add_row(
            one.name,
            f"{one.time:%Y-%m-%d %H:%M:%S}",
            f"{one.off_nadir_deg:.1f}°",
            f"{one.sun_elevation_deg:.0f}°",
            f"{one.latitude:.2f}, {one.longitude:.2f}",
        )
    return table


def lines(plan: Plan) -> Iterator[str]:
    """The rest, a line each."""
    if len(plan.captures) > _MOST:
        yield f"… and {len(plan.captures) - _MOST} frames more"
    colon = ":" if plan.missed else ""
    yield f"frames: {len(plan.captures)} taken, {len(plan.missed)} not taken{colon}"
    reasons = [one.reason for one in plan.missed]
    for reason in sorted(set(reasons)):
        yield f"  {reasons.count(reason)}: {reason}"
    hours = sum(one.span.seconds for one in plan.off) / 3600
    share = hours * 3600 / plan.scenario.span.seconds
    yield f"without power for {hours:.1f} h, {share:.0%} of the time"
    yield f"on board: {plan.scenario.onboard.timing}"
    epoch = plan.scenario.tle.epoch
    yield f"orbit: satellite {plan.scenario.tle.number}, elements of {epoch:%Y-%m-%d %H:%M} UTC"


def to_json(plan: Plan) -> dict[str, Any]:
    """The plan as plain values: times in ISO 8601, UTC; angles in degrees."""
    return {
        "scenario": plan.scenario.name,
        "start": _text(plan.scenario.span.start),
        "end": _text(plan.scenario.span.end),
        "contacts": [_contact(one) for one in plan.served],
        "frames": [
            {
                "name": one.name,
                "target": one.target,
                "time": _text(one.time),
                "latitude": one.latitude,
                "longitude": one.longitude,
                "off_nadir_deg": one.off_nadir_deg,
                "sun_elevation_deg": one.sun_elevation_deg,
            }
            for one in plan.captures
        ],
        "not_taken": [
            {"name": one.capture.name, "time": _text(one.capture.time), "reason": one.reason}
            for one in plan.missed
        ],
        "off": [
            {"start": _text(one.span.start), "end": _text(one.span.end), "reason": one.reason}
            for one in plan.off
        ],
        "warnings": list(plan.warnings),
    }


def _contact(one: Contact) -> dict[str, Any]:
    return {
        "station": one.station,
        "aos": _text(one.aos),
        "los": _text(one.los),
        "max_elevation_deg": one.max_elevation_deg,
    }


def _text(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds")
