"""*Flood*: the low ground that a raised level reaches from permanent water, and what it holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from training.synth.canvas import Canvas, Flags, Floats, noise
from training.synth.draws import stream
from training.synth.recipe import Recipe
from training.synth.terrain import Terrain

EIGHT = np.ones((3, 3), np.bool_)


@dataclass(frozen=True)
class Water:
    """All surface water of a frame; arrays are (rows, cols) of the canvas.

    Attributes:
        level_m: flood level over the permanent water's.
        permanent: bool, water of normal days.
        flood: bool, water beyond it, all of it connected to permanent water.
        depth_m: float64, 0 on dry ground.
        sediment: float64 0…1, how turbid water is or would be here.
    """

    level_m: float
    permanent: Flags
    flood: Flags
    depth_m: Floats
    sediment: Floats

    @property
    def surface(self) -> Flags:
        """Permanent and flood water, bool ``(rows, cols)``."""
        return np.asarray(self.permanent | self.flood)


def flood_terrain(recipe: Recipe, canvas: Canvas, terrain: Terrain) -> Water:
    """Raise the water of ``terrain`` until the recipe's share of the frame is flooded."""
    permanent = terrain.permanent
    level, flood = 0.0, np.zeros(canvas.shape, np.bool_)
    if recipe.flood_fraction > 0 and permanent.any():
        # A river in flood does not raise the lakes of the hills.
        source = terrain.river if terrain.river.any() else permanent
        ground = np.where(permanent, -1.0, terrain.height_m)
        level = _level_for(recipe.flood_fraction, canvas, ground, source, permanent)
        flood = reached(ground, source, level) & ~permanent
    depth = np.where(flood, level - terrain.height_m, 0.0)
    bed = level + 0.6 + 0.02 * ndimage.distance_transform_edt(permanent) * canvas.pitch_m
    depth = np.where(permanent, bed, depth)
    return Water(level, permanent, flood, depth, _sediment(recipe, canvas, terrain))


def reached(height_m: Floats, source: Flags, level_m: float) -> Flags:
    """Cells ``(rows, cols)`` up to ``level_m`` that hang together with ``source`` (8-connected)."""
    low = (height_m <= level_m) | source
    labels, count = ndimage.label(low, EIGHT)
    wet = np.zeros(count + 1, np.bool_)
    wet[np.unique(labels[source])] = True
    wet[0] = False
    return np.asarray(wet[labels])


def _level_for(
    share: float, canvas: Canvas, height_m: Floats, source: Flags, permanent: Flags
) -> float:
    """The level that floods ``share`` of the frame, by bisection on every second cell."""
    coarse = height_m[::2, ::2]
    origin, known = source[::2, ::2], permanent[::2, ::2]
    rows = slice(canvas.top // 2, canvas.top // 2 + canvas.height)
    cols = slice(canvas.left // 2, canvas.left // 2 + canvas.width)
    low, high = 0.0, float(coarse.max()) + 1.0
    # Most answers are a few metres: try there first, on a scale that suits plains and hills.
    for _ in range(18):
        middle = np.sqrt((low + 0.05) * (high + 0.05)) - 0.05
        wet = reached(coarse, origin, middle) & ~known
        if wet[rows, cols].mean() > share:
            high = middle
        else:
            low = middle
    return float(np.round(0.5 * (low + high), 4))


def _sediment(recipe: Recipe, canvas: Canvas, terrain: Terrain) -> Floats:
    """Turbid by the channel, clearer where flood water has stood and lakes have settled."""
    rng = stream(recipe.weather + recipe.seed, "sediment")
    swirl = noise(canvas, rng, 5000.0, 3.4, inner_m=2 * recipe.gsd_m)
    settle = float(rng.uniform(0.25, 0.95))
    reach = 1500.0 + 12 * recipe.river_width_m
    near = np.exp(-terrain.from_river_m / reach)
    load = recipe.turbidity * (settle + (1 - settle) * near) * np.exp(0.35 * swirl)
    still = ndimage.gaussian_filter(terrain.lake.astype(np.float64), 3.0)
    return np.asarray(np.clip(load * (1 - 0.75 * still), 0.0, 1.0))
