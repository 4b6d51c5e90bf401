"""*Terrain*: height above the nearest permanent water, with rivers, lakes and streams in it.

Heights are above the water of normal days (known as HAND), so "flooded to a level" is one
comparison along connected low ground. The river's own fall is left out: it is far below the
relief of a frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.synth.canvas import Canvas, Flags, Floats, distance, noise, smoothstep
from training.synth.drainage import route, streams
from training.synth.draws import stream
from training.synth.meander import River, wander
from training.synth.recipe import Recipe
from training.synth.ribbon import paint, smooth

OXBOW_LIFE_STEPS = 60
COARSE_CELLS = 170


@dataclass(frozen=True)
class Terrain:
    """The ground before anything grows on it; all arrays are (rows, cols) of the canvas.

    Attributes:
        height_m: float64, above permanent water; ≤ 0 under it.
        river: bool, the main river's channel.
        lake: bool, lakes and oxbows.
        stream_share: float64 0…1, share of the cell under a permanent stream.
        age: uint8, 0 where the river never was, else 1 (long ago) … 254 (just now).
        from_river_m: float64, distance to the main river's bank.
        from_stream_m: float64, distance to the nearest stream.
        upland: float64, 0 on the flood plain … 1 on the uplands.
        sunlight: float64, direct light relative to flat ground.
        slope: float64, rise over run.
    """

    height_m: Floats
    river: Flags
    lake: Flags
    stream_share: Floats
    age: NDArray[np.uint8]
    from_river_m: Floats
    from_stream_m: Floats
    upland: Floats
    sunlight: Floats
    slope: Floats

    @property
    def permanent(self) -> Flags:
        """Where water stands on normal days, bool ``(rows, cols)``."""
        return np.asarray(self.river | self.lake | (self.stream_share >= 0.5))


def shape_terrain(recipe: Recipe, canvas: Canvas) -> Terrain:
    """Shape the ground of ``recipe``."""
    river = _river(recipe, canvas)
    channel, oxbow, age = _channels(canvas, river)
    from_river = distance(channel, canvas.pitch_m, step=1) if river else _far(canvas)
    upland = _upland(recipe, canvas, channel | (age > 0))
    height = _heights(recipe, canvas, from_river, age, upland)
    height, lake = _lakes(recipe, canvas, height, oxbow, channel, upland)
    share, from_stream, height = _streams(recipe, canvas, height, channel | lake, upland)
    height = np.where(channel | lake, -1.0, np.maximum(height, 0.02))
    slope, sunlight = _light(recipe, canvas, height)
    return Terrain(
        height, channel, lake, share, age, from_river, from_stream, upland, sunlight, slope
    )


def _far(canvas: Canvas) -> Floats:
    return np.full(canvas.shape, 1e9)


def _river(recipe: Recipe, canvas: Canvas) -> River | None:
    """The main river, right through the canvas and on beyond both of its edges."""
    if recipe.river_width_m == 0:
        return None
    rng = stream(recipe.seed, "river")
    wide, tall = canvas.extent_m
    reach = 0.5 * np.hypot(wide, tall) + 14 * recipe.river_width_m
    angle = rng.random() * 2 * np.pi
    middle = np.array([wide, tall]) * (0.5 + 0.36 * (rng.random(2) - 0.5))
    way = np.array([np.cos(angle), np.sin(angle)]) * reach
    steps = int(rng.integers(220, 480))
    start, end = middle - way, middle + way
    return wander(
        rng,
        (float(start[0]), float(start[1])),
        (float(end[0]), float(end[1])),
        recipe.river_width_m,
        steps,
    )


def _channels(canvas: Canvas, river: River | None) -> tuple[Flags, Flags, NDArray[np.uint8]]:
    """Channel, oxbow lakes and the age of river deposits."""
    if river is None:
        empty = np.zeros(canvas.shape, np.bool_)
        return empty, empty, np.zeros(canvas.shape, np.uint8)
    course, wide = river.course, river.width_m
    widths = wide * (
        1
        + 0.16
        * np.sin(np.arange(len(course)) * 0.21)
        * np.cos(np.arange(len(course)) * 0.083 + 1.0)
    )
    count = max(len(river.past), 1)
    old = [(line, wide, 1 + (253 * i) // count) for i, line in enumerate(river.past)]
    age = paint(canvas, old)
    channel = paint(canvas, [(smooth(course, 1), _doubled(widths, course), 1)]) > 0
    young = [
        (bend[2:-2], wide * 0.75, 1)
        for bend, step in river.oxbows
        if river.steps - step < OXBOW_LIFE_STEPS and len(bend) > 6
    ]
    oxbow = (paint(canvas, young) > 0) & ~channel
    return channel, oxbow, age


def _doubled(widths: Floats, course: Floats) -> Floats:
    """Widths for the points of ``smooth(course, 1)``."""
    return np.interp(
        np.linspace(0, 1, len(smooth(course, 1))), np.linspace(0, 1, len(widths)), widths
    )


def _upland(recipe: Recipe, canvas: Canvas, belt: Flags) -> Floats:
    """0 on the flood plain … 1 on the uplands, with an irregular edge."""
    if recipe.relief_m == 0:
        return np.zeros(canvas.shape)
    rng = stream(recipe.seed, "upland")
    unit = recipe.river_width_m or 6 * recipe.gsd_m
    edge = unit * (2.0 + 9.0 * rng.random())
    away = distance(belt, canvas.pitch_m) if belt.any() else np.full(canvas.shape, edge * 1.3)
    wobble = noise(canvas, rng, 20 * unit, 3.9, inner_m=unit)
    ramp = 0.8 * edge + 2.5 * unit
    return smoothstep(edge, edge + ramp, away + wobble * 0.45 * edge)


def _heights(
    recipe: Recipe, canvas: Canvas, from_river: Floats, age: NDArray[np.uint8], upland: Floats
) -> Floats:
    rng = stream(recipe.seed, "terrain")
    wide = recipe.river_width_m or 8 * recipe.gsd_m
    broad = noise(canvas, rng, 4500.0, 3.0, inner_m=recipe.gsd_m)
    levee = 1.5 * np.exp(-from_river / (1.6 * wide)) * smoothstep(-1.6, 0.8, broad)
    rise = 1.6 * (1 - np.exp(-from_river / (40 * wide)))
    plain = 1.3 + 0.75 * broad + levee + rise
    ridges = np.where(age > 0, 0.35 * np.cos(age * (2 * np.pi / 38.0)) - 0.45, 0.0)
    plain += ndimage.gaussian_filter(ridges, 1.0)
    if recipe.relief_m == 0:
        return np.asarray(plain)
    hills = noise(canvas, rng, 9000.0, 3.9, inner_m=recipe.gsd_m)
    crest = 1.0 - np.abs(noise(canvas, rng, 5000.0, 3.6, inner_m=1.5 * recipe.gsd_m)) * 0.8
    tall = recipe.relief_m * np.maximum(0.45 + 0.3 * hills + 0.35 * crest, 0.05)
    terrace = min(8.0, 0.4 * recipe.relief_m)
    return np.asarray(plain + upland * (terrace + tall * upland))


def _lakes(
    recipe: Recipe,
    canvas: Canvas,
    height: Floats,
    oxbow: Flags,
    channel: Flags,
    upland: Floats,
) -> tuple[Floats, Flags]:
    """Sink basins so that lakes cover their share, and let the shores rise from the water."""
    lake = oxbow
    if recipe.lake_fraction > 0:
        rng = stream(recipe.seed, "lakes")
        size = recipe.gsd_m * float(rng.uniform(45, 140))
        basin = noise(canvas, rng, size, 4.3, inner_m=recipe.gsd_m * 2.0)
        open_ground = basin - 4.0 * (channel | (distance(channel, canvas.pitch_m) < 3 * size / 10))
        shore = float(np.quantile(canvas.frame_cells(open_ground), 1 - recipe.lake_fraction))
        lake = lake | ((open_ground > shore) & ~channel)
    if lake.any():
        bank = distance(lake, canvas.pitch_m)
        height = np.minimum(height, 0.3 + bank * (0.012 + 0.05 * upland) + (bank / 500.0) ** 2)
    return height, lake


def _streams(
    recipe: Recipe, canvas: Canvas, height: Floats, water: Flags, upland: Floats
) -> tuple[Floats, Floats, Floats]:
    """Streams that gather the run-off: share of the cell, distance, and the ground they carved."""
    rng = stream(recipe.seed, "streams")
    step = max(4, -(-max(canvas.shape) // COARSE_CELLS))
    rough = noise(canvas, rng, 2500.0, 3.6, inner_m=2 * recipe.gsd_m)
    coarse = (height + 0.5 * rough)[step // 2 :: step, step // 2 :: step]
    outlets = np.logical_or.reduceat(water, np.arange(0, water.shape[0], step), axis=0)
    outlets = np.logical_or.reduceat(outlets, np.arange(0, water.shape[1], step), axis=1)
    receivers, upstream = route(coarse, outlets[: coarse.shape[0], : coarse.shape[1]])
    least = max(12, int(float(rng.uniform(1.2e6, 5e6)) / (step * canvas.pitch_m) ** 2))
    shift = 0.7 * (rng.random((receivers.size, 2)) - 0.5)
    ribbons, share = [], np.zeros(canvas.shape)
    thinnest = 1.5 * canvas.pitch_m
    for chain in streams(receivers, upstream, least):
        row, col = np.divmod(chain, coarse.shape[1])
        line = (np.stack([col, row], 1) + 0.5 + shift[chain]) * (step * canvas.pitch_m)
        area_km2 = upstream[chain].max() * (step * canvas.pitch_m / 1000) ** 2
        width = min(2.2 * area_km2**0.5, 60.0)
        part = min(1.0, width / thinnest)
        ribbons.append((smooth(line, 2), max(width, thinnest), max(1, round(250 * part))))
    burnt = paint(canvas, sorted(ribbons, key=lambda item: item[2]))
    share = burnt / 250.0
    away = distance(burnt > 0, canvas.pitch_m)
    bed = (
        0.15
        + away * (0.004 + 0.16 * upland * min(1.0, recipe.relief_m / 300.0))
        + (np.maximum(away - 250.0, 0.0) / 220.0) ** 2
    )
    return share, away, np.minimum(height, bed * (1 + 0.25 * np.tanh(rough)) + 0.1)


def _light(recipe: Recipe, canvas: Canvas, height: Floats) -> tuple[Floats, Floats]:
    """Slope and direct light relative to flat ground (cosine of incidence, Lambert)."""
    down, east = np.gradient(np.maximum(height, 0.0), canvas.pitch_m)
    slope = np.hypot(down, east)
    azimuth = np.deg2rad(recipe.sun_azimuth_deg)
    cotangent = 1.0 / np.tan(np.deg2rad(recipe.sun_elevation_deg))
    # North is up the rows, so the sun's horizontal direction is (east, down) = (sin, -cos).
    towards = east * np.sin(azimuth) - down * np.cos(azimuth)
    light = (1.0 - cotangent * towards) / np.sqrt(1.0 + slope * slope)
    return slope, np.clip(light, 0.15, 1.9)
