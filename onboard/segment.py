"""Segmentation: a frame through an engine, tile by tile, to maps and classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from onboard import masks
from onboard.arrays import Array
from onboard.classes import CLOUD, LAND, NODATA, WATER
from onboard.scene import Patch
from onboard.tiles import Tile, Tiling
from onboard.uncertainty import Maps, maps

if TYPE_CHECKING:
    from onboard.bundle import Bundle
    from onboard.engines import Engine

REFERENCE_TILE = 256


class Source(Protocol):
    """What can be segmented: `onboard.scene.Frame` and `ArrayFrame`."""

    @property
    def height(self) -> int:
        """Rows."""

    @property
    def width(self) -> int:
        """Columns."""

    def scene_id(self) -> bytes:
        """SHA-256 of the samples."""

    def read(self, row: int, col: int, height: int, width: int) -> Patch:
        """A window, mirrored at the frame's border."""


class TileMaps(NamedTuple):
    """The finished core of one tile.

    Attributes:
        tile: where it lies in the frame.
        classes: uint8 ``(h, w)``, the balanced operating point.
        maps: probabilities and entropies ``(h, w)``; NaN where there is no data.
        valid: bool ``(h, w)``.
    """

    tile: Tile
    classes: Array
    maps: Maps
    valid: Array


@dataclass(frozen=True)
class Thresholds:
    """An operating point: probabilities from which a pixel is called cloud, else water."""

    water: float
    cloud: float


def classify(found: Maps, valid: Array, thresholds: Thresholds) -> Array:
    """Class mask, uint8 ``(H, W)``.

    Cloud where ``p_cloud`` passes its threshold, else water where ``p_water`` does, else land.
    """
    classes = np.full(valid.shape, LAND, np.uint8)
    classes[found.p_water >= thresholds.water] = WATER
    classes[found.p_cloud >= thresholds.cloud] = CLOUD
    classes[~valid] = NODATA
    return classes


@dataclass(frozen=True)
class Segmenter:
    """A bundle, an engine and how to draw the passes.

    Attributes:
        bundle: the network and its thresholds.
        engine: what runs it.
        passes: T, at least 1; 0 means the deterministic pass, whose epistemic part is zero.
        seed: of the dropout masks.
    """

    bundle: Bundle
    engine: Engine
    passes: int
    seed: int

    def tiling(self, frame: Source) -> Tiling:
        """How a frame is cut for this engine."""
        network = self.bundle.network
        size = self.engine.tile_size or REFERENCE_TILE + 2 * network.halo
        return Tiling(frame.height, frame.width, size, network.halo, network.stride)

    def masks_for(self, scene_id: bytes) -> masks.Masks:
        """The masks of all passes over one scene."""
        network = self.bundle.network
        if self.passes == 0:
            return masks.ones(network)
        return masks.draw(
            network, self.seed, self.bundle.model_id, scene_id, list(range(self.passes))
        )

    def run(self, frame: Source, scene_id: bytes | None = None) -> Iterator[TileMaps]:
        """Finished cores, row by row. ``scene_id`` saves reading the frame twice if known."""
        drawn = self.masks_for(scene_id or frame.scene_id())
        tiling = self.tiling(frame)
        for tile in tiling:
            patch = frame.read(
                tile.row - tiling.halo, tile.col - tiling.halo, tiling.size, tiling.size
            )
            inside = (
                slice(tiling.halo, tiling.halo + tile.height),
                slice(tiling.halo, tiling.halo + tile.width),
            )
            valid = patch.valid[inside]
            inputs = self.bundle.normalisation.apply(patch.reflectance, patch.valid)
            moments = self.engine.run(inputs, drawn)
            core = maps(type(moments)(*(a[inside] for a in moments)))
            classes = classify(core, valid, self.bundle.balanced)
            for array in core:
                array[~valid] = np.nan
            yield TileMaps(tile, classes, core, valid)

    def whole(self, frame: Source) -> TileMaps:
        """All tiles in one piece, for frames that fit into memory."""
        shape = (frame.height, frame.width)
        classes, valid = np.empty(shape, np.uint8), np.empty(shape, bool)
        found = Maps(*(np.empty(shape, np.float32) for _ in Maps._fields))
        for part in self.run(frame):
            at = part.tile.window
            classes[at], valid[at] = part.classes, part.valid
            for target, source in zip(found, part.maps):
                target[at] = source
        return TileMaps(Tile(0, 0, *shape), classes, found, valid)
