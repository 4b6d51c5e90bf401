"""Sheets and products for the tests of the ground's maps: small, seeded, with every class."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import rasterio

from ground.maps import Labels, Sheet
from onboard import classes, product
from onboard.georef import Georef
from onboard.reference_water import PermanentWater

BLOCK = 8
UTM: tuple[float, float, float, float, float, float] = (10.0, 0.0, 503210.0, 0.0, -10.0, 2703450.0)


def sheet(height: int = 300, width: int = 413, crs: str = "EPSG:32646", seed: int = 1) -> Sheet:
    """A sheet with a lake, a cloud and a strip without data."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    mask = np.zeros((height, width), np.uint8)
    mask[(rows - height * 0.6) ** 2 + (columns - width * 0.5) ** 2 < (height * 0.3) ** 2] = 1
    mask[: height // 4, : width // 3] = classes.CLOUD
    mask[:, -max(1, width // 20) :] = classes.NODATA
    shape = product.reduced_shape(height, width, BLOCK)
    entropy = rng.uniform(0.0, 0.69, shape).astype(np.float32)
    entropy[0, 0] = np.nan
    labels = Labels(
        product_id="4f1c09ab77de32a1",
        scene_id="5c" * 32,
        model_id="0d" * 32,
        sensor="vnir4",
        engine="tflite 2.3.0",
        passes=12,
        seed=20261,
        acquired="2026-07-14T10:21:33Z",
        clock="on-board clock, synchronised by GNSS",
        thresholds=(("p_water", 0.47), ("p_cloud", 0.55)),
        operating_point="balanced",
    )
    return Sheet(
        mask=mask,
        entropy=entropy,
        epistemic=(entropy * 0.25).astype(np.float32),
        block=BLOCK,
        georef=Georef(width, height, crs, UTM) if crs else Georef(width, height),
        labels=labels,
        mean_entropy=0.3217,
        mean_epistemic=0.0804,
        water_area_m2=1.25e6,
    )


def overcast(height: int = 64, width: int = 64) -> Sheet:
    """A sheet of cloud alone."""
    seen = sheet(height, width)
    empty = np.full_like(seen.entropy, np.nan)
    return replace(
        seen,
        mask=np.full((height, width), classes.CLOUD, np.uint8),
        entropy=empty,
        epistemic=empty,
        mean_entropy=None,
        mean_epistemic=None,
        water_area_m2=0.0,
    )


def flown(reference: PermanentWater | None = None) -> product.Product:
    """A product as the satellite makes it, packed and unpacked."""
    drawn = sheet()
    georef = drawn.georef
    rng = np.random.default_rng(5)
    entropy = rng.uniform(0.0, 0.69, drawn.mask.shape)
    seen = product.observed_pixels(drawn.mask)
    beyond = None
    if reference is not None:
        beyond = reference.beyond(georef)
    made = product.Product(
        scene_id=b"\x5c" * 32,
        model_id=b"\x0d" * 32,
        sensor="vnir4",
        engine="tflite 2.3.0",
        seed=20261,
        passes=12,
        acquired_ms=1_784_024_493_000,
        acquired_quality=product.TimeQuality.GNSS,
        reference_version=None if reference is None else reference.version,
        water_threshold=0.47,
        cloud_threshold=0.55,
        operating_point="balanced",
        georef=georef,
        geolocation_sigma_m=35.0,
        mask=drawn.mask,
        entropy=product.quantise(entropy, seen, BLOCK),
        epistemic=product.quantise(entropy / 4, seen, BLOCK, power=product.EPISTEMIC_POWER),
        statistics=product.summarise(drawn.mask, entropy, entropy / 4, entropy, georef, beyond),
        block=BLOCK,
    )
    return product.unpack(product.pack(made))


def permanent_water(folder: Path, georef: Georef) -> PermanentWater:
    """A reference that knows the water of the left half of a frame."""
    raster = np.zeros((georef.height, georef.width), np.uint8)
    raster[:, : georef.width // 2] = 1
    path = folder / "permanent.tif"
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "crs": georef.crs}
    with rasterio.open(
        path,
        "w",
        width=georef.width,
        height=georef.height,
        transform=rasterio.Affine(*georef.transform),
        **profile,
    ) as out:
        out.write(raster, 1)
    return PermanentWater(path)
