"""Styles: what QGIS needs to show a map in our colours without a click.

QGIS reads ``<name>.qml`` beside ``<name>.tif`` or ``<name>.geojson`` by itself. The colours and
names are those of `ground.palette`. Pixels that GDAL calls nodata are drawn too: in grey, for what
was not observed must not look like nothing.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from matplotlib import colormaps

from ground import palette
from ground.palette import Rgb, Subject
from onboard import classes
from onboard.files import write_text

QGIS = "3.22.0"
"""The version whose format this is; later ones read it."""
STOPS = 13
_NOT_OBSERVED = "not observed"


def mask_style(subject: Subject) -> str:
    """The style of a class raster: its colour table with names."""
    root, renderer = _raster("paletted")
    entries = ElementTree.SubElement(renderer, "colorPalette")
    for value, name in palette.class_names(subject).items():
        colour = palette.css(palette.CLASS_RGB[value])
        _add(entries, "paletteEntry", value=str(value), color=colour, label=name, alpha="255")
    return _text(root)


def uncertainty_style() -> str:
    """The style of an uncertainty raster: entropy in nats from 0 to ln 2."""
    root, renderer = _raster("singlebandpseudocolor")
    top = palette.MAX_NATS
    renderer.set("classificationMin", "0")
    renderer.set("classificationMax", f"{top:.6f}")
    shader = _add(
        _add(renderer, "rastershader"), "colorrampshader",
        colorRampType="INTERPOLATED", classificationMode="1", clip="0",
        minimumValue="0", maximumValue=f"{top:.6f}",
    )  # fmt: skip
    for share in np.linspace(0.0, 1.0, STOPS):
        rgba = colormaps[palette.UNCERTAINTY_SCALE](float(share), bytes=True)
        colour, nats = palette.css(tuple(int(channel) for channel in rgba[:3])), share * top
        _add(shader, "item", value=f"{nats:.6f}", color=colour, label=f"{nats:.2f}", alpha="255")
    return _text(root)


def areas_style(subject: Subject) -> str:
    """The style of the GeoJSON: by class, hatched where not observed."""
    root = _root()
    renderer = _add(root, "renderer-v2", type="categorizedSymbol", attr="class", symbollevels="0",
                    enableorderby="0", forceraster="0")  # fmt: skip
    categories, symbols = _add(renderer, "categories"), _add(renderer, "symbols")
    names = palette.class_names(subject)
    rows: list[tuple[str, Rgb, str]] = [
        (names[value], palette.CLASS_RGB[value], "solid")
        for value in (classes.WATER, palette.PERMANENT)
        if value in names
    ]
    rows.append((_NOT_OBSERVED, palette.NODATA_RGB, "f_diagonal"))
    for number, (name, rgb, fill) in enumerate(rows):
        _add(categories, "category", value=name, label=name, symbol=str(number), render="true",
             type="string")  # fmt: skip
        _symbol(symbols, number, rgb, fill)
    return _text(root)


def write_styles(folder: Path, stem: str, subject: Subject) -> list[Path]:
    """Write the styles of a map's two rasters and of its GeoJSON.

    Returns:
        Their paths: of the mask, of the uncertainty and of the areas.
    """
    styles = {
        f"{stem}.qml": mask_style(subject),
        f"{stem}_uncertainty.qml": uncertainty_style(),
        f"{stem}_areas.qml": areas_style(subject),
    }
    for name, text in styles.items():
        write_text(folder / name, text)
    return [folder / name for name in styles]


def _root() -> ElementTree.Element:
    return ElementTree.Element("qgis", version=QGIS, styleCategories="Symbology")


def _raster(kind: str) -> tuple[ElementTree.Element, ElementTree.Element]:
    root = _root()
    pipe = _add(root, "pipe")
    renderer = _add(pipe, "rasterrenderer", type=kind, band="1", opacity="1", alphaBand="-1",
                    nodataColor=palette.css(palette.NODATA_RGB))  # fmt: skip
    _add(renderer, "rasterTransparency")
    return root, renderer


def _symbol(symbols: ElementTree.Element, number: int, rgb: Rgb, fill: str) -> None:
    symbol = _add(symbols, "symbol", type="fill", name=str(number), alpha="1",
                  clip_to_extent="1", force_rhr="0")  # fmt: skip
    layer = _add(symbol, "layer", **{"class": "SimpleFill"}, enabled="1", locked="0")
    options = _add(layer, "Option", type="Map")
    ink = ",".join(str(channel * 3 // 4) for channel in rgb)
    values = {
        "color": ",".join(map(str, rgb)) + ",255",
        "style": fill,
        "outline_color": f"{ink},255",
        "outline_style": "solid",
        "outline_width": "0.2",
        "outline_width_unit": "MM",
    }
    for name, value in values.items():
        _add(options, "Option", type="QString", name=name, value=value)


def _add(parent: ElementTree.Element, tag: str, **attributes: str) -> ElementTree.Element:
    return ElementTree.SubElement(parent, tag, attributes)


def _text(root: ElementTree.Element) -> str:
    ElementTree.indent(root, " ")
    body = ElementTree.tostring(root, encoding="unicode")
    return f"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n{body}\n"
