from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import memory
from onboard.errors import EngineError

MIB = 2**20


def test_what_a_command_holds_is_seen(tmp_path: Path) -> None:
    idle = memory.peak_bytes([sys.executable, "-S", "-c", ""], tmp_path)
    hold = "x = bytearray(b'x') * (80 * 2**20)"
    assert memory.peak_bytes([sys.executable, "-S", "-c", hold], tmp_path) - idle > 75 * MIB


def test_what_this_process_holds_is_not_counted(tmp_path: Path) -> None:
    ours = np.ones(300 * MIB, np.uint8)
    peak = memory.peak_bytes([sys.executable, "-S", "-c", ""], tmp_path)
    assert ours.nbytes == 300 * MIB
    assert 0 < peak < 100 * MIB


def test_a_command_that_fails_is_named_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"fails there \(no such thing\)"):
        memory.peak_bytes([sys.executable, "-c", "raise SystemExit('no such thing')"], tmp_path)


def test_an_absent_flight_environment_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FLOODSAT_FLIGHT_PYTHON", str(tmp_path / "python"))
    assert memory.flight_python() is None
