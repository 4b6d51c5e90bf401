"""The service as a process: killed at random moments, stopped politely, with engines that hang."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from onboard.engines.worker import SupervisedEngine
from onboard.link.housekeeping import Flag
from onboard.outbox import Outbox
from onboard.service import Hooks, Places, Service
from onboard.settings import Settings
from onboard.standby import Standby
from tests.onboard.flights import QuickEngine, runtime, small_frame
from tests.samples import ROOT

SECONDS = 240


class Ground:
    """An inbox, an outbox and the process between them."""

    def __init__(self, folder: Path) -> None:
        self.places = Places(folder / "in", folder / "o.sqlite")
        self.places.inbox.mkdir(parents=True)

    def start(self, *options: str) -> subprocess.Popen[str]:
        paths = [str(self.places.inbox), str(self.places.outbox)]
        return subprocess.Popen(
            [sys.executable, "-m", "tests.onboard.quick_service", *paths, *options],
            cwd=str(ROOT),
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )

    def left(self) -> int:
        return len(list(self.places.inbox.glob("*.tif")))

    def items(self) -> list[bytes]:
        with Outbox(self.places.outbox) as outbox:
            assert outbox.lost == 0
            assert outbox.refused == {}
            return sorted(item.data for item in outbox.waiting())

    def finish(self) -> None:
        process = self.start("--once")
        process.communicate(timeout=SECONDS)
        assert process.returncode == 0


def kill_at_a_random_moment(process: subprocess.Popen[str], rng: random.Random) -> None:
    assert process.stdout is not None
    # Most of the life of a service is frames, not its start.
    if rng.random() < 0.9:
        process.stdout.readline()
    time.sleep(rng.uniform(0, 1.0))
    process.kill()
    process.wait(SECONDS)
    process.stdout.close()


@pytest.mark.parametrize(
    ("kills", "frames"),
    [(4, 6), pytest.param(200, 30, marks=[pytest.mark.soak, pytest.mark.timeout(0)])],
)
def test_killed_at_random_moments_every_frame_is_processed_once(
    tmp_path: Path, kills: int, frames: int
) -> None:
    rng = random.Random(20)
    done = runs = 0
    expected: list[bytes] = []
    while done < kills:
        ground = Ground(tmp_path / str(runs))
        for seed in range(frames):
            small_frame(ground.places.inbox / f"{seed}.tif", seed, wet=seed % 3 > 0)
        for _ in range(kills):
            if done == kills or not ground.left():
                break
            kill_at_a_random_moment(ground.start(), rng)
            done += 1
        ground.finish()
        names = sorted(path.name[13:] for path in (ground.places.inbox / "done").iterdir())
        assert names == sorted(f"{seed}.tif" for seed in range(frames))
        with Outbox(ground.places.outbox) as outbox:
            assert outbox.processed == frames
            assert outbox.totals.queued == len(outbox.waiting())
        # Without a kill the same comes out, whatever was interrupted.
        expected = expected or ground.items()
        assert ground.items() == expected
        runs += 1
    wet = sum(seed % 3 > 0 for seed in range(frames))
    assert len(expected) == 2 * wet


def test_a_polite_stop_finishes_the_frame_and_ends_well(tmp_path: Path) -> None:
    ground = Ground(tmp_path)
    for seed in range(12):
        small_frame(ground.places.inbox / f"{seed}.tif", seed)
    process = ground.start()
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=SECONDS)
    assert process.returncode == 0
    with Outbox(ground.places.outbox) as outbox:
        assert outbox.processed == 12 - ground.left()
        assert len(outbox.waiting()) == 2 * outbox.processed
    ground.finish()
    assert len(ground.items()) == 24


class Faulty(QuickEngine):
    """Hangs or dies in its first runs, as often as a file has bytes."""

    def __init__(self, fault: str, count: Path) -> None:
        super().__init__("myriad (faulty)")
        self.fault, self.count = fault, count

    def run(self, tile: Any, masks: Any) -> Any:
        left = self.count.stat().st_size
        if left:
            os.truncate(str(self.count), left - 1)
            if self.fault == "hang":
                time.sleep(1000)
            os._exit(9)
        return super().run(tile, masks)


@pytest.mark.parametrize(("fault", "times"), [("hang", 1), ("die", 1), ("hang", 4)])
def test_an_engine_that_hangs_or_dies(tmp_path: Path, fault: str, times: int) -> None:
    """Once: its process is started again. For good: another engine takes over."""
    count = tmp_path / "count"
    count.write_bytes(bytes(times))

    def make(name: str) -> Any:
        if name == "tflite":
            return runtime(QuickEngine("tflite (1)"))
        engine = SupervisedEngine(partial(Faulty, fault, count), 3.0, 60.0, pause_s=0.0)
        return runtime(engine)

    places = Places(tmp_path / "in", tmp_path / "o.sqlite")
    places.inbox.mkdir()
    small_frame(places.inbox / "a.tif", 1)
    standby = Standby(["openvino", "tflite"], make)
    with Service(places, Settings(min_free_mb=0), standby, Hooks()) as service:
        service.run(once=True)
        assert service.tally.frames == 1
        status = service.outbox.status
    expected = ("openvino", Flag(0)) if times == 1 else ("tflite", Flag.FALLBACK)
    assert status is not None
    assert (status.engine, status.flags) == expected
    assert status.restarts >= 1
