"""The heap: memory that is not needed goes back to the system at once."""

from __future__ import annotations

import contextlib
import ctypes
import os

# mallopt(3): blocks from this size on are mapped one by one, and unmapped when they are freed.
_M_MMAP_THRESHOLD = -3
_THRESHOLD = 1 << 20
_VARIABLE = "MALLOC_MMAP_THRESHOLD_"


def give_back() -> None:
    """Make this process, and those that it starts, return large blocks when they are freed.

    The GNU C library else keeps blocks of up to 32 MiB for later, which is most of what a frame's
    arrays are. Elsewhere it does nothing.
    """
    os.environ.setdefault(_VARIABLE, str(_THRESHOLD))
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _THRESHOLD)
