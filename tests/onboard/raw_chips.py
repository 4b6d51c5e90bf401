"""Small raw chips for tests, made from a seed."""

from __future__ import annotations

from typing import Any

import numpy as np

from onboard.rawchip import RawChip


def make_raw(seed: int = 0, **changes: Any) -> RawChip:
    """A valid raw chip; ``changes`` replace fields."""
    fields = {
        "scene_id": bytes([seed % 256]) * 32,
        "row": 30,
        "col": 8,
        "bands": ("blue", "green", "red", "nir"),
        "samples": np.random.default_rng(seed).integers(0, 4096, (6, 7, 4)).astype(np.uint16),
    }
    return RawChip(**{**fields, **changes})
