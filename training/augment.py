"""Augmentation: what another place, date or camera could have made of the same chip.

All functions are pure over float32 reflectance ``(H, W, bands)`` and take their generator.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from training.chips import UNKNOWN, Chip

Image = npt.NDArray[np.float32]


def crop(chip: Chip, size: int, rng: np.random.Generator) -> Chip:
    """A random ``size``×``size`` window; a smaller chip is padded, its labels with unknown."""
    height, width = chip.water.shape
    pad = ((0, max(0, size - height)), (0, max(0, size - width)))
    top = int(rng.integers(0, max(1, height - size + 1)))
    left = int(rng.integers(0, max(1, width - size + 1)))

    def cut(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return array[top : top + size, left : left + size]

    def padded(array: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        return cut(np.pad(array, pad, constant_values=UNKNOWN))

    image = cut(np.pad(chip.reflectance, (*pad, (0, 0)), mode="symmetric"))
    soft = chip.soft
    if soft is not None:
        soft = cut(np.pad(soft, (*pad, (0, 0)), constant_values=UNKNOWN))
    return replace(
        chip, reflectance=image, water=padded(chip.water), cloud=padded(chip.cloud), soft=soft
    )


def flip(chip: Chip, rng: np.random.Generator) -> Chip:
    """One of the eight symmetries of the square."""
    turns, mirror = int(rng.integers(4)), bool(rng.integers(2))

    def turn(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        turned = np.rot90(array, turns)
        return turned[:, ::-1] if mirror else turned

    return replace(
        chip,
        reflectance=turn(chip.reflectance),
        water=turn(chip.water),
        cloud=turn(chip.cloud),
        soft=None if chip.soft is None else turn(chip.soft),
    )


def radiometry(image: Image, rng: np.random.Generator) -> Image:
    """Gain, haze and noise of another sensor, date or processing level.

    A common gain (sun, exposure), a gain per band (calibration), a bluish additive haze between
    none and that of top-of-atmosphere reflectance, and white noise.
    """
    bands = image.shape[-1]
    gain = np.exp(rng.normal(0.0, 0.12)) * np.exp(rng.normal(0.0, 0.05, bands))
    haze = rng.uniform(0.0, 0.06) * np.linspace(1.0, 0.15, bands) * (rng.random() < 0.5)
    noise = rng.normal(0.0, rng.uniform(0.0, 0.006), image.shape)
    return np.asarray(image * gain + haze + noise, np.float32)


def rescale(chip: Chip, factor: float) -> Chip:
    """A chip as a camera with ``factor`` times the ground sample distance would deliver it.

    The image is blurred to the coarser pixel and resampled; a label goes where at least half of
    the new pixel has it, and where too little is known it becomes unknown.
    """
    blur = 0.5 * max(factor, 1.0) if factor > 1 else 0.0
    image = ndimage.gaussian_filter(chip.reflectance, (blur, blur, 0)) if blur else chip.reflectance
    shape = tuple(max(1, round(n / factor)) for n in chip.water.shape)

    def sampled(plane: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        zoom = (shape[0] / plane.shape[0], shape[1] / plane.shape[1])
        found = ndimage.zoom(
            plane.astype(np.float32), zoom, order=1, grid_mode=True, mode="nearest"
        )
        return np.asarray(found, np.float32)

    def relabelled(label: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        soft = (ndimage.gaussian_filter((label == v).astype(np.float32), blur) for v in (1, 0))
        one, zero = (sampled(part) for part in soft)
        known = one + zero >= 0.5
        return np.where(known, one >= zero, UNKNOWN).astype(np.uint8)

    def stacked(image: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        return np.stack([sampled(image[..., band]) for band in range(image.shape[-1])], axis=-1)

    return replace(
        chip,
        reflectance=stacked(image),
        water=relabelled(chip.water),
        cloud=relabelled(chip.cloud),
        soft=None
        if chip.soft is None
        else stacked(ndimage.gaussian_filter(chip.soft, (blur, blur, 0))),
    )
