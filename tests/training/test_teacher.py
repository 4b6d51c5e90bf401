from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import keras
import numpy as np
import pytest

from benchmarks.unet import UNet
from onboard.errors import ConfigError
from onboard.sensor import VNIR4
from tests.samples import CHIPS
from training import export
from training.chips import ChipFolder
from training.config import TrainConfig
from training.fit import Fitted, fit, pass_logits
from training.prior import Prior
from training.teacher import Teacher, build

TINY = TrainConfig(epochs=1, batch_size=4, crop=32, widths=(2, 3), teacher=True, clouds=0.2)

pytestmark = pytest.mark.usefixtures("few_skies")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Fitted]:
    folder = tmp_path_factory.mktemp("teacher") / "run"
    return folder, fit([ChipFolder.open(CHIPS)], VNIR4, TINY, folder)


def test_it_is_the_network_that_the_benchmarks_time() -> None:
    # A batch norm trains a scale and a shift where the folded one has a bias.
    small = UNet(widths=(2, 4, 6))
    model = build(Teacher(widths=small.widths))
    norms = sum(out for _, _, out in small.convolutions())
    trained = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    head = small.widths[0] + 1
    # The yardstick of the benchmarks has three classes, this one two heads.
    assert trained == small.parameters - head + norms
    assert Teacher(widths=UNet().widths).stride == UNet().stride == 8


def test_a_pixel_depends_on_its_surroundings_only() -> None:
    # Of so few channels chance could leave none alive.
    keras.utils.set_random_seed(1)
    small = UNet(widths=(6, 8))
    model = build(Teacher(widths=small.widths))
    rng = np.random.default_rng(0)
    tile = rng.normal(size=(1, 64, 64, 4)).astype(np.float32)
    other = tile.copy()
    other[0, 32, 32] += 1.0
    one, two = (np.asarray(model([given])) for given in (tile, other))
    changed = np.abs(one - two).sum(-1)[0] > 0
    rows, cols = np.nonzero(changed)
    assert changed[32, 32]
    reach = max(abs(rows - 32).max(), abs(cols - 32).max())
    assert reach <= small.receptive_radius


def test_the_prior_counts_its_weights() -> None:
    free, held = (build(Teacher(widths=(2, 3)), Prior(scale, 10)) for scale in (0.0, 2.0))
    assert not free.losses
    kernels = [
        layer.kernel
        for layer in held.layers
        if layer.name.endswith(("0", "1", "head")) and hasattr(layer, "kernel")
    ]
    squares = sum(float((np.asarray(k) ** 2).sum()) for k in kernels)
    assert sum(float(x) for x in held.losses) == pytest.approx(squares * 4 / 20, rel=1e-5)


def test_it_trains_by_the_same_command_and_makes_one_pass(run: tuple[Path, Fitted]) -> None:
    folder, fitted = run
    record = json.loads((folder / "run.json").read_text("utf-8"))
    assert record["network"] == {"teacher": True, "bands": 4, "widths": [2, 3]}
    inputs, target = fitted.held[0]
    water, cloud = pass_logits(fitted, inputs)
    assert water.shape == (1, *target.shape[1:3])
    assert cloud.shape == target.shape[1:3]


def test_it_cannot_be_exported(run: tuple[Path, Fitted]) -> None:
    with pytest.raises(ConfigError, match=r"holds a teacher, which cannot fly; train without"):
        export.Run.open(run[0])


def test_it_has_no_rates_to_learn() -> None:
    plain = {**dataclasses.asdict(TINY), "widths": [2, 3], "learned_dropout": True}
    with pytest.raises(ConfigError, match="learned_dropout = True is out of range; choose false"):
        TrainConfig.from_dict(plain, "c.toml")
