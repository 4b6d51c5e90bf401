"""Small chip folders for the tests of training."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.samples import BANDS, CHIPS, write_frame
from training.chips import UNKNOWN, Chip

TOML = """name = "small"
bands = ["blue", "green", "red", "nir"]
scale = 0.0001
gsd_m = 30

[classes]
0 = "land"
1 = "water"
2 = "cloud"
"""


def write_chip(folder: Path, chip_id: str, image: Any, label: Any) -> None:
    """One chip of ``(bands, H, W)`` samples and an ``(H, W)`` label."""
    for part, samples in (("images", image), ("labels", np.asarray(label)[None])):
        (folder / part).mkdir(parents=True, exist_ok=True)
        write_frame(folder / part / f"{chip_id}.tif", samples, bands=None)


def small_folder(folder: Path, count: int = 2, side: int = 8) -> Path:
    """A folder that is right in everything; each test spoils one thing."""
    rng = np.random.default_rng(5)
    for number in range(count):
        image = rng.integers(100, 4000, (len(BANDS), side, side), dtype=np.uint16)
        write_chip(folder, str(number), image, rng.integers(0, 3, (side, side), dtype=np.uint8))
    (folder / "dataset.toml").write_text(TOML, "utf-8")
    rows = "".join(f"{number},place{number}\n" for number in range(count))
    (folder / "index.csv").write_text("id,group\n" + rows, "utf-8")
    return folder


def copied_samples(folder: Path) -> Path:
    """The committed chips, as a folder that a test may spoil."""
    return Path(shutil.copytree(CHIPS, folder))


def random_chip(height: int, width: int, seed: int = 0, bands: int = 4) -> Chip:
    """A chip of noise with known and unknown pixels."""
    rng = np.random.default_rng(seed)

    def labels() -> npt.NDArray[np.uint8]:
        return rng.choice(np.array([0, 1, UNKNOWN], np.uint8), (height, width))

    image = rng.uniform(0, 1, (height, width, bands)).astype(np.float32)
    return Chip("c", "g", image, labels(), labels())
