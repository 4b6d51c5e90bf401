"""Writing a *chip folder* of generated chips: a training set with a water and a cloud class."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from onboard.classes import CLOUD, NODATA, WATER
from onboard.files import write_text
from training.synth.camera import DN_PER_REFLECTANCE
from training.synth.frame import BANDS, SyntheticFrame
from training.synth.geotiff import NOTICE, write_image, write_truth

INDEX_COLUMNS = ("id", "group", "water_frac", "cloud_frac")


def write_chips(folder: Path, frames: Iterable[SyntheticFrame], gsd_m: float) -> int:
    """Write chips one by one, then the index and the description; returns how many.

    A chip's ``group`` is its place, which is its recipe's seed.

    Raises:
        OutputError: the folder cannot be written.
    """
    rows: list[tuple[str, ...]] = []
    for number, frame in enumerate(frames):
        name = f"{number:05d}"
        write_image(folder / "images" / f"{name}.tif", frame)
        write_truth(folder / "labels" / f"{name}.tif", frame)
        rows.append((name, str(frame.recipe.seed), *_shares(frame)))
    write_text(folder / "index.csv", _csv(rows))
    write_text(folder / "dataset.toml", describe(gsd_m))
    return len(rows)


def _shares(frame: SyntheticFrame) -> tuple[str, str]:
    """Water and cloud as shares of the pixels that are not nodata."""
    seen = max(int(np.count_nonzero(frame.label != NODATA)), 1)
    shares = [np.count_nonzero(frame.label == kind) / seen for kind in (WATER, CLOUD)]
    return f"{shares[0]:.4f}", f"{shares[1]:.4f}"


def _csv(rows: list[tuple[str, ...]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(INDEX_COLUMNS)
    writer.writerows(rows)
    return text.getvalue()


def describe(gsd_m: float) -> str:
    """The text of ``dataset.toml``."""
    bands = ", ".join(f'"{band}"' for band in BANDS)
    return f"""\
name = "synth"
bands = [{bands}]
scale = {1 / DN_PER_REFLECTANCE}
offset = 0.0
gsd_m = {gsd_m:g}
generated = true
source = "{NOTICE} Every file's tags hold its recipe."
licence = "Apache-2.0"

[classes]
0 = "land"
1 = "water"
2 = "cloud"
255 = "ignore"
"""
