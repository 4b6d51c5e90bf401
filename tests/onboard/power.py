"""Power cuts: whatever is written durably goes through `onboard.files`, and may end at any step."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import pytest


class Cut(BaseException):
    """Power is gone. No handler of errors sees it."""


class Power:
    """Lets a number of steps pass, then cuts."""

    def __init__(self, steps: int) -> None:
        self.left, self.was_cut = steps, False

    def step(self) -> None:
        """One step towards the cut."""
        if self.was_cut or self.left == 0:
            # Nothing tidies up after a power cut either.
            self.was_cut = True
            raise Cut
        self.left -= 1


@contextlib.contextmanager
def power_cut(monkeypatch: pytest.MonkeyPatch, steps: int) -> Iterator[Power]:
    """Within the block, power goes before the step after ``steps`` renames, syncs and removals."""
    power = Power(steps)
    with monkeypatch.context() as patch:
        for name in ("replace", "fsync", "unlink", "rename"):
            patch.setattr(os, name, _guarded(power, getattr(os, name)))
        yield power


def _guarded(power: Power, real: Any) -> Any:
    def guarded(*given: Any, **named: Any) -> Any:
        power.step()
        return real(*given, **named)

    return guarded
