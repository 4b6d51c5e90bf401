"""Product: what one frame sends home.

A product holds the class mask, how sure it is, where and when it was seen, and by which model
with which settings, so that the ground can judge it alone and recompute it with the frame. The
bytes carry their own length and id (the first 16 bytes of the SHA-256 over all bytes before
them), so a product is either whole and verified or refused. ``docs/wire-format.md`` has the
byte tables.

What both sides have need not be sent. With the *tables* of the bundle (`onboard.tables`) rasters
and header take a fraction of the bytes; with the permanent-water reference as well, water that is
always there costs almost nothing, but then a product is *guided*: who has not that very reference
cannot decode it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from onboard import formats, product_header, product_stream, tables
from onboard.coding import Coding, Section, decode_map, decode_mask, encode_map, encode_mask
from onboard.conditions import Condition
from onboard.errors import OtherReferenceError, ProductError
from onboard.georef import Georef
from onboard.product_checks import MAX_PIXELS, MAX_SIDE, check, need
from onboard.reduced import (
    DEFAULT_BLOCK,
    DEFAULT_LEVELS,
    EPISTEMIC_POWER,
    LN2,
    NOT_OBSERVED,
    Region,
    Regions,
    Statistics,
    dequantise,
    graded,
    mean_where,
    observed_pixels,
    pixel_area_m2,
    quantise,
    reduced_shape,
    region_table,
    summarise,
)
from onboard.tables import Tables
from onboard.time_quality import TimeQuality

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Optional

    from numpy.typing import NDArray

    from onboard.reference_water import Reference

    Mask = NDArray[np.uint8]
    Flags = NDArray[np.bool_]
    Rasters = tuple[Mask, Mask, Mask]
    Decode = Callable[[bytes, Georef, Statistics, Tables, Optional[Mask]], Rasters]
    Unpack = Callable[[bytes, Optional[Reference]], "Product"]

__all__ = [
    "DEFAULT_BLOCK",
    "DEFAULT_LEVELS",
    "EPISTEMIC_POWER",
    "LN2",
    "MAX_PIXELS",
    "MAX_SIDE",
    "NOT_OBSERVED",
    "Product",
    "Statistics",
    "TimeQuality",
    "dequantise",
    "identify",
    "mean_where",
    "observed_pixels",
    "pack",
    "pixel_area_m2",
    "quantise",
    "reduced_shape",
    "summarise",
    "unpack",
]

MAGIC = b"FSPR"
FORMAT_VERSION = formats.PRODUCT.version
MAX_HEADER = 8192
MAX_BYTES = 2**26
ID_BYTES = 16

NO_CONDITION = Condition(0)

FLAG_FLOOD = 0x01
FLAG_LOCATED = 0x02
FLAG_TABLES = 0x04
FLAG_GUIDED = 0x08

_HEAD = struct.Struct(">4sBBHI")
_SECTION = struct.Struct(">BBII")
_MASK, _ENTROPY, _EPISTEMIC = 1, 2, 3
_RAW_DEFLATE = -15


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
            ``EPISTEMIC_POWER``, or `grade` where the product has levels of its own.
        statistics: figures over the frame.
        block, levels: of the two reduced maps.
        entropy_levels, epistemic_levels: nats that each level stands for; empty where the levels
            are even steps, see `quantise`.
        regions: figures of each region of a coarse grid; None where there is but one.
        acquired_sigma_s: one standard deviation of the time, seconds, or None.
        conditions: flags of the frame; see `onboard.conditions`.
        version: format version that the bytes had.
        tables_id: ``tables.ID_BYTES`` bytes, of the tables that it was coded by; empty without.
        guided: whether the mask was coded against the reference, so that decoding needs it.
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
    entropy_levels: tuple[float, ...] = ()
    epistemic_levels: tuple[float, ...] = ()
    regions: Regions | None = None
    tables_id: bytes = b""
    guided: bool = False
    version: int = FORMAT_VERSION
    product_id: bytes = b""

    def __post_init__(self) -> None:
        check(self)

    @property
    def subject(self) -> str:
        """``"flood"`` where a permanent-water reference was used, else ``"water"``."""
        return "water" if self.reference_version is None else "flood"

    @property
    def entropy_nats(self) -> NDArray[np.float32]:
        """The reduced map of entropy: (h, w) float32, NaN where nothing was observed."""
        if self.entropy_levels:
            return graded(self.entropy, self.entropy_levels)
        return dequantise(self.entropy, self.levels)

    @property
    def epistemic_nats(self) -> NDArray[np.float32]:
        """The reduced map of mutual information: (h, w) float32, NaN as in the other one."""
        if self.epistemic_levels:
            return graded(self.epistemic, self.epistemic_levels)
        return dequantise(self.epistemic, self.levels, EPISTEMIC_POWER)

    @property
    def region_table(self) -> tuple[Region, ...]:
        """What is known of each region; empty where the frame is a single one."""
        return () if self.regions is None else region_table(self.mask, self.regions)

    @property
    def stem(self) -> str:
        """A short name for files: the first 12 hexadecimal digits of the id."""
        return self.product_id.hex()[:12]


# --- bytes ----------------------------------------------------------------------------------


def identify(body: bytes) -> bytes:
    """The id of a product whose bytes before the trailer are ``body``: 16 bytes."""
    return hashlib.sha256(body).digest()[:ID_BYTES]


def pack(product: Product, by: Tables | None = None, permanent: Flags | None = None) -> bytes:
    """The product's bytes. The same product gives the same bytes with the same library builds.

    Args:
        product: what to send.
        by: the tables to code it by; its maps must have their block and levels. Without any the
            product is larger, and any ground can decode it.
        permanent: bool (H, W), where the reference that the product names has permanent water.
            With it, and tables, the product is guided.

    Raises:
        ProductError: a field is out of its range, or the product is too large for the link.
    """
    guide = None if permanent is None else np.ascontiguousarray(permanent, np.uint8)
    if by is None:
        need(guide is None, "a guide goes with tables")
        header = product_header.encode(product)
        body = _sections(product)
        flags = _flags(product)
    else:
        product_stream.check(product, by, guide)
        crc = b"" if guide is None else product_stream.fingerprint(guide)
        plain = product_header.encode(product, guide=crc, tables=by)
        header = by.tables_id + deflate(plain, by.dictionary)
        body = product_stream.encode(product, by, guide)
        flags = _flags(product) | FLAG_TABLES | (0 if guide is None else FLAG_GUIDED)
    need(len(header) <= MAX_HEADER, f"its header has {len(header)} bytes, more than {MAX_HEADER}")
    total = _HEAD.size + len(header) + len(body) + ID_BYTES
    need(total <= MAX_BYTES, f"{total} bytes are more than {MAX_BYTES}; send fewer pixels")
    whole = _HEAD.pack(MAGIC, FORMAT_VERSION, flags, len(header), total) + header + body
    return whole + identify(whole)


def unpack(
    data: bytes, reference: Reference | None = None, decode: Decode = product_stream.decode
) -> Product:
    """Decode and verify a product.

    Args:
        data: its bytes.
        reference: permanent water; guided products need the very one that they name.
        decode: gives the rasters of a coded stream, which takes time.

    Raises:
        OtherReferenceError: the product is guided, and the reference is missing or another.
        UnknownTablesError: it is coded by tables of a bundle that is not known here.
        ProductError: the bytes are not one whole product of a version that is known here.
    """
    version, flags, size = _verify(data)
    head, body = data[_HEAD.size :][:size], data[_HEAD.size + size : -ID_BYTES]
    by = None
    if flags & FLAG_TABLES:
        by = tables.find(head[: tables.ID_BYTES])
        packed = head[tables.ID_BYTES :]
        head = tables.inflate(packed, MAX_HEADER, "a product's header", by.dictionary, _RAW_DEFLATE)
    header = product_header.decode(head)
    try:
        product = _build(header, body, by, reference, decode)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ProductError):
            raise
        raise ProductError(f"a product's header lacks or garbles field {error}") from error
    product = dataclasses.replace(product, version=version, product_id=data[-ID_BYTES:])
    if flags != _flags(product):
        raise ProductError("a product's flags do not say what its header says")
    return product


def deflate(header: bytes, dictionary: bytes) -> bytes:
    """A header in fewer bytes, by what headers repeat."""
    coder = zlib.compressobj(9, zlib.DEFLATED, _RAW_DEFLATE, 9, zlib.Z_DEFAULT_STRATEGY, dictionary)
    return coder.compress(header) + coder.flush()


def _flags(product: Product) -> int:
    flags = FLAG_FLOOD if product.subject == "flood" else 0
    flags |= FLAG_LOCATED if product.georef.located else 0
    flags |= FLAG_TABLES if product.tables_id else 0
    return flags | (FLAG_GUIDED if product.guided else 0)


def _verify(data: bytes) -> tuple[int, int, int]:
    """Check all that needs no decoding; give version, flags and header length."""
    if not data:
        raise ProductError("there are no bytes at all; receive the product again")
    if len(data) < _HEAD.size + ID_BYTES:
        raise ProductError(f"{len(data)} bytes are too few for a product; receive it again")
    magic, version, flags, header_size, total = _HEAD.unpack_from(data)
    if magic != MAGIC:
        raise ProductError("these bytes are no FloodSat product; give a .fsp file")
    formats.PRODUCT.check(version, "the product", ProductError, "receive it again")
    if total != len(data) or total > MAX_BYTES:
        raise ProductError(f"the product says {total} bytes but has {len(data)}; receive it again")
    if identify(data[:-ID_BYTES]) != data[-ID_BYTES:]:
        raise ProductError("the product's bytes do not match its id; receive it again")
    room = min(MAX_HEADER, total - _HEAD.size - ID_BYTES)
    if header_size > room or (version == 1 and flags & ~3):
        raise ProductError("the product's head makes no sense; receive it again")
    return version, flags, header_size


def _build(
    header: dict[int, Any],
    body: bytes,
    by: Tables | None,
    reference: Reference | None,
    decode: Decode,
) -> Product:
    fields = product_header.fields(header, by)
    grid: Georef = fields["georef"]
    crc = product_header.guide(header)
    if by is None:
        mask, entropy, epistemic = _decode_sections(body, grid, fields["block"])
        return Product(mask=mask, entropy=entropy, epistemic=epistemic, **fields)
    guide = None if crc is None else _guide(fields, crc, reference)
    counts = fields["statistics"]
    mask, entropy, epistemic = decode(body, grid, counts, by, guide)
    return Product(
        mask=mask,
        entropy=entropy,
        epistemic=epistemic,
        tables_id=by.tables_id,
        guided=guide is not None,
        **fields,
    )


def _guide(fields: dict[str, Any], crc: bytes, reference: Reference | None) -> Mask:
    """The reference on the product's grid, as the satellite had it."""
    version = fields["reference_version"]
    named = version.hex() if isinstance(version, bytes) else "?"
    if reference is None:
        raise OtherReferenceError(
            f"the product's mask is coded against the permanent-water reference {named}; give "
            "that reference with --reference"
        )
    if reference.version != version:
        raise OtherReferenceError(
            f"the product's mask is coded against the permanent-water reference {named}, but "
            f"the one at hand is {reference.version.hex()}; give the one that flew"
        )
    guide = product_stream.guide_of(reference.on(fields["georef"]))
    if product_stream.fingerprint(guide) != crc:
        raise OtherReferenceError(
            f"the permanent-water reference {named} lies elsewhere on the product's grid here than "
            "it did on board; decode where it was coded, and fly a reference in the frames' own CRS"
        )
    return guide


def _sections(product: Product) -> bytes:
    return b"".join(
        _encode_section(kind, section)
        for kind, section in (
            (_MASK, encode_mask(product.mask)),
            (_ENTROPY, encode_map(product.entropy)),
            (_EPISTEMIC, encode_map(product.epistemic)),
        )
    )


def _decode_sections(data: bytes, grid: Georef, block: int) -> tuple[Mask, Mask, Mask]:
    small = reduced_shape(grid.height, grid.width, block)
    mask, start = _decode_section(_MASK, data, 0)
    entropy, start = _decode_section(_ENTROPY, data, start)
    epistemic, start = _decode_section(_EPISTEMIC, data, start)
    if start != len(data):
        raise ProductError("a product has bytes behind its last section")
    shape = grid.height, grid.width
    return decode_mask(mask, shape), decode_map(entropy, small), decode_map(epistemic, small)


def _encode_section(kind: int, section: Section) -> bytes:
    return _SECTION.pack(kind, section.coding, len(section.data), section.plain) + section.data


def _decode_section(kind: int, data: bytes, start: int) -> tuple[Section, int]:
    end = len(data)
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
