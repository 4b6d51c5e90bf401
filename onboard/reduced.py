"""Reduced: what a product says of a whole frame in little: maps over blocks, and figures.

A reduced map holds for each block of pixels the mean of a map of nats over what was observed
there, as a level. Levels are either even steps (`quantise`) or those of a `Scale`, few and placed
where the values lie. Statistics are of the whole frame, and of each region of a coarse grid.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from onboard import classes
from onboard.georef import Georef

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.uint8]
    Flags = NDArray[np.bool_]
    Floats = NDArray[np.floating[Any]]

NOT_OBSERVED = 255
DEFAULT_BLOCK = 8
DEFAULT_LEVELS = 64
EPISTEMIC_POWER = 2
STRIP_ROWS = 256
LN2 = math.log(2.0)

REGIONS_A_SIDE = 4
REGION_STEP = 32
LEAST_REGION = 256
REGION_TOP = 254
"""Largest code of a region's mean: ln 2; codes are squared, as most means are small."""


class Scale(NamedTuple):
    """Few levels of a reduced map.

    Attributes:
        edges: nats, rising; a mean belongs to the level that counts the edges it reaches.
        values: nats, what stands for each level; one more than edges.
    """

    edges: tuple[float, ...]
    values: tuple[float, ...]


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
    for rows, means in _block_means(values, observed, block):
        share = np.clip(means / LN2, 0.0, 1.0) ** (1.0 / power)
        codes[rows] = _coded(np.floor(share * (levels - 1) + 0.5), means)
    return codes


def grade(values: Floats, observed: Flags, block: int, scale: Scale) -> Mask:
    """Average a map of nats over blocks of observed pixels and tell the level of each.

    Args:
        values: (H, W) float, nats; what is not observed may be NaN.
        observed: (H, W) bool.
        block: side of a block in pixels.
        scale: the levels.

    Returns:
        (ceil(H/block), ceil(W/block)) uint8; ``NOT_OBSERVED`` where a block has no observed
        pixel.
    """
    codes: Mask = np.empty(reduced_shape(values.shape[0], values.shape[1], block), np.uint8)
    for rows, means in _block_means(values, observed, block):
        codes[rows] = _coded(np.searchsorted(scale.edges, means, side="right"), means)
    return codes


def block_means(values: Floats, observed: Flags, block: int) -> NDArray[np.float64]:
    """Means of ``(H, W)`` over blocks, nats: ``(ceil(H/block), ceil(W/block))``, NaN unobserved."""
    parts = [means for _, means in _block_means(values, observed, block)]
    found: NDArray[np.float64] = np.concatenate(parts)
    return found


def _block_means(
    values: Floats, observed: Flags, block: int
) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Rows of blocks and their means; NaN where a block has no observed pixel."""
    for rows in _strips(values.shape[0], block):
        seen = observed[rows]
        counts = block_sums(seen, block, np.int64)
        clean = np.where(seen, values[rows], np.zeros((), values.dtype))
        means = block_sums(clean, block, np.float64) / np.maximum(counts, 1)
        means[counts == 0] = np.nan
        top = rows.start // block
        yield slice(top, top + len(means)), means


def _coded(levels: NDArray[Any], means: NDArray[np.float64]) -> Mask:
    codes: Mask = np.where(np.isnan(means), NOT_OBSERVED, levels).astype(np.uint8)
    return codes


def dequantise(codes: Mask, levels: int = DEFAULT_LEVELS, power: int = 1) -> NDArray[np.float32]:
    """Undo `quantise`: (h, w) float32 in nats, NaN where nothing was observed."""
    share = codes.astype(np.float64) / (levels - 1)
    nats = (LN2 * share**power).astype(np.float32)
    nats[codes == NOT_OBSERVED] = np.nan
    return nats


def graded(codes: Mask, values: tuple[float, ...]) -> NDArray[np.float32]:
    """Undo `grade`: (h, w) float32 in nats, NaN where nothing was observed."""
    nats = np.full(256, np.nan, np.float32)
    nats[: len(values)] = values
    found: NDArray[np.float32] = nats[codes]
    return found


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
    counts = class_counts(mask)
    area = pixel_area_m2(georef)
    flood = None if beyond is None else int(((mask == classes.WATER) & beyond).sum())
    return Statistics(
        *counts,
        water_area_m2=None if area is None else area * counts[1],
        flood=flood,
        flood_area_m2=None if area is None or flood is None else area * flood,
        mean_entropy=_short(mean_where(entropy, seen)),
        mean_epistemic=_short(mean_where(epistemic, seen)),
        mean_p_water=_short(
            mean_where(p_water, seen) if isinstance(p_water, np.ndarray) else p_water
        ),
    )


def _short(value: float | None) -> float | None:
    """A figure as float32: it takes half the bytes, and nobody reads more digits."""
    return None if value is None else float(np.float32(value))


class Regions(NamedTuple):
    """Figures of each region of a coarse grid over a frame, row by row.

    Attributes:
        side: of a region, pixels; the last row and column of regions may be cut.
        entropy, epistemic: means as codes of a byte: c means ln 2 · (c / 254)² nats; 255 where
            nothing was observed.
        flood: water pixels outside the permanent-water reference; None without one.
    """

    side: int
    entropy: bytes
    epistemic: bytes
    flood: tuple[int, ...] | None = None


class Region(NamedTuple):
    """What is known of one region: its window in pixels, class counts, flood and mean nats.

    ``flood`` is None without a reference, the means where nothing was observed.
    """

    row: int
    col: int
    height: int
    width: int
    land: int
    water: int
    cloud: int
    nodata: int
    flood: int | None
    mean_entropy: float | None
    mean_epistemic: float | None


def region_side(height: int, width: int) -> int:
    """Side of the regions of a frame: at most ``REGIONS_A_SIDE`` a side, whole blocks."""
    even = -(-max(height, width) // REGIONS_A_SIDE)
    return max(LEAST_REGION, -(-even // REGION_STEP) * REGION_STEP)


def region_grid(height: int, width: int, side: int) -> tuple[int, int]:
    """Rows and columns of regions."""
    return reduced_shape(height, width, side)


def divide(
    mask: Mask, entropy: Floats, epistemic: Floats, beyond: Flags | None = None
) -> Regions | None:
    """The figures of a frame's regions, arguments as of `summarise`.

    None where the frame is a single region: then they are the frame's own.
    """
    side = region_side(*mask.shape)
    if max(mask.shape) <= side:
        return None
    seen = observed_pixels(mask)
    codes = [_region_codes(values, seen, side) for values in (entropy, epistemic)]
    flood = None
    if beyond is not None:
        counts = block_sums((mask == classes.WATER) & beyond, side, np.int64)
        flood = tuple(int(count) for count in counts.ravel())
    return Regions(side, codes[0], codes[1], flood)


def _region_codes(values: Floats, seen: Flags, side: int) -> bytes:
    codes = quantise(values, seen, side, REGION_TOP + 1, EPISTEMIC_POWER)
    return codes.tobytes()


def region_table(mask: Mask, regions: Regions) -> tuple[Region, ...]:
    """What is known of each region of a decoded frame."""
    height, width = mask.shape
    rows, cols = region_grid(height, width, regions.side)
    codes = (np.frombuffer(part, np.uint8) for part in (regions.entropy, regions.epistemic))
    means = [dequantise(part, REGION_TOP + 1, EPISTEMIC_POWER).tolist() for part in codes]
    found = []
    for which in range(rows * cols):
        row, col = (regions.side * at for at in divmod(which, cols))
        part = mask[row : row + regions.side, col : col + regions.side]
        tall, wide = part.shape
        entropy, epistemic = (None if one[which] != one[which] else one[which] for one in means)
        flood = None if regions.flood is None else regions.flood[which]
        found.append(Region(row, col, tall, wide, *class_counts(part), flood, entropy, epistemic))
    return tuple(found)


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


def block_sums(values: NDArray[Any], block: int, dtype: Any) -> NDArray[Any]:
    """Sums of (H, W) over blocks: (ceil(H/block), ceil(W/block)) of ``dtype``."""
    height, width = values.shape
    rows = np.add.reduceat(values, np.arange(0, height, block), axis=0, dtype=dtype)
    sums: NDArray[Any] = np.add.reduceat(rows, np.arange(0, width, block), axis=1, dtype=dtype)
    return sums


def class_counts(mask: Mask) -> tuple[int, int, int, int]:
    """Pixels of land, water, cloud and nodata."""
    order = (classes.LAND, classes.WATER, classes.CLOUD, classes.NODATA)
    land, water, cloud, nodata = (int(np.count_nonzero(mask == value)) for value in order)
    return land, water, cloud, nodata
