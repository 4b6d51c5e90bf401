"""Windows of functions whose zeros are known."""

from __future__ import annotations

import numpy as np
import pytest

from ground.replay.windows import PRECISION_S, greatest, windows

GRID = np.linspace(0, 1000, 101)
TURN = 2 * np.pi / 200


def test_a_sine_is_above_zero_half_of_the_time():
    found = windows(lambda t: np.sin(TURN * (t - 3)), GRID, TURN)
    assert [one.start for one in found] == pytest.approx([3, 203, 403, 603, 803], abs=0.002)
    assert [one.end for one in found] == pytest.approx([103, 303, 503, 703, 903], abs=0.002)
    assert [one.best for one in found] == pytest.approx([53, 253, 453, 653, 853], abs=0.01)


@pytest.mark.parametrize("mask", [0.9999, 0.999999])
def test_a_peak_between_two_points_of_the_grid_is_found(mask):
    # The peaks at 57, 257, … stand 3 s from a point of the grid and last 0.9 s and less.
    found = windows(lambda t: np.sin(TURN * (t - 7)) - mask, GRID, TURN)
    half = np.arccos(mask) / TURN
    assert [one.best for one in found] == pytest.approx([57, 257, 457, 657, 857], abs=0.01)
    assert [one.end - one.start for one in found] == pytest.approx([2 * half] * 5, abs=0.003)


def test_a_dip_between_two_points_of_the_grid_parts_a_window():
    found = windows(lambda t: np.sin(TURN * (t - 7)) + 0.9999, GRID, TURN)
    assert [one.end for one in found[:-1]] == pytest.approx(
        [156.5, 356.5, 556.5, 756.5, 956.5], 0.01
    )
    assert len(found) == 6


def test_a_peak_that_stays_below_is_none():
    assert windows(lambda t: np.sin(TURN * (t - 7)) - 1.0000001, GRID, TURN) == []


def test_a_window_of_no_length_is_none():
    assert windows(lambda t: t - 999.9999, GRID, 1) == []


def test_windows_end_with_the_grid():
    assert [(one.start, one.end) for one in windows(lambda t: t * 0 + 1, GRID, 1)] == [(0, 1000)]
    assert windows(lambda t: t * 0 - 1, GRID, 1) == []


def test_the_ends_lie_within():
    def function(t):
        return np.sin(TURN * (t - 7)) - 0.3

    found = windows(function, GRID, TURN)
    for one in found[1:-1]:
        assert function(np.array([one.start, one.end])).min() > 0
        assert function(np.array([one.start - PRECISION_S, one.end + PRECISION_S])).max() <= 0


def test_greatest_of_many_at_once():
    tops = np.array([1.0, 2.5, 9.75])
    found = greatest(lambda t: -((t - tops) ** 2), tops - 1, tops + 2)
    assert found == pytest.approx(tops, abs=0.001)
    assert greatest(lambda t: t, np.zeros(0), np.zeros(0)).size == 0
