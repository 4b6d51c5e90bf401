"""Words with the operator, at the terminal itself: pytest keeps the standard streams for itself."""

from __future__ import annotations

import os
import select
import time

TTY = "/dev/tty"


class Terminal:
    """Says and asks.

    Args:
        path: of the terminal.

    Raises:
        OSError: there is none.
    """

    def __init__(self, path: str = TTY) -> None:
        self._handle = os.open(path, os.O_RDWR | os.O_NOCTTY)

    def say(self, text: str) -> None:
        """Show a line."""
        os.write(self._handle, f"\n>>> {text}\n".encode())

    def ask(self, text: str, timeout_s: float) -> bool:
        """Show a line and wait for Enter.

        Returns:
            False if it did not come in time.
        """
        self.say(f"{text}, then press Enter ({timeout_s:g} s)")
        limit = time.monotonic() + timeout_s
        while True:
            left = limit - time.monotonic()
            if left <= 0 or not select.select([self._handle], [], [], left)[0]:
                return False
            if b"\n" in os.read(self._handle, 1024):
                return True

    def close(self) -> None:
        """Let go of it."""
        os.close(self._handle)
