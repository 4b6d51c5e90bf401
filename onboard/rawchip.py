"""Raw chip: a square of a frame's samples as the camera delivered them, asked for by a command.

A file: ``FSRC``, the length of the header (2 bytes, big-endian), the header in canonical CBOR,
the samples ``(rows, cols, bands)`` little-endian and compressed by LZMA (xz), and an id: the first
16 bytes of the SHA-256 of all before it.
"""

from __future__ import annotations

import hashlib
import lzma
from dataclasses import dataclass
from typing import Any

import cbor2
import numpy as np

from onboard.arrays import Array
from onboard.commands import MAX_SIDE
from onboard.errors import ProductError
from onboard.product import ID_BYTES

MAGIC = b"FSRC"
TYPES = ("uint8", "uint16", "int16", "float32")
MAX_BANDS = 32


@dataclass(frozen=True)
class RawChip:
    """A square of a frame.

    Attributes:
        scene_id: of the frame, 32 bytes.
        row, col: of its first pixel in the frame.
        bands: names, in the order of the samples.
        samples: ``(rows, cols, bands)`` as stored, of one of `TYPES`.
    """

    scene_id: bytes
    row: int
    col: int
    bands: tuple[str, ...]
    samples: Array


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
        header: dict[str, Any] = cbor2.loads(body[6 : 6 + size])
        rows, cols, bands = header["shape"]
        kind = header["type"]
        if max(rows, cols) > MAX_SIDE or bands > MAX_BANDS or kind not in TYPES:
            raise ValueError("its size or type is absurd")
        wanted = rows * cols * bands * np.dtype(kind).itemsize
        plain = lzma.LZMADecompressor().decompress(body[6 + size :], max_length=wanted + 1)
        samples = np.frombuffer(plain, np.dtype(kind).newbyteorder("<")).reshape(rows, cols, bands)
        place = header["scene"], header["row"], header["col"]
        return RawChip(*place, tuple(header["bands"]), samples)
    except (ValueError, KeyError, TypeError, cbor2.CBORError, lzma.LZMAError) as error:
        raise ProductError(f"raw chip: does not decode ({error}); ask for it again") from error
