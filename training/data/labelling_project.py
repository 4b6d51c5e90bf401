"""The QGIS project of a labelling folder: every chip with its first guess, ready to be corrected.

Only what is needed is said of a layer; QGIS fills in the rest when it opens the project.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree as Xml

import rasterio
from rasterio.crs import CRS

from onboard import files
from onboard.errors import DatasetError
from onboard.rasters import READ_ERRORS, unlocated_is_fine
from training.chips import ChipFolder
from training.data.labelling import COLOURS
from training.data.layers import CLASSES, DONE, FILE, OPEN, SKIP, SRS

PROJECT = "labelling.qgs"
VERSION = "3.22.0"
OPACITY = 0.45
STRETCH = 0.3
"""Reflectance that is drawn as white."""
STATUS_COLOURS = {OPEN: "230,159,0,255", DONE: "0,158,115,255", SKIP: "120,120,120,255"}


def write_project(folder: Path) -> Path:
    """Write ``labelling.qgs``; the same chips give the same file.

    Raises:
        DatasetError: the folder is no chip folder.
        OutputError: it cannot be written.
    """
    chips = ChipFolder.open(folder, unlabelled=True)
    names = sorted({*chips.ids, *chips.waiting})
    text = project(chips.name, {name: _crs(chips.files(name)[0]) for name in names}, chips.bands)
    path = folder / PROJECT
    # What a person saved of it stays as long as there is nothing to add.
    if not path.exists() or not all(f"guess-{name}" in path.read_text("utf-8") for name in names):
        files.write_text(path, text)
    return path


def _crs(path: Path) -> str:
    """The coordinate system of an image as WKT; "" where it has none."""
    try:
        with unlocated_is_fine(), rasterio.open(path) as tif:
            return "" if tif.crs is None else str(tif.crs.to_wkt())
    except READ_ERRORS as error:
        raise DatasetError(f"{path}: cannot be read ({error}); deliver its chip again") from error


def project(title: str, chips: Mapping[str, str], bands: tuple[str, ...]) -> str:
    """The project's XML.

    Args:
        title: of the window.
        chips: id → coordinate system as WKT, "" without one.
        bands: names, in the order of the images.
    """
    common = next((crs for crs in chips.values() if crs), "")
    root = Xml.Element("qgis", projectname=title, version=VERSION)
    Xml.SubElement(root, "title").text = title
    Xml.SubElement(root, "projectCrs").append(_reference(common))
    settings = Xml.SubElement(Xml.SubElement(root, "properties"), "SpatialRefSys")
    Xml.SubElement(settings, "ProjectionsEnabled", type="int").text = "1"
    tree = Xml.SubElement(root, "layer-tree-group")
    found = Xml.SubElement(root, "projectlayers")
    _leaf(tree, "layer-corrections", "corrections")
    found.append(_corrections())
    _leaf(tree, "layer-chips", "chips")
    found.append(_chips())
    for group, kind in (("first guesses", "guess"), ("images", "image")):
        branch = Xml.SubElement(tree, "layer-tree-group", name=group, checked="Qt::Checked")
        branch.set("expanded", "0")
        for name, crs in chips.items():
            _leaf(branch, f"{kind}-{name}", name)
            layer = _guess(name) if kind == "guess" else _image(name, bands)
            if crs:
                Xml.SubElement(layer, "srs").append(_reference(crs))
            found.append(layer)
    Xml.indent(root, " ")
    head = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
    return head + Xml.tostring(root, "unicode") + "\n"


def _leaf(tree: Xml.Element, layer: str, name: str) -> None:
    Xml.SubElement(tree, "layer-tree-layer", id=layer, name=name, checked="Qt::Checked")


def _layer(kind: str, layer: str, name: str, source: str, provider: str) -> Xml.Element:
    element = Xml.Element("maplayer", type=kind)
    for tag, text in (("id", layer), ("datasource", source), ("layername", name)):
        Xml.SubElement(element, tag).text = text
    Xml.SubElement(element, "provider").text = provider
    return element


def _reference(crs: str) -> Xml.Element:
    element = Xml.Element("spatialrefsys", nativeFormat="Wkt")
    Xml.SubElement(element, "wkt").text = crs
    code = CRS.from_wkt(crs).to_epsg() if crs else None
    if code:
        Xml.SubElement(element, "authid").text = f"EPSG:{code}"
    return element


# --- rasters --------------------------------------------------------------------------------


def _guess(name: str) -> Xml.Element:
    element = _layer("raster", f"guess-{name}", name, f"./guesses/{name}.tif", "gdal")
    pipe = Xml.SubElement(element, "pipe")
    drawn = Xml.SubElement(pipe, "rasterrenderer", type="paletted", band="1", opacity=str(OPACITY))
    palette = Xml.SubElement(drawn, "colorPalette")
    for label, value in CLASSES.items():
        red, green, blue, alpha = COLOURS[value]
        colour = f"#{red:02x}{green:02x}{blue:02x}"
        # Land is left clear, so that the image is seen.
        seen = "0" if label == "land" else str(alpha)
        Xml.SubElement(
            palette, "paletteEntry", value=str(value), label=label, color=colour, alpha=seen
        )
    return element


def _image(name: str, bands: tuple[str, ...]) -> Xml.Element:
    element = _layer("raster", f"image-{name}", name, f"./images/{name}.tif", "gdal")
    pipe = Xml.SubElement(element, "pipe")
    shown = [bands.index(band) + 1 if band in bands else 1 for band in ("red", "green", "blue")]
    drawn = Xml.SubElement(pipe, "rasterrenderer", type="multibandcolor", opacity="1")
    for colour, band in zip(("red", "green", "blue"), shown, strict=True):
        drawn.set(f"{colour}Band", str(band))
        stretch = Xml.SubElement(drawn, f"{colour}ContrastEnhancement")
        Xml.SubElement(stretch, "minValue").text = "0"
        Xml.SubElement(stretch, "maxValue").text = str(STRETCH)
        Xml.SubElement(stretch, "algorithm").text = "StretchToMinimumMaximum"
    return element


# --- vectors --------------------------------------------------------------------------------


def _vector(layer: str) -> Xml.Element:
    element = _layer("vector", f"layer-{layer}", layer, f"./{FILE}|layername={layer}", "ogr")
    element.set("geometry", "Polygon")
    Xml.SubElement(element, "srs").append(_reference(CRS.from_epsg(SRS).to_wkt()))
    # `_layer` makes the provider.
    element.find("provider").set("encoding", "UTF-8")  # type: ignore[union-attr]
    return element


def _corrections() -> Xml.Element:
    element = _vector("corrections")
    colours = {
        name: ",".join(str(part) for part in (*COLOURS[value][:3], 190))
        for name, value in CLASSES.items()
    }
    colours["unlabelled"] = "255,255,255,120"
    _categories(element, "class", colours)
    _choices(element, "class", list(CLASSES))
    return element


def _chips() -> Xml.Element:
    element = _vector("chips")
    _categories(element, "status", STATUS_COLOURS, hollow=True)
    _choices(element, "status", [OPEN, DONE, SKIP])
    return element


def _categories(
    element: Xml.Element, field: str, colours: dict[str, str], hollow: bool = False
) -> None:
    """One colour for each value of a field."""
    drawn = Xml.SubElement(element, "renderer-v2", type="categorizedSymbol", attr=field)
    table, symbols = Xml.SubElement(drawn, "categories"), Xml.SubElement(drawn, "symbols")
    for number, (value, colour) in enumerate(colours.items()):
        Xml.SubElement(
            table, "category", value=value, symbol=str(number), label=value, render="true"
        )
        symbol = Xml.SubElement(symbols, "symbol", type="fill", name=str(number), alpha="1")
        fill = Xml.SubElement(symbol, "layer", attrib={"class": "SimpleFill", "enabled": "1"})
        style = {
            "color": colour,
            "style": "no" if hollow else "solid",
            "outline_color": colour if hollow else "35,35,35,255",
            "outline_width": "0.8" if hollow else "0.3",
        }
        for key, text in style.items():
            Xml.SubElement(fill, "prop", k=key, v=text)


def _choices(element: Xml.Element, field: str, values: list[str]) -> None:
    """A drop-down list for a field."""
    fields = Xml.SubElement(element, "fieldConfiguration")
    widget = Xml.SubElement(Xml.SubElement(fields, "field", name=field), "editWidget")
    widget.set("type", "ValueMap")
    options = Xml.SubElement(Xml.SubElement(widget, "config"), "Option", type="Map")
    listed = Xml.SubElement(options, "Option", type="List", name="map")
    for value in values:
        one = Xml.SubElement(listed, "Option", type="Map")
        Xml.SubElement(one, "Option", type="QString", name=value, value=value)
