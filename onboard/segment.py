"""Segmentation: a frame through an engine, tile by tile, to maps and classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from onboard import masks
from onboard.ahead import ahead
from onboard.arrays import Array
from onboard.classes import CLOUD, NODATA, WATER
from onboard.errors import NotFiniteError
from onboard.tiles import Tile, Tiling
from onboard.uncertainty import Maps, Moments, maps

if TYPE_CHECKING:
    from onboard.bundle import Bundle
    from onboard.engines import Engine
    from onboard.scene import Patch

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
    # The labels grow with their rank, so the largest that applies is the class; see `classes`.
    classes = (found.p_water >= thresholds.water).view(np.uint8) * np.uint8(WATER)
    cloud = (found.p_cloud >= thresholds.cloud).view(np.uint8) * np.uint8(CLOUD)
    np.maximum(classes, cloud, out=classes)
    if not valid.all():
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
        for tile, inputs, valid in self.inputs(frame):
            rows, cols = slice(0, tile.height), slice(0, tile.width)
            moments = self.engine.run(inputs, drawn)
            del inputs
            self._check(moments)
            core = maps(type(moments)(*(a[rows, cols] for a in moments)))
            del moments
            classes = classify(core, valid, self.bundle.balanced)
            if not valid.all():
                core = Maps(*(np.where(valid, array, np.float32(np.nan)) for array in core))
            yield TileMaps(tile, classes, core, valid)
            # Not kept while the engine, whose memory is the most, works on the next one.
            del core, classes, valid

    def _check(self, moments: Moments) -> None:
        """Refuse what is no number: it would be taken for land, and be sent as such."""
        # A sum is finite only if everything in it is; every moment is bounded.
        wrong = [n for n, a in moments._asdict().items() if not np.isfinite(a.sum(dtype=float))]
        if wrong:
            raise NotFiniteError(
                f"engine {self.engine.name}: {wrong[0]} holds values that are no finite number; "
                "check the frame's reflectances, or use another engine"
            )

    def inputs(self, frame: Source) -> Iterator[tuple[Tile, Array, Array]]:
        """Every tile, what the network sees of it and which pixels of its core have data.

        Yields:
            The tile; float32 ``(S, S, bands)``, normalised; bool ``(height, width)``.
        """
        tiling = self.tiling(frame)
        normalisation = self.bundle.normalisation

        def read(tile: Tile) -> tuple[Tile, Array, Array]:
            patch = frame.read(
                tile.row - tiling.halo, tile.col - tiling.halo, tiling.size, tiling.size
            )
            valid = patch.valid[tiling.halo :, tiling.halo :][: tile.height, : tile.width]
            return tile, normalisation.apply(patch.reflectance, patch.valid), valid

        return ahead(partial(read, tile) for tile in tiling)

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
