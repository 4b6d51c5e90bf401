"""Small chips for tests, made from a seed."""

from __future__ import annotations

from typing import Any

import numpy as np

from onboard.chip import Chip
from onboard.georef import Georef
from tests.products import UTM, blobs


def make_chip(seed: int = 0, height: int = 24, width: int = 33, **changes: Any) -> Chip:
    """A valid chip; ``changes`` replace fields."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(changes.pop("dtype", np.uint16))
    ramp = np.add.outer(np.arange(height), np.arange(width))[..., None]
    samples = ramp * 9 + rng.integers(200, 260, (height, width, 4))
    fields = {
        "scene_id": bytes([seed % 256]) * 32,
        "model_id": bytes(range(32)),
        "sensor": "vnir4",
        "bands": ("blue", "green", "red", "nir"),
        "samples": samples.astype(dtype),
        "scales": (1e-4,) * 4,
        "offsets": (0.0,) * 4,
        "row": 128,
        "col": 256,
        "georef": Georef(width, height, UTM, (10.0, 0.0, 500000.0, 0.0, -10.0, 7000000.0)),
        "acquired_ms": 1_700_000_000_000,
        "geolocation_sigma_m": 12.5,
        "mask": blobs(height, width, seed),
        "epistemic": 0.004,
        "worth": 0.003,
    }
    return Chip(**{**fields, **changes})
