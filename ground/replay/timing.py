"""Timing: how long a frame takes, out of the figures that ``floodsat bench --json`` wrote."""

from __future__ import annotations

import json
from pathlib import Path

from onboard.errors import ConfigError
from onboard.fields import Fields
from onboard.toml import read_bytes

KEY = "segment_seconds"
MEGAPIXELS = 12.0
"""Of the frame that ``floodsat bench`` segments for that figure, 10⁶ pixels."""
_MAX_BYTES = 2**20
_WHAT = "what floodsat bench --json wrote"


def bench_seconds(path: Path, engine: str) -> tuple[float, str]:
    """Seconds a megapixel of one engine, file to file, and the machine that took them.

    Raises:
        ConfigError: no such figures, or none of this engine.
    """
    try:
        table = json.loads(read_bytes(path, _WHAT, ConfigError, _MAX_BYTES))
    except ValueError as error:
        raise ConfigError(f"{path}: is no JSON ({error}); name {_WHAT}") from error
    given = Fields(path, table, ConfigError)
    facts = given.table("facts")
    machine = f"{facts.text('processor')}, {facts.text('cores')} cores"
    figures = given.take("figures")
    for index, one in enumerate(figures if isinstance(figures, list) else []):
        figure = Fields(path, one, ConfigError, f"figures {index}")
        if (figure.take("key"), figure.take("engine")) == (KEY, engine):
            return figure.number("value", 1e-3, 1e6) / MEGAPIXELS, machine
    raise ConfigError(
        f"{path}: has no figure {KEY} of the engine {engine}; run floodsat bench with it, or write "
        "seconds_per_megapixel"
    )
