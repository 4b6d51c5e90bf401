from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from onboard import bundle, masks
from onboard.engines import reference
from onboard.network import Network
from tests.onboard.test_engines import random_weights
from tests.samples import BUNDLE
from training import onnx_model

# What OpenVINO 2021.4.2's Myriad compiler takes; `Abs` it does not.
OPS = {"Add", "Concat", "Conv", "Log", "Max", "MaxPool", "Min", "Mul", "Relu"}
OPS |= {"ConvTranspose", "Resize", "Sigmoid", "Slice", "Split", "Sub"}


@pytest.fixture(scope="module")
def shipped() -> bundle.Bundle:
    return bundle.load(BUNDLE, ["reference"])


def run(model: bytes, tile: Any, drawn: masks.Masks) -> dict[str, Any]:
    """Moments by ONNX's own slow evaluator."""
    evaluator = ReferenceEvaluator(onnx.load_from_string(model))
    inputs = {"tile": tile.transpose(2, 0, 1)[None].astype(np.float32)}
    inputs |= {f"mask_{name}": mask[:, :, None, None] for name, mask in drawn.items()}
    return dict(zip(evaluator.output_names, evaluator.run(None, inputs), strict=True))


def agrees(network: Network, weights: Any, passes: int, core: int, for_cpu: bool = False) -> None:
    size = core + 2 * network.halo
    tile = np.random.default_rng(1).normal(size=(size, size, network.bands))
    drawn = masks.draw(network, 5, bytes(32), bytes(32), range(passes))
    model = onnx_model.build(network, weights, passes, size, for_cpu)
    found = run(model, tile, drawn)
    wanted = reference.moments(network, weights, tile.astype(np.float32), drawn)
    for name, array in wanted._asdict().items():
        assert np.abs(found[name][0, 0] - array).max() <= 1e-5, name


@pytest.mark.parametrize("for_cpu", [False, True])
@pytest.mark.parametrize("passes", [1, 3])
def test_the_graph_computes_the_network(shipped: bundle.Bundle, passes: int, for_cpu: bool) -> None:
    agrees(shipped.network, shipped.weights(), passes, 32, for_cpu)


def test_a_network_of_another_shape() -> None:
    network = Network(bands=2, widths=(3, 4, 5))
    weights = {k: v.astype(np.float32) for k, v in random_weights(network, 3).items()}
    agrees(network, weights, 2, 16)


def test_the_graph_is_what_old_toolchains_read(shipped: bundle.Bundle) -> None:
    model = onnx.load_from_string(onnx_model.build(shipped.network, shipped.weights(), 10, 128))
    assert [entry.version for entry in model.opset_import] == [11]
    assert model.ir_version <= 6
    assert {node.op_type for node in model.graph.node} <= OPS
    inferred = onnx.shape_inference.infer_shapes(model)
    values = [*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output]
    assert values
    for value in values:
        assert len(value.type.tensor_type.shape.dim) == 4, value.name


def test_the_weights_stand_once(shipped: bundle.Bundle) -> None:
    weights = shipped.weights()
    sizes = [len(onnx_model.build(shipped.network, weights, k, 128)) for k in (1, 10)]
    assert sizes[1] - sizes[0] < 8_000
    assert sizes[1] < 4.2 * sum(array.size for array in weights.values())


def test_the_same_bytes_twice(shipped: bundle.Bundle) -> None:
    weights = shipped.weights()
    first, again = (onnx_model.build(shipped.network, weights, 4, 128) for _ in range(2))
    assert first == again
