from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from onboard.errors import ConfigError
from onboard.network import Network
from training.config import TrainConfig
from training.network import build, set_weight_arrays, weight_arrays
from training.start import Start
from training.trainer import Trainer

SMALL = Network(bands=2, widths=(3, 4, 5))


def weights(seed: int) -> dict[str, np.ndarray]:
    keras.utils.set_random_seed(seed)
    return weight_arrays(build(SMALL))


def test_weights_come_back() -> None:
    given = weights(1)
    model = build(SMALL)
    set_weight_arrays(model, given)
    found = weight_arrays(model)
    assert found.keys() == given.keys()
    assert all((found[name] == given[name]).all() for name in given)


def test_a_run_of_another_shape() -> None:
    with pytest.raises(ConfigError, match="another shape"):
        set_weight_arrays(build(Network(bands=2, widths=(3, 4, 6))), weights(1))


@pytest.mark.parametrize("head_only", [False, True])
def test_training_begins_with_the_run(head_only: bool) -> None:
    given = weights(2)
    trainer = Trainer(SMALL, TrainConfig(widths=SMALL.widths), 10, 5, given, head_only)
    found = weight_arrays(trainer.averaged())
    assert all((found[name] == given[name]).all() for name in given)
    learn = {layer.name for layer in trainer._net.layers if layer.trainable_weights}
    last = {name for name in learn if name.startswith(("head", "correct_"))}
    assert last
    assert (learn == last) is head_only


def test_a_finished_run_is_read(tmp_path: Path) -> None:
    given = weights(3)
    np.savez(tmp_path / "weights.npz", **given)
    (tmp_path / "run.json").write_text(json.dumps({"normalisation": {"mean": [1]}}), "utf-8")
    start = Start.open(tmp_path, head_only=True)
    assert start.normalisation == {"mean": [1]}
    assert start.to_json()["head_only"] is True
    (tmp_path / "weights.npz").unlink()
    with pytest.raises(ConfigError, match="is no finished run"):
        Start.open(tmp_path)
