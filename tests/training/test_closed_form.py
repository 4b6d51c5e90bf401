from __future__ import annotations

import keras
import numpy as np
import pytest
from scipy.special import expit

from onboard import masks
from onboard.network import Network
from onboard.uncertainty import bernoulli_entropy
from tests.training.models import mask_inputs
from training.closed_form import Linear, Linearised, of_normal
from training.network import build
from training.trainer import predict

NETWORK = Network(4, (6, 8, 10), 0.3, (0.1, 0.3, 0.5))


@pytest.fixture(scope="module")
def model() -> keras.Model:
    made = build(NETWORK)
    rng = np.random.default_rng(3)
    for layer in made.layers:
        layer.set_weights([rng.normal(0.3, 0.3, w.shape) ** 2 + 0.01 for w in layer.get_weights()])
    for site in NETWORK.sites:
        layer = made.get_layer(f"correct_{site.name}")
        layer.set_weights([rng.normal(0, 0.1, w.shape) for w in layer.get_weights()])
    return made


@pytest.fixture(scope="module")
def tile() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, (24, 16, 4)).astype(np.float32)


def test_the_parts_make_the_logits_of_the_network(model: keras.Model, tile: np.ndarray) -> None:
    drawn = masks.draw(NETWORK, 0, b"m", b"s", range(5))
    inputs = {"tile": np.repeat(tile[None], 5, axis=0), **mask_inputs(NETWORK, drawn)}
    expected = predict(model, inputs)[..., 0]
    found = Linearised(model, NETWORK)(tile).sampled(drawn)
    assert np.ptp(expected, axis=0).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_mean_and_spread_are_those_of_many_passes(model: keras.Model, tile: np.ndarray) -> None:
    linear = Linearised(model, NETWORK)(tile)
    logits = linear.sampled(masks.draw(NETWORK, 1, b"m", b"s", range(4000)))
    deviation = np.sqrt(linear.spread())
    assert deviation.min() > 0
    # four standard errors of a mean of 4000
    assert (np.abs(logits.mean(0) - linear.mean()) < 4 * deviation / np.sqrt(4000)).all()
    np.testing.assert_allclose(logits.std(0), deviation, rtol=0.08)


def test_rates_of_the_sites_stand_where_their_channels_do() -> None:
    """A channel that is hardly ever dropped hardly spreads."""
    linear = Linear(np.zeros((1, 1)), np.ones((1, 1, 2)), np.array([0.0, 1.0]))
    assert linear.spread() == pytest.approx(1.0)
    assert linear.mean() == pytest.approx(2.0)


@pytest.mark.parametrize(("mean", "variance"), [(0.0, 1.0), (-2.0, 0.25), (3.0, 4.0)])
def test_moments_of_a_normal_logit(mean: float, variance: float) -> None:
    p = expit(np.random.default_rng(0).normal(mean, np.sqrt(variance), 400_000))
    found = of_normal(np.array([mean]), np.array([variance]))
    assert found.mean[0] == pytest.approx(p.mean(), abs=2e-3)
    assert found.aleatoric[0] == pytest.approx(bernoulli_entropy(p).mean(), abs=2e-3)
    assert found.epistemic[0] > 0
    assert of_normal(np.array([mean]), np.array([0.0])).epistemic[0] == pytest.approx(0, abs=1e-12)
