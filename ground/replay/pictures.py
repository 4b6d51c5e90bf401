"""Pictures of what came home: frame, mask, uncertainty, agreement with the truth, polygons.

All are on the frame's own grid; `footprint` has its corners. They depend on nothing but the
product, the frame and the truth, so they are kept from one replay to the next.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ground import areas, palette
from ground.backdrop import read_rgb
from ground.maps import sheet_of
from ground.place import pixel_to_lonlat
from ground.replay.decoded import unpacker
from ground.replay.result import Place
from ground.replay.scenes import Scene, truth_of
from onboard import files
from onboard.classes import WATER
from onboard.georef import Georef
from onboard.product import Product
from onboard.reference_water import Reference

DRAWN = 2
"""Counts up when the same product gives another picture."""
RGB = (3, 2, 1)
NAMES = ("frame.jpg", "mask.png", "entropy.png", "truth.png", "water.geojson")


@dataclass(frozen=True)
class Pictures:
    """Files of one product, relative to the replay's folder; None where there is none."""

    rgb: str | None
    mask: str | None
    entropy: str | None
    truth: str | None
    polygons: str | None


def draw(
    data: bytes, scene: Scene, reference: Reference | None, cache: Path, out: Path
) -> Pictures:
    """Draw a product that came home, or take its pictures from the cache.

    Args:
        data: the product as it arrived.
        scene: the frame that it is of.
        reference: permanent water, as the ground has it.
        cache: folder of what earlier replays drew.
        out: the replay's folder.

    Raises:
        OutputError: a folder cannot be written.
    """
    version = b"" if reference is None else reference.version
    key = hashlib.sha256(bytes([DRAWN]) + data + version + scene.folder.name.encode())
    kept = cache / "pictures" / key.hexdigest()[:24]
    if not kept.is_dir():
        files.make_folder(kept.parent)
        with files.replacing_folder(kept) as part:
            _draw(unpacker(cache)(data, reference), scene, reference, part)
    name = f"floods/{scene.capture.time:%Y%m%d-%H%M%S}-{data[-16:].hex()[:8]}"
    shutil.copytree(kept, out / name, dirs_exist_ok=True)
    there = [f"{name}/{one}" if (kept / one).is_file() else None for one in NAMES]
    return Pictures(*there)


def _draw(product: Product, scene: Scene, reference: Reference | None, out: Path) -> None:
    sheet = sheet_of(product, reference)
    shape = (sheet.mask.shape[0], sheet.mask.shape[1])
    entropy = palette.enlarge(sheet.entropy, shape, sheet.block)
    rgb = read_rgb(scene.frame, RGB, mask=product.mask)
    (out / "frame.jpg").write_bytes(palette.jpeg_bytes(rgb, 85))
    (out / "mask.png").write_bytes(palette.png_bytes(palette.water_rgba(sheet.mask)))
    (out / "entropy.png").write_bytes(palette.png_bytes(palette.uncertainty_rgba(entropy)))
    truth = truth_of(scene)
    if truth is not None:
        drawn = palette.agreement_rgba(sheet.mask, truth.classes)
        (out / "truth.png").write_bytes(palette.png_bytes(drawn))
    wet, _ = areas.features(sheet, only=(WATER,))
    text = json.dumps({"type": "FeatureCollection", "features": wet})
    (out / "water.geojson").write_text(text + "\n", "utf-8")


def footprint(georef: Georef) -> tuple[Place, ...]:
    """The corners of a grid, the lower left first, counter-clockwise, closed."""
    width, height = georef.width, georef.height
    columns = np.array([0.0, width, width, 0.0, 0.0])
    rows = np.array([height, height, 0.0, 0.0, height], float)
    longitudes, latitudes = pixel_to_lonlat(georef, columns, rows)
    return tuple(
        (round(float(x), 6), round(float(y), 6)) for x, y in zip(longitudes, latitudes, strict=True)
    )
