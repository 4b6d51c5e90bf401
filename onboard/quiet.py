"""Keeping off the terminal what libraries write past Python."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

STDOUT, STDERR = 1, 2


@contextlib.contextmanager
def quiet(*handles: int) -> Iterator[None]:
    """Let nothing through that is written to the process's ``handles``, of any thread.

    Args:
        *handles: `STDOUT`, `STDERR` or both.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(handle) for handle in handles]
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        for handle in handles:
            os.dup2(sink, handle)
        yield
    finally:
        for handle, before in zip(handles, saved):
            os.dup2(before, handle)
            os.close(before)
        os.close(sink)
