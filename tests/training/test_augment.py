from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.chipsets import random_chip
from training import augment
from training.chips import UNKNOWN, Chip

SEEDS = st.integers(0, 2**32 - 1)


def marked(height: int, width: int, row: int, col: int) -> Chip:
    """Everything 0 but one pixel, 1 in the image and in both labels."""
    blank = np.zeros((height, width), np.uint8)
    blank[row, col] = 1
    image = np.repeat(blank[..., None], 3, axis=2).astype(np.float32)
    return replace(random_chip(2, 2), reflectance=image, water=blank, cloud=blank.copy())


def same(a: Chip, b: Chip) -> bool:
    return all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for name in ("reflectance", "water", "cloud")
    )


@given(SEEDS, st.integers(0, 6), st.integers(0, 6))
def test_a_symmetry_keeps_image_and_labels_together(seed: int, row: int, col: int) -> None:
    found = augment.flip(marked(7, 7, row, col), np.random.default_rng(seed))
    assert found.water.sum() == 1
    np.testing.assert_array_equal(found.water, found.cloud)
    for band in range(3):
        np.testing.assert_array_equal(found.reflectance[..., band], found.water)


def test_all_eight_symmetries_come() -> None:
    chip = random_chip(5, 5)
    rng = np.random.default_rng(0)
    assert len({augment.flip(chip, rng).reflectance.tobytes() for _ in range(200)}) == 8


@given(SEEDS, st.integers(1, 12), st.integers(1, 12), st.integers(1, 12))
def test_a_crop_keeps_image_and_labels_together(
    seed: int, height: int, width: int, size: int
) -> None:
    rng = np.random.default_rng(seed)
    row, col = int(rng.integers(height)), int(rng.integers(width))
    found = augment.crop(marked(height, width, row, col), size, rng)
    assert found.water.shape == found.cloud.shape == (size, size)
    assert found.reflectance.shape == (size, size, 3)
    known = found.water != UNKNOWN
    np.testing.assert_array_equal(found.reflectance[known][:, 0], found.water[known])


def test_a_crop_is_a_window_of_the_chip() -> None:
    chip = random_chip(9, 7)
    found = augment.crop(chip, 4, np.random.default_rng(3))
    windows = np.lib.stride_tricks.sliding_window_view(chip.reflectance, (4, 4, 4))[..., 0, :, :, :]
    assert (windows == found.reflectance).all(axis=(-1, -2, -3)).sum() == 1


def test_crops_reach_every_corner() -> None:
    chip, rng = random_chip(6, 6), np.random.default_rng(0)
    seen = {augment.crop(chip, 4, rng).reflectance.tobytes() for _ in range(300)}
    assert len(seen) == 9


def test_padding_is_unknown_and_mirrors_the_image() -> None:
    chip = random_chip(5, 3)
    found = augment.crop(chip, 8, np.random.default_rng(0))
    np.testing.assert_array_equal(found.reflectance[:5, :3], chip.reflectance)
    np.testing.assert_array_equal(found.reflectance[5:, :3], chip.reflectance[:1:-1])
    for part, whole in ((found.water, chip.water), (found.cloud, chip.cloud)):
        np.testing.assert_array_equal(part[:5, :3], whole)
        assert (part[5:] == UNKNOWN).all()
        assert (part[:, 3:] == UNKNOWN).all()


@pytest.mark.parametrize("name", ["crop", "flip", "radiometry"])
def test_a_generator_fixes_what_is_drawn(name: str) -> None:
    def made(seed: int) -> Chip:
        rng, chip = np.random.default_rng(seed), random_chip(16, 16)
        if name == "radiometry":
            return replace(chip, reflectance=augment.radiometry(chip.reflectance, rng))
        return augment.flip(chip, rng) if name == "flip" else augment.crop(chip, 7, rng)

    assert same(made(4), made(4))
    assert any(not same(made(4), made(seed)) for seed in range(5, 9))


def test_radiometry_disturbs_but_keeps_the_scene() -> None:
    image = random_chip(40, 40).reflectance
    for seed in range(20):
        found = augment.radiometry(image, np.random.default_rng(seed))
        assert found.dtype == np.float32
        assert found.shape == image.shape
        assert np.abs(found - image).max() > 1e-3
        for band in range(image.shape[-1]):
            assert np.corrcoef(found[..., band].ravel(), image[..., band].ravel())[0, 1] > 0.99


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.7, 2.0])
def test_rescaling_changes_the_size_and_keeps_the_labels_kinds(factor: float) -> None:
    chip = random_chip(24, 36)
    found = augment.rescale(chip, factor)
    shape = (round(24 / factor), round(36 / factor))
    assert found.water.shape == found.cloud.shape == found.reflectance.shape[:2] == shape
    assert found.reflectance.dtype == np.float32
    assert set(np.unique(found.water)) <= {0, 1, UNKNOWN}
    assert found.reflectance.mean() == pytest.approx(chip.reflectance.mean(), abs=0.02)


def test_rescaling_by_one_changes_nothing() -> None:
    chip = random_chip(12, 12)
    found = augment.rescale(chip, 1.0)
    np.testing.assert_allclose(found.reflectance, chip.reflectance, atol=1e-6)
    np.testing.assert_array_equal(found.water, chip.water)
    np.testing.assert_array_equal(found.cloud, chip.cloud)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_rescaled_labels_lie_on_the_rescaled_image(factor: float) -> None:
    """A lake's label covers the lake; what is unknown stays unknown."""
    y, x = np.mgrid[0:48, 0:48]
    lake = ((y - 14) ** 2 + (x - 20) ** 2 < 100).astype(np.uint8)
    water = lake.copy()
    water[36:] = UNKNOWN
    image = np.repeat(lake[..., None], 4, axis=2).astype(np.float32)
    chip = replace(random_chip(2, 2), reflectance=image, water=water, cloud=lake)
    found = augment.rescale(chip, factor)
    bright = found.reflectance[..., 0] > 0.5
    known = found.water != UNKNOWN
    assert known.mean() == pytest.approx(36 / 48, abs=0.05)
    assert (bright[known] == (found.water[known] == 1)).mean() > 0.98
    assert not known[-1].any()
