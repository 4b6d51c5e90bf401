from __future__ import annotations

import numpy as np
import pytest

from training.sample import Sample


def test_up_to_the_limit_all_stays_in_order() -> None:
    sample = Sample(100)
    for start in range(0, 100, 20):
        values = np.arange(start, start + 20)
        sample.add(np.stack([values, -values]), values.astype(np.uint8))
    both, single = sample.columns()
    np.testing.assert_array_equal(both, [np.arange(100), -np.arange(100)])
    np.testing.assert_array_equal(single, np.arange(100))
    assert single.dtype == np.uint8


def test_beyond_it_a_uniform_sample_stays() -> None:
    sample, held = Sample(2000, seed=3), []
    for start in range(0, 100_000, 500):
        values = np.arange(start, start + 500)
        sample.add(values, values % 7)
        held.append(sample._held)
    values, rest = sample.columns()
    assert max(held) <= 1.25 * 2000 + 500
    assert len(np.unique(values)) == len(values) == 2000
    np.testing.assert_array_equal(rest, values % 7)
    assert (np.diff(values) > 0).all()
    counts, _ = np.histogram(values, bins=10, range=(0, 100_000))
    assert counts == pytest.approx([200] * 10, abs=60)


def test_a_seed_gives_one_sample() -> None:
    found = []
    for seed in (0, 0, 1):
        sample = Sample(10, seed)
        sample.add(np.arange(1000))
        found.append(sample.columns()[0].tolist())
    assert found[0] == found[1] != found[2]


def test_chips_without_pixels() -> None:
    sample = Sample(5)
    sample.add(np.zeros((3, 0)), np.zeros(0))
    both, single = sample.columns()
    assert (both.shape, single.shape) == ((3, 0), (0,))
