"""Settings of the service: how often, how much and how long. A TOML file; all have defaults."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from onboard.errors import ConfigError
from onboard.fields import Fields
from onboard.toml import parse_toml, read_bytes

MAX_SETTINGS_BYTES = 65_536
_MEBI = 2**20
_DAY_S = 86_400.0


@dataclass(frozen=True)
class Settings:
    """What an operator may set.

    Attributes:
        poll_seconds: between two looks into an empty inbox.
        idle_seconds: of rest after every frame.
        max_frames_per_hour: that are begun; 0 for no bound.
        retry_seconds: until the next try when storage or every engine failed.
        attempts: on one frame, before it is refused.
        tile_seconds: the longest that an engine may take for one tile.
        heartbeat_seconds: the longest that an engine's process may be silent.
        engine_retry_seconds: until the first engine is tried again where another stands in.
        max_frame_mb: of a frame's file; larger ones are refused unread. MiB, as all below.
        max_megapixels: of a frame, 2²⁰ pixels; memory grows with them.
        quota_mb: that what waits may take; the shelf takes as much again.
        keep_done_mb: of frames that are done with.
        keep_refused_mb: of frames that were refused.
        telemetry_mb: of all telemetry files together.
        min_free_mb: of storage, below which nothing is begun.
    """

    poll_seconds: float = 2.0
    idle_seconds: float = 0.0
    max_frames_per_hour: int = 0
    retry_seconds: float = 30.0
    attempts: int = 5
    tile_seconds: float = 60.0
    heartbeat_seconds: float = 30.0
    engine_retry_seconds: float = 3600.0
    max_frame_mb: int = 512
    max_megapixels: int = 16
    quota_mb: int = 256
    keep_done_mb: int = 2048
    keep_refused_mb: int = 256
    telemetry_mb: int = 4
    min_free_mb: int = 64

    @property
    def quota(self) -> int:
        """Bytes that what waits may take."""
        return self.quota_mb * _MEBI

    @property
    def telemetry_bytes(self) -> int:
        """Bytes of all telemetry files together."""
        return self.telemetry_mb * _MEBI

    @property
    def max_pixels(self) -> int:
        """Of a frame."""
        return self.max_megapixels * _MEBI

    @property
    def max_frame_bytes(self) -> int:
        """Of a frame's file."""
        return self.max_frame_mb * _MEBI

    @property
    def min_free_bytes(self) -> int:
        """Of storage, below which nothing is begun."""
        return self.min_free_mb * _MEBI

    @property
    def bounds(self) -> tuple[int, int]:
        """Bytes of frames that are done with and of refused ones."""
        return self.keep_done_mb * _MEBI, self.keep_refused_mb * _MEBI


LIMITS: dict[str, tuple[float, float]] = {
    "poll_seconds": (0.01, 3600),
    "idle_seconds": (0, _DAY_S),
    "max_frames_per_hour": (0, 10**6),
    "retry_seconds": (0.01, _DAY_S),
    "attempts": (1, 1000),
    "tile_seconds": (0.1, 3600),
    "heartbeat_seconds": (0.1, 3600),
    "engine_retry_seconds": (0, 30 * _DAY_S),
    "max_frame_mb": (1, 10**6),
    "max_megapixels": (1, 128),
    "quota_mb": (1, 10**6),
    "keep_done_mb": (0, 10**6),
    "keep_refused_mb": (0, 10**6),
    "telemetry_mb": (1, 10**4),
    "min_free_mb": (0, 10**6),
}
"""The least and the most of every setting."""


def load(path: Path) -> Settings:
    """Read a settings file.

    Raises:
        ConfigError: unreadable, no TOML, an unknown name or a value out of its range.
    """
    what = "a TOML file of settings, or leave --settings out"
    table = parse_toml(path, read_bytes(path, what, ConfigError, MAX_SETTINGS_BYTES), ConfigError)
    given = Fields(path, table, ConfigError)
    values: dict[str, Any] = {}
    for one in fields(Settings):
        low, high = LIMITS[one.name]
        if isinstance(one.default, int):
            values[one.name] = given.whole(one.name, int(low), int(high), one.default)
        else:
            values[one.name] = given.number(one.name, low, high, one.default)
    given.done()
    return Settings(**values)
