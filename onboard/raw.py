"""Raw frames: bare samples of 16 bits as the camera stored them, and a sidecar that describes them.

They are read piece by piece from the open file, never mapped into memory: a file that another
process cuts short must end in an error, not in the death of the process.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from onboard.arrays import Array
from onboard.errors import FrameError
from onboard.scene import OpenFrame, any_sample
from onboard.sensor import Sensor
from onboard.sidecar import read_sidecar

STRIP_ROWS = 64
SAMPLE_BYTES = 2


class RawFrame(OpenFrame):
    """A frame of raw counts. A pixel has no data where every band is exactly 0.

    Args:
        path: its sidecar.
        sensor: whose bands are read, in its order.

    Raises:
        FrameError: the sidecar or the samples are not what they should be.
    """

    dtype = np.dtype(np.uint16)
    strip_rows = STRIP_ROWS

    def __init__(self, path: Path, sensor: Sensor) -> None:
        super().__init__(path, sensor)
        self._sidecar = sidecar = read_sidecar(path)
        self.georef, self.capture = sidecar.georef, sidecar.capture
        if sidecar.sensor != sensor.name:
            raise FrameError(
                f"{path}: is a frame of the sensor {sidecar.sensor!r}, the bundle is for "
                f"{sensor.name!r}; fly it with a bundle of its own"
            )
        missing = [band for band in sensor.bands if band not in sidecar.bands]
        if missing:
            raise FrameError(
                f"{path}: lacks the band {missing[0]!r} (has {', '.join(sidecar.bands)}); "
                f"deliver {', '.join(sensor.bands)}"
            )
        self._order = [sidecar.bands.index(band) for band in sensor.bands]
        self.notes.append(
            f"its corners are {sidecar.residual_m:.1f} m ({sidecar.residual_px:.2f} pixels) "
            "from a parallelogram"
        )
        self._descriptor = self._open()

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    @property
    def raw(self) -> bool:
        """Always: the samples are the camera's counts."""
        return True

    def samples(self, row: int, col: int, height: int, width: int) -> Array:
        """Stored samples ``(h, w, bands)`` of a window within the frame, contiguous."""
        side, bands = self._sidecar, len(self._sidecar.bands)
        if side.interleave == "bip":
            block = self._block(row * side.width + col, side.width, height, width, bands)
            return np.ascontiguousarray(block[..., self._order])
        image = np.empty((height, width, len(self._order)), np.uint16)
        for index, band in enumerate(self._order):
            if side.interleave == "bil":
                start, step = (row * bands + band) * side.width + col, side.width * bands
            else:
                start, step = (band * side.height + row) * side.width + col, side.width
            image[..., index] = self._block(start, step, height, width, 1)[..., 0]
        return image

    def look(self, row: int, col: int, height: int, width: int) -> tuple[Array, Array]:
        """Stored samples of a window within the frame, and bool ``(h, w)`` where there are any."""
        samples = self.samples(row, col, height, width)
        return samples, any_sample(samples)

    def _block(self, start: int, step: int, height: int, width: int, depth: int) -> Array:
        """``height`` runs of ``width`` pixels of ``depth`` samples.

        Args:
            start: pixel at which the first run begins.
            step: pixels from one run to the next.
            height: runs.
            width: pixels a run.
            depth: samples a pixel.
        """
        unit = depth * SAMPLE_BYTES
        if step == width:
            data = self._bytes(start * unit, height * width * unit)
        else:
            runs = (self._bytes((start + i * step) * unit, width * unit) for i in range(height))
            data = b"".join(runs)
        samples = np.frombuffer(data, self._sidecar.dtype).reshape(height, width, depth)
        return samples.astype(np.uint16)

    def _bytes(self, offset: int, count: int) -> bytes:
        try:
            data = os.pread(self._descriptor, count, offset)
        except OSError as error:
            raise self._broken() from error
        if len(data) != count:
            raise self._broken()
        return data

    def _broken(self) -> FrameError:
        return FrameError(
            f"{self._sidecar.samples}: breaks off or is damaged, its samples cannot be read; "
            "copy it again from its source"
        )

    def _open(self) -> int:
        side = self._sidecar
        try:
            descriptor = os.open(str(side.samples), os.O_RDONLY)
        except OSError as error:
            raise FrameError(
                f"{side.samples}: cannot be read ({error.strerror}); "
                f"it holds the samples of {side.path.name}"
            ) from error
        size = os.fstat(descriptor).st_size
        wanted = side.width * side.height * len(side.bands) * SAMPLE_BYTES
        if size != wanted:
            os.close(descriptor)
            raise FrameError(
                f"{side.samples}: has {size} bytes, its sidecar states {wanted} "
                f"({side.width}×{side.height}, {len(side.bands)} bands of 16 bits); "
                "copy it again or mend the sidecar"
            )
        return descriptor
