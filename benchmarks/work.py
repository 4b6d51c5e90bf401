"""Multiply-adds of a graph, counted from its shapes, and how many of them the halo costs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from onboard.bundle import Bundle


class Layer(NamedTuple):
    """One layer that multiplies.

    Attributes:
        side: rows of its output, which is square.
        macs: multiply-adds for the whole output.
    """

    side: int
    macs: int


def tflite_layers(content: bytes) -> list[Layer]:
    """The multiplying layers of a TFLite file of one graph with fixed shapes."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    graph = model.subgraphs[0]
    kinds = schema.BuiltinOperator
    found = []
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        # Codes below 127 stand in the field of old files.
        kind = max(code.builtinCode, code.deprecatedBuiltinCode)
        out = [int(n) for n in graph.tensors[operator.outputs[0]].shape]
        if kind in (kinds.CONV_2D, kinds.DEPTHWISE_CONV_2D, kinds.FULLY_CONNECTED):
            # Kernels are (out, …, in): every place of the output meets every weight once.
            kernel = math.prod(int(n) for n in graph.tensors[operator.inputs[1]].shape)
            found.append(Layer(out[1], math.prod(out[:-1]) * kernel))
        elif kind == kinds.BATCH_MATMUL:
            inner = int(graph.tensors[operator.inputs[0]].shape[-1])
            found.append(Layer(out[1], math.prod(out) * inner))
    return found


def openvino_layers(model: Any) -> list[Layer]:
    """The multiplying layers of an OpenVINO model with fixed shapes, channels first."""
    found = []
    for operator in model.get_ordered_ops():
        kind = operator.get_type_name()
        if kind in ("Convolution", "GroupConvolution"):
            out = [int(n) for n in operator.output(0).shape]
            kernel = math.prod(int(n) for n in operator.input_value(1).shape)
            found.append(Layer(out[2], out[0] * math.prod(out[2:]) * kernel))
        elif kind == "MatMul":
            out = [int(n) for n in operator.output(0).shape]
            inner = math.prod(int(n) for n in operator.input_value(0).shape) // math.prod(out[:-1])
            found.append(Layer(out[-2], math.prod(out) * inner))
    return found


def layers_of(bundle: Bundle, engine: str) -> list[Layer]:
    """The multiplying layers of the bundle's model of one pass for ``engine``."""
    if engine == "tflite":
        models = bundle.models(engine)
        return tflite_layers(models[min(models)])
    from onboard.engines.openvino import find_openvino

    entry = bundle.sets[engine]
    name = entry["models"][min(entry["models"], key=int)]
    weights = name.rpartition(".")[0] + ".bin"
    model = find_openvino().Core().read_model(bundle.content[name], bundle.content[weights])
    return openvino_layers(model)


def halo_share(layers: list[Layer], tile: int, halo: int, stride: int) -> float:
    """Share of the multiply-adds spent on what is no part of the core, 0…1.

    A layer at stride ``s`` needs ``core / s`` places a side; what it computes beyond is the halo's.
    Its stride is the largest power of two at which its output still fits into the tile: a core is
    wider than half a tile, so no smaller one is possible.

    Args:
        layers: of a model of one tile.
        tile: side, pixels, halo included.
        halo: pixels around the core on every side; less than a quarter of the tile.
        stride: the network's.

    Raises:
        ValueError: the halo takes a quarter of the tile or more, and strides cannot be told.
    """
    core = tile - 2 * halo
    if 2 * core <= tile:
        raise ValueError(f"a halo of {halo} leaves {core} of a tile of {tile} pixels")
    spent = sum(layer.macs for layer in layers)
    needed = 0.0
    for layer in layers:
        own = 1
        while own < stride and layer.side * own * 2 <= tile:
            own *= 2
        # A product that is not over pixels is needed whole.
        needed += layer.macs * min(1.0, core / own / layer.side) ** 2
    return 1.0 - needed / spent
