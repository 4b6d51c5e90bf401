"""*Clouds*: opacity, brightness and the shadow on the ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from training.synth.canvas import Canvas, Floats, noise, smoothstep
from training.synth.draws import stream
from training.synth.recipe import Recipe

#: A pixel is *cloud* in the truth where clouds hide at least this share of the ground's light.
CLOUD_OPACITY = 0.4

CLOUD_TINT = (1.0, 0.99, 0.985, 1.02)
#: Share of the sunlight that comes straight from the Sun and that a cloud can take away.
DIRECT_LIGHT = (0.56, 0.63, 0.67, 0.72)


@dataclass(frozen=True)
class Sky:
    """Clouds over the canvas; float64 (rows, cols), 0…1.

    Attributes:
        opacity: share of the ground's light that clouds hide, cirrus included.
        brightness: reflectance of the cloud where it is opaque.
        shadow: share of the direct sunlight that clouds take from the ground.
    """

    opacity: Floats
    brightness: Floats
    shadow: Floats


def cloud_sky(recipe: Recipe, canvas: Canvas) -> Sky:
    """Clouds whose opacity passes ``CLOUD_OPACITY`` over the recipe's share of the frame."""
    rng = stream(recipe.weather + recipe.seed, "clouds")
    low = _heap(recipe, canvas, rng)
    high = _cirrus(recipe, canvas, rng)
    base_m = float(rng.uniform(700.0, 2200.0))
    thickness = -np.log1p(-np.minimum(low, 0.995))
    # Light wanders sideways inside a cloud, so its top is smoother than its thickness.
    thickness = ndimage.gaussian_filter(
        np.minimum(thickness, 5.0), 75.0 / canvas.pitch_m, mode="wrap"
    )
    light = _self_shade(recipe, canvas, thickness)
    bright = np.clip((0.36 + 0.11 * np.minimum(thickness, 4.0)) * light, 0.22, 1.0)
    veil = low + high * (1 - low)
    share = low / np.maximum(veil, 1e-9)
    shadow = _cast(recipe, canvas, low, base_m)
    return Sky(veil, bright * share + 0.55 * (1 - share), shadow)


def _heap(recipe: Recipe, canvas: Canvas, rng: np.random.Generator) -> Floats:
    """Opacity of low cloud."""
    if recipe.cloud_fraction == 0:
        return np.zeros(canvas.shape)
    cell, soft, order = {
        "cumulus": (rng.uniform(1800.0, 4200.0), 0.20, 0.9),
        "broken": (rng.uniform(3500.0, 7000.0), 0.26, 0.6),
        "stratus": (rng.uniform(9000.0, 16000.0), 0.5, 0.4),
    }[recipe.cloud_kind]
    wind = (float(rng.uniform(1.0, 1.7)), float(rng.random() * np.pi))
    heaps = noise(canvas, rng, cell, 3.6, stretch=wind)
    groups = noise(canvas, rng, 5 * cell, 3.5, inner_m=cell / 3)
    puffs = np.abs(noise(canvas, rng, cell / 4, 2.9)) - 0.8
    field = heaps + order * groups + 0.10 * puffs
    limit = float(np.quantile(canvas.frame_cells(field), 1 - recipe.cloud_fraction))
    # Opacity is exactly the threshold where the field is at its limit.
    excess = (field - limit) / soft
    thick = np.where(excess > 0, excess, 0.0) * (0.6 + 1.2 * smoothstep(0.0, 3.0, excess))
    edge = -np.log(1 - CLOUD_OPACITY) * np.exp(np.minimum(excess, 0.0) * 2.2)
    return np.asarray(1 - np.exp(-np.where(edge > 0.02, edge, 0.0) - thick))


def _cirrus(recipe: Recipe, canvas: Canvas, rng: np.random.Generator) -> Floats:
    """Opacity of thin ice cloud in streaks; it stays under the threshold."""
    if recipe.cirrus == 0:
        return np.zeros(canvas.shape)
    streaks = noise(canvas, rng, 4000.0, 2.8, stretch=(5.0, float(rng.random() * np.pi)))
    patches = noise(canvas, rng, 14000.0, 3.4, inner_m=500.0)
    veil = smoothstep(-0.6, 2.4, patches + 0.6 * streaks)
    return 0.8 * CLOUD_OPACITY * recipe.cirrus * veil


def _self_shade(recipe: Recipe, canvas: Canvas, thickness: Floats) -> Floats:
    """Clouds are brighter on the side of the Sun."""
    down, east = np.gradient(thickness, canvas.pitch_m)
    azimuth = np.deg2rad(recipe.sun_azimuth_deg)
    towards = east * np.sin(azimuth) - down * np.cos(azimuth)
    shade: Floats = 1.0 - 0.25 * np.tanh(towards * 90.0)
    return shade


def _cast(recipe: Recipe, canvas: Canvas, opacity: Floats, base_m: float) -> Floats:
    """Shift the clouds along the sun's rays to the ground; the canvas wraps round as they do."""
    if recipe.cloud_fraction == 0:
        return np.zeros(canvas.shape)
    reach = base_m / np.tan(np.deg2rad(recipe.sun_elevation_deg)) / canvas.pitch_m
    azimuth = np.deg2rad(recipe.sun_azimuth_deg)
    down, east = round(reach * np.cos(azimuth)), round(-reach * np.sin(azimuth))
    moved = np.roll(opacity, (down, east), axis=(0, 1))
    blur = 0.008 * base_m / canvas.pitch_m
    return np.asarray(ndimage.gaussian_filter(moved, max(blur, 0.5), mode="wrap"))
