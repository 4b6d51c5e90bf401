"""Peak memory of a whole training, with few chips and with many.

``python -m benchmarks.streaming --write`` makes chip folders of random fields, runs ``floodsat
train`` on each in a process of its own, and writes what they took to ``docs/streaming.md``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import rasterio
from scipy import ndimage

from benchmarks.memory import peak_bytes
from onboard import files
from onboard.rasters import unlocated_is_fine
from onboard.sensor import VNIR4
from training.calibrate import MOST_PIXELS

SIDE = 64
PER_PLACE = 5
FEW, MANY = 500, 10_000
CONFIG = f"epochs = 1\ncrop = {SIDE}\nwidths = [8, 12, 16]\n"
TOML = """name = "fields"
bands = ["blue", "green", "red", "nir"]
scale = 0.0001
gsd_m = 30
source = "Random fields, no picture of anything"

[classes]
0 = "land"
1 = "water"
"""
PAGE = Path("docs") / "streaming.md"
FIGURES = Path("docs") / "figures" / "streaming.json"


class Taken(NamedTuple):
    """What one training took.

    Attributes:
        chips: in its folder.
        peak: largest resident memory in bytes.
        seconds: from start to end.
    """

    chips: int
    peak: int
    seconds: float


def make_chips(folder: Path, count: int, seed: int = 0, side: int = SIDE) -> Path:
    """A chip folder of ``count`` random fields, water where the field is low; five a place."""
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        field = ndimage.gaussian_filter(rng.normal(size=(side, side)), 4, mode="wrap")
        water = field < np.quantile(field, rng.uniform(0.1, 0.6))
        level = (
            np.array([900, 1000, 900, 2500]) - np.array([200, 300, 500, 2200]) * water[..., None]
        )
        image = np.clip(level + rng.normal(0, 100, (side, side, 4)), 1, 10_000).astype(np.uint16)
        _write(folder / "images" / f"{number}.tif", image.transpose(2, 0, 1))
        _write(folder / "labels" / f"{number}.tif", water[None].astype(np.uint8))
    rows = "".join(f"{number},{number // PER_PLACE}\n" for number in range(count))
    files.write_text(folder / "index.csv", "id,group\n" + rows)
    files.write_text(folder / "dataset.toml", TOML)
    return folder


def _write(path: Path, samples: npt.NDArray[Any]) -> None:
    count, height, width = samples.shape
    profile = {"count": count, "height": height, "width": width, "dtype": samples.dtype}
    with unlocated_is_fine(), rasterio.open(path, "w", driver="GTiff", **profile) as out:
        out.write(samples)


def train(folder: Path, run: Path, chips: int, seconds: float) -> Taken:
    """Run ``floodsat train`` for one epoch in a process of its own.

    Raises:
        EngineError: it fails, or takes longer than ``seconds``.
    """
    config = folder.with_suffix(".toml")
    files.write_text(config, CONFIG)
    command = [sys.executable, "-m", "onboard", "train", str(folder.resolve())]
    command += ["--out", str(run.resolve()), "--config", str(config.resolve())]
    command += ["--sensor", VNIR4.name]
    start = time.perf_counter()
    peak = peak_bytes(command, Path(__file__).resolve().parents[1], seconds)
    return Taken(chips, peak, round(time.perf_counter() - start, 1))


def measure(counts: Sequence[int], work: Path, seconds: float = 3600.0) -> list[Taken]:
    """Train on that many chips each, in a work folder of its own."""
    taken = []
    for count in counts:
        folder = make_chips(work / f"chips{count}", count)
        taken.append(train(folder, work / f"run{count}", count, seconds))
    return taken


def page(taken: Sequence[Taken]) -> str:
    """The figures as Markdown."""
    few, many = taken[-2:]
    rows = "".join(f"| {t.chips} | {t.peak / 1e6:.0f} | {t.seconds:.0f} |\n" for t in taken)
    more = (many.peak - few.peak) / (many.chips - few.chips)
    return f"""# Memory of training

Made by `python -m benchmarks.streaming --write`: `floodsat train` for one epoch, from reading the
folder to the thresholds, in a process of its own; largest resident memory in MB (10⁶ bytes).

| chips | MB | seconds |
| --- | --- | --- |
{rows}
From {few.chips} to {many.chips} chips it is {(many.peak - few.peak) / 1e6:+.0f} MB, which is
{more / 1e3:+.2f} kB a chip; the samples alone of one chip are {SIDE * SIDE * 10 / 1e3:.0f} kB. What
grows is the list of names and places.

Chips of {SIDE} × {SIDE} pixels, four bands of uint16, {PER_PLACE} to a place, made of random fields
by the same command (seed 0); batches of 12, widths 8, 12, 16. Times are of the machine that ran
it, beside whatever else it did.

It grows up to {MOST_PIXELS} calibration pixels and no further: of more, calibration draws a
uniform sample (`training/sample.py`). Batches, normalisation and hashes read chips one by one; the
chips kept for an export are 48 at most.
"""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chips", type=int, nargs="+", default=[FEW, 2_500, MANY])
    parser.add_argument("--write", action="store_true", help=f"write {PAGE} and {FIGURES}")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        taken = measure(given.chips, Path(work))
    if given.write:
        files.write_text(PAGE, page(taken))
        figures = {"training": [t._asdict() for t in taken]}
        files.write_text(FIGURES, json.dumps(figures, indent=1) + "\n")
    sys.stdout.write(page(taken))


if __name__ == "__main__":
    main()
