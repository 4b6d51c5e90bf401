from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from ground import palette
from onboard import classes
from tests.ground.sheets import sheet


def luminance(rgb: tuple[int, ...]) -> float:
    """Relative luminance (WCAG 2.1)."""
    linear = [
        c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in np.divide(rgb, 255)
    ]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def contrast(one: tuple[int, ...], two: tuple[int, ...]) -> float:
    high, low = sorted((luminance(one), luminance(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_water_and_land_differ_in_lightness_too() -> None:
    assert contrast(palette.WATER_RGB, palette.LAND_RGB) > 4.5
    assert contrast(palette.MISS_RGB, palette.FALSE_ALARM_RGB) > 2.5


def test_no_colour_stands_for_two_classes() -> None:
    colours = [rgb for _, rgb in palette.mask_colours()]
    assert len(set(colours)) == len(colours)


def test_the_picture_of_a_mask_can_be_read_back() -> None:
    mask = sheet().mask
    rgba = palette.mask_rgba(mask)
    classes_of: dict[tuple[int, ...], int] = {rgb: value for value, rgb in palette.mask_colours()}
    back = [classes_of[tuple(int(c) for c in pixel)] for pixel in rgba[..., :3].reshape(-1, 3)]
    assert np.array_equal(np.reshape(back, mask.shape), mask)
    assert (rgba[..., 3] == 255).all()


def test_not_observed_is_never_drawn_as_land() -> None:
    mask = np.full((64, 64), classes.CLOUD, np.uint8)
    for value in (classes.CLOUD, classes.NODATA):
        mask[:] = value
        colours = {
            tuple(pixel) for pixel in palette.mask_rgba(mask)[..., :3].reshape(-1, 3).tolist()
        }
        assert len(colours) == 2
        assert palette.LAND_RGB not in colours
    assert (palette.water_rgba(mask)[..., 3] > 0).all()


def test_over_a_frame_only_land_is_clear() -> None:
    mask = np.array([[classes.LAND, classes.WATER, classes.CLOUD, classes.NODATA]], np.uint8)
    assert palette.water_rgba(mask, 0.8)[0, :, 3].tolist() == [0, 204, 102, 204]


def test_uncertainty_grows_lighter_and_ends_at_ln_2() -> None:
    nats = np.linspace(0.0, palette.MAX_NATS, 50)[None]
    shades = [
        luminance(tuple(pixel)) for pixel in palette.uncertainty_rgba(nats)[0, :, :3].tolist()
    ]
    assert all(high > low for low, high in pairwise(shades))
    beyond = palette.uncertainty_rgba(np.array([[palette.MAX_NATS, 5.0]]))
    assert np.array_equal(beyond[0, 0], beyond[0, 1])


def test_unseen_uncertainty_is_grey() -> None:
    rgba = palette.uncertainty_rgba(np.full((16, 16), np.nan))
    colours = {tuple(pixel) for pixel in rgba[..., :3].reshape(-1, 3).tolist()}
    assert colours == {palette.NODATA_RGB, palette.HATCH_RGB}


def test_agreement_names_every_case() -> None:
    land, water, cloud = classes.LAND, classes.WATER, classes.CLOUD
    mask = np.array([[water, land, water, land, cloud, water]], np.uint8)
    truth = np.array([[water, water, land, land, water, cloud]], np.uint8)
    found = [tuple(pixel) for pixel in palette.agreement_rgba(mask, truth)[0, :, :3].tolist()]
    want = [palette.HIT_RGB, palette.MISS_RGB, palette.FALSE_ALARM_RGB, palette.LAND_RGB]
    assert found[:4] == want
    assert set(found[4:]) <= {palette.CLOUD_RGB, palette.HATCH_RGB}


def test_enlarge_cuts_the_partial_block() -> None:
    grown = palette.enlarge(np.array([[1.0, 2.0], [3.0, 4.0]]), (3, 5), 4)
    assert grown.shape == (3, 5)
    assert grown[0].tolist() == [1.0, 1.0, 1.0, 1.0, 2.0]


def test_png_and_jpeg_decode() -> None:
    rgba = palette.mask_rgba(sheet(20, 30).mask)
    with Image.open(io.BytesIO(palette.png_bytes(rgba))) as image:
        assert np.array_equal(np.asarray(image), rgba)
    with Image.open(io.BytesIO(palette.jpeg_bytes(rgba[..., :3].copy()))) as image:
        assert (image.format, image.size) == ("JPEG", (30, 20))


@pytest.mark.parametrize("subject", ["water", "flood"])
def test_names_follow_the_subject(subject: palette.Subject) -> None:
    names = palette.class_names(subject)
    assert names[classes.WATER] == subject
    assert (names.get(palette.PERMANENT) == "permanent water") == (subject == "flood")
    assert all("not observed" in names[value] for value in (classes.CLOUD, classes.NODATA))
