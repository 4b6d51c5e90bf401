"""A *synthetic frame*: what the camera would have stored, with the truth that made it.

The truth's classes are ``onboard.classes``: a pixel is cloud where cloud opacity is at least
``clouds.CLOUD_OPACITY``; else water where at least half of it is surface water, flood between
plants included, flood under a closed canopy not; else land.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onboard.classes import CLOUD, LAND, NODATA, WATER
from onboard.georef import Georef
from training.synth import camera
from training.synth.atmosphere import haze_field, through_air
from training.synth.canvas import Canvas, Floats, canvas_for
from training.synth.clouds import CLOUD_OPACITY, Sky, cloud_sky
from training.synth.cover import Cover, grow_cover
from training.synth.draws import stream
from training.synth.flood import Water, flood_terrain
from training.synth.recipe import Recipe, random_recipe
from training.synth.spectra import (
    BANDS,
    emergence,
    ground_band,
    visible_water,
    water_band,
    water_state,
)
from training.synth.terrain import Terrain, shape_terrain

CRS = "EPSG:32645"

__all__ = ["BANDS", "CRS", "Recipe", "SyntheticFrame", "random_recipe", "synthesise"]


@dataclass(frozen=True)
class SyntheticFrame:
    """A frame and its truth.

    Attributes:
        recipe: what made it.
        dn: uint16 (height, width, 4), blue, green, red, nir, reflectance × 10000; 0 is nodata.
        label: uint8 (height, width), 0 land, 1 water, 2 cloud, 255 nodata.
        permanent: uint8 (height, width), 1 where permanent water covers half of the pixel.
        surface_water: uint8 (height, width), 1 where the truth is water under any cloud.
    """

    recipe: Recipe
    dn: NDArray[np.uint16]
    label: NDArray[np.uint8]
    permanent: NDArray[np.uint8]
    surface_water: NDArray[np.uint8]

    @property
    def georef(self) -> Georef:
        """Grid in UTM zone 45 north. The place is fictional."""
        r = self.recipe
        return Georef(
            r.width, r.height, CRS, (r.gsd_m, 0.0, r.easting_m, 0.0, -r.gsd_m, r.northing_m)
        )


Shifts = tuple[tuple[float, float], ...]


def synthesise(recipe: Recipe, shifts: Shifts | None = None) -> SyntheticFrame:
    """Make the frame of ``recipe``: the same recipe gives the same arrays.

    Args:
        recipe: what to make.
        shifts: (rows, columns) in pixels by which each band's samples lie off the truth; none do
            where omitted.
    """
    shifts = shifts or ((0.0, 0.0),) * len(BANDS)
    canvas = canvas_for(recipe.height, recipe.width, recipe.gsd_m)
    terrain = shape_terrain(recipe, canvas)
    water = flood_terrain(recipe, canvas, terrain)
    cover = grow_cover(recipe, canvas, terrain, water)
    sky = cloud_sky(recipe, canvas)
    dn = _photograph(recipe, canvas, terrain, water, cover, sky, shifts)
    permanent = (canvas.pixels(water.permanent) >= 0.5).astype(np.uint8)
    wet = (canvas.pixels(visible_water(cover, water)) >= 0.5).astype(np.uint8)
    wet |= permanent
    label = np.where(wet == 1, WATER, LAND).astype(np.uint8)
    label[canvas.pixels(sky.opacity) >= CLOUD_OPACITY] = CLOUD
    edge = _scan_edge(recipe)
    label[edge] = NODATA
    dn[edge] = 0
    return SyntheticFrame(recipe, dn, label, permanent, wet)


def _photograph(
    recipe: Recipe,
    canvas: Canvas,
    terrain: Terrain,
    water: Water,
    cover: Cover,
    sky: Sky,
    shifts: Shifts,
) -> NDArray[np.uint16]:
    """Band after band, so that a large frame needs little memory."""
    haze = haze_field(recipe, canvas)
    algae, glint = water_state(recipe, canvas)
    stands = emergence(cover, water)
    gain = camera.gains(stream(recipe.weather + recipe.seed, "gain"))
    dn = np.empty((recipe.height, recipe.width, len(BANDS)), np.uint16)
    for band, name in enumerate(BANDS):
        surface: Floats = ground_band(recipe, cover, terrain.sunlight, band)
        wet = water_band(water, algae, glint, surface, band)
        surface = wet + stands * (surface - wet)
        seen = through_air(recipe, surface, sky, haze, band)
        rng = stream(recipe.weather + recipe.seed, f"noise {name}")
        dn[..., band] = camera.expose(
            canvas, seen, band, float(gain[band]), recipe.noise, rng, shifts[band]
        )
    return dn


def _scan_edge(recipe: Recipe) -> NDArray[np.bool_]:
    """The slanting wedge on the right that the scan did not reach."""
    lost = recipe.nodata_wedge * recipe.width
    row = np.arange(recipe.height)[:, None] / max(recipe.height - 1, 1)
    col = np.arange(recipe.width)[None, :]
    return np.asarray(col >= recipe.width - lost * row)
