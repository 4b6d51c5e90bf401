"""Small products for tests, made from a seed."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import numpy as np
from hypothesis import strategies as st

from onboard.errors import ProductError
from onboard.georef import Georef
from onboard.product import (
    EPISTEMIC_POWER,
    Product,
    TimeQuality,
    observed_pixels,
    pack,
    quantise,
    summarise,
    unpack,
)

UTM = "EPSG:32606"


def blobs(height: int, width: int, seed: int) -> np.ndarray:
    """A (height, width) uint8 mask with calm outlines and all four classes."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    field = np.zeros((height, width))
    for a, b, phase in rng.uniform((-0.2, -0.2, 0.0), (0.2, 0.2, 6.0), (4, 3)):
        field += np.sin(a * rows + b * columns + phase)
    mask = (field > 0.5).astype(np.uint8)
    mask[field < -1.8] = 2
    mask[:, :1] = 255
    return mask


def make_product(seed: int = 0, height: int = 24, width: int = 33, **changes: Any) -> Product:
    """A valid product; ``changes`` replace fields."""
    rng = np.random.default_rng(seed + 1000)
    mask = changes.pop("mask", None)
    mask = blobs(height, width, seed) if mask is None else mask
    height, width = mask.shape
    entropy = rng.uniform(0, 0.69, mask.shape).astype(np.float32)
    epistemic = (entropy * 0.1).astype(np.float32)
    georef = changes.pop("georef", None) or Georef(
        width, height, UTM, (10.0, 0.0, 500000.0, 0.0, -10.0, 7000000.0)
    )
    flooded = changes.get("reference_version") is not None
    # As if a reference knew the water of the upper half.
    beyond = np.arange(height)[:, None] + np.zeros(width) >= height / 2 if flooded else None
    block = changes.get("block", 8)
    levels = changes.get("levels", 64)
    seen = observed_pixels(mask)
    fields = {
        "scene_id": bytes([seed % 256]) * 32,
        "model_id": bytes(range(32)),
        "sensor": "sentinel2_l1c",
        "engine": "tflite 2.12.0",
        "seed": 7,
        "passes": 16,
        "acquired_ms": 1_700_000_000_000,
        "acquired_quality": TimeQuality.FILE,
        "reference_version": None,
        "water_threshold": 0.5,
        "cloud_threshold": 0.4,
        "operating_point": "balanced",
        "georef": georef,
        "geolocation_sigma_m": 12.5,
        "mask": mask,
        "entropy": quantise(entropy, seen, block, levels),
        "epistemic": quantise(epistemic, seen, block, levels, EPISTEMIC_POWER),
        "statistics": summarise(mask, entropy, epistemic, entropy, georef, beyond),
    }
    return Product(**{**fields, **changes})


def noisy_product(seed: int, side: int = 96) -> Product:
    """A product of several kilobytes: its mask does not compress."""
    rng = np.random.default_rng(seed)
    mask = rng.choice(np.array([0, 1, 2, 255], np.uint8), size=(side, side))
    return make_product(seed, mask=mask)


def resealed(body: bytes) -> bytes:
    """Bytes whose length and id are right again, whatever else is wrong."""
    body = body[:8] + struct.pack(">I", len(body) + 16) + body[12:]
    return body + hashlib.sha256(body).digest()[:16]


def read_or_refused(data: Any, small: bytes, first: int) -> None:
    """A sealed product with other bytes somewhere reads and packs again, or is refused as one.

    Args:
        data: of hypothesis, draws the place and the bytes.
        small: the product.
        first: of its bytes that may be others.
    """
    place = data.draw(st.integers(first, len(small) - 17))
    patch = data.draw(st.binary(min_size=1, max_size=12))
    body = small[:place] + patch + small[place + len(patch) : -16]
    try:
        back = unpack(resealed(body[: len(small) - 16]))
    except ProductError:
        return
    assert pack(back)
