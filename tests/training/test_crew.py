"""The crew that watches workers, with small programs in their place."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from onboard.errors import ConfigError, EngineError
from training import crew

HEAD = """
import json, os, pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
task = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
with (folder / f"starts{task}").open("a") as out:
    out.write(os.environ["TF_CONFIG"] + "\\n")
starts = len((folder / f"starts{task}").read_text().splitlines())

def wait_for(other):
    # until that one has started and told so
    path = folder / f"starts{other}"
    while not (path.exists() and path.stat().st_size):
        time.sleep(0.01)

"""


@pytest.fixture
def patched(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(crew, "LOOK_S", 0.01)
    return monkeypatch


def run(
    patch: pytest.MonkeyPatch, folder: Path, program: str, workers: int = 2
) -> tuple[list[str], list[int]]:
    """What it said, and how often each worker was started."""
    patch.setattr(crew, "PROGRAM", (sys.executable, "-c", HEAD + program, str(folder)))
    lines: list[str] = []
    try:
        crew.train([], workers, folder / "mark", lines.append)
    finally:
        counts = [len(p.read_text().splitlines()) for p in sorted(folder.glob("starts*"))]
    return lines, counts


def test_it_ends_with_the_chief(patched: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever the others do then: they are stopped."""
    wait = "if not task: wait_for(1)\n"
    begin = time.monotonic()
    lines, counts = run(patched, tmp_path, wait + "if task: time.sleep(600)")
    assert time.monotonic() - begin < 300
    assert (lines, counts) == ([], [1, 1])


def test_a_lost_worker_has_all_begin_again_on_other_ports(
    patched: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = """
if starts == 1:
    if task == 1:
        wait_for(0)
        sys.exit(5)
    time.sleep(600)
"""
    lines, counts = run(patched, tmp_path, program)
    assert lines == ["worker 1 was lost (exit code 5); all begin again at the last finished epoch"]
    assert counts[0] == 2
    first, second = (tmp_path / "starts0").read_text().splitlines()
    assert first != second


class Process:
    """Tells at every look what it ended with, None while it runs."""

    def __init__(self, *codes: int | None) -> None:
        self._codes = list(codes)

    def poll(self) -> int | None:
        return self._codes.pop(0) if len(self._codes) > 1 else self._codes[0]


@pytest.mark.parametrize(
    ("chief", "other", "first"),
    [
        ([None, crew.LOST], [None, None, -9], 1),  # who lost another is not blamed
        ([None, crew.LOST], [None], 0),  # unless nobody else ended
        ([None, -9], [crew.LOST], 0),
        ([None, None, 0], [None, 0], 0),  # others may be finished before the chief
        ([None, 2], [None, crew.LOST], 0),
    ],
)
def test_whose_end_decides(
    patched: pytest.MonkeyPatch, chief: list[Any], other: list[Any], first: int
) -> None:
    assert crew._first([Process(*chief), Process(*other)]) == first  # type: ignore[list-item]


def test_without_progress_it_gives_up(patched: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"lost 4 times .* \(exit code 3; no luck\)") as caught:
        run(patched, tmp_path, "print('no luck', file=sys.stderr); sys.exit(3)")
    assert "\n" not in str(caught.value)
    assert "give the same command again" in str(caught.value)


def test_with_progress_it_goes_on(patched: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = """
if task: time.sleep(600)
(folder / "new").write_text("x" * starts)
(folder / "new").replace(folder / "mark")
sys.exit(9 if starts <= 6 else 0)
"""
    lines, counts = run(patched, tmp_path, program)
    assert len(lines) == 6
    assert counts[0] == 7


@pytest.mark.parametrize("worker", [0, 1])
def test_bad_input_is_passed_on(patched: pytest.MonkeyPatch, tmp_path: Path, worker: int) -> None:
    program = f"""
if task != {worker}: time.sleep(600)
print("floodsat: chip.tif: is damaged; mend it", file=sys.stderr)
sys.exit(2)
"""
    with pytest.raises(ConfigError, match=r"^chip.tif: is damaged; mend it$"):
        run(patched, tmp_path, program)


def test_a_worker_ends_with_its_crew(patched: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """However the crew's process ended: the pipe to it closes."""
    import subprocess

    program = "from training import crew; crew.end_with_crew(); import time; time.sleep(600)"
    worker = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
    assert worker.stdin is not None
    worker.stdin.close()
    assert worker.wait(120) == crew.LOST
