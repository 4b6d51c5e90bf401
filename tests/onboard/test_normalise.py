from __future__ import annotations

import math

import numpy as np
import pytest

from onboard.normalise import Normalisation

LINEAR = Normalisation((0.1, 0.3), (0.05, 0.1))
LOG = Normalisation((-2.0, -1.0), (0.5, 0.8), floor=0.03)


def image(*pixels: tuple[float, float]) -> np.ndarray:
    return np.array([pixels], np.float32)


def everywhere(x: np.ndarray) -> np.ndarray:
    return np.ones(x.shape[:2], bool)


def test_without_a_floor_it_is_linear() -> None:
    x = image((0.2, 0.25), (0.1, 0.3))
    found = LINEAR.apply(x, everywhere(x))
    np.testing.assert_allclose(found[0], [[2.0, -0.5], [0.0, 0.0]], atol=1e-5)
    assert found.dtype == np.float32


def test_with_a_floor_it_takes_the_logarithm() -> None:
    x = image((0.2, 0.25), (0.0, -0.5))
    found = LOG.apply(x, everywhere(x))
    wanted = [
        [(math.log(0.23) + 2) / 0.5, (math.log(0.28) + 1) / 0.8],
        [(math.log(0.03) + 2) / 0.5, (math.log(0.03) + 1) / 0.8],
    ]
    np.testing.assert_allclose(found[0], wanted, atol=1e-5)


def test_a_gain_shifts_bright_pixels_alike_in_every_band() -> None:
    """The reason for the logarithm: brightness of the scene drops out of band differences."""
    same = Normalisation((0.0, 0.0), (1.0, 1.0), floor=0.001)
    x = image((0.3, 0.4), (0.5, 0.2))
    shift = same.apply(x * 1.2, everywhere(x)) - same.apply(x, everywhere(x))
    np.testing.assert_allclose(shift, math.log(1.2), atol=2e-3)


@pytest.mark.parametrize("normalisation", [LINEAR, LOG])
def test_nothing_leaves_the_limits_and_no_data_is_the_mean(normalisation: Normalisation) -> None:
    x = image((65535.0, -65535.0), (np.inf, 0.0), (1.0, 1.0))
    valid = np.array([[True, True, False]])
    kept = x.copy()
    found = normalisation.apply(x, valid)
    assert np.isfinite(found).all()
    assert np.abs(found).max() <= normalisation.limit
    assert (found[0, 2] == 0).all()
    np.testing.assert_array_equal(x, kept)


@pytest.mark.parametrize("normalisation", [LINEAR, LOG])
def test_it_survives_a_manifest(normalisation: Normalisation) -> None:
    assert Normalisation.from_json(normalisation.to_json()) == normalisation


def test_a_manifest_from_before_the_logarithm_is_linear() -> None:
    old = {"mean": [0.1, 0.3], "spread": [0.05, 0.1], "limit": 10.0}
    assert Normalisation.from_json(old) == LINEAR
