from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ground import palette
from ground.page import KNOTS, Link, Scores, Story, byte_text, percent, probe, render, write_page
from ground.place import pixel_to_lonlat
from onboard import classes
from onboard.errors import OutputError, ProductError
from onboard.georef import Georef
from tests.ground.sheets import overcast, sheet

VOID = {"meta", "img", "input", "br", "link"}


class Page(HTMLParser):
    """Collects elements and text, and checks that every element is closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        joined = " ".join(" ".join(self.words).split())
        return joined.replace("\u202f", " ").replace("\xa0", " ")

    def images(self) -> list[bytes]:
        sources = [attrs["src"] or "" for tag, attrs in self.elements if tag == "img"]
        return [base64.b64decode(source.split(",", 1)[1]) for source in sources]


def story() -> Story:
    drawn = sheet()
    truth = drawn.mask.copy()
    truth[200:204] = classes.WATER
    return Story(
        title="A delta & its <lakes>",
        sheet=drawn,
        raw_bytes=8_388_608,
        sent_bytes=41_322,
        stages=(("read", 0.4125), ("segment", 11.83), ("downlink", 0.321)),
        link=Link(1812, 1778, 3, 2, 1),
        rgb=np.full((150, 207, 3), 90, np.uint8),
        truth=truth,
        scores=Scores(0.9127, 0.9731, 0.9512, 0.9377),
        notes=("The frame is synthetic.",),
        files=(("frame 1.tif", "the mask"),),
    )


def test_every_figure_appears() -> None:
    text = Page(render(story())).text
    mask = sheet().mask
    for number in (
        "203 times",
        "8 388 608 B raw, 41 322 B sent",
        f"{100 * (mask == classes.WATER).mean():.1f} %",
        f"cloud {100 * (mask == classes.CLOUD).mean():.1f} %",
        f"no data {100 * (mask == classes.NODATA).mean():.1f} %",
        "1.25 km²",
        "0.3217 nats",
        "epistemic 0.0804",
        "0.913", "0.973", "0.951", "0.938",
        "1 778 of 1 812 arrived, 3 copies sent; 1 of 2 products whole",
        "34 (1.9 %)",
        "0.412 s", "11.8 s", "0.321 s", "12.6 s",
        "The frame is synthetic.",
        "p_water ≥ 0.47, p_cloud ≥ 0.55",
        "4f1c09ab77de32a1", "5c" * 32, "0d" * 32,
        "tflite 2.3.0", "20261", "The network answers 12 times",
        "2026-07-14T10:21:33Z (on-board clock, synchronised by GNSS)",
        "entropy = aleatoric + epistemic, in nats, 0…0.693",
        "EPSG:32646",
    ):  # fmt: skip
        assert number in text, number


def test_nothing_is_asked_of_a_network() -> None:
    html = render(story())
    page = Page(html)
    for tag, attrs in page.elements:
        for name in ("src", "href", "srcset", "action", "poster", "data"):
            assert not re.match(r"\s*(\w+:)?//|\s*https?:", attrs.get(name) or ""), (tag, attrs)
        assert tag not in {"link", "iframe", "object", "embed", "base"}
        if tag == "img":
            assert (attrs["src"] or "").startswith("data:image/")
    assert "url(" not in html
    assert "@import" not in html
    policy = next(a["content"] for _, a in page.elements if "http-equiv" in a)
    assert "default-src 'none'" in (policy or "")


def test_pictures_are_those_of_the_sheet() -> None:
    given = story()
    pictures = Page(render(given)).images()
    shown = [np.asarray(Image.open(io.BytesIO(data)).convert("RGBA")) for data in pictures]
    mask = palette.mask_rgba(given.sheet.mask)
    assert any(np.array_equal(image, mask) for image in shown)
    fine = palette.enlarge(given.sheet.entropy, given.sheet.mask.shape, given.sheet.block)
    assert any(np.array_equal(image, palette.uncertainty_rgba(fine)) for image in shown)
    assert given.truth is not None
    errors = palette.agreement_rgba(given.sheet.mask, given.truth)
    assert any(np.array_equal(image, errors) for image in shown)
    assert any(image.shape == (150, 207, 4) for image in shown)


def test_text_from_outside_cannot_become_markup() -> None:
    given = story()
    evil = "</script><script>alert(1)</script>"
    labels = replace(given.sheet.labels, engine=evil, sensor=evil)
    html = render(
        replace(given, title=evil, notes=(evil,), sheet=replace(given.sheet, labels=labels))
    )
    assert "alert(1)</script>" not in html
    assert html.count("<script") == html.count("</script>") == 2


def test_a_file_beside_the_page_is_linked() -> None:
    links = [attrs["href"] for tag, attrs in Page(render(story())).elements if tag == "a"]
    assert links == ["frame%201.tif"]


def test_without_frame_truth_and_link_nothing_is_made_up() -> None:
    bare = replace(story(), rgb=None, truth=None, scores=None, link=None, stages=())
    page = Page(render(bare))
    assert len(page.images()) == 3
    for word in ("truth", "IoU", "Frames lost", "Time per stage", "as the camera saw it"):
        assert word not in page.text
    ids = {attrs.get("id") for _, attrs in page.elements}
    assert "fade" not in ids


def test_all_cloud_says_nothing_about_the_ground() -> None:
    given = replace(story(), sheet=overcast(), truth=None, scores=None)
    text = Page(render(given)).text
    assert "Nothing of this frame was observed" in text
    assert "nothing was observed" in text
    assert "– nats" in text
    assert "nan" not in text.lower().split()


def test_undefined_scores_are_a_dash() -> None:
    nan = float("nan")
    html = render(replace(story(), scores=Scores(nan, 1.0, nan, nan)))
    assert "width: 0%" in html
    assert "nan" not in Page(html).text.lower().split()


@pytest.mark.parametrize("size", [(16, 16), (1, 1), (40, 900)])
def test_odd_sizes(size: tuple[int, int]) -> None:
    given = replace(story(), sheet=sheet(*size), truth=None, scores=None)
    assert f"{size[1]} × {size[0]} pixels" in Page(render(given)).text


def test_large_frames_are_thinned_for_the_page() -> None:
    given = replace(story(), sheet=sheet(1400, 2600), truth=None, scores=None)
    sizes = [Image.open(io.BytesIO(data)).size for data in Page(render(given)).images()]
    assert max(max(size) for size in sizes) <= 1280


def test_water_is_never_called_flood_without_a_reference() -> None:
    text = Page(render(story())).text
    assert "nothing here says that it is a flood" in text
    assert "flood" not in text.lower().replace("floodsat", "").replace("that it is a flood", "")
    labels = replace(sheet().labels, subject="flood", reference="ab12cd")
    flood = Page(render(replace(story(), sheet=replace(sheet(), labels=labels)))).text
    assert "Flood covers" in flood
    assert "permanent water" in flood
    assert "ab12cd" in flood


def test_without_coordinates_it_says_so() -> None:
    page = Page(render(replace(story(), sheet=sheet(crs=""))))
    assert "the frame came without coordinates" in page.text
    data = json.loads(page.scripts[0])
    assert data["lonlat"] is None
    assert data["metres"] is None


def test_probe_gives_back_values_and_places() -> None:
    drawn = sheet()
    data = json.loads(Page(render(story())).scripts[0])
    assert data == json.loads(json.dumps(probe(drawn)))
    for name in ("entropy", "epistemic"):
        levels = np.frombuffer(base64.b64decode(data[name]["bytes"]), np.uint8)
        back = np.where(levels == 255, np.nan, levels / 254 * data[name]["top"])
        want = getattr(drawn, name).ravel()
        assert np.array_equal(np.isnan(back), np.isnan(want))
        assert np.nanmax(np.abs(back - want)) <= data[name]["top"] / 508 + 1e-6
    assert len(data["lonlat"]) == KNOTS**2
    lon, lat = pixel_to_lonlat(drawn.georef, np.array([413.0]), np.array([300.0]))
    assert data["lonlat"][-1] == pytest.approx([lon[0], lat[0]], abs=1e-6)
    assert set(data["colours"].values()) == set(palette.class_names("water").values())


def test_probe_does_not_jump_at_the_antimeridian() -> None:
    georef = Georef(413, 300, "EPSG:4326", (1e-3, 0.0, 179.8, 0.0, -1e-3, 10.0))
    knots = np.array(probe(replace(sheet(), georef=georef))["lonlat"])
    assert np.ptp(knots[:, 0]) == pytest.approx(0.413, abs=1e-6)


def test_maps_can_be_read_without_sight_and_without_a_mouse() -> None:
    page = Page(render(story()))
    images = [attrs for tag, attrs in page.elements if tag == "img"]
    assert all("alt" in attrs for attrs in images)
    views = [attrs for _, attrs in page.elements if attrs.get("role") == "img"]
    assert len(views) == 5
    assert all(attrs.get("aria-label") for attrs in views)
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(set(ids)) == len(ids)
    for _, attrs in page.elements:
        for name in ("aria-labelledby", "aria-describedby", "for"):
            assert attrs.get(name) is None or attrs[name] in ids
    maps = next(attrs for _, attrs in page.elements if attrs.get("id") == "maps")
    assert maps["tabindex"] == "0"


def test_it_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = write_page(tmp_path / "out" / "index.html", story())
    assert path.read_text(encoding="utf-8") == render(story())
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(OutputError, match=r"index\.html"):
        write_page(path / "below.html", story())


def test_truth_off_the_grid_is_refused() -> None:
    with pytest.raises(ProductError, match="not one grid"):
        replace(story(), truth=np.zeros((3, 3), np.uint8))


def test_numbers_are_written_for_people() -> None:
    assert [byte_text(n) for n in (999, 41_322, 8_388_608, 2_000_000_000)] == [
        "999 B",
        "41.3 kB",
        "8.39 MB",
        "2 GB",
    ]
    assert percent(0.2784) == "27.8\xa0%"
    assert percent(float("nan")) == "–\xa0%"
