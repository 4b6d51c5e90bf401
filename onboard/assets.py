"""Assets: which files of a STAC item hold a sensor's bands, found by their common names.

Source: STAC 1.0 with the extensions eo 1.1 (``eo:bands``) and raster 1.1 (``raster:bands``), STAC
1.1 with eo 2.0 and raster 2.0 (``bands``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from onboard.errors import FrameError
from onboard.items import member_of
from onboard.remote import Remote, gdal_name, is_address

NOT_FOR_US = {"overview", "thumbnail", "visual", "metadata"}
"""Roles of assets that are made to be looked at."""
ALSO = {"nir": ("nir08",)}
"""Common names that serve as well: Landsat's near infrared is the narrow one."""


class Band(NamedTuple):
    """A band of the sensor in a file.

    Attributes:
        name: of the sensor's band.
        source: what GDAL calls the file or object.
        at: number of the band in it, from 1.
        scale: reflectance per number, None where the item states none.
        offset: reflectance at 0, likewise.
        nodata: the number that means no data, likewise.
    """

    name: str
    source: str
    at: int
    scale: float | None
    offset: float | None
    nodata: float | None


def bands_of(
    path: Path, item: dict[str, Any], names: tuple[str, ...], notes: list[str]
) -> list[Band]:
    """Where the bands of those names are, in their order.

    Args:
        path: of the item's frame, for errors; addresses in the item are relative to its document.
        item: see `onboard.items.read_item`.
        names: common names of bands.
        notes: what a person should know is added here.

    Raises:
        FrameError: a band is in no asset or in several, or its file cannot be reached.
    """
    return [_band(path, item, name, notes) for name in names]


def _band(path: Path, item: dict[str, Any], name: str, notes: list[str]) -> Band:
    """Where a band is: in the file with the most of the bands, then in that of the finest pixels.

    One file of all bands comes before a file for each.
    """
    for wanted in (name, *ALSO.get(name, ())):
        found = [
            (len(bands), asset.get("gsd") or bands[index].get("gsd") or 0, key, index)
            for key, asset in _usable(item)
            for bands in [_tables_of(key, asset)]
            for index in range(len(bands))
            if _is(bands[index], wanted)
        ]
        if not found:
            continue
        found.sort(key=lambda one: (-one[0], float(one[1])))
        best = [one for one in found if one[:2] == found[0][:2]]
        if len(best) > 1:
            raise FrameError(
                f"{path}: has the band {name!r} in the assets {best[0][2]!r} and {best[1][2]!r}; "
                "leave one in the item"
            )
        if wanted != name:
            notes.append(f"{name} is the item's {wanted}")
        return _described(path, item, name, best[0][2], best[0][3])
    assets = ", ".join(item["assets"]) or "none"
    raise FrameError(
        f"{path}: no GeoTIFF among its assets ({assets}) is said to hold the band {name!r}; name "
        "it in eo:bands or bands, by its common name"
    )


def _usable(item: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Assets that are GeoTIFFs and no pictures."""
    found = []
    for key, asset in item["assets"].items():
        if not isinstance(asset, dict) or not isinstance(asset.get("href"), str):
            continue
        roles = set(asset.get("roles") or ()) | {key}
        media = str(asset.get("type") or "")
        named = urlsplit(asset["href"]).path.lower().endswith((".tif", ".tiff"))
        if not roles & NOT_FOR_US and (media.startswith("image/tiff") or (not media and named)):
            found.append((key, asset))
    return found


def _tables_of(key: str, asset: dict[str, Any]) -> list[dict[str, Any]]:
    """An asset's bands in file order, each with what is said of it in any of the three ways."""
    new, eo, raster = (_tables(asset.get(name)) for name in ("bands", "eo:bands", "raster:bands"))
    # Of a band for which there are no words the asset's own name has to do.
    count = max(len(new), len(eo), len(raster), 1)
    tables = []
    for index in range(count):
        merged: dict[str, Any] = {} if count > 1 else {"name": key}
        # What stands at the asset holds for its bands, since 1.1.
        merged.update({k: v for k, v in asset.items() if k in _STATED_AT_ASSETS})
        for listed in (raster, eo, new):
            if index < len(listed):
                merged.update(listed[index])
        tables.append(merged)
    return tables


_STATED_AT_ASSETS = ("eo:common_name", "raster:scale", "raster:offset", "nodata", "gsd")


def _tables(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        return []
    return [one if isinstance(one, dict) else {} for one in value]


def _is(band: dict[str, Any], wanted: str) -> bool:
    common = band.get("eo:common_name") or band.get("common_name")
    return str(common or band.get("name") or "").lower() == wanted


def _described(path: Path, item: dict[str, Any], name: str, key: str, index: int) -> Band:
    asset = item["assets"][key]
    band = _tables_of(key, asset)[index]

    def number(*names: str) -> float | None:
        for one in names:
            if band.get(one) is not None:
                try:
                    return float(band[one])
                except (TypeError, ValueError) as error:
                    raise FrameError(
                        f"{path}: {one} of the asset {key!r} is {band[one]!r}, no number; mend it"
                    ) from error
        return None

    return Band(
        name,
        _resolve(path, item, key),
        index + 1,
        number("raster:scale", "scale"),
        number("raster:offset", "offset"),
        number("nodata"),
    )


def _resolve(path: Path, item: dict[str, Any], key: str) -> str:
    """What GDAL calls an asset's file.

    Addresses are relative to the item's document, or to where the item says that it lies.
    """
    href = str(item["assets"][key]["href"])
    if is_address(href):
        return gdal_name(href)
    if "://" in href or href.startswith("/vsi"):
        raise FrameError(
            f"{path}: the asset {key!r} is at {href!r}, which cannot be read from here; copy it "
            "to a folder, to s3:// or to https://"
        )
    member = member_of(path)
    document = path if member is None else member[0]
    beside = document.parent / href
    base = str(document) if isinstance(document, Remote) else _self(item)
    if base is None or (not isinstance(document, Remote) and beside.exists()):
        return str(beside)
    if href.startswith("/"):
        raise FrameError(f"{path}: the asset {key!r} is a file of another machine; mend the item")
    return gdal_name(_joined(base, href))


def _joined(base: str, href: str) -> str:
    # urljoin knows no steps in an s3 address.
    scheme, rest = base.split("://", 1)
    return scheme + urljoin("http://" + rest, href)[len("http") :]


def _self(item: dict[str, Any]) -> str | None:
    """Where an item says that it lies, as far as that is an address."""
    links = item.get("links")
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("rel") == "self":
            href = str(link.get("href") or "")
            return href if is_address(href) else None
    return None
