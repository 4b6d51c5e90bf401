"""What OpenVINO 2020.3 LTS takes of an ONNX graph: the last toolchain for Myriad 2 hardware.

It needs a converted model and has no ONNX reader of its own: its Model Optimizer converts, and its
Myriad plugin compiles. Neither can be run beside a current Python, so a graph is held to what is
written about them; ``docs/interop-2020.3.md`` says what was found where, and what was not.

The graph of `training.onnx_model` is written for 2021.4.2 and has two things that 2020.3 lacks:
``Resize`` as of opset 11, and ``Min``. `adapt` writes them with what it has.
``python -m training.interop MODEL.onnx OUT.onnx`` does so and checks the outcome.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import helper, numpy_helper

from onboard import files
from onboard.errors import EngineError, FrameError

MAX_OPSET = 10
"""The newest opset that the release's documents name (openvino issues 823 and 751)."""
RANK = 4


class Support(NamedTuple):
    """Why an operation may be used.

    Attributes:
        layer: what the Myriad plugin of 2020 calls it.
        source: where the Model Optimizer's side is on record, as in ``docs/interop-2020.3.md``:
            ``news``, ``extractor`` or ``table``.
    """

    layer: str
    source: str


OPERATIONS: dict[str, Support] = {
    "Add": Support("Eltwise", "extractor"),
    "Concat": Support("Concat", "table"),
    "Conv": Support("Convolution", "extractor"),
    "ConvTranspose": Support("Deconvolution", "extractor"),
    "Div": Support("Eltwise", "news"),
    "Floor": Support("Floor", "news"),
    "Log": Support("Log", "news"),
    "Max": Support("Eltwise", "extractor"),
    "MaxPool": Support("Pooling", "table"),
    "Mul": Support("Eltwise", "extractor"),
    "ReduceMax": Support("ReduceMax", "news"),
    "ReduceMean": Support("ReduceMean", "extractor"),
    "Relu": Support("ReLU", "table"),
    "Resize": Support("Resample", "news"),
    "Sigmoid": Support("Sigmoid", "table"),
    "Slice": Support("StridedSlice", "extractor"),
    "Split": Support("Split", "extractor"),
    "Sub": Support("Eltwise", "extractor"),
    "Sum": Support("Eltwise", "extractor"),
}
"""The operations that count as supported: those for which both the Model Optimizer and the Myriad
plugin are on record. What is on neither or only one list is not here, so that the check errs on
the side of refusing."""


def check(model: bytes) -> list[str]:
    """What of a model OpenVINO 2020.3 would not take.

    Args:
        model: a serialised ONNX model.

    Returns:
        A line for each problem, in the order of the graph; nodes by name and operation. Empty
        if all is as documented.

    Raises:
        FrameError: these bytes are no ONNX model.
    """
    loaded = _load(model)
    problems = [
        f"opset {entry.version} of {entry.domain or 'ai.onnx'}: {MAX_OPSET} of ai.onnx is the "
        "newest that is documented"
        for entry in loaded.opset_import
        if entry.domain not in ("", "ai.onnx") or entry.version > MAX_OPSET
    ]
    for node in loaded.graph.node:
        problems += [f"{_title(node)}: {fault}" for fault in _faults(node)]
    return problems + [f"tensor {name}: {fault}" for name, fault in _shapes(loaded)]


def _load(model: bytes) -> Any:
    try:
        loaded = onnx.load_from_string(model)
        onnx.checker.check_model(loaded)
    except Exception as error:
        # protobuf, the checker and shape inference each have errors of their own
        said = str(error).splitlines()[0]
        raise FrameError(f"these bytes are no ONNX model ({said}); export it again") from error
    return loaded


def _title(node: Any) -> str:
    return f"{node.name or node.output[0]} ({node.op_type})"


def _faults(node: Any) -> Iterator[str]:
    """What is wrong with one node."""
    if node.domain not in ("", "ai.onnx"):
        yield f"domain {node.domain} is not supported"
    elif node.op_type not in OPERATIONS:
        yield "the operation is not supported"
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type == "Resize":
        newer = sorted(set(attributes) - {"mode"})
        if newer or len(node.input) != 2:
            told = f", with {', '.join(newer)}" if newer else ""
            yield f"Resize as of opset 11{told}; only that of opset 10 is supported"
        elif attributes.get("mode", b"nearest") != b"nearest":
            yield "how linear Resize places its samples is not documented"
    if attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
        yield "auto_pad is deprecated; give the pads"


def _shapes(model: Any) -> Iterator[tuple[str, str]]:
    """Tensors that are not static or not 4-D, and what is wrong with them."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    known = {v.name: v for v in (*graph.input, *graph.value_info, *graph.output)}
    for name in [*(v.name for v in graph.input), *(o for n in graph.node for o in n.output)]:
        if name not in known or not known[name].type.tensor_type.HasField("shape"):
            yield name, "its shape is not known"
            continue
        dims = known[name].type.tensor_type.shape.dim
        if len(dims) != RANK:
            yield name, f"{len(dims)}-D, not {RANK}-D"
        if not all(d.HasField("dim_value") and d.dim_value > 0 for d in dims):
            yield name, "its shape is not static"


def adapt(model: bytes) -> bytes:
    """A model as 2020.3 takes it, from one of `training.onnx_model`; computes the same.

    Nearest ``Resize`` gets the form of opset 10. Linear ``Resize`` by two becomes a depthwise
    transposed convolution, whose outermost pixels differ: a crop must follow that drops them.
    ``Min(a, b)`` becomes ``-Max(-a, -b)``. Everything else means the same in opset 10.

    Args:
        model: a serialised ONNX model of opset 11.

    Returns:
        The serialised model, opset 10; same inputs, same outputs.

    Raises:
        FrameError: these bytes are no ONNX model.
        EngineError: a linear ``Resize`` is not by two or its border is used.
    """
    loaded = onnx.shape_inference.infer_shapes(_load(model))
    graph = loaded.graph
    values = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    channels = {v.name: v.type.tensor_type.shape.dim[1].dim_value for v in graph.value_info}
    nodes: list[Any] = []
    constants: dict[str, Any] = {}
    for node in graph.node:
        if node.op_type == "Min":
            nodes += _smaller(node, constants)
        elif node.op_type == "Resize" and _mode(node) == b"nearest":
            nodes.append(_nearest(node))
        elif node.op_type == "Resize":
            if not _border_unused(node, graph, values):
                raise EngineError(f"{_title(node)}: its border is used; crop it first")
            nodes.append(_linear(node, channels[node.input[0]], values, constants))
        else:
            nodes.append(node)
    used = {name for node in nodes for name in node.input}
    kept = [t for t in graph.initializer if t.name in used]
    kept += [numpy_helper.from_array(array, name) for name, array in constants.items()]
    made = helper.make_model(
        helper.make_graph(nodes, graph.name, list(graph.input), list(graph.output), kept),
        opset_imports=[helper.make_opsetid("", MAX_OPSET)],
        producer_name=loaded.producer_name,
        ir_version=loaded.ir_version,
    )
    onnx.checker.check_model(made)
    content: bytes = made.SerializeToString(deterministic=True)
    return content


def _mode(node: Any) -> bytes:
    found: bytes = {a.name: a.s for a in node.attribute}.get("mode", b"nearest")
    return found


def _nearest(node: Any) -> Any:
    """Opset 10 has no region of interest, and its one rule is ours: asymmetric, rounded down."""
    rules = {a.name: a.s for a in node.attribute}
    ours = (b"asymmetric", b"floor")
    if (rules.get("coordinate_transformation_mode"), rules.get("nearest_mode")) != ours:
        raise EngineError(f"{_title(node)}: opset 10 has only asymmetric, floor")
    inputs = [node.input[0], node.input[2]]
    return helper.make_node("Resize", inputs, node.output, name=node.name, mode="nearest")


def _border_unused(node: Any, graph: Any, values: dict[str, Any]) -> bool:
    """Whether every reader of a node's output crops a pixel or more off each side."""
    readers = [n for n in graph.node if node.output[0] in n.input]
    if node.output[0] in {v.name for v in graph.output} or not readers:
        return False
    for reader in readers:
        if reader.op_type != "Slice" or not all(name in values for name in reader.input[1:4]):
            return False
        starts, ends, axes = (values[name].tolist() for name in reader.input[1:4])
        if sorted(axes) != [2, 3] or min(starts) < 1 or max(ends) > -1:
            return False
    return True


def _linear(node: Any, count: int, values: dict[str, Any], constants: dict[str, Any]) -> Any:
    """Half-pixel bilinear doubling: a pixel goes to 4×4, weights 1/4, 3/4, 3/4, 1/4 each way."""
    rule = {a.name: a.s for a in node.attribute}.get("coordinate_transformation_mode")
    if rule != b"half_pixel" or values[node.input[2]].tolist() != [1, 1, 2, 2]:
        raise EngineError(f"{_title(node)}: only half_pixel, doubling, can be written anew")
    row = np.array([1, 3, 3, 1], np.float32) / 4
    name = f"bilinear_{count}"
    constants[name] = np.tile(np.outer(row, row), (count, 1, 1, 1))
    return helper.make_node(
        "ConvTranspose",
        [node.input[0], name],
        node.output,
        name=node.name,
        group=count,
        kernel_shape=[4, 4],
        strides=[2, 2],
        pads=[1, 1, 1, 1],
    )


def _smaller(node: Any, constants: dict[str, Any]) -> list[Any]:
    """``Min`` by ``Max``; exact, for only signs change."""
    name = node.name or node.output[0]
    constants["minus_one"] = -np.ones((1,) * RANK, np.float32)
    turned = [f"{name}_minus{i}" for i in range(len(node.input))]
    made = [
        helper.make_node("Mul", [x, "minus_one"], [y], name=y)
        for x, y in zip(node.input, turned, strict=True)
    ]
    made.append(helper.make_node("Max", turned, [f"{name}_max"], name=f"{name}_max"))
    last = [f"{name}_max", "minus_one"]
    made.append(helper.make_node("Mul", last, node.output, name=name))
    return made


def main(model: Path, out: Path) -> None:
    """Write the model as 2020.3 takes it.

    Raises:
        FrameError: no such model.
        EngineError: it cannot be written so; names the nodes.
    """
    if not model.is_file():
        raise FrameError(f"{model}: no such model; export it with --target onnx")
    try:
        adapted = adapt(model.read_bytes())
    except (FrameError, EngineError) as error:
        raise type(error)(f"{model}: {error}") from error
    problems = check(adapted)
    if problems:
        raise EngineError(f"{model}: OpenVINO 2020.3 does not take {'; '.join(problems)}")
    files.write_bytes(out, adapted)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
