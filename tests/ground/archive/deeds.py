"""What workers of the tests are given to do; importable there."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from ground.archive.recipe import Recipe
from ground.archive.work import Done, Failed, Job, segment


def double(number: int) -> int:
    return 2 * number


def refuse(number: int) -> int:
    if number == 2:
        raise ValueError(f"not {number}")
    return number


def poisonous(number: int) -> int:
    """A number that its worker dies of."""
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def segment_once_deadly(mark: Path, recipe: Recipe, job: Job) -> Done | Failed:
    """As `segment`, but the first worker that comes to f2 dies when its maps are half-written."""
    if job.frame.stem == "f2" and not mark.exists():
        mark.touch()
        (job.target.parent / ".part-half.tif").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    return segment(recipe, job)
