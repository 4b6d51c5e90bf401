"""Raw chip: a square of a frame's samples as the camera delivered them, asked for by a command.

A file: ``FSRC``, the length of the header (2 bytes, big-endian), the header in canonical CBOR,
the samples ``(rows, cols, bands)`` little-endian and compressed by LZMA (xz), and an id: the first
16 bytes of the SHA-256 of all before it.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cbor2
import numpy as np

from onboard import formats
from onboard.arrays import Array
from onboard.commands import MAX_SIDE
from onboard.errors import ProductError
from onboard.product import ID_BYTES

MAGIC = b"FSRC"
ENDING = "fsr"
TYPES = ("uint8", "uint16", "int16", "float32")
MAX_BANDS = 32
MAX_ROW = 2**31
SCENE_BYTES = 32
MAX_DECODER_BYTES = 64 * 2**20
"""Memory that unpacking may take for its dictionary: what is packed here needs 9 MiB."""

_ABSURD = (
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    ArithmeticError,
    RecursionError,
    MemoryError,
    cbor2.CBORError,
    lzma.LZMAError,
)
"""What the libraries raise at a file that does not decode."""


@dataclass(frozen=True)
class RawChip:
    """A square of a frame.

    Attributes:
        scene_id: of the frame, 32 bytes.
        row, col: of its first pixel in the frame.
        bands: names, in the order of the samples.
        samples: ``(rows, cols, bands)`` as stored, of one of `TYPES`.
        raw_id: 16 bytes; empty until packed and unpacked.
    """

    scene_id: bytes
    row: int
    col: int
    bands: tuple[str, ...]
    samples: Array
    raw_id: bytes = b""

    @property
    def stem(self) -> str:
        """Its name in files: the first 12 hexadecimal digits of the id."""
        return self.raw_id.hex()[:12]


def pack(chip: RawChip) -> bytes:
    """The file's bytes; the same chip gives the same bytes."""
    header = cbor2.dumps(
        {
            "scene": chip.scene_id,
            "row": chip.row,
            "col": chip.col,
            "bands": list(chip.bands),
            "shape": list(chip.samples.shape),
            "type": chip.samples.dtype.name,
        },
        canonical=True,
    )
    little = np.ascontiguousarray(chip.samples, chip.samples.dtype.newbyteorder("<"))
    body = MAGIC + len(header).to_bytes(2, "big") + header + lzma.compress(little.tobytes())
    return body + hashlib.sha256(body).digest()[:ID_BYTES]


def unpack(data: bytes) -> RawChip:
    """Decode and verify a raw chip.

    Raises:
        ProductError: it is none, or damaged.
    """
    body, name = data[:-ID_BYTES], data[-ID_BYTES:]
    if body[:4] != MAGIC or hashlib.sha256(body).digest()[:ID_BYTES] != name:
        raise ProductError("raw chip: is damaged or none; ask for it again")
    size = int.from_bytes(body[4:6], "big")
    try:
        stream = io.BytesIO(body[6 : 6 + size])
        header = cbor2.load(stream)
        if not isinstance(header, dict):
            raise ValueError("its header makes no sense")
        # The first version says nothing of its version.
        formats.RAW_CHIP.check(header.get("format", 1), "the raw chip", ProductError)
        shape, kind = _checked(header, stream.tell() == size)
        wanted = math.prod(shape) * kind.itemsize
        decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, MAX_DECODER_BYTES)
        plain = decoder.decompress(body[6 + size :], max_length=wanted + 1)
        samples = np.frombuffer(plain, kind.newbyteorder("<")).reshape(shape)
    except ProductError:
        raise
    except _ABSURD as error:
        raise ProductError(f"raw chip: does not decode ({error}); ask for it again") from error
    place = header["scene"], header["row"], header["col"]
    return RawChip(*place, tuple(header["bands"]), samples, name)


def _checked(header: Mapping[str, Any], whole: bool) -> tuple[tuple[int, int, int], Any]:
    """Shape and type of the samples; ValueError, KeyError or TypeError if anything is absurd."""
    rows, cols, bands = header["shape"]
    scene, names = header["scene"], header["bands"]
    place = (header["row"], header["col"])
    good = (
        whole
        and all(type(n) is int and 0 <= n < MAX_ROW for n in place)
        and all(type(n) is int and 1 <= n <= MAX_SIDE for n in (rows, cols))
        and type(bands) is int
        and 1 <= bands <= MAX_BANDS
        and type(scene) is bytes
        and len(scene) == SCENE_BYTES
        and type(names) is list
        and len(names) == bands
        and all(type(name) is str for name in names)
        and header["type"] in TYPES
    )
    if not good:
        raise ValueError("its header makes no sense")
    return (rows, cols, bands), np.dtype(header["type"])
