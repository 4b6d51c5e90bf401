"""The *canvas*: the fine grid on which the ground is painted before the camera averages it.

It has two cells per pixel each way and a margin round the frame, because a camera's blur, a
cloud's shadow and a river's course do not stop at the frame's edge. Coordinates are metres from
its upper left corner, x to the east and y to the south.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Scalar = TypeVar("Scalar", bound=np.generic)

CELLS_PER_PIXEL = 2


@dataclass(frozen=True)
class Canvas:
    """A fine grid round a frame.

    Attributes:
        rows: cells from north to south.
        cols: cells from west to east.
        pitch_m: side of a cell, metres.
        top: first row of the frame.
        left: first column of the frame.
        height: frame rows, in pixels.
        width: frame columns, in pixels.
    """

    rows: int
    cols: int
    pitch_m: float
    top: int
    left: int
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols)."""
        return self.rows, self.cols

    @property
    def extent_m(self) -> tuple[float, float]:
        """(west to east, north to south), metres."""
        return self.cols * self.pitch_m, self.rows * self.pitch_m

    def frame_cells(self, fine: NDArray[Scalar]) -> NDArray[Scalar]:
        """The part of a fine array ``(rows, cols)`` that the frame covers."""
        bottom = self.top + CELLS_PER_PIXEL * self.height
        right = self.left + CELLS_PER_PIXEL * self.width
        return fine[self.top : bottom, self.left : right]

    def pixels(self, fine: NDArray[Scalar]) -> Floats:
        """Area mean of a fine array over each pixel of the frame, float64 (height, width)."""
        cells = self.frame_cells(fine).astype(np.float64)
        split = (self.height, CELLS_PER_PIXEL, self.width, CELLS_PER_PIXEL)
        return np.asarray(cells.reshape(split).mean(axis=(1, 3)))

    def axes(self) -> tuple[Floats, Floats]:
        """Cell centres: x as (1, cols) and y as (rows, 1), metres."""
        x: Floats = (np.arange(self.cols, dtype=np.float64) + 0.5) * self.pitch_m
        y: Floats = (np.arange(self.rows, dtype=np.float64) + 0.5) * self.pitch_m
        return np.asarray(x[None, :]), np.asarray(y[:, None])


def canvas_for(height: int, width: int, gsd_m: float) -> Canvas:
    """The canvas of a frame of ``height`` × ``width`` pixels."""
    margin = CELLS_PER_PIXEL * max(12, round(0.03 * max(height, width)))
    rows = fft.next_fast_len(max(CELLS_PER_PIXEL * height + 2 * margin, 128), real=True)
    cols = fft.next_fast_len(max(CELLS_PER_PIXEL * width + 2 * margin, 128), real=True)
    top = (rows - CELLS_PER_PIXEL * height) // 2
    left = (cols - CELLS_PER_PIXEL * width) // 2
    return Canvas(rows, cols, gsd_m / CELLS_PER_PIXEL, top, left, height, width)


def noise(
    canvas: Canvas,
    rng: np.random.Generator,
    outer_m: float,
    slope: float = 3.0,
    inner_m: float = 0.0,
    stretch: tuple[float, float] | None = None,
) -> Floats:
    """A Gaussian random field with a power-law spectrum, by spectral synthesis.

    Args:
        canvas: the grid; the field wraps round at its edges.
        rng: a stream.
        outer_m: longest correlated scale, metres.
        slope: the spectral power falls as wavenumber to this power (2 rough … 4 smooth).
        inner_m: scales below this are smoothed away, metres; 0 keeps all.
        stretch: (factor, angle in radians from east) elongates the field along the angle.

    Returns:
        float64 (rows, cols), mean 0 and standard deviation 1 over the ensemble: a canvas
        smaller than ``outer_m`` can lie wholly on one side of 0, as real ground does.
    """
    reach = _band(canvas, inner_m)
    ky = fft.fftfreq(canvas.rows, canvas.pitch_m)[reach[0]][:, None]
    kx = fft.rfftfreq(canvas.cols, canvas.pitch_m)[reach[1]][None, :]
    if stretch is not None:
        factor, angle = stretch
        along = (kx * np.cos(angle) + ky * np.sin(angle)) * factor
        kx, ky = along, -kx * np.sin(angle) + ky * np.cos(angle)
    k2 = kx * kx + ky * ky
    gain = (k2 + outer_m**-2) ** (-slope / 4) * np.exp(-k2 * inner_m**2)
    parts = rng.standard_normal((2, *gain.shape))
    spectrum = np.zeros((canvas.rows, canvas.cols // 2 + 1), np.complex128)
    spectrum[reach[0][:, None], reach[1][None, :]] = gain * (parts[0] + 1j * parts[1])
    power = 2.0 * (2.0 * np.sum(gain**2) - np.sum(gain[:, 0] ** 2))
    field = fft.irfft2(spectrum, s=canvas.shape, overwrite_x=True)
    return np.asarray(field * (canvas.rows * canvas.cols / np.sqrt(power)))


def _band(canvas: Canvas, inner_m: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of the rows and columns of the half spectrum that smoothing leaves."""
    ky = np.abs(fft.fftfreq(canvas.rows, canvas.pitch_m))
    kx = fft.rfftfreq(canvas.cols, canvas.pitch_m)
    limit = np.inf if inner_m == 0 else 2.2 / inner_m
    return np.flatnonzero(ky <= limit), np.flatnonzero(kx <= limit)


def distance(mask: Flags, pitch_m: float, step: int = 2) -> Floats:
    """Distance to the nearest true cell, metres, float64 ``(rows, cols)``.

    It is measured on every ``step``-th cell. A mask without a true cell is infinitely far: the
    array is full of ``1e9``.
    """
    if not mask.any():
        return np.full(mask.shape, 1e9)
    coarse = np.logical_or.reduceat(mask, np.arange(0, mask.shape[0], step), axis=0)
    coarse = np.logical_or.reduceat(coarse, np.arange(0, mask.shape[1], step), axis=1)
    far = ndimage.distance_transform_edt(~coarse) * (pitch_m * step)
    return enlarge(np.asarray(far), (mask.shape[0], mask.shape[1]), step)


def enlarge(coarse: Floats, shape: tuple[int, int], step: int) -> Floats:
    """Bilinear enlargement of a coarse array whose cells are ``step`` fine cells wide."""
    if step == 1:
        return coarse
    rows = _between(shape[0], coarse.shape[0], step)
    cols = _between(shape[1], coarse.shape[1], step)
    tall = coarse[rows[0]] * (1 - rows[2])[:, None] + coarse[rows[1]] * rows[2][:, None]
    return np.asarray(tall[:, cols[0]] * (1 - cols[2]) + tall[:, cols[1]] * cols[2])


def _between(
    fine: int, coarse: int, step: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    at = np.clip((np.arange(fine) + 0.5) / step - 0.5, 0, coarse - 1)
    low = np.floor(at).astype(np.intp)
    return low, np.minimum(low + 1, coarse - 1), np.asarray(at - low)


def smoothstep(low: float, high: float, x: Floats) -> Floats:
    """0 below ``low``, 1 above ``high``, an S between, any shape; falls where ``low`` is larger."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t))
