from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from onboard import masks
from onboard.engines import reference
from onboard.engines.tflite import find_runtime
from onboard.network import Network
from training import network, tflite_model
from training.folding import before_doubling, of_groups
from training.tflite_model import Tensor

SHAPES = [(16, 32, 48), (2, 3), (2, 3, 3, 4)]


def random_weights(shape: Network, seed: int) -> dict[str, Any]:
    """Weights of a plausible size, batch statistics included."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name, array in network.weight_arrays(network.build(shape)).items():
        if name.endswith(("variance", "gamma")):
            weights[name] = rng.uniform(0.5, 1.5, array.shape).astype(np.float32)
        else:
            fan = max(1, int(np.prod(array.shape[:-1])))
            weights[name] = (rng.normal(0, 1, array.shape) / np.sqrt(fan)).astype(np.float32)
    return weights


def run(model: Tensor, tile: Any, drawn: masks.Masks) -> dict[str, Any]:
    """Moments by the TFLite runtime."""
    interpreter = find_runtime()[0](model_content=tflite_model.convert(model), num_threads=2)
    runner = interpreter.get_signature_runner()
    found: dict[str, Any] = runner(tile=tile[None], **{f"mask_{k}": v for k, v in drawn.items()})
    return found


@pytest.mark.parametrize("widths", SHAPES, ids=str)
@pytest.mark.parametrize("passes", [1, 3, 10])
def test_moments_of_the_core_equal_the_reference(widths: tuple[int, ...], passes: int) -> None:
    shape = Network(bands=4, widths=widths, rate=0.3)
    weights = random_weights(shape, 7)
    core = 2 * shape.stride
    side = core + 2 * shape.halo
    tile = np.random.default_rng(2).normal(0, 1, (side, side, 4)).astype(np.float32)
    drawn = masks.draw(shape, 3, b"m" * 32, b"s" * 32, range(passes))
    found = run(tflite_model.build(shape, weights, passes, side), tile, drawn)
    wanted = reference.moments(shape, weights, tile, drawn)
    assert set(found) == set(wanted._fields)
    for name, array in wanted._asdict().items():
        assert found[name].shape == (1, core, core, 1)
        assert np.abs(found[name][0, ..., 0] - array).max() <= 1e-5, name
    assert np.ptp(wanted.p_water) > 0.01


def test_moments_of_extreme_logits_are_finite() -> None:
    shape = Network(bands=2, widths=(8, 3))
    weights = random_weights(shape, 0)
    # The features are never negative: water becomes certain, and so does the absence of cloud.
    weights["head/kernel"] = np.resize([1e6, -1e6], weights["head/kernel"].shape).astype(np.float32)
    side = 2 * shape.halo + 8
    tile = np.random.default_rng(2).normal(0, 1, (side, side, 2)).astype(np.float32)
    found = run(tflite_model.build(shape, weights, 3, side), tile, masks.ones(shape, 3))
    assert all(np.isfinite(array).all() for array in found.values())
    assert found["aleatoric"].min() >= -1e-6
    assert found["p_water"].max() == 1
    assert found["p_cloud"].min() < 1e-30


def test_a_kernel_before_doubling_does_what_it_did_behind_it() -> None:
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(5, 7, 3)), rng.normal(size=(3, 3, 3, 2))
    behind = reference.conv(reference.repeat(x), kernel)
    before = reference.spread(reference.conv(x, before_doubling(kernel)))
    np.testing.assert_allclose(before, behind, atol=1e-12)


def test_a_kernel_over_groups_does_what_it_did_with_a_stride() -> None:
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(12, 8, 3)), rng.normal(size=(6, 6, 3, 2))
    groups = x.reshape(6, 2, 4, 2, 3).transpose(0, 2, 1, 3, 4).reshape(6, 4, 12)
    strided = reference.conv(x, kernel, stride=2)
    np.testing.assert_allclose(reference.conv(groups, of_groups(kernel)), strided, atol=1e-12)


def test_the_same_bytes_twice() -> None:
    shape = Network(bands=2, widths=(2, 3))
    weights = random_weights(shape, 1)
    side = 2 * shape.halo + 8
    first, again = (
        tflite_model.convert(tflite_model.build(shape, weights, 2, side)) for _ in range(2)
    )
    assert first == again
