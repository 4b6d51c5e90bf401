"""*Land cover*: what grows, lies and stands on the ground, as shares of every cell.

A cell is a linear mixture of a few materials (Adams et al. 1986): bare soil between a dark and
a bright end, straw, green leaf between herb and tree, sand, rock, roofs and streets, ash, snow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import erfinv

from training.synth.biomes import BIOMES, Biome
from training.synth.canvas import Canvas, Floats, noise, smoothstep
from training.synth.draws import stream
from training.synth.flood import Water
from training.synth.parcels import Parcels, cut_parcels
from training.synth.recipe import Recipe
from training.synth.settlement import Settlement, settle
from training.synth.terrain import Terrain


@dataclass
class Cover:
    """Shares of materials; float64 (rows, cols) of the canvas, 0…1 where no unit is given.

    Attributes:
        green: green leaf.
        straw: dead leaf and stubble; soil is what green and straw leave.
        woody: 0 the green is herb … 1 it is tree.
        vigour: near-infrared strength of the green leaf, about 1.
        tone: 0 dark soil … 1 bright soil.
        wet: 0 dry … 1 soaked soil, which is darker.
        sand: river sand over the mixture.
        rock: bare rock over the mixture.
        built: roofs and streets over the mixture.
        roof: brightness of what is built.
        road: roads, which stand above flood water.
        ash: burnt ground over the mixture.
        snow: snow over all but water.
        plant_m: height of the plants, metres: what stands out of flood water.
        texture: multiplies the reflectance, about 1.
    """

    green: Floats
    straw: Floats
    woody: Floats
    vigour: Floats
    tone: Floats
    wet: Floats
    sand: Floats
    rock: Floats
    built: Floats
    roof: Floats
    road: Floats
    ash: Floats
    snow: Floats
    plant_m: Floats
    texture: Floats


def grow_cover(recipe: Recipe, canvas: Canvas, terrain: Terrain, water: Water) -> Cover:
    """Cover the ground of ``recipe``."""
    biome = BIOMES[recipe.biome]
    rng = stream(recipe.seed, "cover")
    parcels = cut_parcels(canvas, stream(recipe.seed, "parcels"), biome)
    cover = _wild(recipe, canvas, terrain, biome, rng)
    trees = _woods(recipe, canvas, terrain, biome, rng)
    _farm(recipe, terrain, biome, parcels, cover, rng)
    _plant_trees(cover, trees, parcels, biome, terrain, rng)
    _river_ground(recipe, canvas, terrain, cover, rng)
    _settle(cover, settle(recipe, canvas, terrain, parcels))
    _disasters(recipe, canvas, terrain, cover, rng)
    _soak(water, terrain, cover)
    return cover


def _wild(
    recipe: Recipe, canvas: Canvas, terrain: Terrain, biome: Biome, rng: np.random.Generator
) -> Cover:
    """Grass, scrub and bare ground, greener where it is moist."""
    broad = noise(canvas, rng, 5000.0, 2.8)
    fine = noise(canvas, rng, 420.0, 2.7)
    moist = np.exp(-np.maximum(terrain.height_m, 0) / (2.5 * biome.wet))
    moist += 0.8 * np.exp(-terrain.from_stream_m / 90.0)
    low, high = biome.green
    lush = low + (high - low) * recipe.season
    green = np.clip(lush * (0.72 + 0.16 * broad + 0.10 * fine) + 0.35 * moist * lush, 0.0, 0.95)
    straw = (1 - green) * np.clip(0.55 - 0.2 * fine + 0.1 * broad, 0.05, 0.9)
    zero = np.zeros(canvas.shape)
    rock = smoothstep(0.35, 0.8, terrain.slope + 0.07 * fine)
    return Cover(
        green=green,
        straw=straw * (0.3 if recipe.biome == "dry" else 0.8),
        woody=0.12 + 0.1 * smoothstep(0.0, 2.0, broad),
        vigour=1.0 + 0.08 * broad,
        tone=np.clip(0.5 + 0.22 * broad * biome.tint + 0.1 * fine, 0.0, 1.0),
        wet=np.clip(0.5 * moist, 0.0, 0.8),
        sand=zero.copy(),
        rock=rock,
        built=zero,
        roof=zero,
        road=zero,
        ash=zero,
        snow=zero,
        plant_m=0.25 + 0.35 * green,
        texture=np.exp(0.06 * fine + 0.042 * rng.standard_normal(canvas.shape)),
    )


def _woods(
    recipe: Recipe, canvas: Canvas, terrain: Terrain, biome: Biome, rng: np.random.Generator
) -> Floats:
    """Tree cover 0…1: woods by noise, more on slopes and uplands and along streams."""
    ragged = noise(canvas, rng, 4200.0, 3.1, inner_m=0.8 * recipe.gsd_m)
    wooded = ragged + 1.1 * terrain.upland + 3.0 * np.minimum(terrain.slope, 0.4) - 0.35
    wooded += 1.1 * np.exp(-terrain.from_stream_m / 60.0)
    if recipe.river_width_m:
        wooded += 0.8 * np.exp(-terrain.from_river_m / (0.8 * recipe.river_width_m))
    usual = float(np.sqrt(2.0) * erfinv(1.0 - 2.0 * biome.forest))
    limit = float(np.quantile(canvas.frame_cells(wooded), 1 - biome.forest))
    # A quantile alone would force the same share of wood on every small frame.
    limit = 0.5 * limit + 0.5 * usual
    return smoothstep(-0.1, 0.14, wooded - limit)


def _farm(
    recipe: Recipe,
    terrain: Terrain,
    biome: Biome,
    parcels: Parcels,
    cover: Cover,
    rng: np.random.Generator,
) -> None:
    """Fields on gentle, dry ground: each with its crop, stage and soil."""
    count = 1 << 16
    farmed = rng.random(count) < biome.crop
    flat = (terrain.slope < 0.12) & (terrain.height_m > 0.35 * biome.wet)
    field = parcels.table(farmed.astype(np.float64)) * flat
    low, high = biome.green
    lush = low + (high - low) * recipe.season
    stage = rng.random(count)
    growing = stage < 0.15 + 0.75 * lush
    leaf = np.where(growing, 0.35 + 0.63 * rng.random(count) ** 0.6, 0.12 * rng.random(count))
    stubble = np.where(growing, 0.15, rng.random(count) ** 1.3) * (1 - leaf) * 0.9
    tone = np.clip(rng.normal(0.5, 0.3 * biome.tint, count), 0.0, 1.0)
    _blend(cover.green, parcels.table(leaf) * (0.82 + 0.36 * cover.green), field)
    _blend(cover.straw, parcels.table(stubble), field)
    _blend(cover.tone, 0.65 * parcels.table(tone) + 0.35 * cover.tone, field)
    _blend(cover.woody, parcels.table(0.3 * rng.random(count)), field)
    _blend(cover.vigour, parcels.table(rng.normal(1.02, 0.13, count)), field)
    _blend(cover.plant_m, parcels.table(0.15 + 0.9 * leaf * rng.random(count)), field)
    _blend(cover.texture, 1 + 0.5 * (cover.texture - 1), field)
    np.clip(cover.green, 0.0, 0.97, out=cover.green)
    np.minimum(cover.straw, 1 - cover.green, out=cover.straw)


def _blend(base: Floats, over: Floats, share: Floats) -> None:
    """Put ``over`` on ``base`` where ``share`` is 1, in place."""
    base += share * (over - base)


def _plant_trees(
    cover: Cover,
    trees: Floats,
    parcels: Parcels,
    biome: Biome,
    terrain: Terrain,
    rng: np.random.Generator,
) -> None:
    """Woods, hedges and the trees along streams."""
    count = 1 << 16
    hedged = parcels.table((rng.random(count) < biome.hedges).astype(np.float64))
    hedge = 0.6 * hedged * (parcels.to_edge_m < 13.0)
    galley = 0.75 * smoothstep(70.0, 25.0, terrain.from_stream_m) * min(1.0, 2.5 * biome.forest)
    trees = np.maximum(np.maximum(trees, hedge), galley)
    trees *= np.clip(0.95 + 0.8 * (cover.texture - 1), 0.5, 1.0)
    _blend(cover.green, np.full_like(trees, 0.93), trees)
    _blend(cover.straw, np.full_like(trees, 0.03), trees)
    _blend(cover.woody, np.ones_like(trees), trees)
    _blend(cover.vigour, 0.6 + 0.4 * cover.vigour, trees)
    _blend(cover.plant_m, np.full_like(trees, 9.0), trees)
    _blend(cover.texture, 1 + 1.4 * (cover.texture - 1), trees)


def _river_ground(
    recipe: Recipe, canvas: Canvas, terrain: Terrain, cover: Cover, rng: np.random.Generator
) -> None:
    """Bars of fresh sand where the river just was; plants take older deposits back."""
    if recipe.river_width_m == 0:
        return
    patchy = noise(canvas, rng, 2.5 * recipe.river_width_m, 2.8)
    youth = terrain.age / 254.0
    fresh = np.where(terrain.age > 0, smoothstep(0.80, 0.93, youth + 0.05 * patchy), 0.0)
    low = smoothstep(1.9, 0.7, terrain.height_m)
    cover.sand = fresh * (0.35 + 0.65 * low) * np.clip(0.75 + 0.3 * patchy, 0.0, 1.0)
    swale = 0.5 + 0.5 * np.cos(terrain.age * (2 * np.pi / 38.0))
    belt = (terrain.age > 0) * np.clip(1.1 - fresh, 0.0, 1.0)
    cover.tone -= 0.12 * belt * swale
    cover.wet += 0.25 * belt * (1 - swale)
    for plant in (cover.green, cover.straw, cover.plant_m):
        plant *= 1 - fresh
    np.clip(cover.tone, 0.0, 1.0, out=cover.tone)
    np.clip(cover.wet, 0.0, 1.0, out=cover.wet)


def _settle(cover: Cover, settlement: Settlement) -> None:
    cover.built = settlement.built
    cover.roof = settlement.roof
    cover.road = settlement.road
    cover.plant_m = np.where(settlement.built > 0.4, 4.0 * settlement.built, cover.plant_m)


def _disasters(
    recipe: Recipe, canvas: Canvas, terrain: Terrain, cover: Cover, rng: np.random.Generator
) -> None:
    """Burn scars and snow, each over its share of the frame."""
    if recipe.burn_fraction > 0:
        scar = noise(canvas, rng, 4000.0, 3.0) + 0.3 * cover.green
        cover.ash = 0.9 * _share(canvas, scar, recipe.burn_fraction, 0.15)
    if recipe.snow_fraction > 0:
        high = np.maximum(terrain.height_m, 0.0)
        cold = noise(canvas, rng, 5000.0, 2.8) + 3.0 * high / (high.max() + 1.0)
        cold -= 0.8 * cover.woody
        cover.snow = _share(canvas, cold, recipe.snow_fraction, 0.3) * (1 - 0.6 * cover.woody)


def _share(canvas: Canvas, field: Floats, share: float, soft: float) -> Floats:
    """A soft mask of the highest ``share`` of ``field`` within the frame."""
    limit = float(np.quantile(canvas.frame_cells(field), 1 - share))
    return smoothstep(-soft, soft, field - limit)


def _soak(water: Water, terrain: Terrain, cover: Cover) -> None:
    """Ground a little above flood water is wet and dark."""
    if water.level_m > 0:
        above = terrain.height_m - water.level_m
        cover.wet = np.maximum(cover.wet, 0.9 * np.exp(-np.maximum(above, 0.0) / 0.35))
