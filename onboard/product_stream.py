"""The rasters of a product as one coded stream, by the tables of its bundle.

Which pixels are nodata, which of the others cloud, which of the rest water; then the two maps.
A class that the header counts no pixels of takes nothing.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

from onboard import classes, doubts, outlines
from onboard.arrays import Bytes
from onboard.entropy import Reader, Writer
from onboard.errors import ProductError
from onboard.georef import Georef
from onboard.outlines import Known
from onboard.product_checks import need
from onboard.reduced import Statistics, block_sums, observed_pixels
from onboard.tables import COVER, ENTROPY, EPISTEMIC, FLOOD, WATER, Tables

if TYPE_CHECKING:
    from onboard.product import Product


def check(product: Product, by: Tables, guide: Bytes | None) -> None:
    """Refuse a product that the tables cannot code.

    Raises:
        ProductError: its maps have another block or other levels, or the guide does not fit.
    """
    need(by.tables_id != b"", "its tables have no id; pack and unpack them first")
    same = (product.block, product.levels) == (by.block, by.levels)
    need(same, f"its tables are for blocks of {by.block} and {by.levels} levels")
    levels = (product.entropy_levels, product.epistemic_levels)
    need(levels == (by.entropy.values, by.epistemic.values), "its levels are not the tables'")
    if guide is not None:
        need(product.reference_version is not None, "a guide needs a reference's version")
        need(guide.shape == product.mask.shape, "its guide is of another size")


def guide_of(reference: Bytes) -> Bytes:
    """A guide out of a reference ``(H, W)`` on the product's grid: 1 permanent water, else 0."""
    from onboard.reference_water import PERMANENT

    return np.asarray(reference == PERMANENT, np.uint8)


def fingerprint(guide: Bytes) -> bytes:
    """A check value of a guide ``(H, W)``: CRC-32 of its bits, row by row."""
    return zlib.crc32(np.packbits(guide).tobytes()).to_bytes(4, "big")


def encode(product: Product, by: Tables, guide: Bytes | None) -> bytes:
    """The rasters' bytes; ``guide`` is uint8 ``(H, W)`` of 0 and 1, on the product's grid."""
    writer, mask, nets = Writer(), product.mask, by.nets
    nodata, cloud, water = (
        (mask == value).astype(np.uint8) for value in (classes.NODATA, classes.CLOUD, classes.WATER)
    )
    if nodata.any():
        outlines.encode(writer, nodata, Known(np.zeros_like(nodata)), nets[COVER])
    if cloud.any():
        outlines.encode(writer, cloud, Known(nodata), nets[COVER])
    if water.any():
        net = nets[WATER if guide is None else FLOOD]
        outlines.encode(writer, water, Known(nodata | cloud, guide), net)
    surface = doubts.describe(mask, by.block)
    doubts.encode(writer, product.entropy, surface, nets[ENTROPY], by.levels)
    doubts.encode(writer, product.epistemic, surface, nets[EPISTEMIC], by.levels, product.entropy)
    return writer.finish()


def decode(
    data: bytes, grid: Georef, counts: Statistics, by: Tables, guide: Bytes | None
) -> tuple[Bytes, Bytes, Bytes]:
    """Undo `encode`: the mask ``(H, W)`` and the two maps over blocks, all uint8.

    Raises:
        ProductError: the stream is not one that `encode` can make.
    """
    reader, nets = Reader(data), by.nets
    nothing = np.zeros((grid.height, grid.width), np.uint8)
    nodata = cloud = water = nothing
    if counts.nodata:
        nodata = outlines.decode(reader, Known(nothing), nets[COVER])
    if counts.cloud:
        cloud = outlines.decode(reader, Known(nodata), nets[COVER])
    if counts.water:
        net = nets[WATER if guide is None else FLOOD]
        water = outlines.decode(reader, Known(nodata | cloud, guide), net)
    mask = np.full(nothing.shape, classes.LAND, np.uint8)
    for plane, value in ((water, classes.WATER), (cloud, classes.CLOUD), (nodata, classes.NODATA)):
        mask[plane == 1] = value
    hidden = block_sums(observed_pixels(mask), by.block, np.int32) == 0
    surface = doubts.describe(mask, by.block)
    entropy = doubts.decode(reader, hidden, surface, nets[ENTROPY], by.levels)
    epistemic = doubts.decode(reader, hidden, surface, nets[EPISTEMIC], by.levels, entropy)
    if not reader.ended:
        raise ProductError("a product has bytes behind its coded stream; receive it again")
    return mask, entropy, epistemic
