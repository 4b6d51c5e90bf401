from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onboard.labelling import SHORTLIST, SIDE, Choice, candidates, choose, features, grid
from onboard.tiles import Tile


@given(st.integers(1, 700), st.integers(1, 700))
@settings(max_examples=30)
def test_tiles_cover_the_frame_and_are_whole_where_they_can_be(height: int, width: int) -> None:
    tiles = grid(height, width)
    covered = np.zeros((height, width), bool)
    for tile in tiles:
        assert (tile.height, tile.width) == (min(SIDE, height), min(SIDE, width))
        assert tile.row + tile.height <= height
        assert tile.col + tile.width <= width
        covered[tile.window] = True
    assert covered.all()
    assert len(tiles) == -(-height // SIDE) * -(-width // SIDE) == len(set(tiles))


def test_candidates_are_the_most_doubtful_tiles_first() -> None:
    doubt = np.zeros((SIDE, 3 * SIDE), np.float32)
    doubt[:, :SIDE], doubt[:, SIDE : 2 * SIDE], doubt[:, 2 * SIDE :] = 0.1, 0.3, 0.2
    found = candidates(doubt, np.ones(doubt.shape, bool))
    assert [one.tile.col for one in found] == [SIDE, 2 * SIDE, 0]
    assert [one.epistemic for one in found] == pytest.approx([0.3, 0.2, 0.1])


def test_only_what_was_observed_counts() -> None:
    doubt = np.full((SIDE, 2 * SIDE), np.nan, np.float32)
    observed = np.zeros(doubt.shape, bool)
    doubt[: SIDE // 2, :SIDE], observed[: SIDE // 2, :SIDE] = 0.2, True
    doubt[: SIDE // 2 - 1, SIDE:], observed[: SIDE // 2 - 1, SIDE:] = 0.9, True
    found = candidates(doubt, observed)
    assert [(one.tile.col, round(one.epistemic, 6)) for one in found] == [(0, 0.2)]


def test_a_frame_without_doubt_or_with_nonsense_has_no_candidates() -> None:
    every = np.ones((SIDE, SIDE), bool)
    assert candidates(np.zeros((SIDE, SIDE), np.float32), every) == []
    assert candidates(np.full((SIDE, SIDE), np.nan, np.float32), every) == []


def test_the_shortlist_is_bounded_and_draws_go_by_place() -> None:
    doubt = np.full((SIDE, 40 * SIDE), 0.1, np.float32)
    found = candidates(doubt, np.ones(doubt.shape, bool))
    assert [one.tile.col for one in found] == [SIDE * n for n in range(SHORTLIST)]


def test_features_are_mean_and_deviation_of_what_has_data() -> None:
    image = np.zeros((2, 2, 2), np.float32)
    image[..., 0] = [[1, 3], [2, 99]]
    image[..., 1] = [[0.5, 0.5], [0.5, 99]]
    valid = np.array([[True, True], [True, False]])
    assert features(image, valid) == pytest.approx([2.0, 0.5, np.std([1, 3, 2]), 0.0], abs=1e-6)


ALIKE, APART = np.zeros(4), np.full(4, 10.0)


def test_the_most_doubtful_goes_first_then_what_is_unlike_it() -> None:
    doubt = [0.5, 0.49, 0.1]
    chosen = choose(doubt, [ALIKE, ALIKE + 0.01, APART], 2)
    assert [one.which for one in chosen] == [0, 2]
    assert [one.worth for one in chosen] == pytest.approx([0.5, 0.1])


def test_doubt_alone_decides_between_tiles_that_are_all_unlike() -> None:
    places = [APART * n for n in range(4)]
    chosen = choose([0.1, 0.4, 0.3, 0.2], places, 3)
    assert [one.which for one in chosen] == [1, 2, 3]


def test_equal_tiles_give_one_chip() -> None:
    assert choose([0.5] * 5, [ALIKE] * 5, 5) == [Choice(0, 0.5)]


def test_a_tile_that_is_not_doubtful_enough_is_none() -> None:
    places = [APART * n for n in range(3)]
    assert [one.which for one in choose([0.3, 0.2, 0.1], places, 3, least=0.2)] == [0, 1]
    assert choose([0.3], places[:1], 3, least=0.31) == []


def test_none_and_no_candidates() -> None:
    assert choose([0.3], [ALIKE], 0) == []
    assert choose([], [], 3) == []


@given(st.integers(1, 8), st.integers(0, 10), st.integers(0, 2**32))
def test_worth_falls_and_nothing_is_chosen_twice(count: int, most: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    doubt = sorted(rng.uniform(0, 0.1, count).tolist(), reverse=True)
    places = [rng.normal(0, 1, 8) for _ in range(count)]
    chosen = choose(doubt, places, most)
    assert chosen == choose(doubt, places, most)
    assert len({one.which for one in chosen}) == len(chosen) <= most
    worth = [one.worth for one in chosen]
    assert worth == sorted(worth, reverse=True)
    assert all(0 < one.worth <= doubt[one.which] for one in chosen)
    if most:
        assert chosen[0] == Choice(0, doubt[0])


def test_tiles_are_values() -> None:
    assert grid(5, 6) == [Tile(0, 0, 5, 6)]
