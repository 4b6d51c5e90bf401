"""Band registration: how far each band lies from the reference band, and how to lay it there.

Measured on patches by phase correlation (C. D. Kuglin and D. C. Hines, 1975) to a fraction of a
pixel by a refined discrete Fourier transform round the peak (M. Guizar-Sicairos, S. T. Thurman and
J. R. Fienup, *Optics Letters* 33, 2008). What is correlated is not the bands, whose contrast turns
round between water and vegetation, but their *doubled gradient*: the gradient as a complex number,
squared and divided by its length. Its angle is twice the edge's, so that an edge from dark to
bright and one from bright to dark are the same edge.

A shift is where a point is found in the band, minus where it is in the reference: (rows, columns),
in pixels.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from onboard.arrays import Array, Flags, Floats

PATCH = 128
MIN_PATCH = 32
MARGIN = 8
"""Shifts up to this are found, pixels; `MAX_CORRECTION_PX` of them are corrected."""
GRID = 5
"""Patches down and across a large frame."""
FINE = 20
"""Steps in a pixel of the refined transform; a parabola through the peak goes below them."""
REACH_PX = 1.5
"""The refined transform looks so far round the coarse peak."""
CUT_OFF = 0.30
"""Spatial frequency in cycles per pixel at which the weight has fallen to e⁻²: beyond it there is
noise and aliasing."""
MIN_PEAK = 0.10
"""Height of a patch's peak, 1 for identical bands, from which it counts."""
AGREE_PX = 0.5
"""Patches agree where they are so near to their median."""
MIN_PATCHES = 3
MIN_AGREEMENT = 0.6
"""Share of the patches that count which must agree."""
WORTH_PX = 0.15
"""Shifts below this are left alone: resampling would blur more than it mends."""


class Found(enum.Enum):
    """What a measurement says."""

    ALIGNED = "aligned"
    SHIFTED = "shifted"
    TOO_FAR = "too far"
    UNSURE = "not measured"


class Shift(NamedTuple):
    """One band against the reference.

    Attributes:
        rows: down, pixels; NaN where it was not measured.
        cols: to the right, pixels; NaN where it was not measured.
        patches: so many agreed.
        spread: standard deviation of one patch as the median absolute deviation gives it, pixels.
        found: what it means.
    """

    rows: float
    cols: float
    patches: int
    spread: float
    found: Found

    @property
    def correction(self) -> tuple[float, float]:
        """What to take out, (rows, columns); zero unless the band is to be laid elsewhere."""
        return (self.rows, self.cols) if self.found is Found.SHIFTED else (0.0, 0.0)


@dataclass(frozen=True)
class Peak:
    """The best agreement of two patches: shift in pixels, height 0…1."""

    rows: float
    cols: float
    height: float


def doubled_gradient(plane: Floats) -> Array:
    """The doubled gradient of ``(h, w)``, complex64 ``(h, w)``; central differences."""
    down, right = np.gradient(np.asarray(plane, np.float32))
    gradient = right + 1j * down
    length = np.abs(gradient)
    return np.asarray(gradient * gradient / np.maximum(length, 1e-12), np.complex64)


def peak_of(reference: Floats, band: Floats, margin: int = MARGIN) -> Peak:
    """Where ``band`` agrees best with ``reference``.

    Args:
        reference: float ``(n + 2·margin, n + 2·margin)``, of which the middle is used.
        band: the same shape; its whole area is searched.
        margin: shifts beyond it are not found.
    """
    side = reference.shape[0] - 2 * margin
    taper, weight = _taper(side), _weight(side)
    middle = slice(margin, margin + side)
    fixed = np.fft.fft2(doubled_gradient(reference)[middle, middle] * taper)
    moving = doubled_gradient(band)
    coarse = _coarse(fixed, np.fft.fft2(moving[middle, middle] * taper), weight, margin)
    # Cut the band where it lies: then both see the same ground and the taper shifts nothing.
    rows, cols = (slice(margin + at, margin + at + side) for at in coarse)
    cross = _cross(fixed, np.fft.fft2(moving[rows, cols] * taper), weight)
    fine_rows, fine_cols, height = _refine(cross)
    return Peak(coarse[0] + fine_rows, coarse[1] + fine_cols, height)


def _taper(side: int) -> Floats:
    line = np.hanning(side + 2)[1:-1].astype(np.float32)
    return np.asarray(np.outer(line, line))


def _weight(side: int) -> Floats:
    f = np.fft.fftfreq(side)
    weight = np.exp(-2 * (f[:, None] ** 2 + f[None, :] ** 2) / CUT_OFF**2)
    return np.asarray(weight / weight.sum())


def _cross(fixed: Array, moving: Array, weight: Floats) -> Array:
    """The weighted phase of the cross-power spectrum."""
    cross = moving * np.conj(fixed)
    return np.asarray(weight * cross / np.maximum(np.abs(cross), 1e-20))


def _coarse(fixed: Array, moving: Array, weight: Floats, margin: int) -> tuple[int, int]:
    surface = np.fft.ifft2(_cross(fixed, moving, weight)).real
    near = np.roll(surface, (margin, margin), axis=(0, 1))[: 2 * margin + 1, : 2 * margin + 1]
    row, col = np.unravel_index(int(near.argmax()), near.shape)
    return int(row) - margin, int(col) - margin


def _refine(cross: Array) -> tuple[float, float, float]:
    """The peak round zero shift to a fraction of a pixel, and its height."""
    steps = np.arange(-round(REACH_PX * FINE), round(REACH_PX * FINE) + 1) / FINE
    f = np.fft.fftfreq(cross.shape[0])
    kernel = np.exp(2j * np.pi * np.outer(steps, f))
    surface = (kernel @ cross @ kernel.T).real
    row, col = np.unravel_index(int(surface.argmax()), surface.shape)
    down = _vertex(surface[:, col], int(row))
    right = _vertex(surface[row], int(col))
    return steps[row] + down / FINE, steps[col] + right / FINE, float(surface[row, col])


def _vertex(line: Floats, at: int) -> float:
    """Where between its neighbours a parabola through a peak is highest, −0.5…0.5."""
    if at in (0, len(line) - 1):
        return 0.0
    left, mid, right = (float(line[at + i]) for i in (-1, 0, 1))
    bend = left - 2 * mid + right
    return 0.0 if bend >= 0 else 0.5 * (left - right) / bend


Look = Callable[[int, int, int, int], "tuple[Array, Flags]"]
"""Window (row, col, height, width) → planes float ``(bands, h, w)``, where valid, bool."""


def measure(
    look: Look, size: tuple[int, int], bands: int, reference: int, limit: float
) -> list[Shift]:
    """How every band of a frame lies on its reference band.

    Args:
        look: reads planes of a window within the frame.
        size: (height, width) of the frame.
        bands: how many.
        reference: index of the reference band.
        limit: shifts up to this can be corrected, pixels.

    Returns:
        A shift a band; the reference's own is zero.
    """
    peaks: list[list[Peak]] = [[] for _ in range(bands)]
    side, places = patches_of(size)
    full = side + 2 * MARGIN
    for row, col in places:
        planes, valid = look(row, col, full, full)
        # The rim of missing data lies the same in all bands and would say that they do too.
        if not valid.all():
            continue
        for band in range(bands):
            if band != reference:
                peaks[band].append(peak_of(planes[reference], planes[band]))
    return [
        Shift(0.0, 0.0, len(places), 0.0, Found.ALIGNED) if band == reference
        else agree(peaks[band], limit)
        for band in range(bands)
    ]  # fmt: skip


def patches_of(size: tuple[int, int]) -> tuple[int, list[tuple[int, int]]]:
    """Side of a patch without its margin, and (row, column) of every patch with it.

    Patches are as large as leaves enough of them side by side; a frame that is too small for that
    has none.
    """
    side = PATCH
    while side >= MIN_PATCH:
        full = side + 2 * MARGIN
        if (size[0] // full) * (size[1] // full) >= MIN_PATCHES:
            rows, cols = (_spread(length, full) for length in size)
            return side, [(row, col) for row in rows for col in cols]
        side //= 2
    return MIN_PATCH, []


def _spread(length: int, full: int) -> list[int]:
    """Up to `GRID` starts of pieces of ``full``, evenly over ``length``, overlapping little."""
    count = min(GRID, max(1, length // full))
    if count == 1:
        return [(length - full) // 2]
    return [round(i * (length - full) / (count - 1)) for i in range(count)]


def agree(peaks: list[Peak], limit: float) -> Shift:
    """One shift out of many patches: the median of those that agree with the median.

    Args:
        peaks: of the patches.
        limit: shifts up to this can be corrected, pixels.
    """
    good = np.array([(p.rows, p.cols) for p in peaks if p.height >= MIN_PEAK]).reshape(-1, 2)
    if len(good) < MIN_PATCHES:
        return Shift(np.nan, np.nan, len(good), np.nan, Found.UNSURE)
    near = np.linalg.norm(good - np.median(good, axis=0), axis=1) <= AGREE_PX
    kept = good[near]
    if len(kept) < max(MIN_PATCHES, MIN_AGREEMENT * len(good)):
        return Shift(np.nan, np.nan, len(kept), np.nan, Found.UNSURE)
    rows, cols = (float(middle) for middle in np.median(kept, axis=0))
    spread = float(1.4826 * np.median(np.linalg.norm(kept - (rows, cols), axis=1)))
    # Three standard errors of a median: less is nothing that was measured.
    least = max(WORTH_PX, 3 * 1.2533 * spread / len(kept) ** 0.5)
    if max(abs(rows), abs(cols)) > limit:
        found = Found.TOO_FAR
    elif np.hypot(rows, cols) < least:
        found = Found.ALIGNED
    else:
        found = Found.SHIFTED
    return Shift(rows, cols, len(kept), spread, found)


def margin_of(shifts: list[tuple[float, float]]) -> int:
    """Pixels around a window that `resample` needs for these shifts."""
    largest = max((abs(at) for shift in shifts for at in shift), default=0.0)
    return int(np.ceil(largest)) + 2 if largest > 0 else 0


def resample(
    plane: Array, valid: Flags, shift: tuple[float, float], margin: int
) -> tuple[Array, Flags]:
    """Lay a band where it belongs: cubic convolution (R. G. Keys, 1981, a = −1/2).

    Args:
        plane: float32 ``(h + 2·margin, w + 2·margin)``.
        valid: bool, the same shape.
        shift: (rows, columns) by which the band lies off; zero costs a copy at most.
        margin: `margin_of` all shifts, or more.

    Returns:
        float32 ``(h, w)``, and bool ``(h, w)`` where every sample that went in was valid.
    """
    for axis, at in enumerate(shift):
        plane, valid = _along(plane, valid, at, margin, axis)
    return plane, valid


def _along(plane: Array, valid: Flags, at: float, margin: int, axis: int) -> tuple[Array, Flags]:
    whole = int(np.floor(at))
    length = plane.shape[axis] - 2 * margin

    def tap(array: Array, step: int) -> Array:
        part = slice(margin + whole + step, margin + whole + step + length)
        return array[part] if axis == 0 else array[:, part]

    weights = _keys(at - whole)
    if len(weights) == 1:
        return tap(plane, 0), tap(valid, 0)
    total, good = np.zeros_like(tap(plane, 0)), np.ones_like(tap(valid, 0))
    for step, weight in zip(range(-1, 3), weights):
        total += np.float32(weight) * tap(plane, step)
        good &= tap(valid, step)
    return total, good


def _keys(f: float) -> list[float]:
    """Weights of the samples at −1, 0, 1, 2 for a place ``f`` behind 0; one where it is on it."""
    if abs(f) < 1e-6:
        return [1.0]
    return [
        ((-0.5 * f + 1.0) * f - 0.5) * f,
        (1.5 * f - 2.5) * f * f + 1.0,
        ((-1.5 * f + 2.0) * f + 0.5) * f,
        (0.5 * f - 0.5) * f * f,
    ]
