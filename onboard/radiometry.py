"""From counts to top-of-atmosphere reflectance, window by window.

``L = gain · DN + offset`` is the spectral radiance, W m⁻² sr⁻¹ µm⁻¹; ``ρ = π L d² / (ESUN cos θz)``
the reflectance at the top of the atmosphere, with the distance of the Sun ``d`` in au, the band's
solar irradiance ``ESUN`` in W m⁻² µm⁻¹ and the Sun's zenith angle ``θz`` (G. Chander, B. L.
Markham and D. L. Helder, *Remote Sensing of Environment* 113, 2009, equation 2). The cosine is
that of every pixel, interpolated between the frame's corners.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from onboard.arrays import Array, Flags, Floats
from onboard.dead import REACH, Fill, fill_band
from onboard.registration import margin_of, resample
from onboard.scene import Patch

if TYPE_CHECKING:
    from onboard.profile import Calibration

Samples = Callable[[int, int, int, int], "tuple[Array, Array]"]
"""Window (row, col, height, width) → samples ``(h, w, bands)`` and where there are any."""


def radiance(dn: Floats, band: Calibration) -> Floats:
    """Spectral radiance of counts, W m⁻² sr⁻¹ µm⁻¹, of their shape."""
    return np.asarray(dn * band.gain + band.offset)


def reflectance(
    radiance: Floats, esun: float, distance_au: float, cos_zenith: Floats | float
) -> Floats:
    """Top-of-atmosphere reflectance, of the radiance's shape, under a Sun above the horizon."""
    return np.asarray(np.pi * radiance * distance_au**2 / (esun * cos_zenith))


@dataclass(frozen=True, eq=False)
class Correction:
    """What makes reflectance of one frame's samples.

    Attributes:
        size: (height, width) of the frame.
        bands: calibration of every band, in the sensor's order.
        full_scale: the largest digital number; a larger sample is cut to it.
        distance_au: of the Sun.
        cosines: float64 ``(2, 2)``, of the Sun's zenith angle at the frame's corners.
        fills: how the dead samples of every band are filled; empty where none is dead.
        shifts: (rows, columns) by which every band lies off its place.
    """

    size: tuple[int, int]
    bands: tuple[Calibration, ...]
    full_scale: int
    distance_au: float
    cosines: Floats
    fills: tuple[Fill, ...]
    shifts: tuple[tuple[float, float], ...]

    def patch(self, look: Samples, row: int, col: int, height: int, width: int) -> Patch:
        """Reflectance of a window within the frame.

        Args:
            look: reads stored samples within the frame.
            row: first row.
            col: first column.
            height: rows.
            width: columns.
        """
        margin = margin_of(list(self.shifts))
        planes, valid = self.planes(
            look, row - margin, col - margin, height + 2 * margin, width + 2 * margin
        )
        cosine = self._cosine(row, col, height, width)
        image = np.empty((height, width, len(self.bands)), np.float32)
        seen = np.ones((height, width), bool)
        for index, (band, shift) in enumerate(zip(self.bands, self.shifts)):
            plane, good = resample(planes[index], valid[index], shift, margin)
            # One multiplication and one addition a pixel; the constants are made in double.
            one = reflectance(np.array([band.gain, band.offset]), band.esun, self.distance_au, 1.0)
            image[..., index] = (plane * np.float32(one[0]) + np.float32(one[1])) / cosine
            seen &= good
        image[~seen] = 0.0
        return Patch(image, seen)

    def planes(
        self, look: Samples, row: int, col: int, height: int, width: int
    ) -> tuple[Array, Flags]:
        """Counts of a window, dead samples filled; the window may reach beyond the frame.

        Returns:
            float32 ``(bands, h, w)`` and bool ``(bands, h, w)`` where there is data.
        """
        margin = REACH if self.fills else 0
        rows, inner_rows = _clip(row, height, margin, self.size[0])
        cols, inner_cols = _clip(col, width, margin, self.size[1])
        samples, valid = look(rows[0], cols[0], rows[1] - rows[0], cols[1] - cols[0])
        np.minimum(samples, samples.dtype.type(self.full_scale), out=samples)
        planes = np.zeros((len(self.bands), height, width), np.float32)
        good = np.zeros(planes.shape, bool)
        inside = slice(rows[0] + inner_rows.start, rows[0] + inner_rows.stop)
        across = slice(cols[0] + inner_cols.start, cols[0] + inner_cols.stop)
        at = (
            slice(inside.start - row, inside.stop - row),
            slice(across.start - col, across.stop - col),
        )
        for band in range(len(self.bands)):
            plane, flags = samples[..., band].astype(np.float32), valid
            if self.fills:
                fill = self.fills[band].within(rows, cols)
                flags = valid.copy()
                flags[fill.rows, fill.cols] = fill_band(plane, valid, fill)
            planes[band][at] = plane[inner_rows, inner_cols]
            good[band][at] = flags[inner_rows, inner_cols]
        return planes, good

    def _cosine(self, row: int, col: int, height: int, width: int) -> Array:
        """Of the Sun's zenith angle, float32 ``(h, w)``."""
        down = (row + np.arange(height) + 0.5) / self.size[0]
        right = (col + np.arange(width) + 0.5) / self.size[1]
        left, far = (np.outer(1 - down, [corner[0]]) + np.outer(down, [corner[1]])
                     for corner in self.cosines.T)  # fmt: skip
        return np.asarray(left + (far - left) * right, np.float32)


def _clip(start: int, count: int, margin: int, size: int) -> tuple[tuple[int, int], slice]:
    """What to read of an axis, (first, end), and where in it the wanted part lies.

    The wanted part is ``start … start + count`` as far as the frame reaches.
    """
    first, end = max(0, start), min(size, start + count)
    low, high = max(0, first - margin), min(size, end + margin)
    return (low, high), slice(first - low, end - low)
