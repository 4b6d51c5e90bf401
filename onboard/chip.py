"""Chip: a tile of a frame with its samples, sent home to be labelled.

The samples are lossless. Where the frame's samples are reflectance by a scale and an offset, they
are the frame's own; where they are raw counts, they are the calibrated reflectance that the
network saw, in steps of ``STEP``. With them go the bands' names, the place, the frame's scene id
and what the network made of it. Like a product, a chip carries its own length and its id (the
first 16 bytes of the SHA-256 over all bytes before them). ``docs/triage.md`` has the byte tables.
"""

from __future__ import annotations

import dataclasses
import lzma
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cbor2
import numpy as np

from onboard import formats
from onboard.arrays import Array, Bytes
from onboard.coding import LZMA_DICTIONARY, Coding, Section, decode_mask, encode_mask
from onboard.errors import ProductError
from onboard.georef import Georef
from onboard.headers import decode_header
from onboard.product import ID_BYTES, identify
from onboard.scene import OpenFrame
from onboard.tiles import Tile

MAGIC = b"FSCH"
FORMAT_VERSION = formats.CHIP.version
MAX_SIDE = 1024
MAX_BANDS = 64
MAX_HEADER = 16384
MAX_BYTES = 2**24
MAX_TEXT = 4096
TYPES = ("uint16", "int16", "float32")
STEP = 1e-4

_HEAD = struct.Struct(">4sBHI")
_SECTION = struct.Struct(">BII")
_FILTERS = [
    {"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": LZMA_DICTIONARY, "lc": 3, "lp": 0, "pb": 0}
]
_STORED, _RESIDUALS = 0, 1


@dataclass(frozen=True, eq=False)
class Chip:
    """A tile to be labelled. Compare two by their ``pack``ed bytes.

    Attributes:
        scene_id, model_id: 32 bytes each, of the frame and of the weights that chose it.
        sensor: its name.
        bands: names, in the order of the samples' last axis.
        samples: (h, w, bands) of one of ``TYPES``; at most ``MAX_SIDE`` a side.
        scales, offsets: a number each band: reflectance = sample · scale + offset.
        row, col: of its upper left pixel in the frame.
        georef: its own grid; may be without coordinates.
        acquired_ms: UTC milliseconds since 1970, or None.
        geolocation_sigma_m: one standard deviation of the position on the ground, or None.
        mask: (h, w) uint8 of ``onboard.classes``: what the network made of it.
        epistemic: mean mutual information of its observed pixels, nats.
        worth: of a label, nats; see `onboard.labelling`.
        chip_id: 16 bytes; empty until packed and unpacked.
    """

    scene_id: bytes
    model_id: bytes
    sensor: str
    bands: tuple[str, ...]
    samples: Array
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    row: int
    col: int
    georef: Georef
    acquired_ms: int | None
    geolocation_sigma_m: float | None
    mask: Bytes
    epistemic: float
    worth: float
    chip_id: bytes = b""

    def __post_init__(self) -> None:
        _check(self)

    @property
    def stem(self) -> str:
        """A short name for files: the first 12 hexadecimal digits of the id."""
        return self.chip_id.hex()[:12]

    @property
    def reflectance(self) -> Array:
        """Float32 ``(h, w, bands)``."""
        scales, offsets = (np.array(v, np.float32) for v in (self.scales, self.offsets))
        return np.asarray(self.samples.astype(np.float32) * scales + offsets)


def cut(frame: OpenFrame, tile: Tile, classes: Bytes, **fields: Any) -> Chip:
    """The chip of one tile of a frame.

    Args:
        frame: where the samples are.
        tile: within the frame.
        classes: (H, W) uint8, the mask of the whole frame.
        fields: the other fields of `Chip`.

    Raises:
        FrameError: the samples cannot be read.
    """
    window = (tile.row, tile.col, tile.height, tile.width)
    scaling = frame.scaling
    if scaling is None:
        samples = steps(frame.read(*window).reflectance)
        count = samples.shape[-1]
        scaling = np.full(count, STEP), np.zeros(count)
    else:
        samples = frame.samples(*window)
    scales, offsets = (tuple(float(one) for one in values) for values in scaling)
    return Chip(
        sensor=frame.sensor.name,
        bands=frame.sensor.bands,
        samples=samples,
        scales=scales,
        offsets=offsets,
        row=tile.row,
        col=tile.col,
        georef=_part(frame.georef, tile),
        geolocation_sigma_m=frame.capture.geolocation_sigma_m,
        mask=classes[tile.window],
        **fields,
    )


def _part(grid: Georef, tile: Tile) -> Georef:
    """The grid of a tile."""
    if not grid.located:
        return Georef(tile.width, tile.height)
    a, b, c, d, e, f = grid.transform
    x, y = a * tile.col + b * tile.row + c, d * tile.col + e * tile.row + f
    return Georef(tile.width, tile.height, grid.crs, (a, b, x, d, e, y))


def steps(reflectance: Array) -> Array:
    """Reflectance of any shape as int16 in steps of ``STEP``; what int16 cannot hold is cut."""
    bounds = np.iinfo(np.int16)
    scaled = np.nan_to_num(np.rint(reflectance / np.float32(STEP)))
    return np.asarray(np.clip(scaled, bounds.min, bounds.max).astype(np.int16))


# --- checks ---------------------------------------------------------------------------------


def _need(condition: bool, message: str) -> None:
    if not condition:
        raise ProductError(f"a chip cannot be made: {message}")


def _check(chip: Chip) -> None:
    for name in ("scene_id", "model_id"):
        value = getattr(chip, name)
        _need(isinstance(value, bytes) and len(value) == 32, f"{name} needs 32 bytes")
    for text in (chip.sensor, chip.georef.crs, *chip.bands):
        _need(isinstance(text, str) and len(text) <= MAX_TEXT, "a text is too long or none")
    _check_samples(chip)
    for value in (chip.row, chip.col):
        _need(_is_int(value) and 0 <= value < 2**32, f"it cannot begin at {value!r}")
    _need(len(chip.georef.transform) == 6, "transform needs six numbers")
    numbers = (*chip.scales, *chip.offsets, *chip.georef.transform, chip.epistemic, chip.worth)
    _need(all(_is_number(value) for value in numbers), "a number is not finite")
    _need(chip.epistemic >= 0 and chip.worth >= 0, "its worth is negative")
    _need(chip.acquired_ms is None or _is_int(chip.acquired_ms), "acquired_ms is no whole number")
    sigma = chip.geolocation_sigma_m
    _need(sigma is None or (_is_number(sigma) and sigma >= 0), "its sigma is negative or none")


def _check_samples(chip: Chip) -> None:
    shape, kind = chip.samples.shape, chip.samples.dtype.name
    _need(kind in TYPES, f"its samples are {kind}, not one of {', '.join(TYPES)}")
    _need(len(shape) == 3 and shape[2] == len(chip.bands), "samples and band names do not agree")
    _need(1 <= len(chip.bands) <= MAX_BANDS, f"it has {len(chip.bands)} bands")
    _need(max(shape[:2]) <= MAX_SIDE, f"{shape[1]}×{shape[0]} pixels are too many")
    _need((chip.georef.height, chip.georef.width) == shape[:2], "grid and samples do not agree")
    _need(chip.mask.shape == shape[:2] and chip.mask.dtype == np.uint8, "the mask does not fit")
    _need(len(chip.scales) == len(chip.offsets) == shape[2], "a scale or offset is missing")


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value)


# --- bytes ----------------------------------------------------------------------------------

# Keys of the header, a CBOR map. A field that is None is left out. Numbers are never reused.
_KEYS = {
    "scene_id": 1,
    "model_id": 2,
    "sensor": 3,
    "bands": 4,
    "type": 5,
    "scales": 6,
    "offsets": 7,
    "row": 8,
    "col": 9,
    "width": 10,
    "height": 11,
    "crs": 12,
    "transform": 13,
    "acquired_ms": 14,
    "geolocation_sigma_m": 15,
    "epistemic": 16,
    "worth": 17,
}


def pack(chip: Chip) -> bytes:
    """The chip's bytes.

    Raises:
        ProductError: it is too large for the link.
    """
    fields = _fields(chip)
    items = {_KEYS[name]: value for name, value in fields.items() if value is not None}
    header = cbor2.dumps(items, canonical=True)
    mask = encode_mask(np.ascontiguousarray(chip.mask))
    sections = _section(*_encode(chip.samples)) + _section(int(mask.coding), mask.plain, mask.data)
    total = _HEAD.size + len(header) + len(sections) + ID_BYTES
    _need(len(header) <= MAX_HEADER and total <= MAX_BYTES, f"{total} bytes are too many")
    body = _HEAD.pack(MAGIC, FORMAT_VERSION, len(header), total) + header + sections
    return body + identify(body)


def unpack(data: bytes) -> Chip:
    """Decode and verify a chip.

    Raises:
        ProductError: the bytes are not one whole chip of a version that is known here.
    """
    size = _verify(data)
    start = _HEAD.size + size
    header = decode_header(data[_HEAD.size : start], "a chip")
    try:
        fields = {name: header.get(key) for name, key in _KEYS.items()}
        shape = _shape(fields)
        coding, plain, packed, start = _read_section(data, start)
        samples = _decode(coding, plain, packed, shape, str(fields["type"]))
        coding, plain, packed, start = _read_section(data, start)
        if start != len(data) - ID_BYTES:
            raise ProductError("a chip has bytes behind its last section")
        mask = decode_mask(Section(Coding(coding), plain, packed), shape[:2])
        return _build(fields, samples, mask, data[-ID_BYTES:])
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        if isinstance(error, ProductError):
            raise
        raise ProductError(f"a chip's header or sections are garbled ({error})") from error


def _fields(chip: Chip) -> dict[str, Any]:
    grid = chip.georef
    return {
        "scene_id": chip.scene_id,
        "model_id": chip.model_id,
        "sensor": chip.sensor,
        "bands": list(chip.bands),
        "type": chip.samples.dtype.name,
        "scales": list(chip.scales),
        "offsets": list(chip.offsets),
        "row": chip.row,
        "col": chip.col,
        "width": grid.width,
        "height": grid.height,
        "crs": grid.crs,
        "transform": list(grid.transform),
        "acquired_ms": chip.acquired_ms,
        "geolocation_sigma_m": chip.geolocation_sigma_m,
        "epistemic": chip.epistemic,
        "worth": chip.worth,
    }


def _build(fields: Mapping[str, Any], samples: Array, mask: Bytes, chip_id: bytes) -> Chip:
    a, b, c, d, e, f = fields["transform"]
    names = ("scene_id", "model_id", "sensor", "row", "col", "acquired_ms", "geolocation_sigma_m")
    chip = Chip(
        **{name: fields[name] for name in names},
        bands=tuple(fields["bands"]),
        samples=samples,
        scales=tuple(fields["scales"]),
        offsets=tuple(fields["offsets"]),
        georef=Georef(fields["width"], fields["height"], fields["crs"], (a, b, c, d, e, f)),
        mask=mask,
        epistemic=fields["epistemic"],
        worth=fields["worth"],
    )
    return dataclasses.replace(chip, chip_id=chip_id)


def _verify(data: bytes) -> int:
    """Check all that needs no decoding; give the header's length."""
    if len(data) < _HEAD.size + ID_BYTES:
        raise ProductError(f"{len(data)} bytes are too few for a chip; receive it again")
    magic, version, size, total = _HEAD.unpack_from(data)
    if magic != MAGIC:
        raise ProductError("these bytes are no FloodSat chip; give a .fsc file")
    formats.CHIP.check(version, "the chip", ProductError, "receive it again")
    if total != len(data) or total > MAX_BYTES:
        raise ProductError(f"the chip says {total} bytes but has {len(data)}; receive it again")
    if identify(data[:-ID_BYTES]) != data[-ID_BYTES:]:
        raise ProductError("the chip's bytes do not match its id; receive it again")
    if size > min(MAX_HEADER, total - _HEAD.size - ID_BYTES):
        raise ProductError("the chip's head makes no sense; receive it again")
    return int(size)


def _shape(fields: Mapping[str, Any]) -> tuple[int, int, int]:
    height, width, bands = fields["height"], fields["width"], len(fields["bands"])
    sides = all(_is_int(side) and 1 <= side <= MAX_SIDE for side in (height, width))
    if not sides or not 1 <= bands <= MAX_BANDS or fields["type"] not in TYPES:
        raise ProductError("a chip's size or type makes no sense")
    return height, width, bands


def _section(coding: int, plain: int, data: bytes) -> bytes:
    return _SECTION.pack(coding, len(data), plain) + data


def _read_section(data: bytes, start: int) -> tuple[int, int, bytes, int]:
    end = len(data) - ID_BYTES
    if start + _SECTION.size > end:
        raise ProductError("a chip ends within its sections")
    coding, size, plain = _SECTION.unpack_from(data, start)
    start += _SECTION.size
    if start + size > end:
        raise ProductError("a chip's section is longer than the chip")
    return coding, plain, data[start : start + size], start + size


# --- samples --------------------------------------------------------------------------------


def _encode(samples: Array) -> tuple[int, int, bytes]:
    """Coding, plain length and bytes of the shorter of both codings."""
    words = _words(samples)
    plain = _to_planes(_folded(_residuals(words)))
    packed = lzma.compress(plain, lzma.FORMAT_RAW, filters=_FILTERS)
    stored = _to_planes(words)
    if len(packed) < len(stored):
        return _RESIDUALS, len(plain), packed
    return _STORED, len(stored), stored


def _decode(
    coding: int, plain: int, packed: bytes, shape: tuple[int, int, int], kind: str
) -> Array:
    height, width, bands = shape
    little = np.dtype(kind).newbyteorder("<")
    if plain != height * width * bands * little.itemsize:
        raise ProductError("a chip's samples are not as many as its header says")
    if coding == _STORED:
        data = packed
    elif coding == _RESIDUALS:
        data = _inflated(packed, plain)
    else:
        raise ProductError(f"a chip uses coding {coding}, unknown here; update FloodSat")
    if len(data) != plain:
        raise ProductError("a chip's samples are not as many as its header says")
    words = _from_planes(data, (bands, height, width), little.itemsize)
    if coding == _RESIDUALS:
        words = _summed(_unfolded(words))
    image = np.ascontiguousarray(words.transpose(1, 2, 0)).view(little)
    return np.asarray(image.astype(np.dtype(kind)))


def _words(samples: Array) -> Array:
    """Samples as unsigned words ``(bands, h, w)`` with the same bits."""
    size = samples.dtype.itemsize
    planes = np.ascontiguousarray(samples.transpose(2, 0, 1))
    return planes.view(np.dtype(f"u{size}"))


def _residuals(words: Array) -> Array:
    """Each word less its left neighbour, and that less the same of the band before; modulo.

    The first of a row goes by the one above it.
    """
    found = words.copy()
    found[:, :, 1:] -= words[:, :, :-1]
    found[:, 1:, 0] -= words[:, :-1, 0]
    bands = found.copy()
    bands[1:] -= found[:-1]
    return bands


def _summed(residuals: Array) -> Array:
    """Undo `_residuals`."""
    kind = residuals.dtype
    found = np.add.accumulate(residuals, axis=0, dtype=kind)
    found[:, :, 0] = np.add.accumulate(found[:, :, 0], axis=1, dtype=kind)
    return np.asarray(np.add.accumulate(found, axis=2, dtype=kind))


def _folded(words: Array) -> Array:
    """Small differences of either sign as small words: 0, -1, 1, -2 become 0, 1, 2, 3."""
    bits = 8 * words.dtype.itemsize
    negative = words >> (bits - 1)
    return np.asarray(np.where(negative == 1, ~(words << 1), words << 1).astype(words.dtype))


def _unfolded(words: Array) -> Array:
    """Undo `_folded`."""
    return np.asarray(np.where(words & 1, ~(words >> 1), words >> 1).astype(words.dtype))


def _to_planes(words: Array) -> bytes:
    """First all highest bytes, last all lowest ones."""
    size = words.dtype.itemsize
    bytes_ = np.ascontiguousarray(words.astype(words.dtype.newbyteorder(">"))).view(np.uint8)
    return np.ascontiguousarray(bytes_.reshape(-1, size).T).tobytes()


def _from_planes(data: bytes, shape: tuple[int, int, int], size: int) -> Array:
    bytes_ = np.frombuffer(data, np.uint8).reshape(size, -1).T
    words = np.ascontiguousarray(bytes_).view(np.dtype(f">u{size}"))
    return np.asarray(words.reshape(shape).astype(np.dtype(f"u{size}")))


def _inflated(data: bytes, size: int) -> bytes:
    decoder = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_FILTERS)
    try:
        found = decoder.decompress(data, max_length=size)
        if not decoder.eof:
            # The end mark may still be unread when the last byte is out.
            found += decoder.decompress(b"", max_length=1)
    except (lzma.LZMAError, EOFError) as error:
        raise ProductError(f"a chip's samples do not decompress ({error})") from error
    if not decoder.eof or decoder.unused_data:
        raise ProductError("a chip's samples do not decompress to their length")
    return found
