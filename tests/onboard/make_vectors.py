"""The product that every platform must code and decode alike.

``python -m tests.onboard.make_vectors`` writes it anew: only after a change of the format, or of
the shipped tables. All of it is made by whole numbers, so that nothing but the coding is tested.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from onboard import tables
from onboard.georef import Georef
from onboard.product import Product, Statistics, TimeQuality, pack
from onboard.reduced import NOT_OBSERVED, Regions, block_sums, class_counts, observed_pixels
from onboard.tables import Tables

FOLDER = Path(__file__).parent / "vectors"
GUIDED, ALONE = FOLDER / "product-v2-guided.fsp", FOLDER / "product-v2.fsp"
SHIPPED = Path(__file__).resolve().parents[2] / "data_samples" / "bundle" / tables.FILE
HEIGHT, WIDTH = 270, 200
VERSION = bytes(range(16))


def mask() -> np.ndarray:
    """(HEIGHT, WIDTH) uint8 with all four classes and stripes that meet."""
    row, col = np.mgrid[0:HEIGHT, 0:WIDTH]
    made = np.zeros((HEIGHT, WIDTH), np.uint8)
    made[(row * row * 3 + col * col * 5 + row * col) // 900 % 7 < 2] = 1
    made[(row - 200) ** 2 + (col - 60) ** 2 < 900] = 2
    made[col + row // 3 > 260] = 255
    return made


def permanent() -> np.ndarray:
    """Bool (HEIGHT, WIDTH): nearly the water, and something else."""
    return np.roll(mask() == 1, 2, axis=1) & (np.arange(HEIGHT) % 40 < 30)[:, None]


def product(by: Tables) -> Product:
    """The product."""
    made = mask()
    hidden = block_sums(observed_pixels(made), by.block, np.int32) == 0
    row, col = np.mgrid[0 : hidden.shape[0], 0 : hidden.shape[1]]
    entropy = ((row * 5 + col * 3) // 4 % by.levels).astype(np.uint8)
    epistemic = ((row + col * 2) // 3 % by.levels).astype(np.uint8)
    for codes in (entropy, epistemic):
        codes[hidden] = NOT_OBSERVED
    wet = (made == 1) & ~permanent()
    flood = tuple(int(part.sum()) for part in (wet[:256], wet[256:]))
    return Product(
        scene_id=bytes(range(32)),
        model_id=bytes(range(32, 64)),
        sensor="sentinel2_l1c",
        engine="tflite 2.12.0",
        seed=7,
        passes=10,
        acquired_ms=1_700_000_000_000,
        acquired_quality=TimeQuality.GNSS,
        reference_version=VERSION,
        water_threshold=0.5,
        cloud_threshold=0.25,
        operating_point="balanced",
        georef=Georef(WIDTH, HEIGHT, "EPSG:32606", (10.0, 0.0, 5e5, 0.0, -10.0, 7e6)),
        geolocation_sigma_m=12.5,
        mask=made,
        entropy=entropy,
        epistemic=epistemic,
        statistics=Statistics(*class_counts(made), flood=sum(flood), mean_entropy=0.25),
        block=by.block,
        levels=by.levels,
        entropy_levels=by.entropy.values,
        epistemic_levels=by.epistemic.values,
        regions=Regions(256, b"\x20\x30", b"\x02\xff", flood),
    )


def main() -> None:
    """Write both files."""
    by = tables.learn(SHIPPED.read_bytes())
    GUIDED.write_bytes(pack(product(by), by, permanent()))
    ALONE.write_bytes(pack(product(by), by))


if __name__ == "__main__":
    main()
