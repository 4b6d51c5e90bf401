"""Standby: the engine in use, and the one that takes over when it fails for good."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from onboard.closing import Closing
from onboard.errors import FloodsatError
from onboard.runtime import Runtime

Make = Callable[[str], Runtime]


class Standby(Closing):
    """Holds one runtime at a time, made for one of several engines.

    Args:
        names: of engines, in the order in which they stand in for each other.
        make: opens an engine and proves it on the golden tile; raises a `FloodsatError` where
            that fails.
        opened: a runtime of the first engine that is open already.
    """

    def __init__(self, names: Sequence[str], make: Make, opened: Runtime | None = None) -> None:
        self._names, self._make = tuple(names), make
        self._at = 0
        self._runtime = opened
        self.restarts = 0

    @property
    def name(self) -> str:
        """Of the engine in use."""
        return self._names[self._at]

    @property
    def stands_in(self) -> bool:
        """Whether it is another than the first."""
        return self._at > 0

    @property
    def engine(self) -> Any:
        """The open engine, or None."""
        return None if self._runtime is None else self._runtime.segmenter.engine

    @property
    def runtime(self) -> Runtime:
        """The runtime in use; its engine is opened where it is not.

        Raises:
            FloodsatError: it cannot be opened.
        """
        if self._runtime is None:
            self._runtime = self._make(self.name)
        return self._runtime

    def restart(self) -> None:
        """Close the engine; it is opened again when it is next asked for."""
        self.close()
        self.restarts += 1

    def move_on(self) -> bool:
        """Go on to the next engine that opens; False, and back to the first, if none does."""
        self.close()
        for at in range(self._at + 1, len(self._names)):
            self._at = at
            try:
                self._runtime = self._make(self.name)
            except FloodsatError:
                continue
            return True
        self._at = 0
        return False

    def go_back(self) -> bool:
        """Use the first engine again if it opens; else whichever opens after it."""
        self.close()
        self._at = 0
        try:
            self._runtime = self._make(self.name)
        except FloodsatError:
            self.move_on()
        return not self.stands_in

    def close(self) -> None:
        """Close the engine."""
        engine, self._runtime = self.engine, None
        if hasattr(engine, "close"):
            engine.close()
