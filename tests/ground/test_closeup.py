"""What the close-up of a frame says, within the page of a replay."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ground import palette
from ground.closeup import Closeup, Link, Scores, scale_top
from ground.replay.page import render
from onboard import classes
from onboard.errors import ProductError
from tests.ground.sheets import overcast, sheet
from tests.html import Page
from tests.replays import example


def closeup() -> Closeup:
    drawn = sheet()
    truth = drawn.mask.copy()
    truth[200:204] = classes.WATER
    return Closeup(
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
    )


def page(given: Closeup) -> Page:
    return Page(render(example(), [], None, given))


def test_every_figure_appears() -> None:
    text = page(closeup()).text
    mask = sheet().mask
    for number in (
        "A delta & its <lakes>",
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
        "tflite 2.3.0", "20261",
        "2026-07-14T10:21:33Z (on-board clock, synchronised by GNSS)",
        "EPSG:32646",
    ):  # fmt: skip
        assert number in text, number


def test_pictures_are_those_of_the_sheet() -> None:
    given = closeup()
    shown = [
        np.asarray(Image.open(io.BytesIO(data)).convert("RGBA")) for data in page(given).images()
    ]
    mask = palette.mask_rgba(given.sheet.mask)
    assert any(np.array_equal(image, mask) for image in shown)
    fine = palette.enlarge(given.sheet.entropy, given.sheet.mask.shape, given.sheet.block)
    assert any(np.array_equal(image, palette.uncertainty_rgba(fine)) for image in shown)
    assert given.truth is not None
    errors = palette.agreement_rgba(given.sheet.mask, given.truth)
    assert any(np.array_equal(image, errors) for image in shown)
    assert any(image.shape == (150, 207, 4) for image in shown)


def test_without_frame_truth_and_link_nothing_is_made_up() -> None:
    bare = replace(closeup(), rgb=None, truth=None, scores=None, link=None, stages=())
    found = page(bare)
    assert len(found.images()) == 3
    assert not bare.link_rows()
    for word in ("Agreement with the truth", "What the link did", "Time per stage"):
        assert word not in found.text


def test_all_cloud_says_nothing_of_the_ground() -> None:
    given = replace(closeup(), sheet=overcast(), truth=None, scores=None)
    text = page(given).text
    assert "Nothing of this frame was observed" in text
    assert "nothing was observed" in text
    assert "– nats" in text
    assert "nan" not in text.lower().split()


def test_undefined_scores_are_a_dash() -> None:
    nan = float("nan")
    rows = replace(closeup(), scores=Scores(nan, 1.0, nan, nan)).score_rows()
    assert [row[1] for row in rows] == ["–", "1.000", "–", "–"]
    assert rows[0][2] == "0%"


@pytest.mark.parametrize("size", [(16, 16), (1, 1), (40, 900)])
def test_odd_sizes(size: tuple[int, int]) -> None:
    given = replace(closeup(), sheet=sheet(*size), truth=None, scores=None)
    assert f"{size[1]} × {size[0]} pixels" in page(given).text


def test_large_frames_are_thinned_for_the_page() -> None:
    given = replace(closeup(), sheet=sheet(1400, 2600), truth=None, scores=None)
    pictures = [base64.b64decode(uri.split(",")[1]) for uri in given.pictures().values()]
    assert max(max(Image.open(io.BytesIO(data)).size) for data in pictures) <= 640


def test_water_is_never_called_flood_without_a_reference() -> None:
    given = closeup()
    assert given.lead().startswith("Water covers")
    labels = replace(given.sheet.labels, subject="flood", reference="ab12cd")
    flood = replace(given, sheet=replace(given.sheet, labels=labels))
    assert flood.lead().startswith("Flood covers")
    assert "permanent water" in [row[0] for row in flood.key()]
    assert "ab12cd" in dict(flood.provenance()).values()


def test_without_coordinates_it_says_so() -> None:
    given = replace(closeup(), sheet=sheet(crs=""))
    assert ("place", "the frame came without coordinates") in given.provenance()
    assert given.ratio() == pytest.approx(413 / 300, abs=1e-5)


def test_a_scale_holds_what_it_says() -> None:
    values = np.linspace(0.0, 0.01, 1000)
    assert scale_top(values, 100.0) == pytest.approx(0.01)
    assert scale_top(np.full(4, np.nan)) == palette.MAX_NATS


def test_truth_off_the_grid_is_refused() -> None:
    with pytest.raises(ProductError, match="not one grid"):
        replace(closeup(), truth=np.zeros((3, 3), np.uint8))
