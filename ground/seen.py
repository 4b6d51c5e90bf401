"""Seen: what one date shows of a place, read from a product, a map or an item of a catalogue."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import numpy as np
import rasterio

from ground import palette
from ground.maps import sheet_of, utc_text
from ground.palette import U8, Subject
from onboard import classes
from onboard.cli.verify import read_product
from onboard.errors import FloodsatError, FrameError, ProductError
from onboard.georef import Georef
from onboard.rasters import READ_ERRORS, unlocated_is_fine
from onboard.reference_water import PermanentWater
from onboard.toml import read_bytes

KNOWN = (classes.LAND, classes.WATER, palette.PERMANENT, classes.CLOUD, classes.NODATA)
ROLES = ("data", "mask")
MAX_ITEM = 2**22
TIFF_ENDINGS = (".tif", ".tiff")


@dataclass(frozen=True, eq=False)
class Seen:
    """One date of a place.

    Attributes:
        name: of the file it was read from.
        mask: uint8 ``(H, W)`` of `onboard.classes`, and `palette.PERMANENT` on a flood map.
        georef: the grid, with coordinates.
        subject: ``"flood"`` where permanent water is told apart, else ``"water"``.
        reference: version of the permanent-water reference, hexadecimal; "" without one.
        acquired: ISO 8601 in UTC; "" where not known.
        sigma_m: one standard deviation of the position, metres; None where not known.
    """

    name: str
    mask: U8
    georef: Georef
    subject: Subject = "water"
    reference: str = ""
    acquired: str = ""
    sigma_m: float | None = None


def read_seen(path: Path, reference: PermanentWater | None = None) -> Seen:
    """Read one date.

    Args:
        path: a product (``.fsp``), a class map (``.tif``) as ``receive`` or ``segment`` write it,
            or a STAC item (``.json``) that names such a map.
        reference: permanent water; tells flood in a product that names its version.

    Raises:
        ProductError: it is none of these, or cannot be read.
        FrameError: it has no coordinates.
    """
    ending = path.suffix.lower()
    if ending == ".fsp":
        found = _of_product(path, reference)
    elif ending == ".json":
        found = _of_item(path)
    elif ending in TIFF_ENDINGS:
        found = _of_map(path)
    else:
        raise ProductError(
            f"{path}: is no product (.fsp), map (.tif) or item of a catalogue (.json); name one"
        )
    if not found.georef.located:
        raise FrameError(
            f"{path}: has no coordinates, so that nobody knows what place it shows; "
            "compare maps of located frames"
        )
    return found


def _of_product(path: Path, reference: PermanentWater | None) -> Seen:
    product = read_product(path, None if reference is None else reference.path)
    sheet = sheet_of(product, reference)
    return Seen(
        path.name,
        sheet.mask,
        sheet.georef,
        sheet.labels.subject,
        sheet.labels.reference if sheet.labels.subject == "flood" else "",
        utc_text(product.acquired_ms),
        product.geolocation_sigma_m,
    )


def _of_map(path: Path) -> Seen:
    try:
        with unlocated_is_fine(), rasterio.open(path) as tif:
            names = [text or "" for text in tif.descriptions]
            if "class" not in names and tif.count > 1:
                raise ProductError(
                    f"{path}: has no band described as class; give a map of 'receive' or 'segment'"
                )
            band = names.index("class") + 1 if "class" in names else 1
            raster, tags = tif.read(band), tif.tags()
            code = None if tif.crs is None else tif.crs.to_epsg() or tif.crs.to_wkt()
            transform = tif.transform
    except READ_ERRORS as error:
        raise ProductError(f"{path}: is no readable GeoTIFF ({error}); fetch it again") from error
    crs = "" if code is None else f"EPSG:{code}" if isinstance(code, int) else code
    a, b, c, d, e, f, *_ = transform
    georef = Georef(raster.shape[1], raster.shape[0], crs, (a, b, c, d, e, f))
    return _labelled(Seen(path.name, _classes(path, raster), georef), tags)


def _classes(path: Path, raster: Any) -> U8:
    """Class values as uint8; ``segment`` writes them as floats, NaN where there is no data."""
    filled = np.where(np.isfinite(raster), raster, classes.NODATA)
    strange = sorted(set(np.unique(filled).tolist()) - set(KNOWN))
    if strange:
        raise ProductError(
            f"{path}: holds the value {strange[0]:g}, which is no class; give a map of classes"
        )
    return filled.astype(np.uint8)


def _labelled(seen: Seen, tags: dict[str, str]) -> Seen:
    """What the tags of a map say of it."""
    flood = tags.get("FLOODSAT_SUBJECT") == "flood"
    acquired = tags.get("FLOODSAT_ACQUIRED", "").split(" ")[0]
    return replace(
        seen,
        subject="flood" if flood else "water",
        reference=tags.get("FLOODSAT_REFERENCE", "").split(" ")[0] if flood else "",
        acquired=acquired if acquired[:1].isdigit() else "",
        sigma_m=_sigma(tags.get("FLOODSAT_POSITION", "")),
    )


def _sigma(text: str) -> float | None:
    """One standard deviation from a map's tag, such as ``± 35 m (1 sigma)``."""
    words = text.split()
    if len(words) < 2 or words[0] != "±":
        return None
    try:
        return float(words[1])
    except ValueError:
        return None


def _of_item(path: Path) -> Seen:
    """The class map that a STAC item names."""
    data = read_bytes(path, "an item of a catalogue", ProductError, MAX_ITEM)
    try:
        assets = json.loads(data)["assets"].values()
        roles = [(asset["href"], asset.get("roles", [])) for asset in assets]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProductError(f"{path}: is no STAC item ({error}); name one of a catalogue") from error
    maps = [_beside(path, href) for href, own in roles if set(own) & set(ROLES)]
    for candidate in [one for one in maps if one.suffix.lower() in TIFF_ENDINGS]:
        try:
            return _of_map(candidate)
        except FloodsatError:
            continue
    raise ProductError(f"{path}: names no class map that is here; give the map itself")


def _beside(path: Path, href: str) -> Path:
    """The file that an asset's address names."""
    place = urlparse(str(href))
    plain = unquote(place.path) if place.scheme == "file" else str(href)
    return (path.parent / plain).resolve()
