"""Chips that the device is shown: real ones where there are any, generated ones otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio

from onboard.arrays import Array
from onboard.bundle import Bundle
from onboard.classes import WATER
from onboard.errors import DatasetError
from onboard.rasters import unlocated_is_fine
from onboard.scene import Frame

REAL = "dfc24"
"""Of the data folder's sets, the one with labelled floods."""


class Chip(NamedTuple):
    """One tile to compute.

    Attributes:
        name: of the file.
        tile: float32 ``(S, S, bands)``, normalised; what lies around the chip is its mirror image.
        valid: bool ``(S - 2·halo, S - 2·halo)``: the core's pixels that are the chip's own and
            have data.
        scene_id: of the chip, 32 bytes.
    """

    name: str
    tile: Array
    valid: Array
    scene_id: bytes


def folder(data: Path, samples: Path) -> tuple[Path, str]:
    """Where the chips come from, and in words.

    Args:
        data: the folder of real imagery; it may be absent.
        samples: the committed samples.
    """
    if (data / REAL / "images").is_dir():
        return data / REAL, f"real: {REAL}"
    return samples / "chips", "generated: the committed samples"


def wettest(source: Path, count: int) -> list[Path]:
    """Images of a chip folder, those with half of their labels water first.

    There the passes differ and the mask has an edge: a chip of dry land would agree with anything.

    Raises:
        DatasetError: it has no labelled image.
    """
    ranked = []
    for label in sorted((source / "labels").glob("*.tif")):
        image = source / "images" / label.name
        if image.is_file():
            with unlocated_is_fine(), rasterio.open(str(label)) as data:
                share = float(np.mean(data.read(1) == WATER))
            ranked.append((abs(share - 0.5), image))
    if not ranked:
        raise DatasetError(f"{source}: has no labelled chip; name another folder in FLOODSAT_DATA")
    return [image for _, image in sorted(ranked)[:count]]


def read(path: Path, bundle: Bundle) -> Chip:
    """A chip as a tile of the bundle's Myriad models."""
    size, halo = int(bundle.sets["myriad"]["tile"]), bundle.network.halo
    with Frame(path, bundle.sensor) as frame:
        scene_id = frame.scene_id()
        patch = frame.read(-halo, -halo, size, size)
        height, width = frame.height, frame.width
    tile = bundle.normalisation.apply(patch.reflectance, patch.valid)
    valid = patch.valid[halo : size - halo, halo : size - halo].copy()
    valid[height:] = False
    valid[:, width:] = False
    return Chip(path.name, tile, valid, scene_id)
