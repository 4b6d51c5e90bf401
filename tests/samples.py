"""Where the committed samples are, and small frames made from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.transform import Affine

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "data_samples"
BUNDLE = SAMPLES / "bundle"
DEMO_KEY = SAMPLES / "keys" / "demo.key"
FRAME = SAMPLES / "frame.tif"
CHIPS = SAMPLES / "chips"
BANDS = ("blue", "green", "red", "nir")
UTM = {"crs": "EPSG:32645", "transform": Affine(30.0, 0.0, 600000.0, 0.0, -30.0, 2600000.0)}


def write_frame(
    path: Path,
    samples: Any,
    bands: Any = BANDS,
    tags: Any = None,
    **settings: Any,
) -> Path:
    """Write ``(bands, H, W)`` samples as a GeoTIFF; ``settings`` go to rasterio."""
    samples = np.asarray(samples)
    count, height, width = samples.shape
    profile = {"driver": "GTiff", **UTM, **settings}
    with rasterio.open(
        str(path), "w", width=width, height=height, count=count, dtype=samples.dtype, **profile
    ) as out:
        out.write(samples)
        if bands:
            out.descriptions = bands
        if tags:
            out.update_tags(**tags)
    return path


def crop(height: int, width: int, row: int = 100, col: int = 300) -> Any:
    """Samples ``(4, height, width)`` of the committed frame."""
    window = ((row, row + height), (col, col + width))
    with rasterio.open(str(FRAME)) as frame:
        return frame.read(window=window)
