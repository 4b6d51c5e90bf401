from __future__ import annotations

import numpy as np
import pytest
from keras import ops
from scipy.special import expit, xlogy

from onboard.network import Network, Site
from training.network import build
from training.prior import TEMPERATURE, ConcreteMask, Prior

SITE = Site("s4", 16, 4, 0.3)


def test_the_decay_is_the_papers_for_masks_scaled_by_the_inverse() -> None:
    """With ``w = keep M`` both sides are the same number: l² keep / (2 N) ‖M‖²."""
    prior, keep, stored = Prior(0.5, 400), 0.7, 3.0
    assert prior.decay(keep) * stored**2 == pytest.approx(
        0.5**2 * keep / (2 * 400) * (stored / keep) ** 2
    )
    assert Prior(0.5, 800).decay() == prior.decay() / 2


def test_the_loss_of_a_network_holds_the_norm_of_every_kernel() -> None:
    shape, prior = Network(4, (2, 3), 0.25), Prior(2.0, 50)
    model = build(shape, prior)
    expected = 0.0
    for layer in model.layers:
        for variable in layer.weights:
            if variable.name == "kernel":
                keep = 0.75 if layer.name.startswith("correct") else 1.0
                expected += prior.decay(keep) * float(np.sum(np.asarray(variable) ** 2))
    assert expected > 0
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)
    assert build(shape, Prior(0.0, 50)).losses == []
    assert build(shape).losses == []


def test_a_relaxed_mask_is_nearly_a_dropout_mask() -> None:
    layer = ConcreteMask(SITE, Prior(1.0, 100))
    noise = np.random.default_rng(0).random((4000, 1, 1, SITE.channels), np.float32)
    mask = ops.convert_to_numpy(layer(noise))
    assert mask.shape == noise.shape
    assert layer.rate == pytest.approx(SITE.rate, abs=1e-6)
    assert mask.min() >= 0
    assert mask.max() <= 1 / SITE.keep + 1e-5
    assert mask.mean() == pytest.approx(1.0, abs=0.01)
    sharp = (mask < 0.05 / SITE.keep) | (mask > 0.95 / SITE.keep)
    assert sharp.mean() > 0.8
    logit = np.log(SITE.rate / SITE.keep)
    dropped = expit((logit + np.log(noise) - np.log1p(-noise)) / TEMPERATURE)
    np.testing.assert_allclose(mask, (1 - dropped) / SITE.keep, atol=2e-3)


@pytest.mark.parametrize("rate", [0.05, 0.5, 0.9])
def test_the_rate_costs_what_its_entropy_is_worth(rate: float) -> None:
    layer = ConcreteMask(Site("s8", 48, 8, rate), Prior(1.0, 300))
    layer(np.full((1, 1, 1, 48), 0.4, np.float32))
    entropy = -(xlogy(rate, rate) + xlogy(1 - rate, 1 - rate))
    assert float(sum(layer.losses)) == pytest.approx(-48 / 300 * entropy, rel=1e-4)


def test_extreme_noise_stays_finite() -> None:
    layer = ConcreteMask(SITE, Prior(1.0, 100))
    edges = np.array([0.0, 1.0, 0.5, 1e-9] * 4, np.float32).reshape(1, 1, 1, 16)
    assert np.isfinite(ops.convert_to_numpy(layer(edges))).all()
