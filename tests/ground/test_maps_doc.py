"""docs/maps.md says what the code writes."""

from __future__ import annotations

import re
from pathlib import Path

from ground import areas, palette, stac
from ground.areas import Patch, properties
from ground.place import coarser
from tests.ground.sheets import BLOCK, sheet
from tests.tables import cells_under

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "maps.md").read_text("utf-8")


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_file_has_its_line() -> None:
    rows = cells_under(TEXT, "| file | what it is |")
    told = {name for row in rows for name in names(row[0])}
    written = {name.replace("X", "<id>") for name in stac.asset_names("X")}
    assert told == written | {"<id>.json", "collection.json", "days/*.json"}


def test_the_colours_are_those_of_the_palette() -> None:
    rows = cells_under(TEXT, "| value | class | colour |")
    told = {int(value): names(colour)[0] for value, _, colour in rows}
    assert told == {value: palette.css(rgb) for value, rgb in palette.CLASS_RGB.items()}


def test_every_property_of_a_patch_has_its_line() -> None:
    rows = cells_under(TEXT, "| property | meaning |")
    told = {name for row in rows for name in names(row[0])}
    assert told == properties(Patch(1, 1, None), sheet(), None).keys()


def test_every_property_of_ours_in_an_item_has_its_line(tmp_path: Path) -> None:
    rows = cells_under(TEXT[TEXT.index("### STAC item") :], "| property | meaning |")
    told = {name for row in rows for name in names(row[0])}
    found = stac.item(sheet(), tmp_path, "a", "day")["properties"]
    assert {name for name in found if name.startswith("floodsat:")} <= told
    # Unknown in that sheet, and then left out.
    assert told - found.keys() == {"floodsat:reference", "floodsat:position_sigma_m"}


def test_the_numbers_of_the_rules_are_those_of_the_code() -> None:
    assert f"*high* from {areas.HIGH:g} on, *medium* from {areas.MEDIUM:g} on" in TEXT
    assert f"fewer pixels than one block ({BLOCK**2})" in TEXT
    assert f"more than {areas.MAX_PATCHES:,} patches" in TEXT
    assert coarser(sheet().georef, BLOCK).width == -(-sheet().georef.width // BLOCK)
    versions = [re.findall(r"/(\w+)/v(\d+\.\d+)", one)[0] for one in stac.EXTENSIONS]
    assert all(f"{name} {version}" in " ".join(TEXT.split()) for name, version in versions)
