"""A receiver in another process, for tests of the live mode."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ground.sources import LOOPBACK
from tests.ground.replay.example import ROOT

PATIENCE_S = 120


def free_port() -> int:
    """A port of this machine that nobody listens to."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _await(port: int, listener: subprocess.Popen[str]) -> None:
    """Wait until somebody has the port: binding it fails then."""
    for _ in range(PATIENCE_S * 10):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                return
        assert listener.poll() is None, listener.communicate()[1]
        time.sleep(0.1)
    pytest.fail("nobody listens")


@contextlib.contextmanager
def receiver(out: Path, idle_seconds: float) -> Iterator[int]:
    """``floodsat receive`` on the port that is given; it has ended well when the block is left."""
    port = free_port()
    line = [sys.executable, "-m", "onboard", "receive", f"udp://127.0.0.1:{port}"]
    line += ["--out", str(out), "--idle-seconds", str(idle_seconds), "--seconds", "600"]
    listener = subprocess.Popen(
        line, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        _await(port, listener)
        yield port
        _, said = listener.communicate(timeout=PATIENCE_S)
    finally:
        listener.kill()
        listener.wait()
    assert listener.returncode == 0, said
