from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from onboard import masks
from onboard.errors import ConfigError
from onboard.network import Network
from tests.training.models import mask_inputs
from tests.training.runs import finished_run
from training import network as nets
from training.config import TrainConfig
from training.export import Run
from training.placement import PLACEMENTS, ResearchNetwork, work
from training.prior import Prior
from training.trainer import predict

WIDTHS = (2, 3, 4)
INSIDE = {
    "every": ["enc0", "enc1", "enc2", "dec1", "dec0"],
    "bottleneck": ["enc2"],
    "decoder": ["dec1", "dec0"],
}


def randomised(network: Network) -> keras.Model:
    model = nets.build(network)
    rng = np.random.default_rng(3)
    for layer in model.layers:
        layer.set_weights([rng.uniform(0.3, 0.9, w.shape) for w in layer.get_weights()])
    return model


def logits(model: keras.Model, network: Network, values: dict[str, float]) -> Any:
    tile = np.random.default_rng(0).normal(0, 1, (1, 16, 16, 4)).astype(np.float32)
    given = masks.ones(network)
    for name, value in values.items():
        given[name] = given[name] * np.float32(value)
    return predict(model, {"tile": tile, **mask_inputs(network, given)})


@pytest.mark.parametrize(("placement", "blocks"), INSIDE.items())
def test_masks_act_on_the_blocks_that_are_named(placement: str, blocks: list[str]) -> None:
    network = ResearchNetwork(4, WIDTHS, 0.3, placement=placement)
    assert [site.name for site in network.sites] == blocks
    widths = {"enc0": 2, "enc1": 3, "enc2": 4, "dec1": 3, "dec0": 2}
    assert [site.channels for site in network.sites] == [widths[name] for name in blocks]
    model = randomised(network)
    whole = logits(model, network, {})
    assert whole.shape == (1, 16, 16, 2)
    for name in blocks:
        # Not on water alone: what a mask takes from the trunk, cloud misses too.
        half = logits(model, network, {name: 0.5})
        assert np.abs(half - whole).max(axis=(0, 1, 2)).min() > 1e-3
    assert not [layer.name for layer in model.layers if layer.name.startswith("correct_")]


def test_a_dead_bottleneck_leaves_the_skips() -> None:
    network = ResearchNetwork(4, WIDTHS, 0.3, placement="bottleneck")
    dead = logits(randomised(network), network, {"enc2": 0.0})
    assert np.ptp(dead[..., 0]) > 0.01


def test_the_placement_that_flies_is_the_network_that_flies() -> None:
    plain, other = Network(4, WIDTHS, 0.3), ResearchNetwork(4, WIDTHS, 0.3)
    assert other.sites == plain.sites
    assert (
        nets.weight_arrays(nets.build(other)).keys() == nets.weight_arrays(nets.build(plain)).keys()
    )


def test_learned_rates_take_their_place() -> None:
    with pytest.raises(ValueError, match="5 sites"):
        ResearchNetwork(4, WIDTHS, 0.3, (0.1, 0.2, 0.3), "every")
    network = ResearchNetwork(4, WIDTHS, 0.3, (0.1, 0.2), "decoder")
    assert [site.rate for site in network.sites] == [0.1, 0.2]
    assert network.to_json()["placement"] == "decoder"


def test_the_prior_knows_which_layers_read_masked_features() -> None:
    """L2 of a kernel behind a mask is larger by 1/keep; by the mean keep where one of two is."""
    network, prior = ResearchNetwork(4, WIDTHS, 0.5, placement="bottleneck"), Prior(2.0, 50)
    found = {
        layer.name: float(layer.kernel_regularizer.l2)
        for layer in nets.build(network, prior).layers
        if getattr(layer, "kernel_regularizer", None) is not None
    }
    expected = dict.fromkeys(found, prior.decay())
    expected["dec1_conv0"] = prior.decay(0.75)
    assert found == pytest.approx(expected)


def test_work_is_the_convolutions_shapes() -> None:
    """Counted by hand for widths 2 and 3, per input pixel."""
    network = ResearchNetwork(4, (2, 3), 0.3, placement="bottleneck")
    encoder = (36 * 4 * 2 + 9 * 2 * 2) / 4 + (9 * 2 * 3 + 9 * 3 * 3) / 16
    decoder = (9 * 5 * 2 + 9 * 2 * 2) / 4 + 2 * 2
    found = work(network)
    assert found.shared == pytest.approx(encoder)
    assert found.passed == pytest.approx(decoder)
    assert found.over_one(10) == pytest.approx((encoder + 10 * decoder) / (encoder + decoder))


def test_only_the_corrections_make_passes_cheap() -> None:
    cost = {
        name: work(ResearchNetwork(4, (16, 32, 48), 0.3, placement=name)).over_one(10)
        for name in PLACEMENTS
    }
    assert 1 < cost["logit"] < 1.2
    assert cost["logit"] < cost["decoder"] < cost["bottleneck"] < cost["every"] < 10
    assert work(Network(4, (16, 32, 48), 0.3)) == work(ResearchNetwork(4, (16, 32, 48), 0.3))


@pytest.mark.parametrize(
    ("marks", "said"),
    [({"placement": "every"}, "placed at 'every'"), ({"heteroscedastic": True}, "head")],
)
def test_what_no_engine_runs_is_not_exported(
    marks: dict[str, Any], said: str, tmp_path: Path
) -> None:
    run = finished_run(tmp_path / "run")
    record = json.loads((run / "run.json").read_text("utf-8"))
    record["network"].update(marks)
    (run / "run.json").write_text(json.dumps(record), "utf-8")
    with pytest.raises(ConfigError, match=said) as caught:
        Run.open(run)
    assert str(run) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_name_the_placements() -> None:
    assert TrainConfig.from_dict({"placement": "decoder"}, "here").placement == "decoder"
    with pytest.raises(ConfigError, match="logit, every, bottleneck, decoder"):
        TrainConfig.from_dict({"placement": "everywhere"}, "here")
    with pytest.raises(ConfigError, match="should be a text"):
        TrainConfig.from_dict({"placement": 3}, "here")


@pytest.mark.parametrize("more", [{"placement": "every"}, {"heteroscedastic": True}])
def test_a_teacher_has_neither(more: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="a teacher has no"):
        TrainConfig.from_dict({"teacher": True, **more}, "here")
