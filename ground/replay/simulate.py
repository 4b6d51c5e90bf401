"""Simulate: a scenario from its plan to the result, every strategy in one run."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from ground.replay import load, result
from ground.replay.atlas import Atlas
from ground.replay.checks import Plan
from ground.replay.craft import Fit
from ground.replay.findings import Played, found
from ground.replay.flight import fly
from ground.replay.log import FlightLog
from ground.replay.pictures import footprint
from ground.replay.plots import write_plots
from ground.replay.scenario import Scenario, StrategyName
from ground.replay.scenes import grid_of, scenes, truth_of
from ground.replay.strategies import RULES, TITLES
from onboard import bundle as bundles
from onboard import engines, files, signing
from onboard.engines import Engine

SHOWN: StrategyName = "prioritised"
_MEMORY = Path("/dev/shm")
_ROOM = 1 << 30
Tell = Callable[[str, int, int], None]
"""Takes what is being done, how much of it is done, and of how much."""


def quiet(stage: str, done: int, of: int) -> None:
    """Say nothing."""


def simulate(
    plan: Plan, out: Path, cache: Path, jobs: int | None = None, tell: Tell = quiet
) -> result.Replay:
    """Play a scenario and write what came of it.

    Args:
        plan: the scenario over its orbit.
        out: an empty folder; gets ``replay.json``, plots, pictures and streams.
        cache: folder where frames, maps and pictures are kept from one replay to the next.
        jobs: processes that make frames at once; one a core if None.
        tell: takes how far it is.

    Returns:
        The result, as it stands in ``out/replay.json``: the same for the same scenario, on one
        machine.

    Raises:
        FloodsatError: something that the scenario names is unusable.
    """
    files.make_folder(cache)
    played = _prepared(plan, cache, jobs or os.cpu_count() or 1, tell)
    opened: dict[bytes, Engine] = {}
    for name in flying(plan.scenario):
        played.logs[name] = _flown(played, name, cache, tell, opened)
    replay = found(played, out, cache, lambda done, of: tell("pictures", done, of))
    write_plots(replay, out)
    result.write(replay, out)
    return replay


def flying(scenario: Scenario) -> list[StrategyName]:
    """The strategies that fly; where none is asked for, the one that the others are counted by."""
    return [name for name in scenario.strategies if name in RULES] or [SHOWN]


def _prepared(plan: Plan, cache: Path, jobs: int, tell: Tell) -> Played:
    """Check what the scenario names, and make the frames."""
    onboard = plan.scenario.onboard
    sets = [engines.set_of(onboard.engine), bundles.COMMON]
    bundle = bundles.load(onboard.bundle, sets)
    load.check(plan.scenario, signing.trusted(None))
    made = scenes(
        plan.captures, bundle.sensor, cache, jobs, lambda done, of: tell("frames", done, of)
    )
    grids = [grid_of(one) for one in made]
    known = [(grid, one.permanent) for grid, one in zip(grids, made, strict=True)]
    atlas = Atlas((grid, path) for grid, path in known if path is not None)
    return Played(
        plan,
        onboard.passes or bundle.passes,
        tuple(made),
        tuple(truth_of(one) for one in made),
        tuple(footprint(grid) for grid in grids),
        atlas,
    )


def _flown(
    played: Played, name: StrategyName, cache: Path, tell: Tell, opened: dict[bytes, Engine]
) -> FlightLog:
    """Fly one strategy, in a folder of its own that is gone afterwards."""
    onboard = played.plan.scenario.onboard
    fit = Fit(
        onboard.bundle,
        onboard.engine,
        onboard.passes,
        onboard.limits_over,
        onboard.quota_mb,
        onboard.seconds_per_megapixel,
        RULES[name],
        played.atlas,
        cache,
        (signing.DEMO_KEY,),
    )
    folder = Path(tempfile.mkdtemp(prefix="floodsat-replay-", dir=_workplace()))
    try:
        title = TITLES[name]
        return fly(
            played.plan, played.scenes, fit, folder, lambda done, of: tell(title, done, of), opened
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _workplace() -> Path | None:
    """Where the satellite's storage lies: in memory where there is room, else wherever usual.

    The satellite makes everything durable that it writes, a hundred times a simulated day; that
    it survives a power cut is for the tests of the service to show, not for this computer's disk.
    """
    with contextlib.suppress(OSError):
        if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= _ROOM:
            return _MEMORY
    return None
