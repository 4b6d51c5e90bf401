"""The record of a run, ``run.json``: what a run folder says of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from onboard import formats
from onboard.errors import ConfigError

NAME = "run.json"


class NewerRunError(ConfigError):
    """The record was written by a later version of this software."""


def read(run: Path) -> dict[str, Any]:
    """The record of a run folder, as plain JSON types.

    A record without the field ``format`` is of version 1.

    Raises:
        OSError: there is none.
        ValueError: it is no JSON object.
        NewerRunError: it is of a version that is not known here.
    """
    record = json.loads((run / NAME).read_text("utf-8"))
    if not isinstance(record, dict):
        raise ValueError("it holds no record")
    formats.RUN.check(record.get("format", 1), f"{run / NAME}:", NewerRunError, "train it again")
    return record
