from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from onboard import masks
from onboard.engines import reference
from onboard.network import Network
from tests.training.models import load_weights, mask_inputs
from training import losses, network, prior
from training.config import TrainConfig
from training.trainer import predict

SHAPES = [(16, 32, 48), (2, 3), (2, 3, 3, 4)]
MOST_PARAMETERS = 100_000


def randomised(model: keras.Model, seed: int) -> dict[str, Any]:
    """Give a model random weights, batch statistics included; return them by name."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name, array in network.weight_arrays(model).items():
        if name.endswith(("variance", "gamma")):
            weights[name] = rng.uniform(0.5, 1.5, array.shape).astype(np.float32)
        else:
            fan = max(1, int(np.prod(array.shape[:-1])))
            weights[name] = (rng.normal(0, 1, array.shape) / np.sqrt(fan)).astype(np.float32)
    load_weights(model, weights)
    return weights


@pytest.fixture(params=SHAPES, ids=str)
def built(request: Any) -> tuple[Network, keras.Model, dict[str, Any]]:
    shape = Network(bands=4, widths=request.param, rate=0.3)
    model = network.build(shape)
    return shape, model, randomised(model, 7)


def test_logits_equal_the_reference(built: tuple[Network, Any, dict[str, Any]]) -> None:
    """Two samples, each with tile and masks of its own."""
    shape, model, weights = built
    rng = np.random.default_rng(1)
    tiles = rng.normal(0, 1, (2, 48, 32, 4)).astype(np.float32)
    drawn = masks.draw(shape, 3, b"m" * 32, b"s" * 32, range(2))
    logits = predict(model, {"tile": tiles, **mask_inputs(shape, drawn)})
    assert logits.shape == (2, 48, 32, 2)
    for index, tile in enumerate(tiles):
        own = {name: mask[index : index + 1] for name, mask in drawn.items()}
        base, features = reference.trunk(shape, weights, tile)
        (water,) = reference.water_logits(shape, weights, base, features, own)
        assert np.abs(logits[index, ..., 0] - water).max() <= 1e-4
        assert np.abs(logits[index, ..., 1] - base[..., 1]).max() <= 1e-4
    assert np.ptp(logits[..., 0]) > 0.1
    assert np.ptp(logits[..., 1]) > 0.1


def test_masks_act_on_water_alone() -> None:
    shape = Network(bands=3, widths=(2, 3, 3))
    model = network.build(shape)
    randomised(model, 4)
    tile = np.random.default_rng(0).normal(0, 1, (1, 16, 16, 3)).astype(np.float32)

    def logits(value: float) -> Any:
        given = {k: v * np.float32(value) for k, v in masks.ones(shape).items()}
        return predict(model, {"tile": tile, **mask_inputs(shape, given)})

    none, half, full = logits(0), logits(0.5), logits(1)
    np.testing.assert_array_equal(none[..., 1], full[..., 1])
    assert np.abs(none[..., 0] - full[..., 0]).max() > 0.01
    # linear in the masks
    np.testing.assert_allclose(half[..., 0], (none + full)[..., 0] / 2, atol=1e-5)


def test_the_default_network_is_small_and_has_both_heads() -> None:
    config = TrainConfig()
    model = network.build(Network(bands=4, widths=config.widths, rate=config.dropout))
    assert model.count_params() <= MOST_PARAMETERS
    assert model.output_shape == (None, None, None, 2)
    names = {layer.name for layer in model.layers}
    assert {"head", "correct_s8", "correct_s4", "correct_s2"} <= names


def test_weights_come_back_by_name() -> None:
    shape = Network(bands=2, widths=(2, 3))
    first, second = network.build(shape), network.build(shape)
    weights = randomised(first, 0)
    load_weights(second, weights)
    found = network.weight_arrays(second)
    assert set(found) == set(weights)
    for name, array in weights.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == np.float32


@pytest.mark.parametrize("module", [network, losses, prior])
def test_only_keras_so_that_any_backend_can_train(module: Any) -> None:
    tree = ast.parse(Path(module.__file__).read_text("utf-8"))
    names = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    roots = {name.split(".")[0] for name in names}
    assert roots <= {"__future__", "collections", "dataclasses", "typing", "keras", "numpy"} | {
        "onboard",
        "training",
    }
    assert "keras" in roots
