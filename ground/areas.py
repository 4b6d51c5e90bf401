"""Areas: a map's patches as GeoJSON (RFC 7946), each with its size and how sure it is.

A *patch* is a piece of one class whose pixels touch along their sides. Water, permanent water and
what was *not observed* become features of their own, the smallest patch and every hole included;
land that was seen is what is left of the frame. A frame without coordinates has features with no
geometry, one per class: nothing is invented.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import shapely
from rasterio.features import rasterize, shapes
from shapely.geometry import Polygon, mapping, shape

from ground import palette
from ground.lonlat import Box, Geometry, Globe, bounds, frame_of
from ground.maps import F32, NOT_OBSERVED, Sheet
from onboard import classes
from onboard.errors import ProductError
from onboard.files import replacing
from onboard.georef import Georef
from onboard.product import LN2

Confidence = Literal["high", "medium", "low"]

HIGH = 0.75
MEDIUM = 0.5
"""Least ``1 - mean entropy / ln 2`` of a patch of high and of medium confidence."""
MAX_PATCHES = 50_000
"""More than any map of water has; a mask of noise would have millions."""
ORDER = (classes.WATER, palette.PERMANENT, classes.CLOUD, classes.NODATA)


@dataclass(frozen=True)
class Patch:
    """One piece of a class.

    Attributes:
        value: its class: of `onboard.classes`, or `palette.PERMANENT`.
        pixels: how many.
        outline: in pixels, columns and rows from the frame's upper left corner; None stands for
            all pixels of the class together.
        mean_entropy: over its pixels, nats, 0…ln 2; None where not observed. Every pixel has the
            value of its block, as the satellite sends it.
        max_entropy: of its worst block, nats.
        mean_epistemic, max_epistemic: the same of the mutual information.
    """

    value: int
    pixels: int
    outline: Polygon | None
    mean_entropy: float | None = None
    max_entropy: float | None = None
    mean_epistemic: float | None = None
    max_epistemic: float | None = None

    @property
    def observed(self) -> bool:
        """Whether the surface was seen there."""
        return self.value not in (classes.CLOUD, classes.NODATA)


def patches(sheet: Sheet) -> list[Patch] | None:
    """The patches of a map, class by class in the order of `ORDER`, the largest first.

    None where there are more than `MAX_PATCHES`.
    """
    outlines, values = _outlines(sheet)
    if len(outlines) > MAX_PATCHES:
        return None
    labels: Any = rasterize(
        ((outline, number) for number, outline in enumerate(outlines, start=1)),
        out_shape=sheet.mask.shape,
        dtype=np.int32,
    ) if outlines else np.zeros(sheet.mask.shape, np.int32)  # fmt: skip
    found = _measured(sheet, labels, len(outlines))
    made = [
        Patch(value, count, _simple(outline), *nats)
        for value, outline, (count, *nats) in zip(values, outlines, found, strict=True)
    ]
    return sorted(made, key=lambda one: (ORDER.index(one.value), -one.pixels))


def totals(sheet: Sheet) -> list[Patch]:
    """One entry without an outline for each class that the map has, in the order of `ORDER`."""
    present = [value for value in ORDER if (sheet.mask == value).any()]
    labels = np.zeros(sheet.mask.shape, np.int32)
    for number, value in enumerate(present, start=1):
        labels[sheet.mask == value] = number
    found = _measured(sheet, labels, len(present))
    return [
        Patch(value, count, None, *nats)
        for value, (count, *nats) in zip(present, found, strict=True)
    ]


def _outlines(sheet: Sheet) -> tuple[list[Any], list[int]]:
    outlines, values = [], []
    for outline, value in shapes(sheet.mask, mask=np.isin(sheet.mask, ORDER), connectivity=4):
        outlines.append(outline)
        values.append(int(value))
        if len(outlines) > MAX_PATCHES:
            break
    return outlines, values


def _simple(outline: Any) -> Polygon:
    made = shape(outline)
    if made.is_valid:
        return made
    # A ring that touches itself in a corner; its pixels are the same when it is drawn anew.
    mended = shapely.make_valid(made)
    if not isinstance(mended, Polygon):
        raise ProductError("the outline of a patch crosses itself; use the GeoTIFF of the map")
    return mended


def _measured(sheet: Sheet, labels: Any, count: int) -> Iterator[tuple[int, *tuple[Any, ...]]]:
    """Pixels of each label and its means and maxima of entropy and of the epistemic part."""
    flat = labels.ravel()
    pixels = np.bincount(flat, minlength=count + 1)
    entropy = _by_label(sheet.entropy, sheet, flat, count)
    epistemic = _by_label(sheet.epistemic, sheet, flat, count)
    for number in range(1, count + 1):
        row = (*entropy[:, number], *epistemic[:, number])
        values = (float(one) if np.isfinite(one) else None for one in row)
        yield int(pixels[number]), *values


def _by_label(blocks: F32, sheet: Sheet, labels: Any, count: int) -> Any:
    """Mean and largest value of each label, float64 ``(2, count + 1)``; NaN where unknown."""
    size = (sheet.georef.height, sheet.georef.width)
    fine = palette.enlarge(blocks, size, sheet.block)
    seen = np.isfinite(fine) & np.isin(sheet.mask, (classes.WATER, palette.PERMANENT))
    at, nats = labels[seen.ravel()], fine[seen].astype(np.float64)
    known = np.bincount(at, minlength=count + 1)
    sums = np.bincount(at, nats, minlength=count + 1)
    worst = np.full(count + 1, -np.inf)
    np.maximum.at(worst, at, nats)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack([sums / known, np.where(known > 0, worst, np.nan)])


def confidence(patch: Patch, block: int) -> Confidence | None:
    """How sure a patch is, in a word.

    By ``1 - mean entropy / ln 2``, as an alert says it: *high* from `HIGH` on, *medium* from
    `MEDIUM` on, else *low*. A patch with fewer pixels than a block of the uncertainty map is
    *medium* at best: what is known of it is known of its surroundings too. None where nothing
    was observed.

    Args:
        patch: what is judged.
        block: side of a block, in pixels.
    """
    if not patch.observed or patch.mean_entropy is None:
        return None
    sure = 1.0 - patch.mean_entropy / LN2
    if sure >= HIGH and patch.pixels >= block * block:
        return "high"
    return "medium" if sure >= MEDIUM else "low"


def class_of(patch: Patch, sheet: Sheet) -> str:
    """The class as it stands in GeoJSON: of the subject, permanent water, or not observed."""
    if not patch.observed:
        return "not observed"
    return palette.class_names(sheet.labels.subject)[patch.value]


def properties(patch: Patch, sheet: Sheet, area_m2: float | None) -> dict[str, Any]:
    """A feature's properties; every feature has all of them. See ``docs/maps.md``."""
    reasons = {classes.CLOUD: "cloud", classes.NODATA: "no data"}
    labels = sheet.labels
    return {
        "class": class_of(patch, sheet),
        "reason": reasons.get(patch.value),
        "pixels": patch.pixels,
        "area_m2": None if area_m2 is None else round(area_m2, 1),
        "confidence": confidence(patch, sheet.block),
        "mean_entropy": _nats(patch.mean_entropy),
        "max_entropy": _nats(patch.max_entropy),
        "mean_epistemic": _nats(patch.mean_epistemic),
        "max_epistemic": _nats(patch.max_epistemic),
        "position_sigma_m": labels.position_sigma_m,
        "acquired": labels.acquired or None,
        "product": labels.product_id,
    }


def _nats(value: float | None) -> float | None:
    return None if value is None else round(value, 5)


def features(sheet: Sheet, only: Sequence[int] = ORDER) -> tuple[list[dict[str, Any]], str]:
    """GeoJSON features of a map, and what there is to say about their coordinates.

    Args:
        sheet: the map.
        only: classes that are wanted, of `ORDER`.

    Raises:
        ProductError: the frame's coordinates lie nowhere on Earth.
    """
    if not sheet.georef.located:
        return _totals(sheet, only), "none: the frame came without coordinates"
    globe, found = Globe(sheet.georef), patches(sheet)
    if found is None:
        note = f"none: more than {MAX_PATCHES} patches, as noise has; use the GeoTIFF"
        return _totals(sheet, only), note
    made = [
        _feature(number, sheet, one, *globe.geometry(one.outline))
        for number, one in enumerate(found, start=1)
        if one.value in only
    ]
    return made, "WGS 84, longitude and latitude in degrees (RFC 7946)"


def _totals(sheet: Sheet, only: Sequence[int]) -> list[dict[str, Any]]:
    """One feature of each class, without a geometry."""
    return [
        _feature(n, sheet, one, None, None)
        for n, one in enumerate(totals(sheet), start=1)
        if one.value in only
    ]


def _feature(
    number: int, sheet: Sheet, patch: Patch, geometry: Geometry | None, area: float | None
) -> dict[str, Any]:
    box = None if geometry is None else bounds([geometry])
    return {
        "type": "Feature",
        "id": f"{sheet.labels.product_id[:12]}-{number}",
        **({} if box is None else {"bbox": list(box)}),
        "geometry": None if geometry is None else mapping(geometry),
        "properties": properties(patch, sheet, area),
    }


def footprint(sheet: Sheet) -> tuple[Geometry | None, Box | None]:
    """The outline of a map's frame: see `outline`."""
    return outline(sheet.georef)


def outline(georef: Georef) -> tuple[Geometry | None, Box | None]:
    """A frame's outline on Earth and its bounding box; None where it has no coordinates.

    Raises:
        ProductError: the coordinates lie nowhere on Earth.
    """
    if not georef.located:
        return None, None
    geometry, _ = Globe(georef).geometry(frame_of(georef))
    return geometry, bounds([geometry])


def write_areas(sheet: Sheet, path: Path) -> Path:
    """Write a map's patches as a GeoJSON feature collection, a line for each feature.

    Returns:
        ``path``.

    Raises:
        OutputError: the folder cannot be written.
        ProductError: the frame's coordinates lie nowhere on Earth.
    """
    made, coordinates = features(sheet)
    box = footprint(sheet)[1]
    rows = {name.replace(" ", "_"): value for name, value in sheet.labels.rows()}
    head: dict[str, Any] = {
        "type": "FeatureCollection",
        **({} if box is None else {"bbox": list(box)}),
        "floodsat": {
            **rows,
            "coordinates": coordinates,
            "land": "land that was seen is the frame without these features",
            "not_observed": NOT_OBSERVED,
        },
    }
    start = json.dumps(head, ensure_ascii=False, indent=1)[:-2]
    lines = ",\n".join(json.dumps(one, ensure_ascii=False, allow_nan=False) for one in made)
    with replacing(path) as part:
        part.write_text(f'{start},\n "features": [\n{lines}\n ]\n}}\n', encoding="utf-8")
    return path
