"""Spool: the samples of a frame that lies far away, brought once.

A scene's id is a hash over all of its samples, and the masks that its tiles need are drawn from the
id: a frame is gone through twice. What the first time brought is kept in a temporary file without a
name, so that the store is asked once.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from onboard.arrays import Array
from onboard.closing import Closing
from onboard.errors import OutputError


class Spool(Closing):
    """Samples of a frame and where there are any, uncompressed.

    Args:
        path: of the frame, for errors.
        shape: ``(height, width, bands)``.
        dtype: of the samples.

    Raises:
        OutputError: the folder for temporary files has no room.
    """

    def __init__(self, path: Path, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> None:
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        pixels = shape[0] * shape[1]
        try:
            with tempfile.TemporaryFile() as file:
                # Asked for now: a disk that is full later would kill the process.
                os.posix_fallocate(file.fileno(), 0, size + pixels)
                self._samples = np.memmap(file, dtype, "r+", 0, shape)
                self._valid = np.memmap(file, np.bool_, "r+", size, shape[:2])
        except OSError as error:
            raise OutputError(
                f"{path}: no room to keep its {(size + pixels) / 1e6:.0f} MB in "
                f"{tempfile.gettempdir()} ({error.strerror}); free space or set TMPDIR to another "
                "folder"
            ) from error

    def close(self) -> None:
        """Let go of the file, which is gone then."""
        del self._samples, self._valid

    def put(self, row: int, samples: Array, valid: Array) -> None:
        """Keep whole rows ``(h, width, bands)`` from ``row`` on, and bool ``(h, width)``."""
        self._samples[row : row + len(samples)] = samples
        self._valid[row : row + len(valid)] = valid

    def look(self, row: int, col: int, height: int, width: int) -> tuple[Array, Array]:
        """A window's samples ``(h, w, bands)`` and bool ``(h, w)``, as they were put."""
        inside = slice(row, row + height), slice(col, col + width)
        return np.array(self._samples[inside]), np.array(self._valid[inside])
