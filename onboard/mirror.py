"""Mirroring: what lies beyond the border of an image is its reflection.

Apart from `onboard.scene`, so that an engine's process, which needs a bundle but reads no frame,
does without rasterio and GDAL.
"""

from __future__ import annotations

import numpy as np

from onboard.arrays import Array


def mirror(start: int, count: int, size: int) -> Array:
    """Indices ``start … start+count-1``, those outside ``0 … size-1`` reflected: ``(count,)``.

    The border sample itself is repeated (…2 1 0 | 0 1 2…), so even one row can be mirrored.
    """
    index = np.arange(start, start + count) % (2 * size)
    return np.where(index < size, index, 2 * size - 1 - index)
