"""Alert: where, when, how much and how sure, in one bare packet of under 64 bytes.

It is the first thing that goes down, before any product, so that people on the ground know
where to look even when nothing else arrives.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from onboard import classes
from onboard.arrays import Flags
from onboard.errors import StreamError
from onboard.georef import Georef
from onboard.link import cds
from onboard.product import LN2, Product

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERSION = 1
_BODY = struct.Struct(">BB8sHIiiHIHHBB")
SIZE = _BODY.size

FLAG_FLOOD = 0x01
FLAG_PLACE = 0x02
FLAG_TIME = 0x04
_KNOWN = FLAG_FLOOD | FLAG_PLACE | FLAG_TIME
_NO_SIGMA = 0xFFFF
_NO_AREA = 0xFFFF_FFFF
_NO_ENTROPY = 0xFF
_AREA_UNIT_M2 = 100.0
_DEGREE = 1e7


@dataclass(frozen=True)
class Alert:
    """What one frame's alert says.

    Attributes:
        product_id: first 8 bytes of the product's id.
        flood: whether permanent water is left out; if not, it speaks of all water.
        acquired_ms: UTC milliseconds since 1970, or None.
        place: (latitude, longitude) of the middle of it, degrees WGS 84, or None.
        sigma_m: one standard deviation of the place, metres, or None.
        area_m2: area of flood, or of water, or None; steps of 100 m².
        water_fraction: flood, or water, of the observed pixels, 0…1.
        unobserved_fraction: cloud and nodata, of all pixels, 0…1.
        entropy, epistemic: means over observed pixels in nats, 0…ln 2, or None.
    """

    product_id: bytes
    flood: bool
    acquired_ms: int | None
    place: tuple[float, float] | None
    sigma_m: float | None
    area_m2: float | None
    water_fraction: float
    unobserved_fraction: float
    entropy: float | None
    epistemic: float | None

    @property
    def subject(self) -> str:
        """``"flood"`` where permanent water was subtracted, else ``"water"``."""
        return "flood" if self.flood else "water"


def pack(alert: Alert) -> bytes:
    """The alert as user data of a packet: ``SIZE`` bytes. Values beyond a field are cut to it."""
    flags = FLAG_FLOOD if alert.flood else 0
    flags |= 0 if alert.place is None else FLAG_PLACE
    flags |= 0 if alert.acquired_ms is None else FLAG_TIME
    days, ms = struct.unpack(">HI", cds.pack(alert.acquired_ms or 0)[1:])
    latitude, longitude = alert.place or (0.0, 0.0)
    return _BODY.pack(
        VERSION,
        flags,
        alert.product_id,
        days,
        ms,
        round(latitude * _DEGREE),
        round(longitude * _DEGREE),
        _steps(alert.sigma_m, 1.0, _NO_SIGMA),
        _steps(alert.area_m2, _AREA_UNIT_M2, _NO_AREA),
        round(alert.water_fraction * 0xFFFF),
        round(alert.unobserved_fraction * 0xFFFF),
        _steps(alert.entropy, LN2 / 254, _NO_ENTROPY),
        _steps(_root(alert.epistemic), 1 / 254, _NO_ENTROPY),
    )


def unpack(data: bytes) -> Alert:
    """Decode an alert.

    Raises:
        StreamError: it is not an alert of a version that is known here.
    """
    if len(data) != SIZE:
        raise StreamError(f"an alert has {SIZE} bytes, not {len(data)}")
    version, flags, product_id, days, ms, latitude, longitude, *rest = _BODY.unpack(data)
    sigma, area, water, unobserved, entropy, epistemic = rest
    if version != VERSION or flags & ~_KNOWN:
        raise StreamError(f"an alert has version {version}; update FloodSat on the ground")
    if abs(latitude) > 90 * _DEGREE or abs(longitude) > 180 * _DEGREE or ms >= cds.LEAP_DAY_MS:
        raise StreamError("an alert names no place on Earth or no time of day")
    acquired = (days - cds.EPOCH_DAYS) * cds.DAY_MS + ms
    return Alert(
        product_id=product_id,
        flood=bool(flags & FLAG_FLOOD),
        acquired_ms=acquired if flags & FLAG_TIME else None,
        place=(latitude / _DEGREE, longitude / _DEGREE) if flags & FLAG_PLACE else None,
        sigma_m=_value(sigma, 1.0, _NO_SIGMA),
        area_m2=_value(area, _AREA_UNIT_M2, _NO_AREA),
        water_fraction=water / 0xFFFF,
        unobserved_fraction=unobserved / 0xFFFF,
        entropy=_value(entropy, LN2 / 254, _NO_ENTROPY),
        epistemic=_square(_value(epistemic, 1 / 254, _NO_ENTROPY)),
    )


def alert_for(product: Product, product_id: bytes, wet: Flags | None = None) -> Alert:
    """The alert that announces ``product``.

    Args:
        product: the product.
        product_id: of its packed bytes.
        wet: bool (H, W), where the flood is; the mask's water if None.
    """
    figures = product.statistics
    flooded = figures.flood is not None
    pixels = figures.flood if figures.flood is not None else figures.water
    return Alert(
        product_id=product_id[:8],
        flood=flooded,
        acquired_ms=product.acquired_ms,
        place=_place(product.georef, product.mask == classes.WATER if wet is None else wet),
        sigma_m=product.geolocation_sigma_m,
        area_m2=figures.flood_area_m2 if flooded else figures.water_area_m2,
        water_fraction=pixels / max(figures.observed, 1),
        unobserved_fraction=(figures.cloud + figures.nodata) / figures.pixels,
        entropy=figures.mean_entropy,
        epistemic=figures.mean_epistemic,
    )


def _steps(value: float | None, unit: float, none: int) -> int:
    return none if value is None else min(round(value / unit), none - 1)


def _root(nats: float | None) -> float | None:
    """The epistemic part as a root of its share of ln 2: it is mostly far below ln 2."""
    return None if nats is None else math.sqrt(nats / LN2)


def _square(root: float | None) -> float | None:
    return None if root is None else LN2 * root * root


def _value(steps: int, unit: float, none: int) -> float | None:
    return None if steps == none else steps * unit


def _place(grid: Georef, wet: Flags) -> tuple[float, float] | None:
    """Latitude and longitude of the mean wet pixel, or of the frame's middle."""
    if not grid.located:
        return None
    from rasterio.warp import transform

    from onboard.rasters import GDAL_ERRORS

    row, column = (grid.height / 2, grid.width / 2)
    if wet.any():
        row = _middle(wet.sum(axis=1))
        column = _middle(wet.sum(axis=0))
    a, b, c, d, e, f = grid.transform
    x, y = a * column + b * row + c, d * column + e * row + f
    try:
        longitudes, latitudes = transform(grid.crs, "EPSG:4326", [x], [y])
    except GDAL_ERRORS:
        # Coordinates of a system that is tied to no place on Earth.
        return None
    latitude, longitude = float(latitudes[0]), float(longitudes[0])
    inside = abs(latitude) <= 90 and abs(longitude) <= 180
    return (latitude, longitude) if inside else None


def _middle(counts: NDArray[np.integer[Any]]) -> float:
    return float(np.average(np.arange(counts.size) + 0.5, weights=counts))
