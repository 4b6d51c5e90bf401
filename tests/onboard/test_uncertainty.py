from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from onboard.uncertainty import LN2, Moments, bernoulli_entropy, combine, maps

probabilities = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12)


def moments_of(p: Any) -> Moments:
    """Moments over axis 0, float32 as engines give them."""
    p = np.asarray(p, np.float32).reshape(len(p), 1, 1)
    h = bernoulli_entropy(p)
    return Moments(p.mean(0), p.mean(0), h.mean(0), (p * p).mean(0))


@given(probabilities)
def test_the_parts_add_up_and_are_not_negative(p: list[float]) -> None:
    found = maps(moments_of(p))
    np.testing.assert_allclose(found.entropy, found.aleatoric + found.epistemic, atol=1e-7)
    assert found.aleatoric.min() >= 0
    assert found.epistemic.min() >= 0
    assert found.entropy.max() <= LN2 + 1e-7


@given(st.floats(0.0, 1.0), st.integers(1, 20))
def test_equal_passes_know_everything(p: float, count: int) -> None:
    found = maps(moments_of([p] * count))
    assert found.epistemic.max() <= 2e-6


def test_passes_that_contradict_know_nothing() -> None:
    found = maps(moments_of([0.0, 1.0]))
    np.testing.assert_allclose(found.entropy, LN2, rtol=1e-6)
    np.testing.assert_allclose(found.aleatoric, 0.0, atol=1e-7)
    np.testing.assert_allclose(found.epistemic, LN2, rtol=1e-6)


def test_a_fair_coin_is_noise() -> None:
    found = maps(moments_of([0.5, 0.5]))
    np.testing.assert_allclose(found.aleatoric, LN2, rtol=1e-6)
    np.testing.assert_allclose(found.epistemic, 0.0, atol=1e-6)


@given(probabilities, probabilities)
def test_combining_is_pooling(first: list[float], second: list[float]) -> None:
    parts = [(len(p), moments_of(p)) for p in (first, second)]
    pooled = moments_of(first + second)
    for a, b in zip(combine(parts), pooled):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_entropy_at_its_ends() -> None:
    p = np.array([0.0, 1.0, 0.5, -1e-9, 1 + 1e-9])
    np.testing.assert_allclose(bernoulli_entropy(p), [0, 0, LN2, 0, 0], atol=1e-12)
