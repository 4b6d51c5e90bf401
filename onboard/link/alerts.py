"""Alert: where, when, how much and how sure, in one bare packet of under 64 bytes.

It is the first thing that goes down, before any product, so that people on the ground know
where to look even when nothing else arrives. It may also go alone, where the frame is not worth
a product (`onboard.triage`): so it says what is *likely* wet (the balanced operating point, the
product's mask) and what is *possibly* wet (the sensitive point, by which it was decided).
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from onboard import classes, formats
from onboard.arrays import Flags
from onboard.errors import StreamError
from onboard.georef import Georef
from onboard.link import cds
from onboard.product import LN2, Product, pixel_area_m2
from onboard.triage import Sight

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERSION = formats.ALERT.version
_BODY = struct.Struct(">BB8sHIiiHIHIHHBBB")
SIZE = _BODY.size
_BODY_1 = struct.Struct(">BB8sHIiiHIHHBB")
SIZE_1 = _BODY_1.size

FLAG_FLOOD = 0x01
FLAG_PLACE = 0x02
FLAG_TIME = 0x04
FLAG_PRODUCT = 0x08
_KNOWN = FLAG_FLOOD | FLAG_PLACE | FLAG_TIME | FLAG_PRODUCT
_NO_SIGMA = 0xFFFF
_NO_AREA = 0xFFFF_FFFF
_NO_BYTE = 0xFF
_AREA_UNIT_M2 = 100.0
_DEGREE = 1e7


@dataclass(frozen=True)
class Alert:
    """What one frame's alert says.

    Attributes:
        frame_id: first 8 bytes of the product's id, where a product goes down too; else of the
            frame's scene id.
        product: whether a product goes down too.
        flood: whether permanent water is left out; if not, it speaks of all water.
        acquired_ms: UTC milliseconds since 1970, or None.
        place: (latitude, longitude) of the middle of it, degrees WGS 84, or None.
        sigma_m: one standard deviation of the place, metres, or None.
        area_m2: area of likely flood, or water, or None; steps of 100 m².
        fraction: the same as a share of the observed pixels, 0…1.
        possible_area_m2: area of possible flood, or water, or None; steps of 100 m².
        possible_fraction: the same as a share of the observed pixels, 0…1.
        unobserved_fraction: cloud and nodata, of all pixels, 0…1.
        entropy, epistemic: means in nats, 0…ln 2, or None, over the likely wet pixels; over the
            possible ones where there are no likely ones.
        odd: share of the frame's crops that are unlike the training, 0…1, or None.
    """

    frame_id: bytes
    product: bool
    flood: bool
    acquired_ms: int | None
    place: tuple[float, float] | None
    sigma_m: float | None
    area_m2: float | None
    fraction: float
    possible_area_m2: float | None
    possible_fraction: float
    unobserved_fraction: float
    entropy: float | None
    epistemic: float | None
    odd: float | None

    @property
    def subject(self) -> str:
        """``"flood"`` where permanent water was subtracted, else ``"water"``."""
        return "flood" if self.flood else "water"

    @property
    def confidence(self) -> float | None:
        """How sure the wet pixels are: ``1 - entropy / ln 2``, 0…1."""
        return None if self.entropy is None else 1 - self.entropy / LN2


def pack(alert: Alert) -> bytes:
    """The alert as user data of a packet: ``SIZE`` bytes. Values beyond a field are cut to it."""
    days, ms = struct.unpack(">HI", cds.pack(alert.acquired_ms or 0)[1:])
    latitude, longitude = alert.place or (0.0, 0.0)
    return _BODY.pack(
        VERSION,
        _flags(alert),
        alert.frame_id,
        days,
        ms,
        round(latitude * _DEGREE),
        round(longitude * _DEGREE),
        _steps(alert.sigma_m, 1.0, _NO_SIGMA),
        _steps(alert.area_m2, _AREA_UNIT_M2, _NO_AREA),
        round(alert.fraction * 0xFFFF),
        _steps(alert.possible_area_m2, _AREA_UNIT_M2, _NO_AREA),
        round(alert.possible_fraction * 0xFFFF),
        round(alert.unobserved_fraction * 0xFFFF),
        _steps(alert.entropy, LN2 / 254, _NO_BYTE),
        _steps(_root(alert.epistemic), 1 / 254, _NO_BYTE),
        _steps(alert.odd, 1 / 254, _NO_BYTE),
    )


def _flags(alert: Alert) -> int:
    flags = FLAG_FLOOD if alert.flood else 0
    flags |= 0 if alert.place is None else FLAG_PLACE
    flags |= 0 if alert.acquired_ms is None else FLAG_TIME
    return flags | (FLAG_PRODUCT if alert.product else 0)


def unpack(data: bytes) -> Alert:
    """Decode an alert, of version 1 or 2.

    Raises:
        StreamError: it is not an alert of a version that is known here.
    """
    version = formats.ALERT.check(
        int.from_bytes(data[:1], "big"), "an alert", StreamError, "it is damaged"
    )
    if len(data) != (SIZE_1 if version == 1 else SIZE):
        raise StreamError(f"an alert of version {version} does not have {len(data)} bytes")
    if version == 1:
        data = _as_2(data)
    _, flags, frame_id, days, ms, latitude, longitude, *rest = _BODY.unpack(data)
    sigma, area, share, may_area, may_share, unobserved, entropy, epistemic, odd = rest
    if flags & ~_KNOWN:
        raise StreamError(f"an alert has flags that are not known here; {formats.UPDATE_GROUND}")
    if abs(latitude) > 90 * _DEGREE or abs(longitude) > 180 * _DEGREE or ms >= cds.LEAP_DAY_MS:
        raise StreamError("an alert names no place on Earth or no time of day")
    acquired = (days - cds.EPOCH_DAYS) * cds.DAY_MS + ms
    return Alert(
        frame_id=frame_id,
        product=bool(flags & FLAG_PRODUCT),
        flood=bool(flags & FLAG_FLOOD),
        acquired_ms=acquired if flags & FLAG_TIME else None,
        place=(latitude / _DEGREE, longitude / _DEGREE) if flags & FLAG_PLACE else None,
        sigma_m=_value(sigma, 1.0, _NO_SIGMA),
        area_m2=_value(area, _AREA_UNIT_M2, _NO_AREA),
        fraction=share / 0xFFFF,
        possible_area_m2=_value(may_area, _AREA_UNIT_M2, _NO_AREA),
        possible_fraction=may_share / 0xFFFF,
        unobserved_fraction=unobserved / 0xFFFF,
        entropy=_value(entropy, LN2 / 254, _NO_BYTE),
        epistemic=_square(_value(epistemic, 1 / 254, _NO_BYTE)),
        odd=_value(odd, 1 / 254, _NO_BYTE),
    )


def _as_2(data: bytes) -> bytes:
    """An alert of version 1 in the bytes of version 2.

    It told of one operating point, so that what is likely is all that is known to be possible.
    Its entropies were means over all observed pixels, which version 2 has no place for. Every
    alert went before its product.
    """
    _, flags, *head, area, share, unobserved, _, _ = _BODY_1.unpack(data)
    flags |= FLAG_PRODUCT if not flags & FLAG_PRODUCT else ~_KNOWN & 0xFF
    absent = (_NO_BYTE,) * 3
    return _BODY.pack(2, flags, *head, area, share, area, share, unobserved, *absent)


def alert_for(
    product: Product,
    product_id: bytes | None,
    sight: Sight | None = None,
    wet: Flags | None = None,
) -> Alert:
    """The alert of a frame.

    Args:
        product: what is known of the frame, whether it is sent or not.
        product_id: of its packed bytes, if it is sent; else None.
        sight: what triage saw; without it nothing but the product is known.
        wet: bool (H, W), whose middle is the place; the mask's water if None.
    """
    figures = product.statistics
    flooded = figures.flood is not None
    pixels = figures.flood if figures.flood is not None else figures.water
    possible = max(pixels, sight.wet_sensitive) if sight else pixels
    observed = max(figures.observed, 1)
    area = pixel_area_m2(product.georef)
    return Alert(
        frame_id=(product_id or product.scene_id)[:8],
        product=product_id is not None,
        flood=flooded,
        acquired_ms=product.acquired_ms,
        place=_place(product.georef, product.mask == classes.WATER if wet is None else wet),
        sigma_m=product.geolocation_sigma_m,
        area_m2=figures.flood_area_m2 if flooded else figures.water_area_m2,
        fraction=pixels / observed,
        possible_area_m2=None if area is None else area * possible,
        possible_fraction=possible / observed,
        unobserved_fraction=(figures.cloud + figures.nodata) / figures.pixels,
        entropy=sight.entropy if sight else None,
        epistemic=sight.epistemic if sight else None,
        odd=sight.odd if sight else None,
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
    if not wet.any():
        return middle(grid)
    return located(grid, _middle(wet.sum(axis=1)), _middle(wet.sum(axis=0)))


def middle(grid: Georef) -> tuple[float, float] | None:
    """Latitude and longitude of the middle of a grid; None where it lies nowhere on Earth."""
    return located(grid, grid.height / 2, grid.width / 2)


def located(grid: Georef, row: float, column: float) -> tuple[float, float] | None:
    """Latitude and longitude, degrees WGS 84, of a place in a grid; None where there is none.

    Args:
        grid: the grid.
        row: in pixels from its upper edge.
        column: in pixels from its left edge.
    """
    if not grid.located:
        return None
    from rasterio.warp import transform

    from onboard.rasters import GDAL_ERRORS

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
