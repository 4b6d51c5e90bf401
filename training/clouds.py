"""Clouds over real chips: generated skies, blended in with the shadows they cast.

Cloud labels are scarce, so the cloud head learns from skies of `training.synth` laid over real
ground. Making a sky takes longer than using one: a *bank* of them is made once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from onboard.sensor import Sensor
from training.chips import UNKNOWN, Chip
from training.synth.canvas import canvas_for
from training.synth.clouds import CLOUD_OPACITY, CLOUD_TINT, DIRECT_LIGHT, cloud_sky
from training.synth.frame import BANDS
from training.synth.recipe import random_recipe

SKIES = 160


@dataclass(frozen=True)
class Bank:
    """Skies of one size; all arrays float16 ``(skies, size, size)``, 0…1.

    Attributes:
        opacity: share of the ground's light that clouds hide.
        brightness: reflectance of the cloud.
        shadow: share of the direct sunlight that clouds take from the ground.
    """

    opacity: npt.NDArray[np.float16]
    brightness: npt.NDArray[np.float16]
    shadow: npt.NDArray[np.float16]


def make_bank(size: int, gsd_m: float, seed: int, skies: int = SKIES) -> Bank:
    """Generate a bank; cloud covers from a twentieth to two thirds of a sky."""
    canvas = canvas_for(size, size, gsd_m)
    rng = np.random.default_rng([seed, skies])
    planes = []
    for _ in range(skies):
        recipe = random_recipe(
            int(rng.integers(2**40)),
            size,
            size,
            gsd_m,
            cloud_fraction=float(rng.uniform(0.05, 0.67)),
            cirrus=float(max(0.0, rng.uniform(-0.6, 0.8))),
        )
        sky = cloud_sky(recipe, canvas)
        parts = (sky.opacity, sky.brightness, sky.shadow)
        planes.append([canvas.pixels(part).astype(np.float16) for part in parts])
    opacity, brightness, shadow = (np.stack(part) for part in zip(*planes, strict=True))
    return Bank(opacity, brightness, shadow)


def overcast(chip: Chip, sensor: Sensor, bank: Bank, rng: np.random.Generator) -> Chip:
    """Lay one sky of the bank over a chip of the bank's size, at random turned.

    Under cloud the water label becomes unknown; elsewhere the chip counts as clear unless its own
    labels say cloud.
    """
    pick, turns = int(rng.integers(len(bank.opacity))), int(rng.integers(4))
    opacity, brightness, shadow = (
        np.rot90(part[pick], turns).astype(np.float32)
        for part in (bank.opacity, bank.brightness, bank.shadow)
    )
    image = np.empty_like(chip.reflectance)
    for i, band in enumerate(sensor.bands):
        tint, direct = _band(band)
        lit = chip.reflectance[..., i] * (1 - direct * shadow)
        image[..., i] = lit + opacity * (brightness * tint - lit)
    hidden = opacity >= CLOUD_OPACITY
    clear = np.where(chip.cloud == UNKNOWN, 0, chip.cloud)
    soft = chip.soft
    if soft is not None:
        # No teacher has seen this sky.
        soft = np.where(hidden[..., None], np.array([UNKNOWN, 1], np.float32), soft)
    return replace(
        chip,
        reflectance=image,
        water=np.where(hidden, UNKNOWN, chip.water).astype(np.uint8),
        cloud=np.where(hidden, 1, clear).astype(np.uint8),
        soft=soft,
    )


def _band(name: str) -> tuple[float, float]:
    """Tint of cloud and share of direct light; bands beyond the four are like near infrared."""
    index = BANDS.index(name) if name in BANDS else BANDS.index("nir")
    return CLOUD_TINT[index], DIRECT_LIGHT[index]
