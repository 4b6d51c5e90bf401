"""A generated frame of any size: one synthetic scene, mirrored on and on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from onboard.arrays import Array
from onboard.mirror import mirror

if TYPE_CHECKING:
    from onboard.sensor import Sensor

SCENE = 512
GSD_M = 10.0
TWELVE_MEGAPIXELS = (3000, 4000)


def scene(seed: int) -> Array:
    """Digital numbers of one synthetic scene, uint16 ``(SCENE, SCENE, 4)``."""
    from training.synth.frame import synthesise
    from training.synth.recipe import random_recipe

    return synthesise(random_recipe(seed=seed, width=SCENE, height=SCENE, gsd_m=GSD_M)).dn


def spread(samples: Array, height: int, width: int, bands: int) -> Array:
    """``samples`` mirrored to ``(height, width, bands)``; bands repeat where there are too few."""
    rows, cols = mirror(0, height, samples.shape[0]), mirror(0, width, samples.shape[1])
    return np.asarray(samples[np.ix_(rows, cols, np.arange(bands) % samples.shape[2])])


def reflectance(samples: Array, sensor: Sensor) -> Array:
    """Digital numbers as reflectance, float32."""
    scaled = samples.astype(np.float32) * np.float32(sensor.scale) + np.float32(sensor.offset)
    return np.asarray(scaled, np.float32)


def write(path: Path, samples: Array, sensor: Sensor) -> None:
    """A GeoTIFF as a camera leaves it on board: uint16, tiled, not compressed, located."""
    import rasterio
    from rasterio import Affine

    height, width, bands = samples.shape
    with rasterio.open(
        str(path),
        "w",
        driver="GTiff",
        height=height,
        width=width,
        count=bands,
        dtype="uint16",
        nodata=0,
        crs="EPSG:32633",
        transform=Affine(GSD_M, 0.0, 500_000.0, 0.0, -GSD_M, 5_000_000.0),
        tiled=True,
        blockxsize=SCENE,
        blockysize=SCENE,
    ) as out:
        out.write(np.moveaxis(samples, 2, 0))
        out.descriptions = sensor.bands
