"""Random *streams*: one independent generator per (seed, name), so parts do not disturb each other.

Philox (Salmon et al. 2011) is counter based: the same words on every machine.
"""

from __future__ import annotations

import zlib

import numpy as np


def stream(seed: int, name: str) -> np.random.Generator:
    """A generator that depends on ``seed`` (≥ 0) and ``name`` only."""
    entropy = np.random.SeedSequence([seed, zlib.crc32(name.encode("ascii"))])
    return np.random.Generator(np.random.Philox(entropy))
