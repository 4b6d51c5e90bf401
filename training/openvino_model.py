"""The ONNX graph as OpenVINO's own IR: what a current OpenVINO loads with the least ado.

OpenVINO reads ONNX too, but an IR says what it is before anything runs: its weights are float32 as
they were trained (`openvino.save_model` would halve them unasked), and the shapes that the ONNX
reader computes along the graph are constants.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import onnx

from onboard.engines.openvino import find_openvino


def build(onnx_model: bytes) -> tuple[bytes, bytes]:
    """Convert a model.

    Args:
        onnx_model: serialised, as `training.onnx_model.build` makes it.

    Returns:
        The IR's XML and its weights. The same argument and the same OpenVINO give the same bytes,
        in every process and folder.

    Raises:
        EngineError: no current OpenVINO here.
    """
    openvino = find_openvino()
    model = openvino.Core().read_model(onnx_model)
    from openvino.passes import ConstantFolding, Manager

    passes = Manager()
    passes.register_pass(ConstantFolding())
    passes.run_passes(model)
    _number(model, _names(onnx_model))
    with tempfile.TemporaryDirectory() as folder:
        xml, weights = Path(folder) / "model.xml", Path(folder) / "model.bin"
        # As it is: no compression, and no note of who converted it, when and how.
        openvino.serialize(model, xml, weights)
        return xml.read_bytes(), weights.read_bytes()


def _names(onnx_model: bytes) -> set[str]:
    """What the ONNX graph itself names."""
    graph = onnx.load_from_string(onnx_model).graph
    return {part.name for part in (*graph.node, *graph.initializer, *graph.input)}


def _number(model: Any, names: set[str]) -> None:
    """Rename the operations that the reader added: it numbers them through the whole process."""
    added = [op for op in model.get_ordered_ops() if op.get_friendly_name() not in names]
    for i, op in enumerate(added):
        op.set_friendly_name(f"{op.get_type_name()}_{i}")
