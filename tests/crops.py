"""Generated crops: one thing at a time can be done to them, and nothing else is odd."""

from __future__ import annotations

import numpy as np

from onboard.arrays import Array
from onboard.oddity import SIDE

COLOURS = np.array([0.05, 0.08, 0.09, 0.25])


def crop(seed: int) -> Array:
    """A generated crop: patches of land and of water, the same in every band but for colour."""
    rng = np.random.default_rng(seed)
    pattern = np.zeros((SIDE, SIDE))
    for cells in (4, 16, 64):
        coarse = rng.normal(0, 1 / np.sqrt(cells), (cells, cells))
        pattern += np.kron(coarse, np.ones((SIDE // cells, SIDE // cells)))
    wet = pattern < np.quantile(pattern, 0.2)
    land = COLOURS * (1 + 0.3 * pattern[..., None]) * rng.normal(1, 0.05)
    image = np.where(wet[..., None], [0.04, 0.05, 0.03, 0.01], land)
    return np.asarray(image + rng.normal(0, 0.002, image.shape), np.float32)
