"""The shipped month of a mission: how long a replay takes when all its maps are kept."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figures import Bound, Figure
from onboard.errors import FloodsatError

SCENARIO = Path("data_samples") / "scenarios" / "month.toml"
BOUND = 60.0
"""Seconds that the replay may take: 30 days, 510 frames."""
NOT_MEASURED = "not measured: '--replay CACHE' plays it twice (long where CACHE holds no maps yet)"


class ReplayError(FloodsatError):
    """The month could not be played."""


def seconds(cache: Path) -> float:
    """Play the month twice, as a user does, and time the second time.

    Args:
        cache: folder of frames and maps; filled by the first time where it lacks some.

    Raises:
        ReplayError: the replay ended with an error.
    """
    _play(cache)
    start = time.perf_counter()
    _play(cache)
    return time.perf_counter() - start


def figure(cache: Path | None) -> Figure:
    """The time and its bound; without a cache, how to have it measured."""
    took = None if cache is None else seconds(cache)
    note = NOT_MEASURED if cache is None else "frames and maps kept; the second of two replays"
    return Figure("month", "", "replay of the shipped month", took, "s", Bound(BOUND), note)


def _play(cache: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="floodsat-bench-") as folder:
        out = Path(folder) / "month"
        command = [sys.executable, "-m", "onboard", "replay", str(SCENARIO)]
        command += ["--out", str(out), "--cache", str(cache)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise ReplayError(f"{SCENARIO}: {said[-1] if said else 'the replay said nothing'}")
