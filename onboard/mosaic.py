"""Mosaic: one image made of the files in which a STAC item's bands lie.

It is a description for GDAL (a *VRT*) of a few kilobytes: no sample is copied, and none is
resampled. Scale, offset and nodata are those that the item states, else those that the files state,
else the sensor's.

Source: GDAL's VRT format; STAC's extension raster 1.1 for what a number means; for Sentinel-2 its
products' specification, which adds 1000 to every number from baseline 04.00 on.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
import rasterio
from rasterio.enums import MaskFlags

from onboard.assets import Band, bands_of
from onboard.errors import FrameError
from onboard.rasters import READ_ERRORS, first_line, reaching, unlocated_is_fine
from onboard.remote import address_of, is_far
from onboard.sensor import Sensor

OFFSET_APPLIED = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
BASELINES = ("s2:processing_baseline", "sentinel2:processing_baseline", "processing:version")
BASELINE_WITH_OFFSET = 4.0
"""From Sentinel-2's processing baseline 04.00 on, 1000 is added to every number (2022-01-25)."""
S2_SCALE, S2_OFFSET = 1e-4, -0.1
GDAL_TYPES = {"uint16": "UInt16", "int16": "Int16", "float32": "Float32"}
MAX_OFFSET = 10.0
"""Reflectance is never that far off: beyond it an offset is in the numbers of the file."""


class Source(NamedTuple):
    """What a file says of itself; ``grid`` is its CRS, transform, width and height."""

    grid: tuple[Any, Any, int, int]
    dtypes: tuple[str, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    nodata: float | None
    block: tuple[int, int]
    masked: bool


class Mosaic(NamedTuple):
    """An image of the sensor's bands.

    Attributes:
        vrt: GDAL's description of it.
        notes: what a person should know of it.
    """

    vrt: str
    notes: list[str]


def mosaic(path: Path, item: dict[str, Any], sensor: Sensor) -> Mosaic:
    """The image that an item's assets make.

    Args:
        path: of the item's frame, for errors; addresses in the item are relative to its document.
        item: see `onboard.items.read_item`.
        sensor: whose bands, in its order.

    Raises:
        FrameError: a band is in no asset or in several, an asset cannot be read, or the bands do
            not lie on one grid.
    """
    notes: list[str] = []
    bands = bands_of(path, item, sensor.bands, notes)
    sources = {band.source: _open(path, band.source) for band in bands}
    _check(path, bands, sources)
    filled = [_filled(path, item, band, sources[band.source], sensor, notes) for band in bands]
    if len({str(band.nodata) for band in filled}) > 1:
        raise FrameError(f"{path}: has bands of different nodata; write them into one file")
    if len(sources) > 1 and any(source.masked for source in sources.values()):
        notes.append("masks within the files are not read, their nodata is")
    return Mosaic(_vrt(filled, sources, _time(item)), list(dict.fromkeys(notes)))


def _time(item: dict[str, Any]) -> str | None:
    properties = item.get("properties")
    if not isinstance(properties, dict):
        return None
    found = properties.get("datetime") or properties.get("start_datetime")
    return None if found is None else str(found)


def _open(path: Path, source: str) -> Source:
    try:
        with unlocated_is_fine(), reaching(is_far(source)), rasterio.open(source) as raster:
            return Source(
                (raster.crs, raster.transform, raster.width, raster.height),
                tuple(raster.dtypes),
                tuple(raster.scales),
                tuple(raster.offsets),
                raster.nodata,
                tuple(raster.block_shapes[0]),
                MaskFlags.per_dataset in raster.mask_flag_enums[0],
            )
    except READ_ERRORS as error:
        raise FrameError(
            f"{path}: its asset {address_of(source)} cannot be opened as a GeoTIFF "
            f"({first_line(error)}); check that it is there"
        ) from error


def _check(path: Path, bands: list[Band], sources: dict[str, Source]) -> None:
    """Refuse bands that are not in their files, or that do not lie on one another."""
    first = sources[bands[0].source]
    for band in bands:
        source = sources[band.source]
        if band.at > len(source.dtypes):
            raise FrameError(
                f"{path}: the band {band.name!r} should be number {band.at} of "
                f"{address_of(band.source)}, which has {len(source.dtypes)}; mend the item"
            )
        kind = source.dtypes[band.at - 1]
        if kind not in GDAL_TYPES or kind != first.dtypes[bands[0].at - 1]:
            raise FrameError(
                f"{path}: the band {band.name!r} has samples of type {kind}; bands are all "
                f"{', all '.join(GDAL_TYPES)}"
            )
        if source.grid[2:] != first.grid[2:]:
            raise FrameError(
                f"{path}: the band {band.name!r} has {source.grid[2]}×{source.grid[3]} pixels, "
                f"{bands[0].name!r} {first.grid[2]}×{first.grid[3]}; nothing is resampled here: "
                "name assets of one pixel size"
            )
        same = source.grid[0] == first.grid[0] and _alike(source.grid[1], first.grid[1])
        if not same:
            raise FrameError(
                f"{path}: the bands {bands[0].name!r} and {band.name!r} lie on different grids; "
                "bring them onto one"
            )


def _alike(one: Any, other: Any) -> bool:
    """Whether two grids agree within a thousandth of a pixel."""
    pixel = math.hypot(one.a, one.d)
    return bool(np.allclose(tuple(one)[:6], tuple(other)[:6], rtol=1e-9, atol=1e-3 * pixel))


def _filled(
    path: Path,
    item: dict[str, Any],
    band: Band,
    source: Source,
    sensor: Sensor,
    notes: list[str],
) -> Band:
    """A band with its scale, offset and nodata, whoever states them."""
    nodata = source.nodata if band.nodata is None else band.nodata
    integer = source.dtypes[band.at - 1] != "float32"
    scale, offset = band.scale, band.offset
    if scale is None and offset is None:
        own = (source.scales[band.at - 1], source.offsets[band.at - 1])
        scale, offset = _unstated(item, own, integer, sensor, notes)
    if scale is None:
        scale = sensor.scale if integer else 1.0
    offset = offset or 0.0
    if scale <= 0 or not math.isfinite(scale + offset):
        raise FrameError(f"{path}: scale {scale:g} and offset {offset:g} of {band.name!r}; mend it")
    if abs(offset) > MAX_OFFSET:
        notes.append(f"the offset {offset:g} is taken as numbers of the file, not reflectance")
        offset *= scale
    properties = item.get("properties")
    applied = isinstance(properties, dict) and any(properties.get(n) for n in OFFSET_APPLIED)
    if offset and applied:
        notes.append("the offset that the item states was applied to its files already")
        offset = 0.0
    return band._replace(scale=scale, offset=offset, nodata=nodata)


def _unstated(
    item: dict[str, Any],
    own: tuple[float, float],
    integer: bool,
    sensor: Sensor,
    notes: list[str],
) -> tuple[float, float]:
    """Scale and offset where the item states neither."""
    if own != (1.0, 0.0) or not integer:
        return own
    baseline = _baseline(item)
    if baseline is not None and baseline >= BASELINE_WITH_OFFSET:
        notes.append(f"no scale is stated; that of processing baseline {baseline:05.2f} is taken")
        return S2_SCALE, S2_OFFSET
    notes.append(f"no scale is stated; {sensor.scale:g} is taken")
    return sensor.scale, sensor.offset


def _baseline(item: dict[str, Any]) -> float | None:
    """Sentinel-2's processing baseline, where the item is one of its."""
    properties = item.get("properties")
    if not isinstance(properties, dict):
        return None
    if not str(properties.get("platform", "sentinel-2")).lower().startswith("sentinel-2"):
        return None
    for name in BASELINES:
        try:
            return float(properties[name])
        except (KeyError, TypeError, ValueError):
            continue
    return None


def _vrt(bands: list[Band], sources: dict[str, Source], time: str | None) -> str:
    crs, transform, width, height = sources[bands[0].source].grid
    root = ElementTree.Element("VRTDataset", rasterXSize=str(width), rasterYSize=str(height))
    if crs is not None:
        ElementTree.SubElement(root, "SRS").text = crs.to_wkt()
        t = transform
        ElementTree.SubElement(root, "GeoTransform").text = ",".join(
            repr(float(number)) for number in (t.c, t.a, t.b, t.f, t.d, t.e)
        )
    if time is not None:
        tags = ElementTree.SubElement(root, "Metadata")
        ElementTree.SubElement(tags, "MDI", key="ACQUIRED").text = time
    for number, band in enumerate(bands, start=1):
        source = sources[band.source]
        rows, cols = source.block
        part = ElementTree.SubElement(
            root,
            "VRTRasterBand",
            dataType=GDAL_TYPES[source.dtypes[band.at - 1]],
            band=str(number),
            blockXSize=str(min(cols, width)),
            blockYSize=str(min(rows, height)),
        )
        ElementTree.SubElement(part, "Description").text = band.name
        if band.nodata is not None:
            ElementTree.SubElement(part, "NoDataValue").text = repr(float(band.nodata))
        ElementTree.SubElement(part, "Offset").text = repr(band.offset)
        ElementTree.SubElement(part, "Scale").text = repr(band.scale)
        _source(part, band.source, str(band.at))
    if len(sources) == 1 and sources[bands[0].source].masked:
        mask = ElementTree.SubElement(
            ElementTree.SubElement(root, "MaskBand"), "VRTRasterBand", dataType="Byte"
        )
        _source(mask, bands[0].source, "mask,1")
    return ElementTree.tostring(root, encoding="unicode")


def _source(parent: ElementTree.Element, source: str, band: str) -> None:
    part = ElementTree.SubElement(parent, "SimpleSource")
    ElementTree.SubElement(part, "SourceFilename", relativeToVRT="0").text = source
    ElementTree.SubElement(part, "SourceBand").text = band
