"""Telemetry: what the runtime does, as JSON lines in files of bounded size.

Every line is an object with ``t`` (UTC), ``up`` (seconds since the start, which no clock can turn
back), ``start`` (how often the runtime was started) and ``event``; the rest depends on the event.
When a file is full, it is renamed to ``NAME.1``, that one to ``NAME.2`` and so on; the last is
removed. Telemetry never stops the runtime: a line that cannot be written is counted, no more.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from onboard.outbox import clock_ms

MAX_LINE = 2048
MAX_TEXT = 600
"""Characters of a text in a line that are kept."""
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Telemetry:
    """Writes lines to ``path``.

    Args:
        path: the newest file; its folder exists.
        max_bytes: of one file.
        keep: how many files there may be.
        start: how often the runtime was started.
        clock: UTC milliseconds since 1970.
        monotonic: seconds that never go back.
    """

    def __init__(
        self,
        path: Path,
        max_bytes: int,
        keep: int = 4,
        start: int = 0,
        clock: Callable[[], int] = clock_ms,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path, self.start = path, start
        self.lost = 0
        self._max_bytes, self._keep = max_bytes, keep
        self._clock, self._monotonic = clock, monotonic
        self._begin = monotonic()

    @property
    def uptime_s(self) -> float:
        """Seconds since the start."""
        return self._monotonic() - self._begin

    def log(self, event: str, **facts: Any) -> None:
        """Write one line; texts are cut to `MAX_TEXT` characters."""
        head = {
            "t": iso(self._clock()),
            "up": round(self.uptime_s, 3),
            "start": self.start,
            "event": event,
        }
        line = _encode({**head, **facts})
        if len(line) > MAX_LINE:
            line = _encode({**head, "cut": len(line)})
        try:
            self._write(line)
        except OSError:
            self.lost += 1

    def _write(self, line: bytes) -> None:
        size = 0
        with contextlib.suppress(FileNotFoundError):
            size = self.path.stat().st_size
        if size + len(line) > self._max_bytes:
            self._rotate()
        handle = os.open(str(self.path), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            end = os.lseek(handle, 0, os.SEEK_END)
            if end and os.pread(handle, 1, end - 1) != b"\n":
                # Power went in the middle of a line.
                line = b"\n" + line
            written = os.write(handle, line)
        finally:
            os.close(handle)
        if written != len(line):
            raise OSError("the line was written in part")

    def _rotate(self) -> None:
        names = [self.path] + [Path(f"{self.path}.{n}") for n in range(1, self._keep)]
        for newer, older in reversed(list(zip(names, names[1:]))):
            with contextlib.suppress(FileNotFoundError):
                os.replace(str(newer), str(older))
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()


def iso(ms: int) -> str:
    """UTC milliseconds since 1970 as ISO 8601, or the number where no calendar has it."""
    try:
        return (_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds")
    except OverflowError:
        return str(ms)


def peak_memory(pids: Iterable[int]) -> int:
    """Largest resident memory of processes together, bytes; 0 where the system does not tell.

    The sum of each one's own peak: what is shared counts twice, so it is never told too small.
    """
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError):
            for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
                if line.startswith("VmHWM:"):
                    total += int(line.split()[1]) * 1024
    return total


def _encode(row: dict[str, Any]) -> bytes:
    cut = {k: v[:MAX_TEXT] if isinstance(v, str) else v for k, v in row.items()}
    text = json.dumps(cut, ensure_ascii=True, separators=(",", ":"), default=str)
    return text.encode("ascii") + b"\n"
