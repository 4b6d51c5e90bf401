"""Where a frame lies: its grid in a coordinate reference system (CRS).

The affine transform is in GDAL's and rasterio's order of meaning: it maps (column, row) of a
pixel's upper left corner to (x, y) in units of the CRS.
"""

from __future__ import annotations

from dataclasses import dataclass

Affine6 = tuple[float, float, float, float, float, float]

IDENTITY: Affine6 = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@dataclass(frozen=True)
class Georef:
    """A frame's pixel grid.

    Attributes:
        width: columns, in pixels.
        height: rows, in pixels.
        crs: ``"EPSG:<code>"`` where one is known, else WKT; ``""`` means the frame has no
            coordinates, which is allowed and said on every product.
        transform: ``(a, b, c, d, e, f)`` with ``x = a·col + b·row + c`` and
            ``y = d·col + e·row + f``.
    """

    width: int
    height: int
    crs: str = ""
    transform: Affine6 = IDENTITY

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"a frame needs at least one pixel, got {self.width}×{self.height}")

    @property
    def located(self) -> bool:
        """Whether the frame has coordinates."""
        return bool(self.crs)
