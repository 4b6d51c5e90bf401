"""Capture: when a frame was taken, from where, and how well either is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from onboard.conditions import NADIR, View
from onboard.errors import FrameError
from onboard.fields import Fields, checked_number
from onboard.product import TimeQuality

# The days of the link's time code (CDS) begin in 1958 and end in 2137.
FIRST_YEAR, LAST_YEAR = 1958, 2136
MAX_SIGMA_M = 1e6
MAX_SIGMA_S = 1e9

QUALITIES = {
    "file": TimeQuality.FILE,
    "clock": TimeQuality.CLOCK,
    "gnss": TimeQuality.GNSS,
}


@dataclass(frozen=True)
class Capture:
    """The moment and the viewpoint of a frame.

    Attributes:
        time: with its zone; None where the frame does not say.
        quality: how the time is known.
        time_sigma_s: one standard deviation of it, seconds; None where not stated.
        geolocation_sigma_m: one standard deviation of a place on the ground, metres; None where
            not stated.
        view: of the camera; straight down where not stated.
    """

    time: datetime | None = None
    quality: TimeQuality = TimeQuality.UNKNOWN
    time_sigma_s: float | None = None
    geolocation_sigma_m: float | None = None
    view: View = NADIR

    @property
    def milliseconds(self) -> int | None:
        """The time as UTC milliseconds since 1970."""
        return None if self.time is None else round(self.time.timestamp() * 1000)


def parse_time(path: Path, field: str, text: str) -> datetime:
    """An ISO 8601 time; without a zone it is UTC.

    Args:
        path: the file, for errors.
        field: what states the time there, for errors, such as ``tag ACQUIRED``.
        text: the time.

    Raises:
        FrameError: it is no time, or none that a time code on the link holds.
    """
    try:
        when = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise FrameError(
            f"{path}: its {field} is {text!r}, no ISO 8601 time; mend or remove it"
        ) from error
    if when.tzinfo is None:
        when = when.replace(tzinfo=timezone.utc)
    if not FIRST_YEAR <= when.year <= LAST_YEAR:
        raise FrameError(
            f"{path}: its {field} is {text!r}, outside {FIRST_YEAR}…{LAST_YEAR}; mend or remove it"
        )
    return when


def capture_of_tags(path: Path, tags: Mapping[str, str]) -> Capture:
    """What a GeoTIFF's tags say; ``docs/frames.md`` lists them.

    Raises:
        FrameError: a tag holds no time, no number, or one out of its range.
    """
    text = tags.get("ACQUIRED")
    time = parse_time(path, "tag ACQUIRED", text) if text else None
    if time is None:
        quality = TimeQuality.UNKNOWN
    else:
        known = Fields(path, tags, FrameError)
        word = known.text("ACQUIRED_QUALITY", tuple(QUALITIES), "file")
        quality = QUALITIES[word]
    return Capture(
        time,
        quality,
        _number(path, tags, "ACQUIRED_SIGMA_S", MAX_SIGMA_S),
        _number(path, tags, "GEOLOCATION_SIGMA_M", MAX_SIGMA_M),
        View(
            _number(path, tags, "VIEW_ZENITH_DEG", 89.0) or 0.0,
            _number(path, tags, "VIEW_AZIMUTH_DEG", 360.0) or 0.0,
        ),
    )


def _number(path: Path, tags: Mapping[str, str], name: str, high: float) -> float | None:
    if name not in tags:
        return None
    try:
        value = float(tags[name])
    except ValueError:
        value = float("nan")
    return checked_number(Fields(path, tags, FrameError), name, value, 0.0, high)
