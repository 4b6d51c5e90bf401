"""*Settlement*: towns, villages and the roads between them, on ground that is mostly dry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.synth.biomes import BIOMES
from training.synth.canvas import Canvas, Floats, noise, smoothstep
from training.synth.draws import stream
from training.synth.parcels import Parcels
from training.synth.recipe import Recipe
from training.synth.ribbon import paint, smooth
from training.synth.terrain import Terrain

ROAD_WIDTH_M = 16.0
STREET_M = 130.0
HOUSE_M = 45.0


@dataclass(frozen=True)
class Settlement:
    """What people built; arrays are float64 (rows, cols) of the canvas.

    Attributes:
        built: 0…1, share of the cell under roofs, streets and yards.
        roof: 0 dark street or old roof … 1 bright new roof.
        road: 0…1, share of the cell under road and embankment.
    """

    built: Floats
    roof: Floats
    road: Floats


def settle(recipe: Recipe, canvas: Canvas, terrain: Terrain, parcels: Parcels) -> Settlement:
    """Place towns on dry, flat ground and join them by roads."""
    rng = stream(recipe.seed, "settlement")
    empty = np.zeros(canvas.shape)
    if recipe.settlement == 0:
        return Settlement(empty, empty, empty)
    places = _places(recipe, canvas, terrain, rng)
    density = _density(canvas, places, rng)
    texture = noise(canvas, rng, 900.0, 2.4)
    built = smoothstep(0.45, 0.8, density + 0.17 * texture) * (~terrain.permanent)
    houses = rng.random(1 << 16)
    streets, roof = _streets(canvas, houses, float(rng.random() * np.pi))
    built *= np.where(streets, 0.95, 0.35 + 0.55 * roof)
    farm = houses[(parcels.ident + 911) & 0xFFFF] > 1 - 0.03 * recipe.settlement
    yard = farm & (parcels.to_edge_m < 0.16 * BIOMES[recipe.biome].field_m) & ~terrain.permanent
    built = np.maximum(built, np.where(yard, 0.5 * roof, 0.0))
    road = _roads(recipe, canvas, places, rng)
    tracks = parcels.block_edge & ~terrain.permanent & (terrain.slope < 0.15)
    road = np.maximum(road, np.where(tracks, 0.35 * min(1.0, 8.0 / canvas.pitch_m), 0.0))
    return Settlement(built, np.where(streets, 0.12, roof), road)


def _places(recipe: Recipe, canvas: Canvas, terrain: Terrain, rng: np.random.Generator) -> Floats:
    """Towns as rows of (x, y, radius), metres; the best of many random sites."""
    wide, tall = canvas.extent_m
    area_km2 = wide * tall / 1e6
    count = max(1, int(recipe.settlement * area_km2 / 22.0))
    sites = rng.random((count * 6, 2)) * (wide, tall)
    row = np.clip((sites[:, 1] / canvas.pitch_m).astype(int), 0, canvas.rows - 1)
    col = np.clip((sites[:, 0] / canvas.pitch_m).astype(int), 0, canvas.cols - 1)
    height = terrain.height_m[row, col]
    fit = np.minimum(height, 4.0) - 30 * terrain.slope[row, col] + rng.normal(0, 0.7, len(sites))
    best = sites[np.argsort(-fit, kind="stable")[:count]]
    radius = 170.0 * (1 - rng.random(count)) ** -0.55
    return np.column_stack([best, np.minimum(radius, 2200.0 * np.sqrt(recipe.settlement))])


def _density(canvas: Canvas, places: Floats, rng: np.random.Generator) -> Floats:
    """About 1 in a town's middle, falling to 0.5 at its radius; towns are not round."""
    density = np.zeros(canvas.shape)
    x, y = canvas.axes()
    for px, py, radius in places:
        reach = 2.6 * radius
        cols = slice(*np.searchsorted(x[0], (px - reach, px + reach)))
        rows = slice(*np.searchsorted(y[:, 0], (py - reach, py + reach)))
        turn, flat = rng.random() * np.pi, rng.uniform(0.5, 1.0)
        u = (x[:, cols] - px) * np.cos(turn) + (y[rows] - py) * np.sin(turn)
        v = ((y[rows] - py) * np.cos(turn) - (x[:, cols] - px) * np.sin(turn)) / flat
        bump = np.exp(-0.69 * (u * u + v * v) / radius**2)
        density[rows, cols] = np.maximum(density[rows, cols], bump)
    return density


def _streets(canvas: Canvas, houses: Floats, turn: float) -> tuple[Floats, Floats]:
    """Whether a cell is street, and how bright the roof of its house is."""
    x, y = canvas.axes()
    u = x * np.cos(turn) + y * np.sin(turn)
    v = y * np.cos(turn) - x * np.sin(turn)
    across, along = u / STREET_M, v / (1.6 * STREET_M)
    lane = max(14.0, 0.6 * canvas.pitch_m) / STREET_M
    street = (across - np.floor(across) < lane) | (along - np.floor(along) < lane / 1.6)
    house = np.floor(u / HOUSE_M).astype(np.int64) * 7919 + np.floor(v / HOUSE_M).astype(np.int64)
    return street, houses[(house * 40_503 >> 3) & 0xFFFF] ** 2.2


def _roads(recipe: Recipe, canvas: Canvas, places: Floats, rng: np.random.Generator) -> Floats:
    """Each town's road to its nearest larger neighbour, and two roads out of the frame."""
    order = places[np.argsort(-places[:, 2], kind="stable")]
    wide, tall = canvas.extent_m
    links = [(order[0, :2], np.array([wide * rng.random(), side])) for side in (-500.0, tall + 500)]
    for i in range(1, len(order)):
        gap = np.hypot(*(order[:i, :2] - order[i, :2]).T)
        links.append((order[i, :2], order[int(np.argmin(gap)), :2]))
    broad = max(ROAD_WIDTH_M, 1.5 * canvas.pitch_m)
    share = min(1.0, ROAD_WIDTH_M / broad)
    ribbons = [(_bent(rng, start, end), broad, 1) for start, end in links]
    return np.asarray(paint(canvas, ribbons) * (share * (0.7 + 0.3 * recipe.settlement)))


def _bent(rng: np.random.Generator, start: Floats, end: Floats) -> Floats:
    """A road with a few gentle bends."""
    count = max(3, int(np.hypot(*(end - start)) / 1800.0) + 2)
    line = start + np.linspace(0, 1, count)[:, None] * (end - start)
    line[1:-1] += rng.normal(0, 170.0, (count - 2, 2))
    return smooth(line, 3)
