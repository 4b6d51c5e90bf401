"""A crew: the workers of one training on this machine, started, watched and started again.

Each is the same ``floodsat train`` with ``TF_CONFIG`` in its environment. When one is lost all are
stopped and begin again at the last finished epoch, which gives the weights of a training that
nothing disturbed. The chief's output is the training's; what the others say is shown if they fail.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from onboard.errors import ConfigError, EngineError
from training.cluster import CHIEF, VARIABLE, local

WATCHED = "FLOODSAT_WATCHED"
"""Set in the environment of workers that a crew watches."""

LOST = 75
"""Exit code of a worker that lost another one: try again (sysexits.h, EX_TEMPFAIL)."""

PROGRAM = (sys.executable, "-m", "onboard")
BAD_INPUT = 2
TRIES = 4
"""Starts in a row that finish no epoch."""

LOOK_S = 0.2


class Ended(NamedTuple):
    """How the first worker that ended did so.

    Attributes:
        worker: its number.
        code: its exit code; negative for a signal, as in `subprocess`.
        words: the last line that it wrote.
    """

    worker: int
    code: int
    words: str


def watched() -> bool:
    """Whether this process is a worker of a crew."""
    return bool(os.environ.get(WATCHED))


def end_with_crew() -> None:
    """End this worker as soon as the crew's own process is gone, however that ended."""

    def wait() -> None:
        # Not through sys.stdin, whose lock a thread may not hold when Python ends.
        os.read(0, 1)
        os._exit(LOST)

    threading.Thread(target=wait, daemon=True).start()


def train(arguments: Sequence[str], workers: int, mark: Path, say: Callable[[str], None]) -> None:
    """Run ``floodsat train`` in so many processes, until it is finished.

    Args:
        arguments: of each, those of ``floodsat``.
        workers: how many.
        mark: a file that changes with every finished epoch.
        say: takes a line about a worker that was lost.

    Raises:
        ConfigError: a worker met bad input.
        EngineError: workers are lost again and again before an epoch is finished.
    """
    tries, before = 0, _state(mark)
    while True:
        ended = _once(arguments, workers)
        if ended.worker == CHIEF and ended.code == 0:
            return
        if ended.code == BAD_INPUT:
            raise ConfigError(ended.words.removeprefix("floodsat: "))
        now = _state(mark)
        tries, before = (1 if now != before else tries + 1), now
        how = f"signal {-ended.code}" if ended.code < 0 else f"exit code {ended.code}"
        if tries >= TRIES:
            raise EngineError(
                f"worker {ended.worker} was lost {tries} times before an epoch was finished "
                f"({how}; {ended.words or 'no word'}); give the same command again to go on"
            )
        say(f"worker {ended.worker} was lost ({how}); all begin again at the last finished epoch")


def _state(mark: Path) -> tuple[int, int] | None:
    try:
        found = mark.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def _once(arguments: Sequence[str], workers: int) -> Ended:
    """Start all workers; when the chief is finished, or any fails, stop the rest."""
    cluster = local(workers)
    with tempfile.TemporaryDirectory() as folder:
        said = [(Path(folder) / str(index)).open("w+b") for index in range(workers)]
        running: list[subprocess.Popen[bytes]] = []
        try:
            for index in range(workers):
                running.append(
                    _start(arguments, workers, cluster.variable(index), index, said[index])
                )
            index = _first(running)
        finally:
            for process in running:
                # TensorFlow puts a handler of its own in the way of gentler signals.
                process.kill()
                process.wait()
                if process.stdin is not None:
                    process.stdin.close()
            words = [_last_line(each) for each in said]
    return Ended(index, running[index].returncode, words[index])


def _start(
    arguments: Sequence[str], workers: int, variable: str, index: int, said: IO[bytes]
) -> subprocess.Popen[bytes]:
    threads = str(max(1, (os.cpu_count() or 1) // workers))
    environment = {
        "TF_NUM_INTRAOP_THREADS": threads,
        **os.environ,
        VARIABLE: variable,
        WATCHED: "1",
    }
    return subprocess.Popen(
        [*PROGRAM, *arguments],
        stdin=subprocess.PIPE,
        stdout=None if index == CHIEF else subprocess.DEVNULL,
        stderr=said,
        env=environment,
    )


def _first(running: Sequence[subprocess.Popen[bytes]]) -> int:
    """The worker whose end decides: the chief when it is finished, or the first that fails."""
    looks = 0
    while True:
        codes = [process.poll() for process in running]
        for index, code in enumerate(codes):
            if code not in (None, 0, LOST) or (code == 0 and index == CHIEF):
                return index
        # Those that lost another one end because of it: look for that one first.
        looks += LOST in codes
        if looks > 1:
            return codes.index(LOST)
        time.sleep(LOOK_S)


def _last_line(said: IO[bytes]) -> str:
    with said:
        said.seek(0)
        lines = said.read().decode("utf-8", "replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
