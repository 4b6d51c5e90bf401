from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from training import smallest
from training.smallest import Floods

UNKNOWN = 255


def picture(text: str) -> Any:
    """``#`` water, ``.`` land, ``?`` unknown."""
    values = {"#": 1, ".": 0, "?": UNKNOWN}
    return np.array([[values[c] for c in line] for line in text.split()], np.uint8)


def drawn(a90: float, slope: float, count: int, seed: int, places: int = 30) -> Floods:
    """Floods found by a known curve."""
    rng = np.random.default_rng(seed)
    sizes = np.round(2 ** rng.uniform(0, 10, count)).astype(np.int64)
    odds = np.log(9) + slope * (np.log2(sizes) - np.log2(a90))
    return Floods(sizes, rng.uniform(size=count) < expit(odds), rng.integers(0, places, count))


def test_patches_are_joined_by_corners_and_counted() -> None:
    water = picture("...... .#..#. ..#.#. ...... .##... ......")
    said = water == 1
    said[1, 1] = False
    said[4, 1] = said[4, 2] = False
    sizes, found = smallest.patches(water, said)
    # (1,1)+(2,2) with half of it found; (1,4)+(2,4) found; (4,1)+(4,2) not.
    assert dict(zip(sizes.tolist(), found.tolist(), strict=True)).keys() == {2}
    assert sorted(found.tolist()) == [False, True, True]


def test_less_than_half_is_not_found() -> None:
    water = picture("..... .###. .....")
    said = np.zeros(water.shape, bool)
    said[1, 1] = True
    assert smallest.patches(water, said)[1].tolist() == [False]
    said[1, 2] = True
    assert smallest.patches(water, said)[1].tolist() == [True]


@pytest.mark.parametrize(
    "text",
    [
        "#.... ..... .....",
        "..... ....# .....",
        "..... .?#.. .....",
        "..... .#... ..?..",
        "??? ?#? ???",
    ],
)
def test_a_flood_of_unknown_size_does_not_count(text: str) -> None:
    water = picture(text)
    assert smallest.patches(water, water == 1)[0].size == 0


def test_chips_without_a_flood() -> None:
    water = [np.zeros((8, 8), np.uint8)] * 2
    floods = smallest.gather(water, [w == 1 for w in water], ["a", "b"])
    assert floods.sizes.size == 0
    found = smallest.figures({"balanced": floods})
    assert found["whole_floods"] == 0
    assert np.isnan(found["smallest_flood_px_balanced"])
    assert found["floods_by_size"] == []


def test_places_are_told_apart() -> None:
    water = picture("..... .#.#. .....")
    floods = smallest.gather([water] * 3, [water == 1] * 3, ["b", "a", "b"])
    assert floods.places.tolist() == [1, 1, 0, 0, 1, 1]
    assert floods.sizes.tolist() == [1] * 6


@pytest.mark.parametrize(("a90", "slope"), [(20.0, 1.0), (100.0, 0.6), (6.0, 2.0)])
def test_a_known_curve_is_found_again(a90: float, slope: float) -> None:
    floods = drawn(a90, slope, 4000, seed=3)
    assert smallest.smallest(floods) == pytest.approx(a90, rel=0.25)
    assert smallest.curve(floods.sizes, floods.found)[1] == pytest.approx(slope, rel=0.1)
    low, high = smallest.interval(floods)
    assert low < a90 < high
    assert high / low < 2


def test_the_interval_is_wide_where_floods_are_few() -> None:
    few, many = (smallest.interval(drawn(20, 1, n, seed=2)) for n in (60, 3000))
    assert few[1] / few[0] > many[1] / many[0]


def test_one_size_parts_found_from_not_found() -> None:
    sizes = np.arange(1, 200)
    floods = Floods(sizes, sizes >= 50, np.arange(199) % 10)
    assert smallest.smallest(floods) == pytest.approx(50, rel=0.25)


def test_what_is_never_reached_is_not_told() -> None:
    sizes = np.tile(2 ** np.arange(8), 10)
    none = Floods(sizes, np.zeros(80, bool), np.arange(80) % 5)
    assert smallest.smallest(none) == float("inf")
    falling = Floods(sizes, sizes < 16, np.arange(80) % 5)
    assert smallest.smallest(falling) == float("inf")
    assert smallest.interval(none) == (float("inf"), float("inf"))


def test_where_all_are_found_the_smallest_seen_is_told() -> None:
    for least in (1, 8):
        sizes = np.tile(least * 2 ** np.arange(8), 10)
        floods = Floods(sizes, np.ones(80, bool), np.arange(80) % 5)
        assert smallest.smallest(floods) == least
        assert smallest.interval(floods) == (least, least)


def test_the_table_by_size() -> None:
    floods = Floods(np.array([1, 2, 3, 3, 9]), np.array([0, 1, 1, 0, 1], bool), np.zeros(5, int))
    assert smallest.by_size(floods) == [(1, 2, 1, 0), (2, 4, 3, 2), (8, 16, 1, 1)]
    found = smallest.figures({"balanced": floods, "sensitive": floods})
    assert found["flood_sizes_px_from"] == [1, 2, 8]
    assert found["floods_found_by_size_sensitive"] == [0, 2, 1]
    assert found["floods_found_balanced"] == pytest.approx(0.6)
    assert np.isnan(found["smallest_flood_px_balanced"]), "too few for a curve"
