"""A job that is stopped from outside, as people and machines stop it, and goes on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ground.catalogue import Catalogue
from tests.ground.archive.frames import frames_in, maps_of
from tests.ground.catalogues import checked
from tests.samples import BUNDLE, ROOT

FRAMES = 24
LONGEST_S = 600


@pytest.mark.soak
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("cluster", [["--cluster", "local", "--workers", "2"], []])
def test_what_was_stopped_goes_on(how: signal.Signals, cluster: list[str], tmp_path: Path) -> None:
    frames = frames_in(tmp_path / "in", FRAMES)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "onboard", "segment", str(BUNDLE), *map(str, frames)]
    command += ["--passes", "2", "--out", str(out), "--catalogue", *cluster]
    started = subprocess.Popen(command, cwd=ROOT, start_new_session=True, stdout=subprocess.PIPE)
    until = time.monotonic() + LONGEST_S
    while len(list(out.glob("f*.tif"))) < 5:
        assert started.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)
    # As a terminal does it: to every process of the job.
    os.killpg(started.pid, how)
    started.communicate(timeout=LONGEST_S)
    assert started.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}.get(how, -how)
    left = len(list(out.glob("f*.tif")))
    assert left < FRAMES
    if how is not signal.SIGKILL:
        maps_of(out)
        # What was reported is in the catalogue; only frames at work may be missing there.
        assert len(list(Catalogue(out))) >= left - 4
    again = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_S, check=True
    )
    drawn, kept = map(int, re.findall(r"(\d+) segmented, (\d+) done before", again.stdout)[0])
    assert drawn + kept == FRAMES
    assert kept <= left
    if how is not signal.SIGKILL:
        assert kept >= left - 4
    assert len(maps_of(out)) == len(checked(out)) == FRAMES
