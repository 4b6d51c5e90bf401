"""The network as an ONNX graph: NCHW, opset 11, 4-D tensors, batch norm folded, no framework.

Written node by node from the exported weights, so that nothing of a converter's taste gets in.
What OpenVINO 2021.4.2 can put on a Myriad VPU decides the ops (tried with its own compiler):
``Abs`` is written as ``Max(x, -x)``, up-sampling as ``Resize``, and the passes lie side by side as
channels behind a prefix that is computed once: as a batch, the compiler would repeat every stage
for every pass, and as a matrix product it fails. The weights stand once, whatever K.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from onboard.engines.reference import BATCH_NORM_EPSILON
from onboard.network import CONVS_PER_BLOCK, Network
from onboard.uncertainty import Moments

Weights = dict[str, npt.NDArray[np.float32]]

OPSET = 11
IR_VERSION = 6
"""The newest that the 2020 toolchains read."""


def build(network: Network, weights: Weights, passes: int, tile: int) -> bytes:
    """A serialised model.

    Args:
        network: its shape.
        weights: as exported, by name.
        passes: K; the batch of every ``mask_<site>`` input ``(K, C, 1, 1)``.
        tile: S; the input ``tile`` is ``(1, bands, S, S)``, a multiple of the stride.

    Returns:
        The model's bytes; the same arguments give the same bytes. Outputs: the moments by name,
        each ``(1, 1, S, S)``, as `onboard.uncertainty.Moments` has them.
    """
    graph = _Graph(weights)
    base, features = _trunk(graph, network)
    correction = _correction(graph, network, features, passes)
    _moments(graph, correction, base)
    inputs = [_value("tile", (1, network.bands, tile, tile))]
    inputs += [_value(f"mask_{s.name}", (passes, s.channels, 1, 1)) for s in network.sites]
    outputs = [_value(name, (1, 1, tile, tile)) for name in Moments._fields]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "floodsat", inputs, outputs, graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="floodsat",
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


class _Graph:
    """Nodes and constants as they are added; every node is named for its output."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def constant(self, name: str, array: npt.NDArray[Any]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def split(self, x: str, parts: int) -> list[str]:
        """One tensor a row."""
        if parts == 1:
            return [x]
        names = [f"{x}_{k}" for k in range(parts)]
        self.nodes.append(
            helper.make_node("Split", [x], names, name=f"{x}_rows", axis=0, split=[1] * parts)
        )
        return names

    def one_by_one(self, x: str, name: str, kernel: npt.NDArray[Any], bias: Any = None) -> str:
        """A 1×1 convolution from ``(in, out)``."""
        inputs = [x, self.constant(f"{name}_w", kernel.T[:, :, None, None])]
        if bias is not None:
            inputs.append(self.constant(f"{name}_b", bias))
        return self.add("Conv", inputs, name, kernel_shape=[1, 1])

    def twice(self, x: str, name: str, mode: str) -> str:
        """Up-sampling by two: nearest as a repetition, linear with half-pixel centres."""
        # Neither of the two coordinate rules reads the region of interest, but one must be there.
        roi = self.constant(f"{name}_roi", np.zeros(8, np.float32))
        scales = self.constant(f"{name}_scales", np.array([1, 1, 2, 2], np.float32))
        rule: dict[str, str] = {"coordinate_transformation_mode": "half_pixel"}
        if mode == "nearest":
            rule = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return self.add("Resize", [x, roi, scales], name, mode=mode, **rule)


def _value(name: str, shape: tuple[int, ...]) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def folded(weights: Weights, block: str, i: int) -> tuple[Any, Any]:
    """Kernel ``(out, in, 3, 3)`` and bias of a convolution with its batch norm in it, float32."""
    get = {
        part: weights[f"{block}_bn{i}/{part}"].astype(np.float64)
        for part in ("gamma", "beta", "moving_mean", "moving_variance")
    }
    scale = get["gamma"] / np.sqrt(get["moving_variance"] + BATCH_NORM_EPSILON)
    kernel = weights[f"{block}_conv{i}/kernel"].astype(np.float64) * scale
    bias = get["beta"] - get["moving_mean"] * scale
    return kernel.transpose(3, 2, 0, 1).astype(np.float32), bias.astype(np.float32)


def _block(graph: _Graph, x: str, name: str) -> str:
    for i in range(CONVS_PER_BLOCK):
        kernel, bias = folded(graph.weights, name, i)
        conv = f"{name}_conv{i}"
        inputs = [x, graph.constant(f"{conv}_w", kernel), graph.constant(f"{conv}_b", bias)]
        x = graph.add("Conv", inputs, conv, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        x = graph.add("Relu", [x], f"{name}_relu{i}")
    return x


def _trunk(graph: _Graph, network: Network) -> tuple[str, dict[str, str]]:
    """The base logit of water and the sites' features; adds the output ``p_cloud``."""
    x, skips = "tile", []
    for level in range(network.depth + 1):
        if level:
            x = graph.add("MaxPool", [x], f"pool{level}", kernel_shape=[2, 2], strides=[2, 2])
        x = _block(graph, x, f"enc{level}")
        skips.append(x)
    features = {f"s{network.stride}": x}
    for level in range(network.depth - 1, -1, -1):
        x = graph.twice(x, f"up{level}", "nearest")
        x = graph.add("Concat", [x, skips[level]], f"skip{level}", axis=1)
        x = _block(graph, x, f"dec{level}")
        features[f"s{2**level}"] = x
    kernel, bias = graph.weights["head/kernel"][0, 0], graph.weights["head/bias"]
    cloud = graph.one_by_one(x, "head_cloud", kernel[:, 1:], bias[1:])
    graph.add("Sigmoid", [cloud], "p_cloud")
    return graph.one_by_one(x, "head_water", kernel[:, :1], bias[:1]), features


def _correction(graph: _Graph, network: Network, features: dict[str, str], passes: int) -> str:
    """The corrections of all passes, ``(1, K, S, S)``; coarse ones ride on finer ones."""
    total = ""
    for site in network.sites:
        name = site.name
        kernel = graph.constant(
            f"correct_{name}_w", graph.weights[f"correct_{name}/kernel"][0, 0].T[:, :, None, None]
        )
        own = []
        for k, mask in enumerate(graph.split(f"mask_{name}", passes)):
            masked = graph.add("Mul", [features[name], mask], f"masked_{name}_{k}")
            conv = f"correct_{name}_{k}"
            own.append(graph.add("Conv", [masked, kernel], conv, kernel_shape=[1, 1]))
        both = graph.add("Concat", own, f"correct_{name}", axis=1)
        total = graph.add("Add", [total, both], f"sum_{name}") if total else both
        total = graph.twice(total, f"lift_{name}", "linear")
    for i in range(int(np.log2(network.sites[-1].stride)) - 1):
        total = graph.twice(total, f"lift_{i}", "linear")
    return total


def _moments(graph: _Graph, correction: str, base: str) -> None:
    """``H = -log m + |l|·(1-m)`` with ``m = max(p, 1-p)``, then means over the passes."""
    one = graph.constant("one", np.ones((1, 1, 1, 1), np.float32))
    minus = graph.constant("minus", -np.ones((1, 1, 1, 1), np.float32))
    logit = graph.add("Add", [correction, base], "logit")
    p = graph.add("Sigmoid", [logit], "p")
    q = graph.add("Sub", [one, p], "q")
    size = graph.add("Max", [logit, graph.add("Mul", [logit, minus], "opposite")], "size")
    doubt = graph.add("Mul", [size, graph.add("Min", [p, q], "least")], "doubt")
    surest = graph.add("Log", [graph.add("Max", [p, q], "surest")], "log_surest")
    means = {
        "p_water": p,
        "aleatoric": graph.add("Sub", [doubt, surest], "entropies"),
        "p_water_2": graph.add("Mul", [p, p], "squares"),
    }
    for name, values in means.items():
        graph.add("ReduceMean", [values], name, axes=[1], keepdims=1)
