from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from ground import palette, quicklook
from ground.maps import Sheet
from ground.quicklook import coordinate_ticks, write_quicklook
from onboard.georef import Georef
from tests.ground.sheets import UTM, overcast, sheet


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def words(drawn: Sheet, rgb: palette.U8 | None = None) -> str:
    """All text that the quicklook draws."""
    figure = Figure(figsize=(16, 10))
    quicklook._draw(figure, drawn, rgb)
    return "\n".join(item.get_text() for item in figure.findobj(Text) if isinstance(item, Text))


@pytest.mark.parametrize("size", [(1600, 1000), (1200, 800), (800, 500), (333, 777)])
def test_it_has_the_size_that_was_asked_for(tmp_path: Path, size: tuple[int, int]) -> None:
    path = write_quicklook(sheet(), tmp_path / "look.png", size=size)
    assert pixels(path).shape == (size[1], size[0], 3)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("size", [(800, 500), (3200, 2000), (1200, 1000)])
def test_no_text_lies_on_another_at_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    figures: list[Figure] = []
    draw = quicklook._draw
    monkeypatch.setattr(quicklook, "_draw", lambda f, s, r: (figures.append(f), draw(f, s, r)))
    write_quicklook(sheet(), tmp_path / "look.png", size=size)
    (figure,) = figures
    (legend,) = figure.legends
    notes = max(figure.texts, key=lambda text: text.get_text().count("\n"))
    top, box = notes.get_window_extent(), legend.get_window_extent()
    assert top.y1 <= box.y0
    assert box.x1 <= size[0]
    assert top.x1 <= size[0]


def test_the_same_sheet_gives_the_same_bytes(tmp_path: Path) -> None:
    one = write_quicklook(sheet(), tmp_path / "one.png")
    two = write_quicklook(sheet(), tmp_path / "two.png")
    assert one.read_bytes() == two.read_bytes()


def test_the_mask_is_what_is_drawn(tmp_path: Path) -> None:
    drawn = sheet()
    before = pixels(write_quicklook(drawn, tmp_path / "before.png"))
    dry = drawn.mask.copy()
    dry[dry == 1] = 0
    after = pixels(write_quicklook(replace(drawn, mask=dry), tmp_path / "after.png"))

    def blue(image: np.ndarray) -> int:
        return int((image == palette.WATER_RGB).all(axis=-1).sum())

    # The swatch of the legend stays; the lake goes.
    assert blue(before) > 50 * blue(after) > 0


def test_the_frame_shows_through_where_it_is_land(tmp_path: Path) -> None:
    drawn = sheet()
    white = np.full((*drawn.mask.shape, 3), 255, np.uint8)
    black = np.zeros_like(white)
    bright = pixels(write_quicklook(drawn, tmp_path / "bright.png", white))
    dark = pixels(write_quicklook(drawn, tmp_path / "dark.png", black))
    assert int((bright == 255).all(axis=-1).sum()) > 1.2 * int((dark == 255).all(axis=-1).sum())


def test_words_say_what_and_how_much() -> None:
    drawn = sheet()
    text = words(drawn)
    water = 100 * float((drawn.mask == 1).mean())
    assert "Water map" in text
    assert "Flood" not in text
    assert f"water   {water:.1f} %" in text
    assert "cloud (not observed)" in text
    assert "2026-07-14T10:21:33Z" in text
    assert "4f1c09ab77de32a1" in text
    assert "easting (EPSG:32646)" in text
    assert "1 km" in text
    assert "N" in text.split("\n")


def test_flood_is_said_only_with_a_reference() -> None:
    drawn = sheet()
    labels = replace(drawn.labels, subject="flood", reference="ab12cd")
    text = words(replace(drawn, labels=labels))
    assert "Flood map" in text
    assert "outside the reference ab12cd" in text
    assert "permanent water" in text


def test_without_coordinates_there_is_neither_scale_nor_north() -> None:
    text = words(sheet(crs=""))
    assert "frame without coordinates" in text
    assert " km" not in text
    assert "N" not in text.split("\n")
    assert "column" in text


@pytest.mark.parametrize("drawn", [sheet(16, 16), sheet(1, 1), overcast(), sheet(40, 900)])
def test_odd_frames_are_drawn(tmp_path: Path, drawn: Sheet) -> None:
    assert pixels(write_quicklook(drawn, tmp_path / "look.png")).shape == (1000, 1600, 3)


def test_degrees_are_drawn_as_tall_as_they_are() -> None:
    georef = Georef(64, 64, "EPSG:4326", (1e-4, 0.0, 91.2, 0.0, -1e-4, 60.0))
    assert quicklook._aspect(georef) == pytest.approx(1.996, abs=0.01)
    assert quicklook._aspect(Georef(64, 64, "EPSG:32646", UTM)) == pytest.approx(1.0, abs=1e-4)
    assert "°" in words(replace(sheet(64, 64), georef=georef))


def test_ticks_are_round_and_inside() -> None:
    at, texts = coordinate_ticks(503_210.0, 10.0, 1024)
    assert texts == ["504 000", "506 000", "508 000", "510 000", "512 000"]
    assert at == pytest.approx([79.0, 279.0, 479.0, 679.0, 879.0])
    at, texts = coordinate_ticks(60.05, -1e-4, 500, "°")
    assert texts == ["60.01°", "60.02°", "60.03°", "60.04°"]
    assert all(0 < pixel < 500 for pixel in at)


def test_it_leaves_no_state_behind(tmp_path: Path) -> None:
    # In a process of its own: pyplot's global state must not even be imported.
    code = (
        "import sys; from pathlib import Path; from tests.ground.sheets import sheet;"
        "from ground.quicklook import write_quicklook;"
        f"write_quicklook(sheet(32, 32), Path({str(tmp_path / 'q.png')!r}));"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
