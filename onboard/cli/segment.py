"""``floodsat segment``: per-pixel maps of frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onboard.cli import options

if TYPE_CHECKING:
    from onboard.profile import Profile
    from onboard.scene import OpenFrame
    from onboard.segment import Segmenter

BLOCK_STEP = 16
"""Sides of a GeoTIFF's blocks are multiples of this (TIFF 6.0, section 15)."""
BANDS = ("class", "p_water", "p_cloud", "entropy", "aleatoric", "epistemic")


@click.command("segment")
@click.argument("bundle", type=options.PATH)
@options.scenes
@click.option("--out", required=True, type=options.PATH, help="Folder for the maps.")
@options.engine
@options.passes
@options.seed
@options.trust
@options.profile
def command(
    bundle: Path,
    scenes: tuple[Path, ...],
    out: Path,
    engine: str,
    passes: int | None,
    seed: int,
    trust: tuple[Path, ...],
    profile: Path | None,
) -> None:
    """Segment frames with BUNDLE into OUT/<scene>.tif.

    The first frame that cannot be read ends the run; those before it are done.

    Six bands, float32: class (0 land, 1 water, 2 cloud, 255 nodata), p_water, p_cloud, entropy,
    aleatoric and epistemic, the last three in nats, entropy = aleatoric + epistemic; NaN where
    there is no data.
    """
    from onboard import bundle as bundles
    from onboard import engines, files
    from onboard.profile import load as load_profile
    from onboard.segment import Segmenter

    camera = None if profile is None else load_profile(profile)
    loaded = bundles.load(bundle, [engines.set_of(engine)], list(trust) or None)
    segmenter = Segmenter(loaded, engines.load(engine, loaded), passes or loaded.passes, seed)
    check_names(scenes, out)
    files.make_folder(out)
    for scene in scenes:
        write_maps(segmenter, scene, out / f"{scene.stem}.tif", camera)


def check_names(scenes: tuple[Path, ...], out: Path) -> None:
    """Refuse maps that would overwrite each other or the scene they come from."""
    from onboard.errors import FrameError

    seen: dict[str, Path] = {}
    for scene in scenes:
        if scene.stem in seen:
            raise FrameError(
                f"{scene}: has the name of {seen[scene.stem]}, one would overwrite the other; "
                "segment them into two folders"
            )
        if (out / f"{scene.stem}.tif").resolve() == scene.resolve():
            raise FrameError(
                f"{scene}: its maps would overwrite it; choose another folder with --out"
            )
        seen[scene.stem] = scene


def write_maps(
    segmenter: Segmenter, scene: Path, target: Path, camera: Profile | None = None
) -> None:
    """Segment one frame and write its maps, tile by tile."""
    import rasterio
    from rich.progress import Progress

    from onboard.files import replacing
    from onboard.frames import open_frame
    from onboard.rasters import check_written, unlocated_is_fine, writing

    with open_frame(scene, segmenter.bundle.sensor, camera) as frame, replacing(target) as part:
        with unlocated_is_fine(), writing(target):
            core = segmenter.tiling(frame).core
            maps = rasterio.open(str(part), "w", **storage(frame, core))
        with writing(target), maps, Progress() as bar:
            task = bar.add_task(scene.name, total=len(segmenter.tiling(frame)))
            write_tiles(segmenter, frame, maps, lambda: bar.advance(task))
            maps.update_tags(
                MODEL=segmenter.bundle.model_id.hex(),
                ENGINE=segmenter.engine.name,
                PASSES=segmenter.passes,
                SEED=segmenter.seed,
            )
        check_written(part, target)
        for note in frame.notes:
            click.echo(f"note: {scene}: {note}", err=True)
    click.echo(f"{target}: written")


def write_tiles(segmenter: Segmenter, frame: OpenFrame, maps: Any, advance: Any) -> None:
    """Write every finished core at its place."""
    import numpy as np
    from rasterio.windows import Window

    for part in segmenter.run(frame):
        tile = part.tile
        stack = np.stack([part.classes.astype(np.float32), *part.maps])
        # Maps hold p_water, p_cloud, entropy, aleatoric, epistemic: the order of BANDS.
        maps.write(stack, window=Window(tile.col, tile.row, tile.width, tile.height))
        advance()
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
