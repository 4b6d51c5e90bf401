"""Simulate: a scenario from its plan to the result, every strategy in one run."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from ground.replay import load, result
from ground.replay.atlas import Atlas
from ground.replay.checks import Plan
from ground.replay.craft import Fit
from ground.replay.findings import Played, found
from ground.replay.flight import fly
from ground.replay.log import FlightLog
from ground.replay.orbit import Orbit
from ground.replay.pictures import footprint
from ground.replay.plots import write_plots
from ground.replay.scenario import Scenario, StrategyName
from ground.replay.scenes import grid_of, scenes, truth_of
from ground.replay.strategies import RULES, TITLES
from onboard import bundle as bundles
from onboard import engines, files, signing
from onboard.engines import Engine

SHOWN: StrategyName = "prioritised"
MANY = 100
"""Frames from which on it is worth a process to fly a strategy beside another one."""
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
    jobs = jobs or os.cpu_count() or 1
    played = _prepared(plan, cache, jobs, tell)
    _fly_all(played, flying(plan.scenario), cache, jobs, tell)
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


def _fly_all(played: Played, names: list[StrategyName], cache: Path, jobs: int, tell: Tell) -> None:
    """Fly the strategies, side by side where that is worth it."""
    opened: dict[bytes, Engine] = {}
    mapped = _mapped(played, cache)
    left = list(names)
    if not mapped.exists():
        # The first one alone: it runs the network where the cache lacks maps, for the others too.
        first = left.pop(0)
        played.logs[first] = _flown(played, first, cache, tell, opened)
        files.make_folder(mapped.parent)
        mapped.touch()
    if jobs > 1 and len(left) > 1 and len(played.scenes) >= MANY:
        _fly_beside(played, left, cache, tell)
        return
    for name in left:
        played.logs[name] = _flown(played, name, cache, tell, opened)


def _mapped(played: Played, cache: Path) -> Path:
    """A file that is there when a flight over these frames kept its maps.

    It only tells what is quick: a flight that finds a map missing makes it.
    """
    onboard = played.plan.scenario.onboard
    model = bundles.load(onboard.bundle, [bundles.COMMON]).model_id.hex()
    told = [model, onboard.engine, str(played.passes), *(one.folder.name for one in played.scenes)]
    return cache / "mapped" / hashlib.sha256("\n".join(told).encode()).hexdigest()[:24]


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


def _fly_beside(played: Played, names: list[StrategyName], cache: Path, tell: Tell) -> None:
    """Fly several strategies at once, each in a process of its own."""
    # A propagator does not go from process to process, and is not needed there.
    plan = replace(played.plan, orbit=Orbit(played.plan.orbit.tle, played.plan.orbit.origin))
    bare = replace(played, plan=plan, truths=(), footprints=(), logs={})
    every = len(played.scenes)
    with ProcessPoolExecutor(len(names), get_context("spawn")) as pool:
        flights = [pool.submit(_flown, bare, name, cache, quiet, {}) for name in names]
        for name, flight in zip(names, flights, strict=True):
            tell(TITLES[name], 0, every)
            played.logs[name] = flight.result()
            tell(TITLES[name], every, every)


def _workplace() -> Path | None:
    """Where the satellite's storage lies: in memory where there is room, else wherever usual.

    The satellite makes everything durable that it writes, a hundred times a simulated day; that
    it survives a power cut is for the tests of the service to show, not for this computer's disk.
    """
    with contextlib.suppress(OSError):
        if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= _ROOM:
            return _MEMORY
    return None
