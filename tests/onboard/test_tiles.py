from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onboard.mirror import mirror
from onboard.network import Network
from onboard.tiles import Tiling

sides = st.integers(1, 400)


@given(sides, sides, st.integers(1, 8), st.integers(0, 4))
def test_cores_cover_the_frame_once(height: int, width: int, core: int, halo: int) -> None:
    tiling = Tiling(height, width, 8 * (core + 2 * halo), 8 * halo, 8)
    covered = np.zeros((height, width), int)
    for tile in tiling:
        covered[tile.window] += 1
        assert tile.row % 8 == 0
        assert tile.col % 8 == 0
        assert 1 <= tile.height <= tiling.core
        assert 1 <= tile.width <= tiling.core
    assert (covered == 1).all()
    assert len(list(tiling)) == len(tiling)


@pytest.mark.parametrize(("size", "halo"), [(100, 8), (96, 4), (96, 48)])
def test_a_tiling_off_the_stride_or_without_a_core_is_refused(size: int, halo: int) -> None:
    with pytest.raises(ValueError, match=r"tile|stride"):
        Tiling(10, 10, size, halo, 8)


@given(st.integers(-50, 50), st.integers(1, 60), st.integers(1, 20))
def test_mirror_repeats_the_border(start: int, count: int, size: int) -> None:
    index = mirror(start, count, size)
    padded = np.pad(np.arange(size), 120, mode="symmetric")
    np.testing.assert_array_equal(index, padded[120 + start : 120 + start + count])


def test_the_halo_is_on_the_stride_and_wide_enough() -> None:
    network = Network()
    assert network.halo % network.stride == 0
    assert network.receptive_radius <= network.halo < network.receptive_radius + network.stride
