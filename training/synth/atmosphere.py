"""*Atmosphere*: what the air adds and takes between the ground and the camera.

Surface reflectance keeps a trace of haze, as corrected products do; top-of-atmosphere
reflectance has the whole path: Rayleigh and aerosol light added, transmission taken.
"""

from __future__ import annotations

import numpy as np

from training.synth.canvas import Canvas, Floats, noise
from training.synth.clouds import CLOUD_TINT, DIRECT_LIGHT, Sky
from training.synth.draws import stream
from training.synth.recipe import Recipe

RAYLEIGH_PATH = (0.070, 0.040, 0.021, 0.007)
AEROSOL_PATH = (0.070, 0.056, 0.046, 0.030)
GAS_TRANSMISSION = (0.90, 0.91, 0.94, 0.96)


def haze_field(recipe: Recipe, canvas: Canvas) -> Floats:
    """Aerosol load over the canvas, about ``recipe.haze``, float64 ``(rows, cols)``."""
    rng = stream(recipe.weather + recipe.seed, "haze")
    drift = noise(canvas, rng, 20000.0, 3.6, inner_m=10 * recipe.gsd_m)
    return np.asarray(recipe.haze * np.clip(1 + 0.3 * drift, 0.2, 2.0))


def through_air(recipe: Recipe, surface: Floats, sky: Sky, haze: Floats, band: int) -> Floats:
    """Reflectance ``(rows, cols)`` of a band at the camera: shadow, haze, cloud, as light goes."""
    lit = surface * (1 - DIRECT_LIGHT[band] * sky.shadow)
    path = AEROSOL_PATH[band] * haze
    seen = lit * (1 - 1.4 * path) + path
    if recipe.toa:
        high_sun = np.sin(np.deg2rad(recipe.sun_elevation_deg))
        air = 0.6 + 0.4 / high_sun
        seen = seen * GAS_TRANSMISSION[band] ** air + RAYLEIGH_PATH[band] * air
    cloud = sky.brightness * CLOUD_TINT[band]
    return np.asarray(seen + sky.opacity * (cloud - seen))
