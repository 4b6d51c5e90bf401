"""*Camera*: from reflectance on the fine canvas to the counts of a 12-bit detector.

Each band is blurred by its modulation transfer function (a Gaussian), averaged over the pixel,
given shot and read noise and a small gain error, cut to whole counts and stored as
reflectance × 10000 in uint16. A count is 4 units, so a valid sample is 4…16380 in steps of 4,
and 0 is nodata.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.synth.canvas import CELLS_PER_PIXEL, Canvas, Floats

FULL_SCALE = 4095
DN_PER_COUNT = 4
DN_PER_REFLECTANCE = 10_000
COUNTS_PER_REFLECTANCE = DN_PER_REFLECTANCE / DN_PER_COUNT

#: Blur of each band, standard deviation in pixels. With the pixel's own aperture the modulation
#: transfer at Nyquist is 0.20 (blue) to 0.14 (nir), as of a small telescope.
BLUR_PX = (0.48, 0.48, 0.50, 0.55)
#: Noise in counts: noise² = READ_NOISE² + SHOT · counts.
READ_NOISE = 0.8
SHOT = 0.005
GAIN_ERROR = 0.012


def gains(rng: np.random.Generator) -> Floats:
    """The camera's calibration error per band, about 1, float64 (4,)."""
    return np.asarray(1.0 + GAIN_ERROR * np.clip(rng.standard_normal(4), -2.0, 2.0))


def expose(
    canvas: Canvas,
    reflectance: Floats,
    band: int,
    gain: float,
    noise: float,
    rng: np.random.Generator,
    shift: tuple[float, float] = (0.0, 0.0),
) -> NDArray[np.uint16]:
    """One band of a frame.

    Args:
        canvas: the grid of ``reflectance``.
        reflectance: float64 (rows, cols) at the camera.
        band: index of the band, for its blur.
        gain: calibration factor, about 1.
        noise: multiple of the nominal noise.
        rng: a stream for this band's noise.
        shift: (rows, columns) in pixels by which the band lies lower and further right than it
            should.

    Returns:
        uint16 (height, width), reflectance × 10000.
    """
    blurred = ndimage.gaussian_filter(reflectance, BLUR_PX[band] * CELLS_PER_PIXEL, truncate=3.0)
    if any(shift):
        moved = [CELLS_PER_PIXEL * at for at in shift]
        blurred = ndimage.shift(blurred, moved, order=3, mode="nearest")
    signal = canvas.pixels(blurred) * (gain * COUNTS_PER_REFLECTANCE)
    spread = noise * np.sqrt(READ_NOISE**2 + SHOT * np.maximum(signal, 0.0))
    counts = np.rint(signal + spread * rng.standard_normal(signal.shape))
    return np.asarray(np.clip(counts, 1, FULL_SCALE) * DN_PER_COUNT, np.uint16)
