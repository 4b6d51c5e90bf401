"""``floodsat fly --watch`` as it is typed, with the shipped bundle and its real engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from onboard.cli import run
from onboard.outbox import Kind, Outbox
from tests.samples import BUNDLE, ROOT, crop, write_frame

# In every Python process of the service: no TensorFlow, and no socket but those between its own
# processes. What is forbidden is written down, in case that its error is caught somewhere.
WALL = """
import os, sys

FORBIDDEN = ("tensorflow", "keras", "torch", "training", "ground")
LOCAL = 1  # AF_UNIX: the pipe to the engine's process

def met(what):
    with open(os.environ["WALL"], "a") as file:
        file.write(what + "\\n")
    raise ImportError(what)

def watch(event, arguments):
    if event == "import" and arguments[0].partition(".")[0] in FORBIDDEN:
        met("import " + arguments[0])
    if event == "socket.__new__" and arguments[1] != LOCAL:
        met("socket of family %s" % arguments[1])
    if event in ("socket.connect", "socket.bind", "socket.getaddrinfo"):
        met(event)

# Where this is installed rasterio imports it, and it tries a socket then; what flies has none.
sys.modules["boto3"] = None
sys.addaudithook(watch)
with open(os.environ["WALL"], "a") as file:
    file.write("up\\n")
"""


@pytest.fixture
def slots(tmp_path: Path) -> Path:
    assert run(["flash", str(BUNDLE), "--slots", str(tmp_path / "slots")]) == 0
    return tmp_path / "slots"


def fly(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    paths = ["--slots", str(folder / "slots"), "--outbox", str(folder / "state" / "o.sqlite")]
    return subprocess.run(
        [sys.executable, "-m", "onboard", "fly", "--watch", str(folder / "in"), *paths, *options],
        cwd=str(ROOT),
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def events(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "state" / "o.sqlite.telemetry.jsonl").read_text("ascii")
    return [json.loads(line) for line in text.splitlines()]


def test_frames_fly_without_tensorflow_and_without_a_network(tmp_path: Path, slots: Path) -> None:
    (tmp_path / "wall").mkdir()
    (tmp_path / "wall" / "sitecustomize.py").write_text(WALL)
    (tmp_path / "in").mkdir()
    write_frame(tmp_path / "in" / "a.tif", crop(90, 70, 700, 400))
    (tmp_path / "in" / "b.tif").write_bytes(b"nonsense")
    path = f"{tmp_path / 'wall'}{os.pathsep}{ROOT}"
    met = tmp_path / "met"
    done = fly(tmp_path, "--once", PYTHONPATH=path, WALL=str(met))
    assert done.returncode == 0, done.stderr
    # The service and its engine's process at least, and nothing else was met.
    seen = met.read_text().splitlines()
    assert set(seen) == {"up"}
    assert len(seen) >= 2
    told = [row["event"] for row in events(tmp_path)]
    assert (told[0], sorted(told[1:-1]), told[-1]) == ("start", ["frame", "refused"], "stop")
    with Outbox(tmp_path / "state" / "o.sqlite") as outbox:
        assert [item.kind for item in outbox.waiting()][:2] == [Kind.ALERT, Kind.PRODUCT]
        assert outbox.refused == {"unusable": 1}


def test_the_wall_itself_holds(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(WALL)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "WALL": str(tmp_path / "met")}
    for text in ("import keras", "import socket; socket.socket(socket.AF_INET)"):
        code = subprocess.run(
            [sys.executable, "-c", text], env=environment, capture_output=True, check=False
        ).returncode
        assert code == 1
    assert [line for line in (tmp_path / "met").read_text().splitlines() if line != "up"] == [
        "import keras",
        "socket of family 2",
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "name either SCENE... or --watch INBOX"),
        (["f.tif", "--watch", "in"], "name either SCENE... or --watch INBOX"),
        (["f.tif", "--once"], "--once is of the service"),
        (["f.tif", "--settings", "s.toml"], "--settings is of the service"),
        (["--watch", "in", "--json", "r.json"], "--json is for SCENE"),
        (["--watch", "in", "--settings", "none.toml"], "none.toml: cannot be read"),
    ],
)
def test_options_that_do_not_go_together(
    tmp_path: Path, slots: Path, capfd: Any, options: list[str], words: str
) -> None:
    capfd.readouterr()
    code = run(["fly", *options, "--slots", str(slots), "--outbox", str(tmp_path / "o.sqlite")])
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert code == 2
    assert words in line


def test_no_bundle_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "slots").mkdir()
    done = fly(tmp_path, "--once")
    assert done.returncode == 2
    assert done.stderr.startswith("floodsat: ")
    assert "holds no bundle" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
