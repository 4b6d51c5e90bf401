"""Folding: batch normalisation and up-sampling drawn into the kernels beside them, exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from onboard.engines.reference import BATCH_NORM_EPSILON

Weights = dict[str, npt.NDArray[np.float32]]
Floats = npt.NDArray[Any]


def folded(weights: Weights, block: str, i: int) -> tuple[Floats, Floats]:
    """Kernel ``(k, k, in, out)`` and bias of a convolution with its batch norm in it, float32."""
    get = {
        part: weights[f"{block}_bn{i}/{part}"].astype(np.float64)
        for part in ("gamma", "beta", "moving_mean", "moving_variance")
    }
    scale = get["gamma"] / np.sqrt(get["moving_variance"] + BATCH_NORM_EPSILON)
    kernel = weights[f"{block}_conv{i}/kernel"].astype(np.float64) * scale
    bias = get["beta"] - get["moving_mean"] * scale
    return kernel.astype(np.float32), bias.astype(np.float32)


def before_doubling(kernel: Floats) -> Floats:
    """A 3×3 convolution behind nearest-neighbour doubling as one before it.

    Convolving at the low resolution gives the four pixels of each 2×2 group as channels, which
    depth to space spreads out (Shi et al., "Real-time single image and video super-resolution
    using an efficient sub-pixel convolutional neural network", CVPR 2016).

    Args:
        kernel: ``(3, 3, in, out)``.

    Returns:
        ``(3, 3, in, 4·out)``, groups in the order of depth to space.
    """
    _, _, depth, out = kernel.shape
    spread = np.zeros((3, 3, depth, 2, 2, out), kernel.dtype)
    for row in range(2):
        for col in range(2):
            for dy in range(3):
                for dx in range(3):
                    # Where the doubled pixel at row + dy - 1 lies, counted from the one before.
                    y, x = (row + dy + 1) // 2, (col + dx + 1) // 2
                    spread[y, x, :, row, col] += kernel[dy, dx]
    return spread.reshape(3, 3, depth, 4 * out)


def of_groups(kernel: Floats) -> Floats:
    """A convolution with stride 2 as one without, over 2×2 groups of pixels as channels.

    Args:
        kernel: ``(2k, 2k, in, out)``.

    Returns:
        ``(k, k, 4·in, out)``, groups in the order of space to depth.
    """
    side, _, depth, out = kernel.shape
    half = side // 2
    grouped = kernel.reshape(half, 2, half, 2, depth, out).transpose(0, 2, 1, 3, 4, 5)
    return grouped.reshape(half, half, 4 * depth, out)
