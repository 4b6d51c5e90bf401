"""STAC: one item (STAC 1.1) that describes a map and every file that belongs to it.

An item is plain JSON and is made as such: pystac would do, but then every reception would load
it. The extensions are named in `EXTENSIONS`; what only FloodSat knows begins with ``floodsat:``.
A frame without coordinates has ``geometry: null``, one whose time is not known has
``datetime: null`` and a span that is all of time: neither is invented.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from shapely.geometry import mapping

import onboard
from ground import palette
from ground.areas import footprint
from ground.maps import Sheet, shares
from ground.place import coarser, crs_of, ground_matrix, pixel_size
from onboard import classes
from onboard.georef import Georef

VERSION = "1.1.0"
COLLECTION = "floodsat"
_PUBLISHED = "https://stac-extensions.github.io"
EXTENSIONS = [
    f"{_PUBLISHED}/classification/v2.0.0/schema.json",
    f"{_PUBLISHED}/file/v2.1.0/schema.json",
    f"{_PUBLISHED}/processing/v1.0.0/schema.json",
    f"{_PUBLISHED}/projection/v2.0.0/schema.json",
    f"{_PUBLISHED}/raster/v1.1.0/schema.json",
]
EVER = ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z")
"""The span of a frame whose time is not known."""
COG = "image/tiff; application=geotiff; profile=cloud-optimized"
GEOJSON = "application/geo+json"
QML = "application/xml"
_SHA256 = "1220"
"""Multihash code and length of a SHA-256, before its digits."""
_CLASS_NAMES = {
    classes.LAND: "land",
    palette.PERMANENT: "permanent_water",
    classes.CLOUD: "cloud",
    classes.NODATA: "no_data",
}


def item(sheet: Sheet, folder: Path, stem: str, day: str) -> dict[str, Any]:
    """Describe a map whose files lie in ``folder``.

    Args:
        sheet: what the files show.
        folder: where the item will be; every file of `asset_names` that is there is an asset.
        stem: what the files' names begin with; the item's id.
        day: name of the catalogue's day that the item belongs to.

    Returns:
        The item as plain JSON types, links relative to ``folder``.

    Raises:
        ProductError: the frame's coordinates lie nowhere on Earth.
    """
    geometry, box = footprint(sheet)
    return {
        "type": "Feature",
        "stac_version": VERSION,
        "stac_extensions": EXTENSIONS,
        "id": stem,
        "collection": COLLECTION,
        "geometry": None if geometry is None else plain(geometry),
        **({} if box is None else {"bbox": list(box)}),
        "properties": _properties(sheet),
        "links": links(day),
        "assets": {
            name: {**one, **file_facts(folder / one["href"])}
            for name, one in _assets(sheet, stem).items()
            if (folder / one["href"]).is_file()
        },
    }


def links(day: str) -> list[dict[str, Any]]:
    """An item's links to the catalogue and to its day of it."""
    return [
        {"rel": "root", "href": "./collection.json", "type": "application/json"},
        {"rel": "parent", "href": f"./days/{day}.json", "type": "application/json"},
        {"rel": "collection", "href": "./collection.json", "type": "application/json"},
    ]


def asset_names(stem: str) -> list[str]:
    """Names of all files of a map, in the order in which they are written."""
    return [
        f"{stem}.fsp",
        f"{stem}.tif",
        f"{stem}_uncertainty.tif",
        f"{stem}_areas.geojson",
        f"{stem}.png",
        f"{stem}.qml",
        f"{stem}_uncertainty.qml",
        f"{stem}_areas.qml",
    ]


def moment(milliseconds: int | None) -> datetime | None:
    """UTC milliseconds since 1970 as a time; None where unknown or outside the calendar."""
    if milliseconds is None:
        return None
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None


def time_text(when: datetime) -> str:
    """A time as RFC 3339 writes it, to the millisecond, in UTC."""
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _properties(sheet: Sheet) -> dict[str, Any]:
    labels, share = sheet.labels, shares(sheet.mask)
    matrix = ground_matrix(sheet.georef)
    found = {
        "title": f"{labels.subject.capitalize()} map {labels.product_id[:12]}",
        **times(sheet.labels.acquired_ms),
        "instruments": [labels.sensor] if labels.sensor else None,
        "gsd": None if matrix is None else round(max(pixel_size(matrix)), 3),
        **projection(sheet.georef),
        "processing:level": "L2",
        "processing:lineage": (
            f"Segmented on board in {labels.passes} passes with Monte Carlo dropout; "
            "decoded and drawn on the ground"
        ),
        "processing:software": {
            "FloodSat": onboard.__version__,
            **_software(labels.engine),
        },
        "floodsat:product_id": labels.product_id,
        "floodsat:scene_id": labels.scene_id,
        "floodsat:model_id": labels.model_id,
        "floodsat:subject": labels.subject,
        "floodsat:reference": labels.reference or None,
        "floodsat:operating_point": labels.operating_point or None,
        "floodsat:thresholds": dict(labels.thresholds) or None,
        "floodsat:passes": labels.passes,
        # As text: readers of JSON keep 53 bits of a number, a seed has 64.
        "floodsat:seed": str(labels.seed),
        "floodsat:clock": labels.clock or None,
        "floodsat:position_sigma_m": labels.position_sigma_m,
        "floodsat:conditions": list(labels.conditions),
        "floodsat:area_m2": sheet.water_area_m2,
        "floodsat:share": round(share.water, 6),
        "floodsat:not_observed_share": round(share.not_observed, 6),
        "floodsat:mean_entropy": sheet.mean_entropy,
        "floodsat:mean_epistemic": sheet.mean_epistemic,
        "floodsat:located": sheet.georef.located,
    }
    nullable = {"datetime"}
    return {name: value for name, value in found.items() if value is not None or name in nullable}


def times(acquired_ms: int | None) -> dict[str, Any]:
    """An item's time: UTC milliseconds since 1970, or all of time where that is not known."""
    when = moment(acquired_ms)
    if when is not None:
        return {"datetime": time_text(when)}
    return {"datetime": None, "start_datetime": EVER[0], "end_datetime": EVER[1]}


def _software(engine: str) -> dict[str, str]:
    name, _, version = engine.partition(" ")
    return {name or "engine": version or "not known"}


def projection(grid: Georef) -> dict[str, Any]:
    """A grid in the terms of the projection extension."""
    shape = {"proj:shape": [grid.height, grid.width]}
    crs = crs_of(grid)
    if crs is None:
        return shape
    a, b, c, d, e, f = grid.transform
    code = grid.crs if grid.crs.startswith("EPSG:") else None
    xs = [a * i + b * j + c for i in (0, grid.width) for j in (0, grid.height)]
    ys = [d * i + e * j + f for i in (0, grid.width) for j in (0, grid.height)]
    return {
        **({"proj:code": code} if code else {"proj:wkt2": crs.to_wkt(version="WKT2_2019")}),
        "proj:bbox": [min(xs), min(ys), max(xs), max(ys)],
        **shape,
        "proj:transform": [a, b, c, d, e, f, 0.0, 0.0, 1.0],
    }


def _assets(sheet: Sheet, stem: str) -> dict[str, dict[str, Any]]:
    blocks = projection(coarser(sheet.georef, sheet.block))
    fsp, tif, uncertainty, areas, png, *styles = asset_names(stem)
    return {
        "product": asset(fsp, "Product as received", "application/octet-stream", "metadata"),
        "classes": {
            **asset(tif, "Classes", COG, "data"),
            "bands": [_class_band()],
            "raster:bands": [{"data_type": "uint8", "nodata": classes.NODATA, "sampling": "area"}],
            "classification:classes": _classes(sheet),
        },
        "uncertainty": {
            **asset(uncertainty, "Uncertainty by blocks of pixels, in nats", COG, "data"),
            **blocks,
            "bands": [_nat_band(name, text) for name, text in _NAT_BANDS.items()],
            "raster:bands": [
                {"data_type": "float32", "nodata": "nan", "unit": "nat", "sampling": "area"}
                for _ in _NAT_BANDS
            ],
        },
        "areas": asset(areas, "Patches with area and confidence", GEOJSON, "data"),
        "quicklook": asset(png, "Quicklook", "image/png", "overview", "thumbnail"),
        **{
            f"style_{of}": asset(name, f"QGIS style of the {of}", QML, "metadata", "style")
            for of, name in zip(("classes", "uncertainty", "areas"), styles, strict=True)
        },
    }


_NAT_BANDS = {
    "entropy": "entropy of water or not, of the mean over the passes; NaN where not observed",
    "epistemic": "the part of it that is the model's, the mutual information",
}


def _class_band() -> dict[str, Any]:
    return {"name": "class", "data_type": "uint8", "nodata": classes.NODATA}


def _nat_band(name: str, text: str) -> dict[str, Any]:
    band = {"name": name, "description": text, "data_type": "float32", "nodata": "nan"}
    return {**band, "unit": "nat"}


def _classes(sheet: Sheet) -> list[dict[str, Any]]:
    subject = sheet.labels.subject
    return [
        {
            "value": value,
            "name": _CLASS_NAMES.get(value, subject),
            "title": title,
            "description": title,
            "color_hint": palette.css(palette.CLASS_RGB[value])[1:].upper(),
            **({"nodata": True} if value == classes.NODATA else {}),
        }
        for value, title in palette.class_names(subject).items()
    ]


def asset(href: str, title: str, media: str, *roles: str) -> dict[str, Any]:
    """An asset that lies beside its item."""
    return {"href": f"./{href}", "title": title, "type": media, "roles": list(roles)}


def file_facts(path: Path) -> dict[str, Any]:
    """What an asset says of its file: length and SHA-256, as the file extension writes them."""
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    return {"file:size": len(data), "file:checksum": _SHA256 + digest}


def plain(geometry: Any) -> Any:
    """A geometry of shapely in plain JSON types."""
    return json.loads(json.dumps(mapping(geometry)))
