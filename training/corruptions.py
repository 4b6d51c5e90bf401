"""Corruptions: what can go wrong with a frame on its way to the network, one thing at a time.

Every function is pure over float32 reflectance ``(H, W, bands)`` and takes its generator; the
severity is drawn within the stated range. They are made to be found (`training.oddity`), never to
train on.

======================  ==========================================================================
``raw_8bit``            raw numbers of 8 bits, 255 at a reflectance of 0.4…1.0, read as if they
                        were the sensor's own integer samples
``band_order``          the bands in any other order, all equally likely
``dead_band``           one band is 0, or is constant, or is constant with white noise of standard
                        deviation 0.003, equally likely
``saturation``          full scale lies at the value that 5…40 % of the samples exceed
``misregistration``     one band lies 3 pixels off along a row or a column, or 2 along each
``haze``                aerosol of optical depth 0.4…0.8 at 550 nm, so that a contrast in the blue
                        is 0.39…0.63 of what it was: see `hazy`
======================  ==========================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from onboard.sensor import Sensor

Image = npt.NDArray[np.float32]
Corruption = Callable[[Image, np.random.Generator], Image]

FULL_SCALE = (0.4, 1.0)
DEAD_NOISE = 0.003
SATURATED = (0.05, 0.4)
SHIFTS = ((3, 0), (-3, 0), (0, 3), (0, -3), (2, 2), (2, -2), (-2, 2), (-2, -2))
DEPTH = (0.4, 0.8)
ANGSTROM = 1.3
AIRLIGHT = 0.25
# Middle of the band, micrometres.
WAVELENGTHS = {
    "coastal": 0.443,
    "blue": 0.49,
    "green": 0.56,
    "red": 0.66,
    "nir": 0.85,
    "swir1": 1.61,
    "swir2": 2.2,
}


def raw_8bit(image: Image, rng: np.random.Generator, scale: float) -> Image:
    """Raw 8-bit numbers that are taken for integer reflectance of ``scale`` a step."""
    full = np.exp(rng.uniform(*np.log(FULL_SCALE)))
    numbers = np.clip(np.rint(image * (255 / full)), 0, 255)
    return np.asarray(numbers * scale, np.float32)


def band_order(image: Image, rng: np.random.Generator) -> Image:
    """The bands in another order than their own."""
    own = np.arange(image.shape[-1])
    order = own
    while (order == own).all():
        order = rng.permutation(own)
    return np.ascontiguousarray(image[..., order])


def dead_band(image: Image, rng: np.random.Generator) -> Image:
    """A band that shows nothing of the ground."""
    band, kind = rng.integers(image.shape[-1]), rng.integers(3)
    dead = image.copy()
    dead[..., band] = 0.0 if kind == 0 else image[..., band].mean()
    if kind == 2:
        dead[..., band] += rng.normal(0.0, DEAD_NOISE, image.shape[:2])
    return dead


def saturation(image: Image, rng: np.random.Generator) -> Image:
    """Samples of all bands clipped at one level."""
    level = np.quantile(image, 1 - rng.uniform(*SATURATED))
    return np.asarray(np.minimum(image, level), np.float32)


def misregistration(image: Image, rng: np.random.Generator) -> Image:
    """One band moved by whole pixels; what comes in from outside is mirrored."""
    band = rng.integers(image.shape[-1])
    down, across = SHIFTS[rng.integers(len(SHIFTS))]
    height, width = image.shape[:2]
    most = max(max(shift) for shift in SHIFTS)
    padded = np.pad(image[..., band], most, mode="symmetric")
    moved = image.copy()
    moved[..., band] = padded[most + down :, most + across :][:height, :width]
    return moved


def haze(image: Image, rng: np.random.Generator, bands: Sequence[str]) -> Image:
    """A layer of aerosol of random depth, see `hazy`."""
    return hazy(image, rng.uniform(*DEPTH), bands)


def hazy(image: Image, depth: float, bands: Sequence[str]) -> Image:
    """A layer of aerosol: light of its own is added, and less comes through.

    ``ρ' = ρ exp(-τ) + A (1 - exp(-τ))`` with ``τ = τ550 (λ / 550 nm)^-1.3`` (Ångström 1929) and an
    airlight ``A`` of 0.25, as in the law of Koschmieder (1924). At ``τ550 = 0.6`` it adds 0.12 in
    the blue and 0.07 in the near infrared, and leaves 0.50 and 0.71 of the light of the ground.
    """
    relative = np.array([(WAVELENGTHS[band] / 0.55) ** -ANGSTROM for band in bands])
    through = np.exp(-depth * relative)
    return np.asarray(image * through + AIRLIGHT * (1 - through), np.float32)


def of(sensor: Sensor) -> dict[str, Corruption]:
    """Name → corruption, of those that a sensor can suffer.

    One band has no order and lies off nothing; haze needs the wavelengths of all bands.
    """
    found: dict[str, Corruption] = {
        "raw_8bit": lambda image, rng: raw_8bit(image, rng, sensor.scale),
        "dead_band": dead_band,
        "saturation": saturation,
    }
    if len(sensor.bands) > 1:
        found["band_order"] = band_order
        found["misregistration"] = misregistration
    if set(sensor.bands) <= set(WAVELENGTHS):
        found["haze"] = lambda image, rng: haze(image, rng, sensor.bands)
    return found
