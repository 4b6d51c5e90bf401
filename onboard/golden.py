"""The golden tile: a fixed input whose moments every engine must reproduce.

It rides in every bundle, with what each of the bundle's engines made of it when it was exported.
Running it before a model is used shows that the files, the engine and this machine's arithmetic
still give what was signed. An engine that the bundle does not know is held to the reference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from onboard import masks
from onboard.arrays import Array
from onboard.errors import EngineError
from onboard.mirror import mirror
from onboard.uncertainty import Moments

if TYPE_CHECKING:
    from onboard.bundle import Bundle
    from onboard.engines import Engine

SIDE = 48
SEED = 20190704
TOLERANCE = {
    "tflite": 1e-5,
    "tflite-f16": 1e-5,
    "tflite-int8": 0.05,
    "openvino": 1e-5,
    "openvino-2021": 1e-5,
    "myriad": 2e-2,
    "reference": 1e-6,
}
"""Largest difference allowed in any moment, by engine; CPUs round differently in float32, and
the expected moments are stored in it. Runtimes differ by an integer step or two in INT8. A Myriad
stick computes in FP16 and is held to the reference: rounding weights and features alone gives 1e-3
here, and what the chip itself does was never measured on hardware."""
SCALE = 1e-4
"""Reflectance per unit of the stored image."""

COARSE = ("tflite-int8",)
STEPS = 255
"""Moments of these engines are stored in steps of 1/255, half of which is 4 % of the tolerance:
no moment is larger than 1, and a patch stays small."""

GOLDEN_SCENE = b"golden tile".ljust(32, b"\0")


def place(reflectance: Array, size: int) -> Array:
    """Mirror a golden image ``(SIDE, SIDE, bands)`` out to a tile of ``size``."""
    index = mirror(-((size - SIDE) // 2), size, SIDE)
    return np.asarray(reflectance[np.ix_(index, index)])


def run(bundle: Bundle, engine: Engine, image: Array, passes: int) -> Moments:
    """Moments of the golden image's own pixels, each ``(SIDE, SIDE)``.

    Tiles of every size give the same: what lies around the image is its mirror image.

    Args:
        bundle: the model.
        engine: what runs it.
        image: uint16 ``(SIDE, SIDE, bands)``, reflectance in units of `SCALE`.
        passes: how many.
    """
    size = engine.tile_size or SIDE + 2 * bundle.network.halo
    tile = place(image.astype(np.float32) * np.float32(SCALE), size)
    inputs = bundle.normalisation.apply(tile, np.ones(tile.shape[:2], bool))
    drawn = masks.draw(bundle.network, SEED, bundle.model_id, GOLDEN_SCENE, list(range(passes)))
    start = (size - SIDE) // 2 - bundle.network.halo
    inside = slice(start, start + SIDE)
    return Moments(*(a[inside, inside] for a in engine.run(inputs, drawn)))


def coarse(moment: Array) -> Array:
    """A moment of any shape in steps of 1/`STEPS`, uint8, for engines with a wide tolerance."""
    return np.asarray(np.rint(np.asarray(moment, np.float64) * STEPS), np.uint8)


def expected(stored: Array) -> Array:
    """A moment as the golden tile holds it: plain, or from `coarse`."""
    return stored / np.float64(STEPS) if stored.dtype == np.uint8 else stored


def check(bundle: Bundle, engine: Engine, target: str) -> float:
    """Run the golden tile and compare.

    Returns:
        The largest difference in any moment.

    Raises:
        EngineError: it is beyond the tolerance, or not a number.
    """
    golden: dict[str, Array] = bundle.golden()
    found = run(bundle, engine, golden["image"], int(golden["passes"]))
    by = target if f"{target}/p_water" in golden else "reference"
    worst = max(
        float(np.max(np.abs(np.asarray(a, np.float64) - expected(golden[f"{by}/{name}"]))))
        for name, a in found._asdict().items()
    )
    if not worst <= TOLERANCE[target]:
        raise EngineError(
            f"{bundle.path}: the golden tile differs by {worst:.3g} on {engine.name} "
            f"(allowed {TOLERANCE[target]:g}); flash the bundle again or use another engine"
        )
    return worst
