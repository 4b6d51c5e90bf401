"""The graph and the last toolchain for Myriad 2 hardware."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import pytest
from onnx import TensorProto, helper

from onboard import masks
from onboard.engines import reference
from onboard.errors import EngineError, FrameError
from onboard.network import Network
from tests.onboard.test_engines import random_weights
from tests.samples import ROOT
from training import interop, onnx_model

PASSES = 3
TINY = (1, 2, 4, 4)
DOCUMENT = ROOT / "docs" / "interop-2020.3.md"


def weights(network: Network) -> Any:
    return {k: v.astype(np.float32) for k, v in random_weights(network, 3).items()}


def built(network: Network) -> bytes:
    size = 2 * network.halo + 4 * network.stride
    return onnx_model.build(network, weights(network), PASSES, size)


@pytest.fixture(scope="module")
def graph() -> bytes:
    return built(Network())


def small(*nodes: Any, opset: int = 10, constants: Any = (), x: Any = TINY, y: Any = TINY) -> bytes:
    """A model from ``x`` to ``y``, of these shapes."""
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", x), ("y", y))
    ]
    made = helper.make_graph(nodes, "small", [ends[0]], [ends[1]], constants)
    imports = [helper.make_opsetid("", opset)]
    content: bytes = helper.make_model(
        made, opset_imports=imports, ir_version=6
    ).SerializeToString()
    return content


def test_what_the_graph_uses_that_2020_3_lacks(graph: bytes) -> None:
    """Exactly this, and all of it; whoever changes the graph finds it here."""
    network = Network()
    resized = [f"up{level}" for level in range(network.depth - 1, -1, -1)]
    resized += [f"lift_{site.name}" for site in network.sites]
    named = [line.partition(":")[0] for line in interop.check(graph)]
    assert named == [
        "opset 11 of ai.onnx",
        *(f"{name} (Resize)" for name in resized),
        "least (Min)",
    ]


@pytest.mark.parametrize("network", [Network(), Network(bands=2, widths=(3, 4, 5, 6))])
def test_the_adapted_graph_has_nothing_that_2020_3_lacks(network: Network) -> None:
    assert interop.check(interop.adapt(built(network))) == []


def test_the_adapted_graph_computes_the_network(graph: bytes) -> None:
    network = Network()
    model = onnx.load_from_string(graph)
    size = model.graph.input[0].type.tensor_type.shape.dim[2].dim_value
    tile = np.random.default_rng(1).normal(size=(size, size, network.bands)).astype(np.float32)
    drawn = masks.draw(network, 5, bytes(32), bytes(32), range(PASSES))
    inputs = {"tile": tile.transpose(2, 0, 1)[None]}
    inputs |= {f"mask_{name}": mask[:, :, None, None] for name, mask in drawn.items()}
    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    read = core.read_model(model=interop.adapt(graph))
    found = core.compile_model(read, "CPU", settings)(inputs)
    wanted = reference.moments(network, weights(network), tile, drawn)
    for name, array in wanted._asdict().items():
        assert np.abs(found[name][0, 0] - array).max() <= 1e-5, name


def test_the_adapted_graph_has_the_same_ends_and_bytes(graph: bytes) -> None:
    before = onnx.load_from_string(graph).graph
    adapted = interop.adapt(graph)
    after = onnx.load_from_string(adapted).graph
    assert list(before.input) == list(after.input)
    assert list(before.output) == list(after.output)
    assert adapted == interop.adapt(graph)
    assert len(adapted) < len(graph) + 2_000


def test_a_foreign_operation_is_named() -> None:
    model = small(
        helper.make_node("Relu", ["x"], ["a"], name="first"),
        helper.make_node("Einsum", ["a"], ["y"], name="odd", equation="nchw->nchw"),
        opset=12,
    )
    assert interop.check(model) == [
        "opset 12 of ai.onnx: 10 of ai.onnx is the newest that is documented",
        "odd (Einsum): the operation is not supported",
    ]


def test_a_tensor_that_is_not_4d_is_named() -> None:
    constants = [helper.make_tensor("one", TensorProto.FLOAT, (1, 1, 1, 1, 1), [1.0])]
    node = helper.make_node("Add", ["x", "one"], ["y"])
    model = small(node, constants=constants, y=(1, *TINY))
    assert interop.check(model) == ["tensor y: 5-D, not 4-D"]


def test_a_shape_that_is_not_static_is_named() -> None:
    unknown = ("n", *TINY[1:])
    model = small(helper.make_node("Relu", ["x"], ["y"]), x=unknown, y=unknown)
    assert interop.check(model) == [
        "tensor x: its shape is not static",
        "tensor y: its shape is not static",
    ]


def test_linear_resize_is_refused_in_opset_10_too() -> None:
    constants = [helper.make_tensor("scales", TensorProto.FLOAT, (4,), [1, 1, 2, 2])]
    node = helper.make_node("Resize", ["x", "scales"], ["y"], name="up", mode="linear")
    (problem,) = interop.check(small(node, constants=constants, y=(1, 2, 8, 8)))
    assert problem.startswith("up (Resize): how linear Resize places its samples")


def test_automatic_padding_is_named() -> None:
    pool = helper.make_node(
        "MaxPool", ["x"], ["y"], name="pool", kernel_shape=[3, 3], auto_pad="SAME_UPPER"
    )
    assert interop.check(small(pool)) == [
        "pool (MaxPool): auto_pad is deprecated; give the pads",
    ]


def test_a_border_that_is_used_is_not_written_anew() -> None:
    constants = [
        helper.make_tensor("roi", TensorProto.FLOAT, (8,), [0.0] * 8),
        helper.make_tensor("scales", TensorProto.FLOAT, (4,), [1, 1, 2, 2]),
    ]
    up = helper.make_node("Resize", ["x", "roi", "scales"], ["y"], name="up", mode="linear")
    with pytest.raises(EngineError, match=r"up \(Resize\): its border is used"):
        interop.adapt(small(up, opset=11, constants=constants, y=(1, 2, 8, 8)))


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(FrameError, match="no ONNX model"):
        interop.check(b"not a model")


def test_the_command_writes_what_passes(graph: bytes, tmp_path: Path) -> None:
    model, out = tmp_path / "model.onnx", tmp_path / "out.onnx"
    with pytest.raises(FrameError, match=r"model\.onnx: no such model"):
        interop.main(model, out)
    model.write_bytes(graph)
    interop.main(model, out)
    assert interop.check(out.read_bytes()) == []


def test_the_document_shows_the_list() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (\w+) \|", DOCUMENT.read_text("utf-8"), re.M)
    shown = {name: interop.Support(layer, source) for name, layer, source in rows}
    assert shown == interop.OPERATIONS


def test_the_document_names_what_is_missing(graph: bytes) -> None:
    text = DOCUMENT.read_text("utf-8")
    for line in interop.check(graph)[1:]:
        assert f"`{line.split()[0]}`" in text, line


@pytest.mark.slow
def test_the_adapted_graph_compiles_for_myriad_2(graph: bytes, tmp_path: Path) -> None:
    """By the compiler of 2021.4.2, the oldest that is at hand."""
    python = ROOT / ".venv-flight" / "bin" / "python"
    if not python.is_file():
        pytest.skip("no flight environment: 'make flight-env'")
    model = tmp_path / "myriad2.onnx"
    model.write_bytes(interop.adapt(graph))
    code = (
        "import json, sys; from pathlib import Path; from onboard import vpu;"
        "blob, report = vpu.compile_blob(Path(sys.argv[1]), 'ma2450');"
        "vpu.check_blob(blob, 'ma2450'); vpu.check_resources(report, 'ma2450');"
        "print(json.dumps(report['stages']))"
    )
    done = subprocess.run(
        [str(python), "-c", code, str(model)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    stages = json.loads(done.stdout.splitlines()[-1])
    assert stages["DepthDeconv"] == len(Network().sites)
    assert "Min" not in stages
