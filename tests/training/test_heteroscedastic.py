from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from scipy.special import expit

from onboard import masks
from tests.training.models import mask_inputs
from training.heteroscedastic import marginal_logit
from training.network import build
from training.placement import ResearchNetwork
from training.trainer import predict


@pytest.mark.parametrize("mean", [-4.0, -0.5, 0.0, 2.0])
@pytest.mark.parametrize("deviation", [0.1, 1.0, 3.0])
def test_it_is_the_probability_over_the_noise(mean: float, deviation: float) -> None:
    drawn = mean + deviation * np.random.default_rng(0).normal(size=400_000)
    found = marginal_logit(
        np.array([[mean]], np.float32), np.array([[2 * np.log(deviation)]], np.float32)
    )
    assert float(expit(ops.convert_to_numpy(found)[0, 0])) == pytest.approx(
        expit(drawn).mean(), abs=4e-3
    )


def test_without_noise_it_is_the_logit_and_with_it_nearer_to_one_half() -> None:
    mean = np.linspace(-9, 9, 19, dtype=np.float32)[:, None]
    calm = ops.convert_to_numpy(marginal_logit(mean, np.full_like(mean, -6.0)))
    np.testing.assert_allclose(calm, mean, atol=0.02)
    noisy = ops.convert_to_numpy(marginal_logit(mean, np.full_like(mean, 2.0)))
    assert (np.abs(noisy) <= np.abs(mean) + 1e-6).all()
    assert (np.sign(noisy[mean != 0]) == np.sign(mean[mean != 0])).all()


def test_sure_pixels_keep_a_gradient() -> None:
    mean, log_variance = tf.Variable([[60.0], [-60.0]]), tf.Variable([[2.0], [0.0]])
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(marginal_logit(mean, log_variance))
    for gradient in tape.gradient(total, [mean, log_variance]):
        assert np.isfinite(gradient.numpy()).all()
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(marginal_logit(mean, log_variance))
    assert (tape.gradient(total, mean).numpy() > 0.1).all()


def test_the_network_says_its_variance_beside_both_logits() -> None:
    network = ResearchNetwork(4, (2, 3), 0.3, heteroscedastic=True)
    model = build(network)
    tile = np.random.default_rng(0).normal(0, 1, (2, 16, 16, 4)).astype(np.float32)
    drawn = masks.draw(network, 0, b"m", b"s", range(2))
    found = predict(model, {"tile": tile, **mask_inputs(network, drawn)})
    assert found.shape == (2, 16, 16, 3)
    assert np.isfinite(found).all()
    names = {layer.name for layer in model.layers}
    assert {"head", "head_variance", "correct_s4"} <= names
