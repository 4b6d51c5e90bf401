"""The header of a product: its fields as a canonical CBOR map from small numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cbor2

from onboard.conditions import Condition
from onboard.errors import ProductError
from onboard.georef import Georef
from onboard.headers import decode_header
from onboard.product_checks import MAX_CONDITIONS, check_size, need_int
from onboard.reduced import Regions, Statistics
from onboard.time_quality import TimeQuality

if TYPE_CHECKING:
    from onboard.product import Product
    from onboard.tables import Tables

# CBOR keys. A field that is None is left out. Numbers are never reused.
_SCENE, _MODEL, _SENSOR, _ENGINE, _SEED, _PASSES = 1, 2, 3, 4, 5, 6
_TIME, _QUALITY, _REFERENCE, _P_WATER, _P_CLOUD, _POINT = 7, 8, 9, 10, 11, 12
_WIDTH, _HEIGHT, _CRS, _TRANSFORM, _SIGMA, _BLOCK, _LEVELS = 13, 14, 15, 16, 17, 18, 19
_COUNTS, _AREA, _MEAN_ENTROPY, _MEAN_EPISTEMIC, _MEAN_P = 20, 21, 22, 23, 24
_FLOOD, _FLOOD_AREA, _TIME_SIGMA, _CONDITIONS = 25, 26, 27, 28
_LEVEL_VALUES, _REGIONS, _REGION_FLOOD, _GUIDE = 29, 30, 31, 32
_IMPLIED = (_BLOCK, _LEVELS, _LEVEL_VALUES)
"""What the tables say as well."""


def items_of(product: Product, guide: bytes = b"") -> dict[int, Any]:
    """Key → value of every field; None where it is left out."""
    grid, figures = product.georef, product.statistics
    return {
        _SCENE: product.scene_id,
        _MODEL: product.model_id,
        _SENSOR: product.sensor,
        _ENGINE: product.engine,
        _SEED: product.seed,
        _PASSES: product.passes,
        _TIME: product.acquired_ms,
        _QUALITY: int(product.acquired_quality),
        _REFERENCE: product.reference_version,
        _P_WATER: product.water_threshold,
        _P_CLOUD: product.cloud_threshold,
        _POINT: product.operating_point,
        _WIDTH: grid.width,
        _HEIGHT: grid.height,
        _CRS: grid.crs,
        _TRANSFORM: list(grid.transform),
        _SIGMA: product.geolocation_sigma_m,
        _BLOCK: product.block,
        _LEVELS: product.levels,
        _COUNTS: [figures.land, figures.water, figures.cloud, figures.nodata],
        _AREA: figures.water_area_m2,
        _MEAN_ENTROPY: figures.mean_entropy,
        _MEAN_EPISTEMIC: figures.mean_epistemic,
        _MEAN_P: figures.mean_p_water,
        _FLOOD: figures.flood,
        _FLOOD_AREA: figures.flood_area_m2,
        _TIME_SIGMA: product.acquired_sigma_s,
        _CONDITIONS: int(product.conditions) or None,
        **_map_items(product),
        _GUIDE: guide or None,
    }


def _map_items(product: Product) -> dict[int, Any]:
    levels = (product.entropy_levels, product.epistemic_levels)
    regions = product.regions
    items: dict[int, Any] = {_LEVEL_VALUES: [list(v) for v in levels] if levels[0] else None}
    if regions is not None:
        items[_REGIONS] = [regions.side, regions.entropy, regions.epistemic]
        items[_REGION_FLOOD] = None if regions.flood is None else list(regions.flood)
    return items


def encode(product: Product, guide: bytes = b"", tables: Tables | None = None) -> bytes:
    """The header's bytes.

    Args:
        product: whose header.
        guide: check value of the guide that the mask is coded against; empty without one.
        tables: what the product is coded by: what they say is left out.

    Raises:
        ProductError: a text is not Unicode.
    """
    found = items_of(product, guide)
    items = {key: value for key, value in found.items() if value is not None}
    for key in _IMPLIED if tables is not None else ():
        items.pop(key, None)
    try:
        header: bytes = cbor2.dumps(items, canonical=True)
    except UnicodeEncodeError as error:
        raise ProductError(f"a product cannot be made: a text is not Unicode ({error})") from error
    return header


def decode(data: bytes) -> dict[int, Any]:
    """The header's map.

    Raises:
        ProductError: it is no canonical CBOR map.
    """
    return decode_header(data, "a product")


def guide(header: dict[int, Any]) -> bytes | None:
    """The check value of the guide that the mask is coded against, or None."""
    return header.get(_GUIDE)


def fields(header: dict[int, Any], tables: Tables | None) -> dict[str, Any]:
    """The fields of a product but its rasters.

    Raises:
        ProductError: the frame is of a size that no product has.
        KeyError, TypeError, ValueError: a field is missing or garbled.
    """
    check_size(header[_WIDTH], header[_HEIGHT])
    if tables is not None:
        values = [tables.entropy.values, tables.epistemic.values]
        said = {_BLOCK: tables.block, _LEVELS: tables.levels, _LEVEL_VALUES: values}
        header = {**header, **said}
    need_int("block", header[_BLOCK], 1, 255)
    entropy, epistemic = header.get(_LEVEL_VALUES, ((), ()))
    return {
        "entropy_levels": tuple(entropy),
        "epistemic_levels": tuple(epistemic),
        "regions": _regions(header),
        "scene_id": header[_SCENE],
        "model_id": header[_MODEL],
        "sensor": header[_SENSOR],
        "engine": header[_ENGINE],
        "seed": header[_SEED],
        "passes": header[_PASSES],
        "acquired_ms": header.get(_TIME),
        "acquired_quality": TimeQuality(header[_QUALITY]),
        "reference_version": header.get(_REFERENCE),
        "water_threshold": header[_P_WATER],
        "cloud_threshold": header[_P_CLOUD],
        "operating_point": header[_POINT],
        "georef": _georef(header),
        "geolocation_sigma_m": header.get(_SIGMA),
        "block": header[_BLOCK],
        "levels": header[_LEVELS],
        "acquired_sigma_s": header.get(_TIME_SIGMA),
        "conditions": _conditions(header.get(_CONDITIONS, 0)),
        "statistics": _statistics(header),
    }


def _conditions(bits: Any) -> Condition:
    """Flags, those included that only later software knows."""
    need_int("conditions", bits, 0, MAX_CONDITIONS)
    return Condition(bits)


def _georef(header: dict[int, Any]) -> Georef:
    a, b, c, d, e, f = header[_TRANSFORM]
    return Georef(header[_WIDTH], header[_HEIGHT], header[_CRS], (a, b, c, d, e, f))


def _statistics(header: dict[int, Any]) -> Statistics:
    land, water, cloud, nodata = header[_COUNTS]
    return Statistics(
        land,
        water,
        cloud,
        nodata,
        water_area_m2=header.get(_AREA),
        mean_entropy=header.get(_MEAN_ENTROPY),
        mean_epistemic=header.get(_MEAN_EPISTEMIC),
        mean_p_water=header.get(_MEAN_P),
        flood=header.get(_FLOOD),
        flood_area_m2=header.get(_FLOOD_AREA),
    )


def _regions(header: dict[int, Any]) -> Regions | None:
    if _REGIONS not in header:
        return None
    side, entropy, epistemic = header[_REGIONS]
    flood = header.get(_REGION_FLOOD)
    return Regions(side, entropy, epistemic, None if flood is None else tuple(flood))
