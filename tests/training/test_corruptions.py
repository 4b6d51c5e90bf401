from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from onboard.sensor import VNIR4
from tests.crops import crop
from training import corruptions

ALL = corruptions.of(VNIR4)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("seed", range(8))
def test_each_changes_the_image_and_only_a_copy(name: str, seed: int) -> None:
    image = crop(1)
    before = image.copy()
    first, again = (ALL[name](image, rng(seed)) for _ in range(2))
    assert np.array_equal(image, before)
    assert np.array_equal(first, again), "a function of the seed"
    assert (first.shape, first.dtype) == (image.shape, np.dtype(np.float32))
    assert not np.array_equal(first, image)


def test_raw_numbers_have_eight_bits() -> None:
    numbers = corruptions.raw_8bit(crop(1), rng(), VNIR4.scale) / VNIR4.scale
    assert np.abs(numbers - np.rint(numbers)).max() < 1e-3
    assert 0 <= numbers.min() < numbers.max() <= 255.01


def test_no_band_is_lost_in_another_order() -> None:
    image = crop(1)
    for seed in range(40):
        found = corruptions.band_order(image, rng(seed))
        sums = found.sum(axis=(0, 1))
        assert np.allclose(np.sort(sums), np.sort(image.sum(axis=(0, 1))))


def test_one_band_is_dead_in_three_ways() -> None:
    image, ways = crop(1), set()
    for seed in range(40):
        found = corruptions.dead_band(image, rng(seed))
        (band,) = {b for b in range(4) if not np.array_equal(found[..., b], image[..., b])}
        spread = float(found[..., band].std())
        assert spread < 1.1 * corruptions.DEAD_NOISE
        ways.add((bool((found[..., band] == 0).all()), spread > 1e-4))
    assert ways == {(True, False), (False, False), (False, True)}


def test_as_many_samples_are_saturated_as_is_said() -> None:
    for seed in range(20):
        found = corruptions.saturation(crop(1), rng(seed))
        low, high = corruptions.SATURATED
        assert low - 0.01 <= (found == found.max()).mean() <= high + 0.01


def test_one_band_moves_by_about_three_pixels() -> None:
    image = crop(1)
    for seed in range(20):
        found = corruptions.misregistration(image, rng(seed))
        (band,) = {b for b in range(4) if not np.array_equal(found[..., b], image[..., b])}
        inside = found[10:-10, 10:-10, band]
        fits = [
            (down, across)
            for down, across in corruptions.SHIFTS
            if np.array_equal(
                inside, np.roll(image[..., band], (-down, -across), (0, 1))[10:-10, 10:-10]
            )
        ]
        assert len(fits) == 1
        assert 2.8 < np.hypot(*fits[0]) <= 3


def test_haze_lifts_the_blue_most_and_takes_contrast() -> None:
    image = crop(1)
    for seed in range(10):
        found = corruptions.haze(image, rng(seed), VNIR4.bands)
        gained = found.min(axis=(0, 1)) - image.min(axis=(0, 1))
        assert (np.diff(gained) < 0).all()
        left = found.std(axis=(0, 1)) / image.std(axis=(0, 1))
        assert (np.diff(left) > 0).all()
        assert 0.39 <= left[0] <= 0.63


def test_a_sensor_suffers_what_it_can() -> None:
    one = dataclasses.replace(VNIR4, bands=("pan",))
    assert set(corruptions.of(one)) == {"raw_8bit", "dead_band", "saturation"}
    assert set(ALL) > set(corruptions.of(one))
