"""*Spectra*: surface reflectance of every material, and of water by depth and sediment.

Bands are blue, green, red, nir, in this order. The levels follow published libraries (USGS
spectral library version 7, land; Lodhi et al. 1997 and Doxaran et al. 2002, sediment in water)
and were tuned to band medians and spreads of Harmonized Landsat Sentinel-2 surface reflectance.
"""

from __future__ import annotations

import numpy as np

from training.synth.biomes import BIOMES
from training.synth.canvas import Canvas, Flags, Floats, noise
from training.synth.cover import Cover
from training.synth.draws import stream
from training.synth.flood import Water
from training.synth.recipe import Recipe

BANDS = ("blue", "green", "red", "nir")

STRAW = (0.064, 0.106, 0.142, 0.272)
HERB = (0.026, 0.060, 0.034, 0.390)
SAND = (0.140, 0.195, 0.245, 0.305)
ROCK = (0.088, 0.110, 0.132, 0.172)
STREET = (0.066, 0.080, 0.090, 0.125)
ROOF = (0.210, 0.240, 0.262, 0.315)
TRACK = (0.105, 0.135, 0.165, 0.220)
ASH = (0.030, 0.036, 0.045, 0.075)
SNOW = (0.820, 0.830, 0.810, 0.720)

CLEAR_WATER = (0.016, 0.020, 0.009, 0.003)
SEDIMENT_GAIN = (0.044, 0.100, 0.158, 0.095)
SEDIMENT_HALF = (0.14, 0.20, 0.34, 1.10)
ALGAE = (0.001, 0.022, 0.006, 0.016)
#: Attenuation of clear water, there and back, per metre; nir dies within a few decimetres.
CLEAR_LOSS = (0.25, 0.30, 0.9, 6.0)
SEDIMENT_LOSS = 9.0
DIFFUSE_LIGHT = (0.34, 0.26, 0.21, 0.14)


def ground_band(recipe: Recipe, cover: Cover, sunlight: Floats, band: int) -> Floats:
    """Reflectance of dry ground in one band, float64 (rows, cols) of the canvas."""
    biome = BIOMES[recipe.biome]
    soil = _mix(biome.dark_soil[band], biome.bright_soil[band], cover.tone) * (1 - 0.42 * cover.wet)
    leaf = _mix(HERB[band], biome.tree[band], cover.woody)
    if BANDS[band] == "nir":
        leaf *= cover.vigour
    bare = 1 - cover.green - cover.straw
    ground = soil * bare + STRAW[band] * cover.straw + leaf * cover.green
    ground = ground * cover.texture
    town = _mix(STREET[band], ROOF[band], cover.roof)
    for share, over in (
        (cover.rock, ROCK[band] * cover.texture),
        (cover.sand, SAND[band] * cover.texture * (1 - 0.35 * cover.wet)),
        (cover.built, town),
        (cover.road, TRACK[band]),
        (cover.ash, ASH[band] * cover.texture),
        (cover.snow, SNOW[band]),
    ):
        ground += share * (over - ground)
    # Slopes that face away still see the sky, which is blue.
    diffuse = DIFFUSE_LIGHT[band]
    return np.asarray(ground * (diffuse + (1 - diffuse) * sunlight))


def _mix(low: float, high: float, share: Floats) -> Floats:
    return low + (high - low) * share


def water_state(recipe: Recipe, canvas: Canvas) -> tuple[Floats, Floats]:
    """Algae (0…1) and sun glint (reflectance) over the canvas, ``(rows, cols)`` each."""
    rng = stream(recipe.weather + recipe.seed, "water")
    algae = np.clip(noise(canvas, rng, 3000.0, 3.2, inner_m=recipe.gsd_m) - 0.3, 0.0, 2.0)
    bloom = float(rng.random()) * (0.3 + 0.7 * recipe.season)
    ripples = noise(canvas, rng, 1500.0, 2.6)
    glint = recipe.glint * np.clip(1 + 0.5 * ripples, 0.0, 2.5) + 0.0015 * ripples
    return algae * bloom, glint


def water_band(water: Water, algae: Floats, glint: Floats, bottom: Floats, band: int) -> Floats:
    """Reflectance of water in one band: deep water, and the bottom through what is shallow.

    Args:
        water: depth and sediment.
        algae: 0…1, ``(rows, cols)`` as all that follow.
        glint: added reflectance.
        bottom: what the water covers, its reflectance.
        band: index in ``BANDS``.
    """
    load = water.sediment * 1.25
    deep = CLEAR_WATER[band] + SEDIMENT_GAIN[band] * load / (load + SEDIMENT_HALF[band])
    deep = deep + ALGAE[band] * algae * (1 - water.sediment) ** 2
    loss = CLEAR_LOSS[band] + SEDIMENT_LOSS * water.sediment
    seen = np.exp(-loss * water.depth_m)
    return np.asarray(deep * (1 - seen) + 0.6 * bottom * seen + glint)


def emergence(cover: Cover, water: Water) -> Floats:
    """Share of each cell ``(rows, cols)`` that plants, roofs and roads above water take, 0…1."""
    above = np.clip(1 - water.depth_m / np.maximum(cover.plant_m, 0.05), 0.0, 1.0)
    leaf = (cover.green * (0.35 + 0.6 * cover.woody) + 0.15 * cover.straw) * above
    stands = np.maximum(leaf, 0.8 * cover.built * above)
    stands = np.where(water.flood, stands, 0.0)
    return np.asarray(np.where(water.surface, np.maximum(stands, cover.road), 1.0))


def visible_water(cover: Cover, water: Water) -> Flags:
    """Cells ``(rows, cols)`` of true water: inundated, and not hidden under a closed canopy."""
    return np.asarray(water.surface & (emergence(cover, water) < 0.75))
