"""Product: what one frame sends home.

A product holds the class mask, how sure it is, where and when it was seen, and by which model
with which settings, so that the ground can judge it alone and recompute it with the frame. The
bytes carry their own length and id (the first 16 bytes of the SHA-256 over all bytes before
them), so a product is either whole and verified or refused. ``docs/wire-format.md`` has the
byte tables.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cbor2
import numpy as np

from onboard import classes
from onboard.coding import Coding, Section, decode_map, decode_mask, encode_map, encode_mask
from onboard.conditions import Condition
from onboard.errors import ProductError
from onboard.georef import Georef
from onboard.headers import decode_header

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.uint8]
    Flags = NDArray[np.bool_]
    Floats = NDArray[np.floating[Any]]

MAGIC = b"FSPR"
FORMAT_VERSION = 1
MAX_SIDE = 65_535
MAX_PIXELS = 2**27
MAX_HEADER = 8192
MAX_BYTES = 2**26
MAX_TEXT = 4096
ID_BYTES = 16
NOT_OBSERVED = 255
DEFAULT_BLOCK = 8
DEFAULT_LEVELS = 64
EPISTEMIC_POWER = 2
STRIP_ROWS = 256
LN2 = math.log(2.0)

NO_CONDITION = Condition(0)
MAX_CONDITIONS = 2**32 - 1

FLAG_FLOOD = 0x01
FLAG_LOCATED = 0x02

_HEAD = struct.Struct(">4sBBHI")
_SECTION = struct.Struct(">BBII")
_MASK, _ENTROPY, _EPISTEMIC = 1, 2, 3


class TimeQuality(enum.IntEnum):
    """How the time of acquisition is known."""

    UNKNOWN = 0
    FILE = 1
    CLOCK = 2
    GNSS = 3

    @property
    def text(self) -> str:
        """A phrase for people."""
        return _TIME_TEXT[self]


_TIME_TEXT = {
    TimeQuality.UNKNOWN: "unknown",
    TimeQuality.FILE: "from the frame's file",
    TimeQuality.CLOCK: "on-board clock, not synchronised",
    TimeQuality.GNSS: "on-board clock, synchronised by GNSS",
}


@dataclass(frozen=True)
class Statistics:
    """Figures over one frame. Means are over observed (land and water) pixels.

    Attributes:
        land, water, cloud, nodata: pixels of each class.
        water_area_m2: area of the water pixels; None where the grid is not in metres.
        flood: water pixels outside the permanent-water reference; None without a reference.
        flood_area_m2: their area; None without a reference or where the grid is not in metres.
        mean_entropy, mean_epistemic: nats, 0…ln 2; None where nothing was observed.
        mean_p_water: 0…1; None where nothing was observed.
    """

    land: int
    water: int
    cloud: int
    nodata: int
    water_area_m2: float | None = None
    flood: int | None = None
    flood_area_m2: float | None = None
    mean_entropy: float | None = None
    mean_epistemic: float | None = None
    mean_p_water: float | None = None

    @property
    def pixels(self) -> int:
        """All pixels of the frame."""
        return self.land + self.water + self.cloud + self.nodata

    @property
    def observed(self) -> int:
        """Pixels that are neither cloud nor nodata."""
        return self.land + self.water


@dataclass(frozen=True, eq=False)
class Product:
    """What is known about one frame. Compare two by their ``pack``ed bytes.

    Attributes:
        scene_id, model_id: 32 bytes each, SHA-256 of the samples and of the weights.
        sensor, engine: names; ``engine`` includes its version.
        seed, passes: of the dropout masks; passes = 1…65535.
        acquired_ms: UTC milliseconds since 1970, or None; ``acquired_quality`` says how known.
        reference_version: hash of the permanent-water reference that flood was counted against
            (1…32 bytes), or None: then nothing may be called flood. The mask shows all water;
            who has the reference tells flood from permanent water.
        water_threshold, cloud_threshold: 0…1, of the operating point ``operating_point``.
        georef: the grid; may be without coordinates.
        geolocation_sigma_m: one standard deviation of the position on the ground, metres.
        mask: (H, W) uint8 of ``onboard.classes``.
        entropy, epistemic: (ceil(H/block), ceil(W/block)) uint8, see `quantise`; epistemic with
            ``EPISTEMIC_POWER``.
        statistics: figures over the frame.
        block, levels: of the two reduced maps.
        acquired_sigma_s: one standard deviation of the time, seconds, or None.
        conditions: flags of the frame; see `onboard.conditions`.
        version: format version that the bytes had.
        product_id: 16 bytes; empty until packed and unpacked.
    """

    scene_id: bytes
    model_id: bytes
    sensor: str
    engine: str
    seed: int
    passes: int
    acquired_ms: int | None
    acquired_quality: TimeQuality
    reference_version: bytes | None
    water_threshold: float
    cloud_threshold: float
    operating_point: str
    georef: Georef
    geolocation_sigma_m: float | None
    mask: Mask
    entropy: Mask
    epistemic: Mask
    statistics: Statistics
    block: int = DEFAULT_BLOCK
    levels: int = DEFAULT_LEVELS
    acquired_sigma_s: float | None = None
    conditions: Condition = NO_CONDITION
    version: int = FORMAT_VERSION
    product_id: bytes = b""

    def __post_init__(self) -> None:
        _check(self)

    @property
    def subject(self) -> str:
        """``"flood"`` where a permanent-water reference was used, else ``"water"``."""
        return "water" if self.reference_version is None else "flood"

    @property
    def stem(self) -> str:
        """A short name for files: the first 12 hexadecimal digits of the id."""
        return self.product_id.hex()[:12]


# --- reduced maps and statistics ------------------------------------------------------------


def observed_pixels(mask: Mask) -> NDArray[np.bool_]:
    """Where the surface was seen: land or water. Same shape as ``mask``."""
    seen: NDArray[np.bool_] = (mask == classes.LAND) | (mask == classes.WATER)
    return seen


def quantise(
    values: Floats,
    observed: NDArray[np.bool_],
    block: int = DEFAULT_BLOCK,
    levels: int = DEFAULT_LEVELS,
    power: int = 1,
) -> Mask:
    """Average a map of nats over blocks of observed pixels and round it to ``levels`` steps.

    Args:
        values: (H, W) float, 0…ln 2 nats; what is not observed may be NaN.
        observed: (H, W) bool.
        block: side of a block in pixels; the last row and column of blocks may be cut.
        levels: 2…255 steps from 0 to ln 2, both included.
        power: 1 for even steps, 2 for steps that grow with the value: the epistemic part is
            mostly far below ln 2, and even steps would round it away.

    Returns:
        (ceil(H/block), ceil(W/block)) uint8; ``NOT_OBSERVED`` where a block has no observed
        pixel.
    """
    codes: Mask = np.empty(reduced_shape(values.shape[0], values.shape[1], block), np.uint8)
    for rows in _strips(values.shape[0], block):
        seen = observed[rows]
        counts = _block_sums(seen, block, np.int64)
        clean = np.where(seen, values[rows], np.zeros((), values.dtype))
        means = _block_sums(clean, block, np.float64) / np.maximum(counts, 1)
        share = np.clip(means / LN2, 0.0, 1.0) ** (1.0 / power)
        part = np.floor(share * (levels - 1) + 0.5).astype(np.uint8)
        part[counts == 0] = NOT_OBSERVED
        codes[rows.start // block :][: len(part)] = part
    return codes


def dequantise(codes: Mask, levels: int = DEFAULT_LEVELS, power: int = 1) -> NDArray[np.float32]:
    """Undo `quantise`: (h, w) float32 in nats, NaN where nothing was observed."""
    share = codes.astype(np.float64) / (levels - 1)
    nats = (LN2 * share**power).astype(np.float32)
    nats[codes == NOT_OBSERVED] = np.nan
    return nats


def reduced_shape(height: int, width: int, block: int) -> tuple[int, int]:
    """Rows and columns of the reduced maps."""
    return (height + block - 1) // block, (width + block - 1) // block


def summarise(
    mask: Mask,
    entropy: Floats,
    epistemic: Floats,
    p_water: Floats | float | None,
    georef: Georef,
    beyond: Flags | None = None,
) -> Statistics:
    """Statistics over a frame; all arrays are (H, W), see `Statistics` for units.

    ``p_water`` may also be its mean over the observed pixels, where that is known already.
    ``beyond`` is bool, true outside the permanent-water reference; None without one.
    """
    seen = observed_pixels(mask)
    counts = _counts(mask)
    area = pixel_area_m2(georef)
    flood = None if beyond is None else int(((mask == classes.WATER) & beyond).sum())
    return Statistics(
        *counts,
        water_area_m2=None if area is None else area * counts[1],
        flood=flood,
        flood_area_m2=None if area is None or flood is None else area * flood,
        mean_entropy=mean_where(entropy, seen),
        mean_epistemic=mean_where(epistemic, seen),
        mean_p_water=mean_where(p_water, seen) if isinstance(p_water, np.ndarray) else p_water,
    )


def pixel_area_m2(georef: Georef) -> float | None:
    """Area of one pixel in square metres; None unless the grid is projected in metres.

    Web Mercator (EPSG:3857) counts as not in metres: its unit is a metre at the equator only.
    """
    if not georef.located:
        return None
    from rasterio.crs import CRS

    crs = CRS.from_user_input(georef.crs)
    if not crs.is_projected or crs.to_epsg() == 3857:
        return None
    metres = float(crs.linear_units_factor[1])
    a, b, _, d, e, _ = georef.transform
    return abs(a * e - b * d) * metres * metres


def mean_where(values: Floats, where: Flags) -> float | None:
    """Mean of ``values`` where ``where`` is true, both (H, W); None where it nowhere is."""
    total, count = 0.0, 0
    for rows in _strips(values.shape[0], 1):
        picked = values[rows][where[rows]]
        total, count = total + float(picked.sum(dtype=np.float64)), count + picked.size
    return total / count if count else None


def _strips(height: int, block: int) -> Iterator[slice]:
    """Rows of whole blocks: what is made of a whole frame at once would be most of its memory."""
    step = max(1, STRIP_ROWS // block) * block
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))


def _block_sums(values: NDArray[Any], block: int, dtype: Any) -> NDArray[Any]:
    height, width = values.shape
    rows = np.add.reduceat(values, np.arange(0, height, block), axis=0, dtype=dtype)
    sums: NDArray[Any] = np.add.reduceat(rows, np.arange(0, width, block), axis=1, dtype=dtype)
    return sums


def _counts(mask: Mask) -> tuple[int, int, int, int]:
    order = (classes.LAND, classes.WATER, classes.CLOUD, classes.NODATA)
    land, water, cloud, nodata = (int(np.count_nonzero(mask == value)) for value in order)
    return land, water, cloud, nodata


# --- checks ---------------------------------------------------------------------------------


def _need(condition: bool, message: str) -> None:
    if not condition:
        raise ProductError(f"a product cannot be made: {message}")


def _check(product: Product) -> None:
    _check_fields(product)
    _check_numbers(product)
    _check_rasters(product)
    _check_statistics(product)


def _check_fields(product: Product) -> None:
    for name in ("scene_id", "model_id"):
        value = getattr(product, name)
        _need(isinstance(value, bytes) and len(value) == 32, f"{name} needs 32 bytes")
    reference = product.reference_version
    if reference is not None:
        _need(
            isinstance(reference, bytes) and 1 <= len(reference) <= 32,
            "reference_version needs 1 to 32 bytes, or None",
        )
    for name, text in _texts(product).items():
        _need(isinstance(text, str), f"{name} must be text")
        size = len(text.encode("utf-8", "surrogatepass"))
        _need(size <= MAX_TEXT, f"{name} has {size} bytes, more than {MAX_TEXT}")
    _need(isinstance(product.acquired_quality, TimeQuality), "acquired_quality is no TimeQuality")


def _texts(product: Product) -> dict[str, str]:
    return {
        "sensor": product.sensor,
        "engine": product.engine,
        "operating_point": product.operating_point,
        "crs": product.georef.crs,
    }


def _check_numbers(product: Product) -> None:
    _need_int("seed", product.seed, 0, 2**64 - 1)
    _need_int("passes", product.passes, 1, 65_535)
    _need_int("block", product.block, 1, 255)
    _need_int("levels", product.levels, 2, 255)
    if product.acquired_ms is not None:
        _need_int("acquired_ms", product.acquired_ms, -(2**53), 2**53)
    _need_float("water_threshold", product.water_threshold, 0.0, 1.0)
    _need_float("cloud_threshold", product.cloud_threshold, 0.0, 1.0)
    if product.geolocation_sigma_m is not None:
        _need_float("geolocation_sigma_m", product.geolocation_sigma_m, 0.0, math.inf)
    if product.acquired_sigma_s is not None:
        _need_float("acquired_sigma_s", product.acquired_sigma_s, 0.0, math.inf)
    _need_int("conditions", int(product.conditions), 0, MAX_CONDITIONS)
    for value in product.georef.transform:
        _need_float("transform", value, -math.inf, math.inf)
    _need(len(product.georef.transform) == 6, "transform needs six numbers")


def _need_int(name: str, value: object, low: int, high: int) -> None:
    _need(
        isinstance(value, int) and not isinstance(value, bool) and low <= value <= high,
        f"{name} must be a whole number from {low} to {high}, not {value!r}",
    )


def _need_float(name: str, value: object, low: float, high: float) -> None:
    _need(
        isinstance(value, float) and math.isfinite(value) and low <= value <= high,
        f"{name} must be a finite number from {low} to {high}, not {value!r}",
    )


def _check_size(width: object, height: object) -> None:
    _need_int("width", width, 1, MAX_SIDE)
    _need_int("height", height, 1, MAX_SIDE)
    assert isinstance(width, int)
    assert isinstance(height, int)
    _need(width * height <= MAX_PIXELS, f"{width}×{height} pixels are more than {MAX_PIXELS}")


def _check_rasters(product: Product) -> None:
    height, width = product.georef.height, product.georef.width
    _check_size(width, height)
    small = reduced_shape(height, width, product.block)
    for name, shape in (("mask", (height, width)), ("entropy", small), ("epistemic", small)):
        raster = getattr(product, name)
        _need(raster.dtype == np.uint8, f"{name} must be uint8, not {raster.dtype}")
        _need(raster.shape == shape, f"{name} is {raster.shape}, the frame wants {shape}")
    for name in ("entropy", "epistemic"):
        codes = getattr(product, name)
        bad = codes[(codes >= product.levels) & (codes != NOT_OBSERVED)]
        _need(bad.size == 0, f"{name} has codes beyond its {product.levels} levels")


def _check_statistics(product: Product) -> None:
    found = product.statistics
    counts = (found.land, found.water, found.cloud, found.nodata)
    for count in counts:
        _need_int("a class count", count, 0, MAX_PIXELS)
    _need(counts == _counts(product.mask), "the class counts are not those of the mask")
    known = product.reference_version is not None
    _need((found.flood is not None) == known, "flood is counted where there is a reference")
    if found.flood is not None:
        _need_int("flood", found.flood, 0, found.water)
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
            _need_float(name, value, 0.0, high)


# --- bytes ----------------------------------------------------------------------------------


def identify(body: bytes) -> bytes:
    """The id of a product whose bytes before the trailer are ``body``: 16 bytes."""
    return hashlib.sha256(body).digest()[:ID_BYTES]


def pack(product: Product) -> bytes:
    """The product's bytes. The same product gives the same bytes with the same library builds.

    Raises:
        ProductError: a field is out of its range, or the product is too large for the link.
    """
    header = _encode_header(product)
    sections = b"".join(
        _encode_section(kind, section)
        for kind, section in (
            (_MASK, encode_mask(product.mask)),
            (_ENTROPY, encode_map(product.entropy)),
            (_EPISTEMIC, encode_map(product.epistemic)),
        )
    )
    total = _HEAD.size + len(header) + len(sections) + ID_BYTES
    _need(total <= MAX_BYTES, f"{total} bytes are more than {MAX_BYTES}; send fewer pixels")
    head = _HEAD.pack(MAGIC, FORMAT_VERSION, _flags(product), len(header), total)
    body = head + header + sections
    return body + identify(body)


def unpack(data: bytes) -> Product:
    """Decode and verify a product.

    Raises:
        ProductError: the bytes are not one whole product of a version that is known here.
    """
    flags, header_size = _verify(data)
    header = decode_header(data[_HEAD.size : _HEAD.size + header_size], "a product")
    product = _build(header, data, _HEAD.size + header_size)
    if flags != _flags(product):
        raise ProductError("a product's flags do not say what its header says")
    return dataclasses.replace(product, product_id=data[-ID_BYTES:])


def _flags(product: Product) -> int:
    flood = FLAG_FLOOD if product.subject == "flood" else 0
    return flood | (FLAG_LOCATED if product.georef.located else 0)


def _verify(data: bytes) -> tuple[int, int]:
    """Check all that needs no decoding; give flags and header length."""
    if len(data) < _HEAD.size + ID_BYTES:
        raise ProductError(f"{len(data)} bytes are too few for a product; receive it again")
    magic, version, flags, header_size, total = _HEAD.unpack_from(data)
    if magic != MAGIC:
        raise ProductError("these bytes are no FloodSat product; give a .fsp file")
    if version > FORMAT_VERSION:
        raise ProductError(
            f"the product has format version {version}, this software knows {FORMAT_VERSION}; "
            "update FloodSat on the ground"
        )
    if total != len(data) or total > MAX_BYTES:
        raise ProductError(f"the product says {total} bytes but has {len(data)}; receive it again")
    if identify(data[:-ID_BYTES]) != data[-ID_BYTES:]:
        raise ProductError("the product's bytes do not match its id; receive it again")
    if version != FORMAT_VERSION or header_size > min(MAX_HEADER, total - _HEAD.size - ID_BYTES):
        raise ProductError("the product's head makes no sense; receive it again")
    return flags, header_size


def _encode_section(kind: int, section: Section) -> bytes:
    return _SECTION.pack(kind, section.coding, len(section.data), section.plain) + section.data


def _decode_section(kind: int, data: bytes, start: int) -> tuple[Section, int]:
    end = len(data) - ID_BYTES
    if start + _SECTION.size > end:
        raise ProductError("a product ends within its sections")
    found, coding, size, plain = _SECTION.unpack_from(data, start)
    start += _SECTION.size
    if found != kind or start + size > end:
        raise ProductError(f"section {kind} of a product is not where it should be")
    try:
        section = Section(Coding(coding), plain, data[start : start + size])
    except ValueError as error:
        raise ProductError(
            f"a product uses coding {coding}, unknown here; update FloodSat on the ground"
        ) from error
    return section, start + size


# CBOR keys. A field that is None is left out. Numbers are never reused.
_SCENE, _MODEL, _SENSOR, _ENGINE, _SEED, _PASSES = 1, 2, 3, 4, 5, 6
_TIME, _QUALITY, _REFERENCE, _P_WATER, _P_CLOUD, _POINT = 7, 8, 9, 10, 11, 12
_WIDTH, _HEIGHT, _CRS, _TRANSFORM, _SIGMA, _BLOCK, _LEVELS = 13, 14, 15, 16, 17, 18, 19
_COUNTS, _AREA, _MEAN_ENTROPY, _MEAN_EPISTEMIC, _MEAN_P = 20, 21, 22, 23, 24
_FLOOD, _FLOOD_AREA, _TIME_SIGMA, _CONDITIONS = 25, 26, 27, 28


def _header_items(product: Product) -> dict[int, Any]:
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
    }


def _encode_header(product: Product) -> bytes:
    items = {key: value for key, value in _header_items(product).items() if value is not None}
    try:
        header: bytes = cbor2.dumps(items, canonical=True)
    except UnicodeEncodeError as error:
        raise ProductError(f"a product cannot be made: a text is not Unicode ({error})") from error
    _need(len(header) <= MAX_HEADER, f"its header has {len(header)} bytes, more than {MAX_HEADER}")
    return header


def _build(header: dict[int, Any], data: bytes, start: int) -> Product:
    try:
        width, height, block = header[_WIDTH], header[_HEIGHT], header[_BLOCK]
        _check_size(width, height)
        _need_int("block", block, 1, 255)
        small = reduced_shape(height, width, block)
        mask, start = _decode_section(_MASK, data, start)
        entropy, start = _decode_section(_ENTROPY, data, start)
        epistemic, start = _decode_section(_EPISTEMIC, data, start)
        if start != len(data) - ID_BYTES:
            raise ProductError("a product has bytes behind its last section")
        return Product(
            mask=decode_mask(mask, (height, width)),
            entropy=decode_map(entropy, small),
            epistemic=decode_map(epistemic, small),
            **_fields(header),
        )
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ProductError):
            raise
        raise ProductError(f"a product's header lacks or garbles field {error}") from error


def _fields(header: dict[int, Any]) -> dict[str, Any]:
    return {
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
    _need_int("conditions", bits, 0, MAX_CONDITIONS)
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
