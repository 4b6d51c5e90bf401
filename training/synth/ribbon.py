"""A *ribbon*: a line on the ground with a width, painted on the canvas (rivers, streams, roads)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio import features

from training.synth.canvas import Canvas, Floats


def normals(line: Floats) -> Floats:
    """Unit normals, left of the way along ``line`` (n, 2) metres; the same shape."""
    tangent = np.gradient(line, axis=0)
    tangent /= np.maximum(np.hypot(tangent[:, 0], tangent[:, 1]), 1e-9)[:, None]
    return np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)


def paint(
    canvas: Canvas, ribbons: Iterable[tuple[Floats, Floats | float, int]]
) -> NDArray[np.uint8]:
    """Burn ribbons in order, later ones over earlier ones.

    Args:
        canvas: the grid.
        ribbons: (line as (n, 2) x and y metres, width in metres as a number or (n,), value
            1…255) of each.

    Returns:
        uint8 (rows, cols), 0 where no ribbon lies.
    """
    shapes = [
        ({"type": "Polygon", "coordinates": [quad]}, value)
        for line, width, value in ribbons
        for quad in _quads(canvas, line, width)
    ]
    if not shapes:
        return np.zeros(canvas.shape, np.uint8)
    grid = Affine(canvas.pitch_m, 0, 0, 0, canvas.pitch_m, 0)
    burnt = features.rasterize(shapes, canvas.shape, fill=0, transform=grid, dtype="uint8")
    return np.asarray(burnt)


def _quads(canvas: Canvas, line: Floats, width: Floats | float) -> list[list[list[float]]]:
    """Closed four-sided rings, one a segment that comes near the canvas."""
    if len(line) < 2:
        return []
    half = np.broadcast_to(np.asarray(width, np.float64) / 2, len(line))[:, None]
    side = normals(line) * half
    left, right = line + side, line - side
    rings = np.stack([left[:-1], left[1:], right[1:], right[:-1], left[:-1]], axis=1)
    wide, tall = canvas.extent_m
    inside = (rings.max(1) >= 0).all(1) & (rings.min(1) <= (wide, tall)).all(1)
    return list(rings[inside].tolist())


def smooth(line: Floats, rounds: int = 2) -> Floats:
    """Cut corners (Chaikin 1974) of ``(N, 2)``: a round doubles the points and keeps the ends."""
    for _ in range(rounds):
        if len(line) < 3:
            return line
        ahead = 0.75 * line[:-1] + 0.25 * line[1:]
        behind = 0.25 * line[:-1] + 0.75 * line[1:]
        middle = np.stack([ahead, behind], axis=1).reshape(-1, 2)
        line = np.concatenate([line[:1], middle, line[-1:]])
    return line
