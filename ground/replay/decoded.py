"""Decoded rasters of products, kept on disk: a replay decodes the bytes of one product once.

Decoding is a pure function of the coded bytes, the grid, which classes there are, the tables and
the guide. What is kept is that function's value; whether a product is whole and its own is
verified every time all the same.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from onboard import files, product_stream
from onboard.arrays import Bytes
from onboard.georef import Georef
from onboard.product import unpack
from onboard.reduced import Statistics
from onboard.tables import Tables

if TYPE_CHECKING:
    from onboard.product import Unpack

FORMAT = 1
_FIELDS = ("mask", "entropy", "epistemic")
Rasters = tuple[Bytes, Bytes, Bytes]


@dataclass(frozen=True)
class KeptRasters:
    """`onboard.product_stream.decode`, which looks into a folder first.

    Attributes:
        cache: folder of what earlier replays kept.
    """

    cache: Path

    def __call__(
        self, data: bytes, grid: Georef, counts: Statistics, by: Tables, guide: Bytes | None
    ) -> Rasters:
        """The mask and the two maps; see `onboard.product_stream.decode`."""
        shape = (grid.height, grid.width)
        classes = bytes([counts.nodata > 0, counts.cloud > 0, counts.water > 0])
        key = hashlib.sha256(bytes([FORMAT]) + repr(shape).encode() + classes + by.tables_id)
        key.update(b"" if guide is None else product_stream.fingerprint(guide))
        key.update(data)
        path = self.cache / "products" / f"{key.hexdigest()[:32]}.npz"
        found = _load(path)
        if found is None:
            found = product_stream.decode(data, grid, counts, by, guide)
            with files.replacing(path) as part:
                np.savez_compressed(part, **dict(zip(_FIELDS, found, strict=True)))
        return found


def unpacker(cache: Path) -> Unpack:
    """`onboard.product.unpack` with rasters that are kept in a folder."""
    return partial(unpack, decode=KeptRasters(cache))


def _load(path: Path) -> Rasters | None:
    """Kept rasters; None where there are none, or not whole ones: then they are decoded anew."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            mask, entropy, epistemic = (kept[name] for name in _FIELDS)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    return mask, entropy, epistemic
