from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from onboard import masks
from onboard.errors import ConfigError
from onboard.network import Network
from tests.onboard.test_engines import random_weights
from tests.training.operations import operations
from tests.training.test_quantise import SIZE, SMALL, call, noise
from training import quantise, tflite_model

PASSES = 2


def int8(weights: Any, network: Network = SMALL, old: bytes | None = None) -> bytes:
    plain = {name: value.astype(np.float32) for name, value in weights.items()}
    model = tflite_model.build(network, plain, PASSES, SIZE)
    return quantise.int8(model, network, noise(5, 32, network.bands), SIZE, old)


def moved(weights: Any, part: str = "") -> Any:
    """Weights a little further on; of one part only, if it is named."""
    rng = np.random.default_rng(5)
    return {
        name: value + 0.01 * value.std() * rng.normal(size=value.shape) * name.startswith(part)
        for name, value in weights.items()
    }


@pytest.fixture(scope="module")
def old() -> bytes:
    return int8(random_weights(SMALL, 3))


def test_the_same_weights_give_the_same_file(old: bytes) -> None:
    assert int8(random_weights(SMALL, 3), old=old) == old


def test_other_weights_change_steps_in_place_and_nothing_else(old: bytes) -> None:
    new = int8(moved(random_weights(SMALL, 3)), old=old)
    assert len(new) == len(old)
    steps = np.frombuffer(new, np.int8).astype(int) - np.frombuffer(old, np.int8)
    assert 0 < np.count_nonzero(steps) < 0.5 * len(old)
    assert operations(new) == operations(old)


def test_the_head_alone_leaves_the_trunk_alone(old: bytes) -> None:
    new = int8(moved(random_weights(SMALL, 3), "head"), old=old)
    changed = np.flatnonzero(np.frombuffer(new, np.uint8) != np.frombuffer(old, np.uint8))
    weights = random_weights(SMALL, 3)
    assert 0 < len(changed) <= 4 * (weights["head/kernel"].size + weights["head/bias"].size)


def test_what_comes_out_is_close_to_scales_of_its_own(old: bytes) -> None:
    weights = moved(random_weights(SMALL, 3))
    tile = noise(1, SIZE, SMALL.bands)[0].tile
    drawn = masks.draw(SMALL, 1, b"m", b"s", range(PASSES))
    same = call(int8(weights, old=old), tile, drawn)
    own = call(int8(weights), tile, drawn)
    before = call(old, tile, drawn)
    assert np.abs(same.p_water - own.p_water).max() < 0.05
    assert np.abs(same.p_water - before.p_water).max() > 0


def test_another_shape_is_refused(old: bytes) -> None:
    wider = Network(bands=2, widths=(3, 4, 6))
    with pytest.raises(ConfigError, match="--scales-of"):
        int8(random_weights(wider, 3), wider, old)
