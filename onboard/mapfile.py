"""The file of a frame's maps: a GeoTIFF of six bands, on the frame's grid.

What ``floodsat segment`` writes, and what an archive is made of. The same frame, bundle, engine,
passes and seed give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from rasterio.windows import Window

from onboard.files import replacing
from onboard.rasters import check_written, unlocated_is_fine, writing

if TYPE_CHECKING:
    from onboard.scene import OpenFrame
    from onboard.segment import Segmenter, TileMaps

BLOCK_STEP = 16
"""Sides of a GeoTIFF's blocks are multiples of this (TIFF 6.0, section 15)."""
BANDS = ("class", "p_water", "p_cloud", "entropy", "aleatoric", "epistemic")


def write_frame(
    segmenter: Segmenter,
    frame: OpenFrame,
    target: Path,
    on_tile: Callable[[TileMaps], object] = lambda tile: None,
    scene_id: bytes | None = None,
) -> None:
    """Segment an open frame into ``target``, tile by tile; the file appears whole or not at all.

    Args:
        segmenter: what runs.
        frame: what it runs on.
        target: the GeoTIFF.
        on_tile: called with every tile that is written.
        scene_id: of the frame, where it is known already.

    Raises:
        OutputError: ``target`` cannot be written.
        NotFiniteError: the engine gave what is no number.
    """
    with replacing(target) as part:
        with unlocated_is_fine(), writing(target):
            core = segmenter.tiling(frame).core
            maps = rasterio.open(str(part), "w", **storage(frame, core))
        with writing(target), maps:
            write_tiles(segmenter, frame, maps, on_tile, scene_id)
            maps.update_tags(
                MODEL=segmenter.bundle.model_id.hex(),
                ENGINE=segmenter.engine.name,
                PASSES=segmenter.passes,
                SEED=segmenter.seed,
                **({} if frame.acquired is None else {"ACQUIRED": frame.acquired}),
            )
        check_written(part, target)


def write_tiles(
    segmenter: Segmenter,
    frame: OpenFrame,
    maps: Any,
    on_tile: Callable[[TileMaps], object] = lambda tile: None,
    scene_id: bytes | None = None,
) -> None:
    """Write every finished core at its place."""
    for part in segmenter.run(frame, scene_id):
        tile = part.tile
        stack = np.stack([part.classes.astype(np.float32), *part.maps])
        # Maps hold p_water, p_cloud, entropy, aleatoric, epistemic: the order of BANDS.
        maps.write(stack, window=Window(tile.col, tile.row, tile.width, tile.height))
        on_tile(part)
    for index, name in enumerate(BANDS, start=1):
        maps.set_band_description(index, name)


def storage(frame: OpenFrame, core: int) -> dict[str, Any]:
    """How the maps of ``frame`` are stored: a tiled, compressed GeoTIFF on the frame's grid.

    Args:
        frame: what was segmented.
        core: side of a tile's core, pixels. Where the format can have blocks of that size, every
            tile is written as whole blocks, once.
    """
    from rasterio import Affine

    georef = frame.georef
    block = core if core % BLOCK_STEP == 0 else 256
    settings: dict[str, Any] = {
        "driver": "GTiff",
        "width": georef.width,
        "height": georef.height,
        "count": len(BANDS),
        "dtype": "float32",
        "nodata": float("nan"),
        "tiled": True,
        "blockxsize": block,
        "blockysize": block,
        # Level 1 is nearly as small as any other and does not hold the network up.
        "compress": "zstd",
        "zstd_level": 1,
        "predictor": 3,
        "BIGTIFF": "IF_SAFER",
    }
    if georef.located:
        settings.update(crs=georef.crs, transform=Affine(*georef.transform))
    return settings
