"""The network as an ONNX graph: NCHW, opset 11, 4-D tensors, batch norm folded, no framework.

Written node by node from the exported weights, so that nothing of a converter's taste gets in.
What OpenVINO 2021.4.2 can put on a Myriad VPU decides the ops (tried with its own compiler):
``Abs`` is written as ``Max(x, -x)``, up-sampling as ``Resize``, and the passes lie side by side as
channels behind a prefix that is computed once: as a batch, the compiler would repeat every stage
for every pass, and as a matrix product it fails. The weights stand once, whatever K. CPUs, which
take a matrix product gladly and logarithms less so, may have a graph of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from onboard.network import CONVS_PER_BLOCK, STEM_STRIDE, Network, Site
from onboard.uncertainty import Moments
from training.folding import Weights, folded

OPSET = 11
IR_VERSION = 6
"""The newest that the 2020 toolchains read."""


def build(
    network: Network, weights: Weights, passes: int, tile: int, for_cpu: bool = False
) -> bytes:
    """A serialised model.

    Args:
        network: its shape.
        weights: as exported, by name.
        passes: K; the batch of every ``mask_<site>`` input ``(K, C, 1, 1)``.
        tile: S; the input ``tile`` is ``(1, bands, S, S)``, a multiple of the stride.
        for_cpu: the same function in the ops that suit CPUs, not VPUs.

    Returns:
        The model's bytes; the same arguments give the same bytes. Outputs: the moments by name,
        each ``(1, 1, S - 2·halo, S - 2·halo)``, as `onboard.uncertainty.Moments` has them.
    """
    graph = _Graph(weights)
    features = _features(graph, network)
    base = _heads(graph, graph.crop(features[0], network.margin(0)))
    core = tile - 2 * network.halo
    rows = {s.name: core // s.stride + 2 * CONVS_PER_BLOCK for s in network.sites}
    one = partial(_product, rows=rows) if for_cpu else _side_by_side
    correction = _correction(graph, network, features, passes, one)
    _moments(graph, correction, base, passes, _product_of_logs if for_cpu else _sum_of_logs)
    inputs = [_value("tile", (1, network.bands, tile, tile))]
    inputs += [_value(f"mask_{s.name}", (passes, s.channels, 1, 1)) for s in network.sites]
    outputs = [_value(name, (1, 1, core, core)) for name in Moments._fields]
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

    def conv(self, x: str, name: str, kernel: npt.NDArray[Any], bias: Any = None) -> str:
        """A convolution from ``(k, k, in, out)`` that keeps the size, over the stem's stride."""
        side = len(kernel)
        stride = 1 if side % 2 else STEM_STRIDE
        inputs = [x, self.constant(f"{name}_w", kernel.transpose(3, 2, 0, 1))]
        if bias is not None:
            inputs.append(self.constant(f"{name}_b", bias))
        return self.add(
            "Conv",
            inputs,
            name,
            kernel_shape=[side, side],
            strides=[stride, stride],
            pads=[(side - stride) // 2] * 4,
        )

    def mean(self, x: str, name: str, passes: int) -> str:
        """Mean over the passes, as a convolution: engines have nothing quicker."""
        share = self.constant(f"{name}_w", np.full((1, passes, 1, 1), 1 / passes, np.float32))
        return self.add("Conv", [x, share], name, kernel_shape=[1, 1])

    def reshape(self, x: str, name: str, shape: tuple[int, ...]) -> str:
        """``x`` in another shape."""
        return self.add("Reshape", [x, self.constant(f"{name}_shape", np.array(shape))], name)

    def spread(self, x: str) -> str:
        """Depth to space, as a transposed convolution: VPUs would transpose for the former."""
        groups = STEM_STRIDE**2
        eye = np.eye(groups, dtype=np.float32).reshape(groups, 1, STEM_STRIDE, STEM_STRIDE)
        name = f"{x}_pixels"
        inputs = [x, self.constant(f"{name}_w", eye)]
        sides = [STEM_STRIDE, STEM_STRIDE]
        return self.add("ConvTranspose", inputs, name, kernel_shape=sides, strides=sides)

    def crop(self, x: str, pixels: int) -> str:
        """``x`` without ``pixels`` rows and columns on each side."""
        if not pixels:
            return x
        name = f"{x}_core{pixels}"
        if any(name in node.output for node in self.nodes):
            return name
        bounds = {"starts": [pixels, pixels], "ends": [-pixels, -pixels], "axes": [2, 3]}
        inputs = [self.constant(f"{name}_{k}", np.array(v)) for k, v in bounds.items()]
        return self.add("Slice", [x, *inputs], name)

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


def _block(graph: _Graph, x: str, name: str) -> str:
    for i in range(CONVS_PER_BLOCK):
        x = graph.conv(x, f"{name}_conv{i}", *folded(graph.weights, name, i))
        x = graph.add("Relu", [x], f"{name}_relu{i}")
    return x


def _features(graph: _Graph, network: Network) -> dict[int, str]:
    """Level → features over the core and the level's margin."""
    x, skips = "tile", []
    for level in range(network.depth + 1):
        if level:
            x = graph.add("MaxPool", [x], f"pool{level}", kernel_shape=[2, 2], strides=[2, 2])
        x = _block(graph, x, f"enc{level}")
        skips.append(graph.crop(x, network.cut(level)))
    deep = skips[-1]
    found = {network.depth: deep}
    for level in range(network.depth - 1, -1, -1):
        x = graph.twice(deep, f"up{level}", "nearest")
        x = graph.add("Concat", [x, skips[level]], f"skip{level}", axis=1)
        found[level] = _block(graph, x, f"dec{level}")
        if level:
            deep = graph.crop(found[level], network.margin(level) - CONVS_PER_BLOCK)
    return found


def _heads(graph: _Graph, x: str) -> str:
    """The base logit of water; adds the output ``p_cloud``."""
    kernel, bias = graph.weights["head/kernel"], graph.weights["head/bias"]
    water, cloud = (
        graph.spread(graph.conv(x, f"head_{name}", kernel[..., i::2], bias[i::2]))
        for i, name in enumerate(("water", "cloud"))
    )
    graph.add("Sigmoid", [cloud], "p_cloud")
    return water


def _correction(
    graph: _Graph,
    network: Network,
    features: dict[int, str],
    passes: int,
    one: Callable[[_Graph, Site, str, int], str],
) -> str:
    """The corrections of all passes, ``(1, K, core, core)``; coarse ones ride on finer ones."""
    total, level = "", network.depth
    for site in network.sites:
        near = graph.crop(features[level], network.margin(level) - CONVS_PER_BLOCK)
        own = one(graph, site, near, passes)
        total = graph.add("Add", [total, own], f"sum_{site.name}") if total else own
        total = _double(graph, total, site.name, level)
        level -= 1
    for finer in range(level, -1, -1):
        total = _double(graph, total, str(finer), finer)
    return total


def _side_by_side(graph: _Graph, site: Site, near: str, passes: int) -> str:
    """One site's corrections, pass by pass."""
    name = site.name
    kernel = graph.constant(
        f"correct_{name}_w", graph.weights[f"correct_{name}/kernel"].transpose(3, 2, 0, 1)
    )
    own = []
    for k, mask in enumerate(graph.split(f"mask_{name}", passes)):
        masked = graph.add("Mul", [near, mask], f"masked_{name}_{k}")
        conv = f"correct_{name}_{k}"
        own.append(graph.add("Conv", [masked, kernel], conv, kernel_shape=[1, 1]))
    return graph.add("Concat", own, f"correct_{name}", axis=1)


def _product(graph: _Graph, site: Site, near: str, passes: int, rows: dict[str, int]) -> str:
    """One site's corrections as one matrix product of masked weights and features."""
    name, side = site.name, rows[site.name]
    vector = graph.constant(
        f"correct_{name}_w", graph.weights[f"correct_{name}/kernel"].reshape(1, 1, 1, -1)
    )
    flat = graph.reshape(f"mask_{name}", f"flat_{name}", (1, 1, passes, site.channels))
    masked = graph.add("Mul", [flat, vector], f"masked_{name}")
    pixels = graph.reshape(near, f"pixels_{name}", (1, 1, site.channels, side * side))
    product = graph.add("MatMul", [masked, pixels], f"product_{name}")
    return graph.reshape(product, f"correct_{name}", (1, passes, side, side))


def _double(graph: _Graph, x: str, name: str, level: int) -> str:
    """Bilinear up-sampling; keeps the pixels around the core that the next one needs."""
    x = graph.twice(x, f"lift_{name}", "linear")
    return graph.crop(x, CONVS_PER_BLOCK if level else 2 * CONVS_PER_BLOCK)


def _moments(
    graph: _Graph,
    correction: str,
    base: str,
    passes: int,
    mean_log: Callable[[_Graph, str, int], str],
) -> None:
    """``H = -log m + |l|·(1-m)`` with ``m = max(p, 1-p)``, then means over the passes."""
    one = graph.constant("one", np.ones((1, 1, 1, 1), np.float32))
    minus = graph.constant("minus", -np.ones((1, 1, 1, 1), np.float32))
    logit = graph.add("Add", [correction, base], "logit")
    p = graph.add("Sigmoid", [logit], "p")
    q = graph.add("Sub", [one, p], "q")
    size = graph.add("Max", [logit, graph.add("Mul", [logit, minus], "opposite")], "size")
    doubt = graph.add("Mul", [size, graph.add("Min", [p, q], "least")], "doubt")
    surest = mean_log(graph, graph.add("Max", [p, q], "surest"), passes)
    graph.mean(p, "p_water", passes)
    graph.mean(graph.add("Mul", [p, p], "squares"), "p_water_2", passes)
    graph.add("Sub", [graph.mean(doubt, "mean_doubt", passes), surest], "aleatoric")


def _sum_of_logs(graph: _Graph, x: str, passes: int) -> str:
    return graph.mean(graph.add("Log", [x], f"log_{x}"), f"mean_log_{x}", passes)


def _product_of_logs(graph: _Graph, x: str, passes: int) -> str:
    """One logarithm a pixel: the factors lie in [1/2, 1], their product in ``[2**-K, 1]``."""
    product = graph.add("ReduceProd", [x], f"product_{x}", axes=[1], keepdims=1)
    share = graph.constant("share", np.full((1, 1, 1, 1), 1 / passes, np.float32))
    return graph.add("Mul", [graph.add("Log", [product], f"log_{x}"), share], f"mean_log_{x}")
