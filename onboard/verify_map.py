"""The map of a verification's differences: where a product is not what its frame gives."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from onboard.errors import OutputError
from onboard.files import replacing
from onboard.rasters import GDAL_ERRORS, check_written, unlocated_is_fine

if TYPE_CHECKING:
    from onboard.arrays import Floats
    from onboard.product import Product

SAME, ROUNDED, OTHER = 0, 1, 2
COLOURS = {SAME: (232, 223, 202, 255), ROUNDED: (230, 159, 0, 255), OTHER: (213, 94, 0, 255)}
NAMES = {
    SAME: "the same",
    ROUNDED: "differs at a threshold, as rounding may",
    OTHER: "differs, and rounding does not explain it",
}


def write_difference(path: Path, sent: Product, moved: Floats, allowed: float) -> None:
    """Write where a mask differs, as a cloud-optimised GeoTIFF with a colour table.

    Args:
        path: what to write.
        sent: the product, for its grid.
        moved: float32 ``(H, W)``, see `onboard.recompute.Witness`.
        allowed: the distance from a threshold that rounding explains.

    Raises:
        OutputError: it cannot be written.
    """
    import rasterio
    from rasterio import Affine

    values = np.where(moved > allowed, OTHER, np.where(moved > 0, ROUNDED, SAME)).astype(np.uint8)
    grid = sent.georef
    place = {"crs": grid.crs, "transform": Affine(*grid.transform)} if grid.located else {}
    profile = {
        "driver": "COG",
        "compress": "DEFLATE",
        "overview_resampling": "MODE",
        "width": grid.width,
        "height": grid.height,
        "count": 1,
        "dtype": "uint8",
        **place,
    }
    try:
        with replacing(path) as part, unlocated_is_fine():
            with (
                rasterio.Env(GDAL_PAM_ENABLED=False),
                rasterio.open(str(part), "w", **profile) as tif,
            ):
                tif.write(values, 1)
                tif.write_colormap(1, COLOURS)
                tif.set_band_description(1, "difference")
                tif.update_tags(1, **{f"CLASS_{value}": name for value, name in NAMES.items()})
                tif.update_tags(FLOODSAT_PRODUCT=sent.product_id.hex())
            check_written(part, path)
    except GDAL_ERRORS as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{path}: cannot be written ({error}); choose another folder") from error
