"""Inputs: the files that a scenario names, looked into before anything runs."""

from __future__ import annotations

from pathlib import Path

import rasterio

from ground.replay import load
from ground.replay.scenario import Picture, Scenario
from onboard import bundle as bundles
from onboard import engines, signing
from onboard.errors import FrameError
from onboard.rasters import READ_ERRORS, unlocated_is_fine

Shape = tuple[int, int, int]
"""Bands, rows and columns."""


def check(scenario: Scenario) -> None:
    """Refuse a scenario whose bundle, uploads or frames cannot be used.

    Raises:
        FloodsatError: one line that names file and fault; for frames the scenario's line, too.
    """
    onboard = scenario.onboard
    bundle = bundles.load(onboard.bundle, [engines.set_of(onboard.engine), bundles.COMMON])
    load.check(scenario, signing.trusted(None))
    pictures = [(f"target.{index}", one.picture) for index, one in enumerate(scenario.targets)]
    pictures += [(f"frame.{index}", one.picture) for index, one in enumerate(scenario.frames)]
    known: dict[Path, Shape] = {}
    for key, picture in pictures:
        try:
            _check_picture(picture, len(bundle.sensor.bands), known)
        except FrameError as error:
            raise FrameError(f"{scenario.where(key)}: {error}") from error


def _check_picture(picture: Picture, bands: int, known: dict[Path, Shape]) -> None:
    if picture.file is None:
        return
    count, *grid = _shape(picture.file, known)
    if count < bands:
        raise FrameError(f"{picture.file} has {count} bands, the bundle's sensor {bands}")
    for path in (picture.truth, picture.permanent):
        if path is not None and _shape(path, known)[1:] != tuple(grid):
            raise FrameError(f"{path} is not on the grid of {picture.file}; make it anew for it")
    if picture.window is not None:
        row, col, height, width = picture.window
        if row + height > grid[0] or col + width > grid[1]:
            raise FrameError(
                f"the window {list(picture.window)} reaches beyond {picture.file}, which has "
                f"{grid[0]} rows and {grid[1]} columns"
            )


def _shape(path: Path, known: dict[Path, Shape]) -> Shape:
    if path not in known:
        try:
            with unlocated_is_fine(), rasterio.open(path) as source:
                known[path] = (source.count, source.height, source.width)
        except READ_ERRORS as error:
            raise FrameError(f"{path} cannot be read as a raster; name a GeoTIFF") from error
    return known[path]
