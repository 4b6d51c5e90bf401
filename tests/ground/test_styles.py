from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib import colormaps

from ground import palette, styles
from ground.maps import write_maps
from onboard import classes
from tests.ground.sheets import sheet


@pytest.mark.parametrize("subject", ["water", "flood"])
def test_the_mask_has_the_colours_and_names_of_the_palette(subject: palette.Subject) -> None:
    root = ElementTree.fromstring(styles.mask_style(subject))
    found = {
        int(one.attrib["value"]): (one.attrib["label"], one.attrib["color"])
        for one in root.iter("paletteEntry")
    }
    names = palette.class_names(subject)
    assert found == {
        value: (name, palette.css(palette.CLASS_RGB[value])) for value, name in names.items()
    }


def test_uncertainty_goes_from_0_to_ln_2() -> None:
    root = ElementTree.fromstring(styles.uncertainty_style())
    items = [(float(one.attrib["value"]), one.attrib["color"]) for one in root.iter("item")]
    assert items[0][0] == 0.0
    assert items[-1][0] == pytest.approx(palette.MAX_NATS, abs=1e-6)
    for nats, colour in items:
        rgba = colormaps[palette.UNCERTAINTY_SCALE](nats / palette.MAX_NATS, bytes=True)
        near = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert near == pytest.approx([int(one) for one in rgba[:3]], abs=3)


@pytest.mark.parametrize("subject", ["water", "flood"])
def test_areas_have_every_class_and_what_was_not_seen_is_hatched(
    subject: palette.Subject,
) -> None:
    root = ElementTree.fromstring(styles.areas_style(subject))
    names = {one.attrib["value"]: one.attrib["symbol"] for one in root.iter("category")}
    flood = {"flood", "permanent water", "not observed"}
    assert set(names) == (flood if subject == "flood" else {"water", "not observed"})
    for symbol in root.iter("symbol"):
        options = {one.get("name"): one.get("value") for one in symbol.iter("Option")}
        hatched = options["style"] == "f_diagonal"
        assert hatched == (symbol.attrib["name"] == names["not observed"])
    water = next(one for one in root.iter("symbol") if one.attrib["name"] == names[subject])
    colour = next(one.get("value") for one in water.iter("Option") if one.get("name") == "color")
    assert colour == ",".join(map(str, palette.CLASS_RGB[classes.WATER])) + ",255"


def test_what_was_not_observed_is_never_drawn_as_nothing() -> None:
    for text in (styles.mask_style("water"), styles.uncertainty_style()):
        (renderer,) = ElementTree.fromstring(text).iter("rasterrenderer")
        assert renderer.attrib["nodataColor"] == palette.css(palette.NODATA_RGB)


def test_each_style_lies_where_qgis_looks_for_it(tmp_path: Path) -> None:
    """QGIS takes ``<name>.qml`` for ``<name>.tif`` and for ``<name>.geojson`` alike."""
    rasters = write_maps(sheet(16, 16), tmp_path, "frame")
    made = styles.write_styles(tmp_path, "frame", "water")
    assert [path.stem for path in made] == [path.stem for path in rasters] + ["frame_areas"]
    assert len({path.stem for path in made}) == 3
