from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onboard import bundle, engines
from onboard.engines import worker
from onboard.engines.worker import DeviceError, SupervisedEngine
from onboard.errors import BundleError, EngineError
from onboard.uncertainty import Moments

ROOT = Path(__file__).resolve().parents[2]

PATIENT = {"deadline_s": 60.0, "heartbeat_s": 30.0, "pause_s": 0.0}
MASKS: Any = {"s2": np.ones((3, 4), np.float32)}


class Toy:
    """An engine that does as its tile's first value says; behaves once a file is there."""

    name = "toy (1)"
    tile_size = 4

    def __init__(self, folder: Path, starts: int = 1000) -> None:
        self._folder = folder
        (folder / f"start-{os.getpid()}").touch()
        if len(list(folder.glob("start-*"))) > starts:
            raise EngineError("engine toy: its device is gone; plug it in")

    def run(self, tile: Any, masks: Any) -> Moments:
        todo = int(tile.flat[0])
        if todo and not (self._folder / "cured").exists():
            (self._folder / "cured").touch()
            MISHAPS[todo]()
        return Moments(*(tile[..., 0] + i + len(masks["s2"]) for i in range(4)))

    def pid(self) -> int:
        return os.getpid()

    def fail(self, kind: str) -> None:
        MISHAPS_BY_NAME[kind]()

    def close(self) -> None:
        (self._folder / "closed").touch()


class Series(Toy):
    """Marks that tiles came together."""

    def run_many(self, tiles: Any, masks: Any) -> Any:
        for tile in tiles:
            yield Moments(*(tile[..., 0] * 0 + len(tiles) for _ in range(4)))


class AwkwardError(Exception):
    """Cannot be made again from its text."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def hang() -> None:
    time.sleep(1000)


def die() -> None:
    os._exit(7)


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def lose_device() -> None:
    raise DeviceError("engine toy: the stick gives no result: NC_ERROR; plug it in")


def bad_bundle() -> None:
    raise BundleError("a-bundle: is damaged; fetch it again")


def nan() -> None:
    raise EngineError("engine toy: p_water is no finite number")


def awkward() -> None:
    raise AwkwardError(1, 2)


MISHAPS = {1: hang, 2: die, 3: crash, 4: stop, 5: lose_device}
MISHAPS_BY_NAME = {f.__name__: f for f in (*MISHAPS.values(), bad_bundle, nan, awkward)}


def tile(todo: int = 0) -> Any:
    return np.full((4, 4, 2), todo, np.float32)


def runs(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (OSError, IndexError):
        return False
    return state not in "ZX"


def ends(pid: int, within_s: float = 60) -> bool:
    limit = time.monotonic() + within_s
    while runs(pid) and time.monotonic() < limit:
        time.sleep(0.02)
    return not runs(pid)


def test_it_is_the_engine_inside(tmp_path: Path) -> None:
    with SupervisedEngine(partial(Toy, tmp_path), **PATIENT) as engine:
        assert (engine.name, engine.tile_size) == ("toy (1)", 4)
        found = engine.run(tile(), MASKS)
        assert isinstance(found, Moments)
        np.testing.assert_array_equal(found.p_water_2, np.full((4, 4), 6, np.float32))
        assert found.p_water.dtype == np.float32
        pid = engine.ask("pid")
        assert engine.health == (0, 0, "", pid)
        assert pid != os.getpid()
        assert runs(pid)
    assert not runs(pid)
    assert (tmp_path / "closed").exists()


def test_large_arrays_go_both_ways(tmp_path: Path) -> None:
    large = np.random.default_rng(0).random((768, 768, 4)).astype(np.float32)
    with SupervisedEngine(partial(Toy, tmp_path), **PATIENT) as engine:
        large[0, 0, 0] = 0
        np.testing.assert_array_equal(engine.run(large, MASKS).p_water, large[..., 0] + 3)


@pytest.mark.parametrize(
    ("todo", "limits", "said"),
    [
        (1, {"deadline_s": 1.0}, "no answer within 1 s"),
        (2, {}, "exit code 7"),
        (3, {}, "SIGSEGV"),
        (4, {"heartbeat_s": 1.0}, "no heartbeat for 1 s"),
        (5, {}, "NC_ERROR"),
    ],
)
def test_a_lost_call_is_repeated_in_a_new_process(
    tmp_path: Path, todo: int, limits: Any, said: str
) -> None:
    with SupervisedEngine(partial(Toy, tmp_path), **{**PATIENT, **limits}) as engine:
        first = engine.health.pid
        np.testing.assert_array_equal(engine.run(tile(todo), MASKS).p_water, tile(todo + 3)[..., 0])
        restarts, in_a_row, last_error, pid = engine.health
        assert (restarts, in_a_row) == (1, 0)
        assert said in last_error
        assert pid != first
        assert not runs(first)
        assert runs(pid)


@pytest.mark.parametrize("kind", [1, 2])
def test_a_call_that_fails_twice_says_why(tmp_path: Path, kind: int) -> None:
    name = MISHAPS[kind].__name__
    with SupervisedEngine(partial(Toy, tmp_path), **{**PATIENT, "deadline_s": 1.0}) as engine:
        with pytest.raises(EngineError, match=r"toy.*again: (no answer|.*exit code 7)") as caught:
            engine.ask("fail", name)
        assert "\n" not in str(caught.value)
        assert engine.health[:2] == (1, 1)
        # The next call finds a worker.
        assert runs(engine.ask("pid"))
        assert engine.health[:2] == (2, 0)


def test_restarts_in_a_row_are_bounded(tmp_path: Path) -> None:
    with SupervisedEngine(partial(Toy, tmp_path), restarts=3, **PATIENT) as engine:
        for _ in range(2):
            with pytest.raises(EngineError, match="again: its process ended"):
                engine.ask("fail", "die")
        with pytest.raises(EngineError, match=r"gave up after 3 restarts in a row.*exit code 7"):
            engine.ask("fail", "die")
        assert engine.health[:2] == (3, 3)


def test_a_device_that_stays_away(tmp_path: Path) -> None:
    with SupervisedEngine(partial(Toy, tmp_path, starts=1), restarts=2, **PATIENT) as engine:
        with pytest.raises(EngineError, match=r"gave up after 2 restarts.*device is gone"):
            engine.run(tile(2), MASKS)
        assert engine.health.pid == 0
    assert len(list(tmp_path.glob("start-*"))) == 3


@pytest.mark.parametrize(
    ("kind", "error", "said"),
    [
        ("bad_bundle", BundleError, "a-bundle: is damaged"),
        ("nan", EngineError, "no finite number"),
        ("awkward", EngineError, "AwkwardError: 1 and 2"),
    ],
)
def test_the_engines_own_errors_pass_and_restart_nothing(
    tmp_path: Path, kind: str, error: Any, said: str
) -> None:
    with SupervisedEngine(partial(Toy, tmp_path), **PATIENT) as engine:
        with pytest.raises(error, match=said):
            engine.ask("fail", kind)
        assert engine.run(tile(), MASKS)
        assert engine.health[:3] == (0, 0, "")


def test_an_engine_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="device is gone; plug it in"):
        SupervisedEngine(partial(Toy, tmp_path, starts=0), **PATIENT)


def test_a_start_that_dies() -> None:
    with pytest.raises(EngineError, match=r"did not start: its process ended with exit code 7"):
        SupervisedEngine(partial(os._exit, 7), **PATIENT)


def test_a_start_that_hangs() -> None:
    with pytest.raises(EngineError, match="did not start: no answer within 2 s"):
        SupervisedEngine(partial(time.sleep, 1000), start_s=2.0, **PATIENT)


def test_many_tiles_in_order(tmp_path: Path) -> None:
    count = worker.WINDOW + 3
    with SupervisedEngine(partial(Toy, tmp_path), **PATIENT) as engine:
        tiles = (np.full((4, 4, 2), -i, np.float32) for i in range(count))
        (tmp_path / "cured").touch()
        found = [int(m.p_water[0, 0]) for m in engine.run_many(tiles, MASKS)]
        assert found == [3 - i for i in range(count)]


def test_an_engine_with_a_run_many_of_its_own_gets_them_together(tmp_path: Path) -> None:
    with SupervisedEngine(partial(Series, tmp_path), **PATIENT) as engine:
        found = engine.run_many([tile()] * (worker.WINDOW + 1), MASKS)
        assert [int(m.p_water[0, 0]) for m in found] == [worker.WINDOW] * worker.WINDOW + [1]


def test_closed_is_closed(tmp_path: Path) -> None:
    engine = SupervisedEngine(partial(Toy, tmp_path), **PATIENT)
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="was closed"):
        engine.run(tile(), MASKS)


def test_a_forgotten_engine_leaves_no_process(tmp_path: Path) -> None:
    engine = SupervisedEngine(partial(Toy, tmp_path), **PATIENT)
    pid = engine.health.pid
    before = threading.active_count()
    del engine
    assert ends(pid)
    assert threading.active_count() <= before


PARENT = """
import sys, time
from functools import partial
from pathlib import Path
from onboard.engines.worker import SupervisedEngine
from tests.onboard.test_worker import Toy

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    engine = SupervisedEngine(partial(Toy, folder), deadline_s=60, heartbeat_s=float(sys.argv[2]))
    print(engine.health.pid, flush=True)
    if sys.argv[3] == "idle":
        time.sleep(1000)
    if sys.argv[3] == "call":
        engine.ask("fail", "hang")
"""


def parent(folder: Path, heartbeat_s: float, what: str) -> tuple[Any, int]:
    script = folder / "parent.py"
    script.write_text(PARENT)
    started = subprocess.Popen(
        [sys.executable, str(script), str(folder), str(heartbeat_s), what],
        cwd=str(ROOT),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    assert started.stdout
    with started.stdout as out:
        return started, int(out.readline())


@pytest.mark.parametrize("what", ["idle", "call"])
def test_a_killed_parent_leaves_no_child(tmp_path: Path, what: str) -> None:
    started, pid = parent(tmp_path, 2.0, what)
    assert runs(pid)
    started.kill()
    started.wait()
    assert ends(pid)


def test_a_parent_that_ends_without_closing_leaves_no_child(tmp_path: Path) -> None:
    started, pid = parent(tmp_path, 30.0, "end")
    assert started.wait(60) == 0
    assert ends(pid)


def test_a_hang_that_lets_no_python_run_ends_by_the_kernels_alarm() -> None:
    """With the interpreter's lock held, neither pipe nor heartbeat can end an orphan."""
    code = (
        "import ctypes, signal; from onboard.engines.worker import _Heart; "
        "_Heart(ctypes.c_ulong(0), 0.1, 1.0).start(); "
        # PyDLL keeps the lock during the call.
        "ctypes.PyDLL(None).sleep(60)"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=str(ROOT), check=False)
    assert found.returncode == -signal.SIGALRM


# What an engine's process imports when it is made of a bundle, by a fresh interpreter.
MAKES_AN_ENGINE = """
import pickle, sys
engine = pickle.load(sys.stdin.buffer)()
print(engine.name, *sys.modules)
"""


def test_the_process_of_an_engine_reads_no_frames_and_checks_no_signatures() -> None:
    # Neither GDAL nor the cryptography is needed there, and every megabyte counts twice.
    loaded = bundle.load(ROOT / "data_samples" / "bundle", ["reference"])
    done = subprocess.run(
        [sys.executable, "-c", MAKES_AN_ENGINE],
        input=pickle.dumps(partial(engines.frugal, "reference", loaded)),
        capture_output=True,
        cwd=ROOT,
        timeout=120,
        check=True,
    )
    name, *modules = done.stdout.decode("utf-8").split()
    assert name == "reference"
    assert "onboard.bundle" in modules
    tops = {module.partition(".")[0] for module in modules}
    assert not tops & {"rasterio", "cryptography", "spacepackets", "cfdppy", "click", "sqlite3"}
