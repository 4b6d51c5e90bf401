"""Checks: what a product must be before it is sent, and after it was decoded."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from onboard.errors import ProductError
from onboard.reduced import NOT_OBSERVED, Regions, class_counts, reduced_shape, region_grid
from onboard.time_quality import TimeQuality

if TYPE_CHECKING:
    from onboard.product import Product

MAX_SIDE = 65_535
MAX_PIXELS = 2**27
MAX_TEXT = 4096
MAX_REGIONS = 1024
MAX_CONDITIONS = 2**32 - 1
POLE = 91.0
"""A frame may reach a little beyond a pole by its affine transform, degrees."""


def need(condition: bool, message: str) -> None:
    """Refuse a product that cannot be made.

    Raises:
        ProductError: the condition does not hold.
    """
    if not condition:
        raise ProductError(f"a product cannot be made: {message}")


def check(product: Product) -> None:
    """Refuse a product of which a field is out of its range, or contradicts another.

    Raises:
        ProductError: with the field.
    """
    _check_fields(product)
    _check_numbers(product)
    _check_place(product)
    _check_rasters(product)
    _check_statistics(product)
    if product.regions is not None:
        _check_regions(product, product.regions)


def _check_fields(product: Product) -> None:
    for name in ("scene_id", "model_id"):
        value = getattr(product, name)
        need(isinstance(value, bytes) and len(value) == 32, f"{name} needs 32 bytes")
    reference = product.reference_version
    if reference is not None:
        need(
            isinstance(reference, bytes) and 1 <= len(reference) <= 32,
            "reference_version needs 1 to 32 bytes, or None",
        )
    for name, text in _texts(product).items():
        need(isinstance(text, str), f"{name} must be text")
        size = len(text.encode("utf-8", "surrogatepass"))
        need(size <= MAX_TEXT, f"{name} has {size} bytes, more than {MAX_TEXT}")
    need(isinstance(product.acquired_quality, TimeQuality), "acquired_quality is no TimeQuality")


def _texts(product: Product) -> dict[str, str]:
    return {
        "sensor": product.sensor,
        "engine": product.engine,
        "operating_point": product.operating_point,
        "crs": product.georef.crs,
    }


def _check_numbers(product: Product) -> None:
    need_int("seed", product.seed, 0, 2**64 - 1)
    need_int("passes", product.passes, 1, 65_535)
    need_int("block", product.block, 1, 255)
    need_int("levels", product.levels, 2, 255)
    if product.acquired_ms is not None:
        need_int("acquired_ms", product.acquired_ms, -(2**53), 2**53)
    need_float("water_threshold", product.water_threshold, 0.0, 1.0)
    need_float("cloud_threshold", product.cloud_threshold, 0.0, 1.0)
    if product.geolocation_sigma_m is not None:
        need_float("geolocation_sigma_m", product.geolocation_sigma_m, 0.0, math.inf)
    if product.acquired_sigma_s is not None:
        need_float("acquired_sigma_s", product.acquired_sigma_s, 0.0, math.inf)
    need_int("conditions", int(product.conditions), 0, MAX_CONDITIONS)
    _check_levels(product)


def _check_levels(product: Product) -> None:
    need(
        (product.entropy_levels == ()) == (product.epistemic_levels == ()), "one map has no levels"
    )
    for values in (product.entropy_levels, product.epistemic_levels):
        need(len(values) in (0, product.levels), f"levels are not {product.levels}")
        for value in values:
            need_float("a level", value, 0.0, 1.0)


def _check_place(product: Product) -> None:
    transform = product.georef.transform
    need(len(transform) == 6, "transform needs six numbers")
    for value in transform:
        need_float("transform", value, -math.inf, math.inf)
    a, b, _, d, e, f = transform
    if not product.georef.located:
        return
    need(a * e - b * d != 0.0, "its geolocation is nonsense: the transform maps pixels to a line")
    if product.georef.crs == "EPSG:4326":
        rows, cols = product.georef.height, product.georef.width
        far = [abs(d * col + e * row + f) for col in (0, cols) for row in (0, rows)]
        need(max(far) <= POLE, f"its geolocation is nonsense: latitude {max(far):g}")


def need_int(name: str, value: object, low: int, high: int) -> None:
    """Refuse what is no whole number from ``low`` to ``high``."""
    need(
        isinstance(value, int) and not isinstance(value, bool) and low <= value <= high,
        f"{name} must be a whole number from {low} to {high}, not {value!r}",
    )


def need_float(name: str, value: object, low: float, high: float) -> None:
    """Refuse what is no finite number from ``low`` to ``high``."""
    need(
        isinstance(value, float) and math.isfinite(value) and low <= value <= high,
        f"{name} must be a finite number from {low} to {high}, not {value!r}",
    )


def check_size(width: object, height: object) -> None:
    """Refuse a frame that no product can describe."""
    need_int("width", width, 1, MAX_SIDE)
    need_int("height", height, 1, MAX_SIDE)
    assert isinstance(width, int)
    assert isinstance(height, int)
    need(width * height <= MAX_PIXELS, f"{width}×{height} pixels are more than {MAX_PIXELS}")


def _check_rasters(product: Product) -> None:
    height, width = product.georef.height, product.georef.width
    check_size(width, height)
    small = reduced_shape(height, width, product.block)
    for name, shape in (("mask", (height, width)), ("entropy", small), ("epistemic", small)):
        raster = getattr(product, name)
        need(raster.dtype == np.uint8, f"{name} must be uint8, not {raster.dtype}")
        need(raster.shape == shape, f"{name} is {raster.shape}, the frame wants {shape}")
    for name in ("entropy", "epistemic"):
        codes = getattr(product, name)
        bad = codes[(codes >= product.levels) & (codes != NOT_OBSERVED)]
        need(bad.size == 0, f"{name} has codes beyond its {product.levels} levels")


def _check_statistics(product: Product) -> None:
    found = product.statistics
    counts = (found.land, found.water, found.cloud, found.nodata)
    for count in counts:
        need_int("a class count", count, 0, MAX_PIXELS)
    need(counts == class_counts(product.mask), "the class counts are not those of the mask")
    known = product.reference_version is not None
    need((found.flood is not None) == known, "flood is counted where there is a reference")
    if found.flood is not None:
        need_int("flood", found.flood, 0, found.water)
    limits = {
        "water_area_m2": math.inf,
        "flood_area_m2": math.inf,
        "mean_entropy": 1.0,
        "mean_epistemic": 1.0,
        "mean_p_water": 1.0,
    }
    for name, high in limits.items():
        value = getattr(found, name)
        if value is not None:
            need_float(name, value, 0.0, high)


def _check_regions(product: Product, regions: Regions) -> None:
    need_int("regions' side", regions.side, 1, MAX_SIDE)
    rows, cols = region_grid(product.georef.height, product.georef.width, regions.side)
    need(rows * cols <= MAX_REGIONS, f"{rows * cols} regions are more than {MAX_REGIONS}")
    for codes in (regions.entropy, regions.epistemic):
        sound = isinstance(codes, bytes) and len(codes) == rows * cols
        need(sound, f"the figures of {rows * cols} regions are not as many")
    known = product.reference_version is not None
    need((regions.flood is not None) == known, "flood is counted where there is a reference")
    if regions.flood is not None:
        for count in regions.flood:
            need_int("a region's flood", count, 0, MAX_PIXELS)
        same = len(regions.flood) == rows * cols and sum(regions.flood) == product.statistics.flood
        need(same, "the regions' flood is not the frame's")
