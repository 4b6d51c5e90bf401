"""What a second worker brings: an archive by one and by two workers of one thread, in one run.

``python -m benchmarks.scaling`` prints the rounds. Everything counts that a job does: frames are
read from files, maps written until they lie on the disk, items added to a catalogue. The workers
are the same two processes throughout, the first of them alone in every other round.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks import clock, frames
from benchmarks.figures import Bound, Figure
from ground.archive.cluster import Cluster, opened
from ground.archive.job import gather, run
from ground.archive.recipe import Recipe
from onboard.errors import MissingPackageError

SIDE = 1024
FRAMES, ROUNDS = 6, 3
BOUND = 85.0
"""Efficiency in percent: the rate of two workers over twice that of one."""
LOAD = Path("/proc/loadavg")
QUIET = 0.5
"""What others may be running when a ratio is taken by the clock, as the load of a minute."""


class Scaling(NamedTuple):
    """Seconds of the same frames.

    Attributes:
        one: by one worker, of each round.
        two: by two.
        cpu_one: seconds of processor that the workers took, of each round with one.
        cpu_two: with two.
        frames: how many.
        load: of the minute before, what the machine was doing besides.
    """

    one: list[float]
    two: list[float]
    cpu_one: list[float]
    cpu_two: list[float]
    frames: int
    load: float

    @property
    def efficiency(self) -> float:
        """Of two workers, percent, by the medians of the rounds."""
        return 50.0 * statistics.median(self.one) / statistics.median(self.two)

    @property
    def work(self) -> float:
        """Processor time of a frame with two workers over that with one."""
        return statistics.median(self.cpu_two) / statistics.median(self.cpu_one)


def measure(recipe: Recipe, folder: Path, seed: int, rounds: int = ROUNDS) -> Scaling:
    """Segment the same frames again and again, by one worker and by two in turn.

    Args:
        recipe: bundle and settings.
        folder: for frames and maps.
        seed: of the frames.
        rounds: of each.
    """
    load = load_of_a_minute()
    made = _frames(recipe, folder, seed)
    seconds: dict[int, list[float]] = {1: [], 2: []}
    cpu: dict[int, list[float]] = {1: [], 2: []}
    with opened("local", 2) as cluster:
        # The first frame of a worker loads the network.
        _one(recipe, made[:4], folder / "warm", cluster)
        for number in range(rounds):
            for workers in (1, 2):
                part = cluster.part(workers)
                before = _spent(cluster)
                out = folder / f"{workers}-{number}"
                seconds[workers].append(clock.timed(partial(_one, recipe, made, out, part)))
                cpu[workers].append(_spent(cluster) - before)
    return Scaling(seconds[1], seconds[2], cpu[1], cpu[2], len(made), load)


def load_of_a_minute() -> float:
    """What the machine was doing, in running processes; 0 where Linux does not say."""
    return float(LOAD.read_text("ascii").split()[0]) if LOAD.is_file() else 0.0


def _frames(recipe: Recipe, folder: Path, seed: int) -> list[Path]:
    sensor = recipe.ready().segmenter.bundle.sensor
    samples = frames.spread(frames.scene(seed), SIDE, SIDE, len(sensor.bands))
    made = [folder / f"frame{number}.tif" for number in range(FRAMES)]
    for path in made:
        frames.write(path, samples, sensor)
    return made


def _one(recipe: Recipe, made: Sequence[Path], out: Path, cluster: Cluster) -> None:
    out.mkdir()
    found = gather(run(recipe, made, out, cluster))
    assert found.drawn == len(made), found


def _spent(cluster: Cluster) -> float:
    """Seconds of processor that the workers have taken so far."""
    return float(sum(cluster.client.run(time.process_time).values()))


def figures(bundle: Path, engine: str, trust: Sequence[Path], seed: int) -> list[Figure]:
    """The efficiency with its bound, and the work behind it."""
    cores = os.cpu_count() or 1
    text = "an archive by two workers over twice by one"
    bound = Bound(BOUND, at_most=False)
    if cores < 2:
        note = "not measured: this machine has one core"
        return [Figure("scaling", engine, text, None, "%", bound, note)]
    recipe = Recipe.of(bundle, engine, seed=seed, trust=list(trust) or None)
    try:
        with tempfile.TemporaryDirectory(prefix="floodsat-scaling-") as name:
            found = measure(recipe, Path(name), seed)
    except MissingPackageError as error:
        return [Figure("scaling", engine, text, None, "%", bound, f"not measured: {error}")]
    note = (
        f"one thread each, {found.frames} frames of {SIDE} px a side, file to catalogue, "
        f"{len(found.one)} rounds in turn"
    )
    if found.load > QUIET:
        note += f"; the machine was at other work, of load {found.load:.1f}"
    rate = found.frames * SIDE**2 / 1e6 / statistics.median(found.one)
    return [
        Figure("scaling", engine, text, found.efficiency, "%", bound, note),
        Figure("scaling_work", engine, "processor time of a frame, two over one", found.work, "×"),
        Figure("worker_rate", engine, "an archive, a worker of one thread", rate, "MP/s"),
    ]


def main() -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(description="Time an archive by one and by two workers")
    parser.add_argument("bundle", type=Path, nargs="?", default=Path("data_samples/bundle"))
    parser.add_argument("--engine", default="tflite")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    recipe = Recipe.of(given.bundle, given.engine, seed=given.seed)
    with tempfile.TemporaryDirectory(prefix="floodsat-scaling-") as name:
        found = measure(recipe, Path(name), given.seed, given.rounds)
    shown = {**found._asdict(), "efficiency": found.efficiency, "work": found.work}
    print(json.dumps(shown, indent=1))


if __name__ == "__main__":
    main()
