"""Delivery: all that the ground writes of one map, by one writer, and its place in the catalogue.

Files first, their STAC item last: an item that is there vouches for every file that it names, by
length and SHA-256. The product's own bytes are kept even where nothing can be drawn of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from ground import stac
from ground.areas import write_areas
from ground.catalogue import Catalogue, day_name
from ground.lonlat import Globe
from ground.maps import Sheet, sheet_of, sheet_subject, write_maps
from ground.palette import U8
from ground.quicklook import write_quicklook
from ground.styles import write_styles
from onboard.errors import FloodsatError, OutputError
from onboard.files import write_bytes
from onboard.product import Product
from onboard.reference_water import Reference


class Delivery(NamedTuple):
    """What was written of one product.

    Attributes:
        paths: files that were written; none where all were there already.
        item: its STAC item, to be added to the catalogue; None where there is nothing to add.
        problem: why its maps were not drawn, in one line; empty where they were.
    """

    paths: list[Path]
    item: dict[str, Any] | None = None
    problem: str = ""


def deliver(
    product: Product, data: bytes, folder: Path, reference: Reference | None = None
) -> Delivery:
    """Write a verified product and everything that is drawn of it; nothing that is there already.

    A product that cannot be drawn is kept, and the problem is told: it must not keep others from
    the ground. The item is to be added with `Catalogue.add`, for many products at once.

    Args:
        product: decoded.
        data: its bytes.
        folder: of the catalogue.
        reference: permanent water; see `ground.maps.sheet_of`.

    Raises:
        OutputError: the folder cannot be written.
    """
    raw, paths = folder / f"{product.stem}.fsp", []
    if not raw.is_file() or raw.read_bytes() != data:
        write_bytes(raw, data)
        paths.append(raw)
    elif is_whole(folder, product.stem, sheet_subject(product, reference)):
        return Delivery([])
    try:
        drawn, item = write_sheet(sheet_of(product, reference), folder, product.stem)
    except FloodsatError as error:
        if isinstance(error, OutputError):
            raise
        problem = f"{raw}: kept, but its maps cannot be drawn: {error}"
        return Delivery(paths, problem=problem)
    return Delivery([*paths, *drawn], item)


def write_sheet(
    sheet: Sheet, folder: Path, stem: str, rgb: U8 | None = None
) -> tuple[list[Path], dict[str, Any]]:
    """Write every file of a map into ``folder``: see `ground.stac.asset_names`.

    Args:
        sheet: what is drawn.
        folder: where to.
        stem: what the names begin with.
        rgb: the frame ``(H, W, 3)``, for the quicklook; see `ground.quicklook.write_quicklook`.

    Returns:
        The files, and the STAC item that describes them, which is not written yet.

    Raises:
        OutputError: the folder cannot be written.
        ProductError: the frame's coordinates lie nowhere on Earth, or the mask holds a value that
            is no class; then nothing is written.
    """
    if sheet.georef.located:
        Globe(sheet.georef)
    paths = [
        *write_maps(sheet, folder, stem),
        write_areas(sheet, folder / f"{stem}_areas.geojson"),
        write_quicklook(sheet, folder / f"{stem}.png", rgb),
        *write_styles(folder, stem, sheet.labels.subject),
    ]
    day = day_name(stac.moment(sheet.labels.acquired_ms), stem)
    return paths, stac.item(sheet, folder, stem, day)


def is_whole(folder: Path, stem: str, subject: str) -> bool:
    """Whether the catalogue has a map with that subject, and every file that its item names."""
    catalogue = Catalogue(folder)
    try:
        entry = catalogue.entry(stem)
        if entry is None or entry.subject != subject:
            return False
        assets = entry.item()["assets"].values()
        return all((folder / one["href"]).stat().st_size == one["file:size"] for one in assets)
    except (OSError, KeyError):
        return False
