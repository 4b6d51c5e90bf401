from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onboard import classes, doubts
from onboard.entropy import Reader, Writer
from onboard.reduced import NOT_OBSERVED, block_sums, observed_pixels, reduced_shape
from tests.onboard.netting import random_net
from tests.products import blobs


def case(height: int, width: int, block: int, levels: int, seed: int):
    mask = blobs(height, width, seed)
    mask[: block + 1, : 2 * block] = classes.CLOUD
    hidden = block_sums(observed_pixels(mask), block, np.int32) == 0
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, levels, (2, *reduced_shape(height, width, block))).astype(np.uint8)
    codes[:, hidden] = NOT_OBSERVED
    return mask, hidden, codes[0], codes[1]


@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(1, 9), st.integers(2, 6), st.integers(0, 99)
)
@settings(max_examples=40, deadline=None)
def test_round_trip(height, width, block, levels, seed):
    mask, hidden, low, high = case(height, width, block, levels, seed)
    first, second = (random_net(doubts.inputs(levels, after), 1) for after in (False, True))
    surface, writer = doubts.describe(mask, block), Writer()
    doubts.encode(writer, low, surface, first, levels)
    doubts.encode(writer, high, surface, second, levels, low)
    reader = Reader(writer.finish())
    back = doubts.decode(reader, hidden, surface, first, levels)
    np.testing.assert_array_equal(back, low)
    again = doubts.decode(reader, hidden, surface, second, levels, back)
    np.testing.assert_array_equal(again, high)
    assert reader.ended


def test_what_a_net_sees_of_a_block_is_what_the_document_says():
    mask = np.zeros((8, 12), np.uint8)
    mask[0:4, 4:8] = classes.WATER
    mask[4:8, 8:12] = classes.CLOUD
    mask[0, 0] = classes.NODATA
    found = doubts.describe(mask, 4)
    assert found.shape == (2, 3, 14 + 32)
    middle = found[0, 1].tolist()
    # All of it water, all of it observed; 4 pairs on its left, none at the frame's edge.
    assert middle[:6] == [1] * 6
    assert middle[6:9] == [0] * 3
    assert middle[9:14] == [1, 1, 0, 0, 0]
    right = found[1, 2].tolist()
    assert right[6:9] == [1, 1, 1]
    # Around the block below the middle: above it 4 pairs lie in the block right of the water.
    below = found[1, 1, 14:].reshape(8, 4).tolist()
    assert below[0] == [0, 0, 0, 0]
    assert below[1] == [1, 0, 1, 0]
    assert below[4] == [0, 0, 0, 1]
    assert below[5:] == [[0, 0, 0, 0]] * 3


@pytest.mark.parametrize("levels", [2, 4])
def test_what_comes_later_is_not_seen(levels):
    mask, _, codes, _ = case(40, 40, 8, levels, 3)
    surface = doubts.describe(mask, 8)
    seen, _ = doubts.contexts(codes, surface, levels)
    other = codes.copy()
    other[-1, -1] = (codes[-1, -1] + 1) % levels
    changed, _ = doubts.contexts(other, surface, levels)
    # The last block is asked about last: nothing of the first level changes before it.
    count = int((codes != NOT_OBSERVED).sum())
    np.testing.assert_array_equal(seen[:count], changed[:count])


def test_a_map_without_anything_observed_costs_nothing():
    mask = np.full((20, 20), classes.CLOUD, np.uint8)
    codes = np.full((3, 3), NOT_OBSERVED, np.uint8)
    net, writer = random_net(doubts.inputs(4, False), 1), Writer()
    doubts.encode(writer, codes, doubts.describe(mask, 8), net, 4)
    assert writer.finish() == b""
