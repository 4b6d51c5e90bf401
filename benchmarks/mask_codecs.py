"""What others make of a mask: image formats, fax codes and outlines as polygons, in bytes.

Each is given what it is best at: image formats two bits a pixel or a palette, bi-level coders one
plane for each class that occurs beside land. JBIG1 is ``pbmtojbg`` of Debian's ``jbigkit-bin``,
the smallest of sequential coding with one stripe, with several, and the tool's own default.
"""

from __future__ import annotations

import io
import lzma
import shutil
import subprocess
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import rasterio.features
import shapely
from PIL import Image
from scipy import ndimage

from onboard.arrays import Array, Bytes
from onboard.classes import CLOUD, NODATA, WATER
from onboard.coding import encode_mask

JBIG = "pbmtojbg"
GRID = 4
"""Steps a pixel that polygons' corners are rounded to."""
TOLERANCES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Of simplification by Douglas and Peucker, pixels."""


def planes(mask: Bytes) -> list[Bytes]:
    """One plane of 0 and 1 for each class beside land that occurs; at least the water."""
    found = [(mask == value).astype(np.uint8) for value in (WATER, CLOUD, NODATA)]
    return [found[0], *(plane for plane in found[1:] if plane.any())]


def png(mask: Bytes) -> int:
    """Two bits a pixel with a palette, as small as Pillow makes it."""
    return _saved(_palette(mask), "PNG", optimize=True, bits=2)


def webp(mask: Bytes) -> int:
    """Lossless WebP with the most effort."""
    return _saved(_palette(mask).convert("RGB"), "WEBP", lossless=True, quality=100, method=6)


def fax(mask: Bytes) -> int:
    """CCITT G4 of each plane: the data alone, without TIFF's own bytes."""
    return sum(_fax_plane(plane) for plane in planes(mask))


def _fax_plane(plane: Bytes) -> int:
    out = io.BytesIO()
    rows = plane.shape[0]
    Image.fromarray(plane * np.uint8(255)).convert("1").save(
        out, "TIFF", compression="group4", tiffinfo={278: rows}
    )
    with Image.open(out) as tif:
        return int(sum(tif.tag_v2[279]))  # type: ignore[attr-defined]  # of a TIFF


def jbig(mask: Bytes) -> int | None:
    """JBIG1 of each plane; None where the tool is not installed."""
    if shutil.which(JBIG) is None:
        return None
    return sum(_jbig_plane(plane) for plane in planes(mask))


def _jbig_plane(plane: Bytes) -> int:
    height, width = plane.shape
    image = b"P4\n%d %d\n" % (width, height) + np.packbits(plane, axis=1).tobytes()
    ways: tuple[list[str], ...] = (["-q", "-s", str(height)], ["-q"], [])
    return min(
        len(subprocess.run([JBIG, *way, "-"], input=image, capture_output=True, check=True).stdout)
        for way in ways
    )


def planes_lzma(mask: Bytes) -> int:
    """What products of version 1 took."""
    return len(encode_mask(mask).data)


CODECS: dict[str, Callable[[Bytes], int | None]] = {
    "PNG": png,
    "WebP": webp,
    "G4": fax,
    "LZMA planes": planes_lzma,
    "JBIG1": jbig,
}


class Simplified(NamedTuple):
    """Water as polygons.

    Attributes:
        tolerance: of the simplification, pixels.
        bytes: of the corners' differences, compressed.
        iou: of the polygons and the water.
    """

    tolerance: float
    bytes: int
    iou: float


def polygons(water: Bytes) -> list[Simplified]:
    """Water, uint8 (H, W) of 0 and 1, as polygons of several tolerances."""
    shapes = rasterio.features.shapes(water, mask=water == 1)
    found = [shapely.geometry.shape(shape) for shape, _ in shapes]
    return [_simplified(found, water, tolerance) for tolerance in TOLERANCES]


def _simplified(found: list[shapely.Polygon], water: Bytes, tolerance: float) -> Simplified:
    simple = [shape.simplify(tolerance) for shape in found]
    kept = [shape for shape in simple if not shape.is_empty and shape.area > 0]
    if not kept:
        return Simplified(tolerance, 0, 0.0)
    drawn = rasterio.features.rasterize(kept, water.shape, dtype="uint8")
    both = np.count_nonzero(drawn & water)
    return Simplified(tolerance, len(_corners(kept)), both / np.count_nonzero(drawn | water))


def _corners(shapes: list[shapely.Polygon]) -> bytes:
    """Rings as differences of corners in steps of 1 / ``GRID`` pixel, zigzag LEB128, LZMA."""
    out, at = bytearray(), np.zeros(2, np.int64)
    for shape in shapes:
        rings = [shape.exterior, *shape.interiors]
        out += _leb(len(rings))
        for ring in rings:
            corners = np.rint(np.array(ring.coords)[:-1] * GRID).astype(np.int64)
            out += _leb(len(corners))
            steps = np.diff(np.vstack([at, corners]), axis=0)
            at = corners[-1]
            for step in steps.ravel().tolist():
                out += _leb(2 * step if step >= 0 else -2 * step - 1)
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9, "lc": 0, "lp": 0, "pb": 0}]
    return lzma.compress(bytes(out), lzma.FORMAT_RAW, filters=filters)


def _leb(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def simulated_reference(water: Bytes, flood_share: float, shift: int, seed: int) -> Bytes:
    """A reference that never was: the water less a simulated flood, on a shifted grid.

    Args:
        water: uint8 (H, W) of 0 and 1.
        flood_share: share of the water that is flood: where a field of smooth noise is highest,
            and all along the shores, by a pixel.
        shift: columns by which the reference lies off.
        seed: of the noise.
    """
    if not water.any():
        return np.zeros_like(water)
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=water.shape), 16.0)
    dry = noise >= np.quantile(noise[water == 1], 1 - flood_share)
    shrunk: Array = ndimage.binary_erosion(water == 1, border_value=1) & ~dry
    return np.asarray(np.roll(shrunk, shift, axis=1), np.uint8)


def _palette(mask: Bytes) -> Image.Image:
    image = Image.fromarray(np.where(mask == NODATA, 3, mask).astype(np.uint8), "P")
    image.putpalette([0, 0, 0, 0, 0, 255, 255, 255, 255, 128, 128, 128])
    return image


def _saved(image: Image.Image, kind: str, **options: object) -> int:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.tell()
