"""Recomputation: what flew, run once more over a frame, beside a mask that was sent of it.

The code is that of the runtime. What is added is a witness: where a pixel comes out otherwise than
it was sent, how far its probabilities lie from the thresholds that would have made it so. Rounding
moves a probability by next to nothing, so honest differences lie at the thresholds; a pixel that
was changed on purpose or by a fault does not.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from onboard.classes import CLOUD, LAND, WATER
from onboard.segment import Segmenter, Thresholds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onboard.arrays import Array, Bytes, Floats
    from onboard.product import Product
    from onboard.reference_water import PermanentWater
    from onboard.runtime import Found
    from onboard.scene import OpenFrame
    from onboard.segment import Source, TileMaps
    from onboard.uncertainty import Maps


def distance(found: Maps, sent: Bytes, thresholds: Thresholds) -> Floats:
    """How far probabilities would have to move for pixels to get the class that was sent.

    Args:
        found: of n pixels, each map ``(n,)``.
        sent: uint8 ``(n,)`` of `onboard.classes`.
        thresholds: of the operating point.

    Returns:
        Float64 ``(n,)``, 0 or more; infinite where no probability makes that class, or where
        there is no data.
    """
    water = found.p_water.astype(np.float64) - thresholds.water
    cloud = found.p_cloud.astype(np.float64) - thresholds.cloud
    clear = np.maximum(cloud, 0.0)
    needed = np.full(sent.shape, np.inf)
    for value, moved in (
        (LAND, np.maximum(clear, np.maximum(water, 0.0))),
        (WATER, np.maximum(clear, np.maximum(-water, 0.0))),
        (CLOUD, np.maximum(-cloud, 0.0)),
    ):
        needed[sent == value] = moved[sent == value]
    return np.where(np.isnan(needed), np.inf, needed)


@dataclass(frozen=True)
class Witness(Segmenter):
    """A segmenter that holds what it finds to a mask that was sent.

    Attributes:
        sent: uint8 ``(H, W)``, the mask of the product.
        moved: float32 ``(H, W)``: 0 where both say the same, else what `distance` gives, and
            the least number above 0 where that is 0.
    """

    sent: Bytes = field(default_factory=lambda: np.zeros((0, 0), np.uint8))
    moved: Floats = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    def run(self, frame: Source, scene_id: bytes | None = None) -> Iterator[TileMaps]:
        """As `Segmenter.run`."""
        for part in super().run(frame, scene_id):
            self._compare(part)
            yield part

    def _compare(self, part: TileMaps) -> None:
        sent = self.sent[part.tile.window]
        differs = sent != part.classes
        if not differs.any():
            return
        picked = type(part.maps)(*(values[differs] for values in part.maps))
        needed = distance(picked, sent[differs], self.bundle.balanced)
        self.moved[part.tile.window][differs] = np.maximum(needed, np.finfo(np.float32).tiny)


@dataclass(frozen=True, eq=False)
class Recomputation:
    """What the flight code makes of a frame, beside the product that was sent of it.

    Attributes:
        product: recomputed.
        resting: the product that the flight code makes of the *sent* mask with the recomputed
            uncertainty: its figures are those that the sent mask must have.
        found: what the product rests on, the decision of triage among it.
        moved: float32 ``(H, W)``, see `Witness`.
    """

    product: Product
    resting: Product
    found: Found
    moved: Floats


def with_thresholds(segmenter: Segmenter, thresholds: Thresholds) -> Segmenter:
    """The same segmenter with another balanced operating point."""
    manifest = dict(segmenter.bundle.manifest)
    point = {"water": thresholds.water, "cloud": thresholds.cloud}
    manifest["thresholds"] = {**manifest["thresholds"], "balanced": point}
    return replace(segmenter, bundle=replace(segmenter.bundle, manifest=manifest))


def recompute(
    segmenter: Segmenter,
    frame: OpenFrame,
    scene_id: bytes,
    sent: Product,
    reference: PermanentWater | None = None,
) -> Recomputation:
    """Run the flight code over a frame.

    Args:
        segmenter: bundle and engine, with the passes and the seed to use.
        frame: of the size of the product's mask.
        scene_id: SHA-256 of its samples.
        sent: the product; the mask is made with its thresholds.
        reference: permanent water, where the product names one.

    Raises:
        FrameError: the samples cannot be read.
        EngineError: the engine fails.
    """
    from onboard import tables
    from onboard.runtime import Runtime

    own = with_thresholds(segmenter, Thresholds(sent.water_threshold, sent.cloud_threshold))
    witness = Witness(
        own.bundle,
        own.engine,
        own.passes,
        own.seed,
        sent.mask,
        np.zeros(sent.mask.shape, np.float32),
    )
    by = tables.find(sent.tables_id) if sent.tables_id else None
    runtime = Runtime(witness, segmenter.bundle.limits, reference, tables=by)
    found = runtime.look(frame, scene_id)
    rested = replace(found, seen=replace(found.seen, classes=sent.mask))
    made, resting = (runtime.product(frame, scene_id, one) for one in (found, rested))
    # The thresholds were borrowed for the mask; what this bundle has is for the comparison.
    balanced = segmenter.bundle.balanced
    made = replace(made, water_threshold=balanced.water, cloud_threshold=balanced.cloud)
    return Recomputation(made, resting, found, witness.moved)


def box_of(moved: Array) -> tuple[int, int, int, int] | None:
    """First row, first column, last row, last column of what is not 0 in ``(H, W)``; or None."""
    rows, cols = np.flatnonzero(moved.any(axis=1)), np.flatnonzero(moved.any(axis=0))
    if not rows.size:
        return None
    return int(rows[0]), int(cols[0]), int(rows[-1]), int(cols[-1])
