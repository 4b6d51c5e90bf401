"""Smaller TFLite files: float16 weights, and 8-bit integers.

Both touch the *trunk* only, the part that depends on nothing but the tile and in which nearly all
weights and multiplications lie. From the heads and the masks on everything stays float32: the
masks hold exactly 0 and ``1/keep``, the logits are not rounded to steps, and neither are the
means over the passes: mutual information is a small difference of such means, and 8 or even 16
bits would drown it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from onboard import masks
from onboard.errors import ConfigError
from onboard.mirror import mirror
from onboard.network import Network
from onboard.quiet import STDERR, STDOUT, quiet
from training import tflite_model
from training.kept import KeptChip
from training.same_scales import same_scales
from training.tflite_file import convolutions, pack, parse

HEAD = "/head_"
"""Stands in the names of what `training.tflite_model` makes of the heads."""
GLARE = 8.0
"""Normalised brightness that ranges reach up to: beyond any cloud, snow or glint, which clear
chips do not show and which must not saturate."""


def float16(model: keras.Model) -> bytes:
    """The model as a TFLite file whose trunk has float16 weights; it computes in float32.

    Args:
        model: as `training.tflite_model.build` makes it.

    Returns:
        The file's bytes; the same model gives the same bytes.
    """
    # The converter's own float16 mode also rounds the weights of the means, 1/K: with 0.1 that
    # alone moved the mutual information by 14 %.
    parsed = parse(tflite_model.convert(model))
    graph = parsed.subgraphs[0]
    trunk = _in_trunk(graph)
    own = [operator for operator in convolutions(parsed) if trunk[id(operator)]]
    # Equal kernels are one tensor.
    kernels = list(dict.fromkeys(int(operator.inputs[1]) for operator in own))
    graph.operators = [*_halved(parsed, kernels), *graph.operators]
    return pack(parsed)


def int8(
    model: keras.Model,
    network: Network,
    representative: Sequence[KeptChip],
    tile: int,
    old: bytes | None = None,
) -> bytes:
    """The model as a TFLite file whose trunk computes in 8-bit integers, weights per channel.

    Inputs and outputs of the file stay float32. Ranges of the activations are the extremes over
    the representative chips and the same chips fading into `GLARE`; what lies beyond saturates.

    Args:
        model: as `training.tflite_model.build` makes it.
        network: its shape.
        representative: training chips, all of one size.
        tile: side of the model's tile, pixels.
        old: an INT8 file of the same shape whose scales are taken over, see
            `training.same_scales`; None for scales of its own.

    Returns:
        The file's bytes; the same arguments give the same bytes.

    Raises:
        ConfigError: no chips, or ``old`` has another shape.
    """
    if not representative:
        raise ConfigError(
            "target tflite-int8: the run keeps no representative chips; train it again on a "
            "folder with chips in the split 'train'"
        )
    from tensorflow.lite.python import convert

    plain = _calibrated(model, network, [chip.tile for chip in representative], tile)
    parsed = parse(plain)
    outside = _forget_ranges(parsed)
    with quiet(STDOUT, STDERR):
        content: bytes = convert.mlir_quantize(pack(parsed), denylisted_nodes=outside)
    return content if old is None else same_scales(plain, content, old)


def mosaics(
    tiles: Sequence[npt.NDArray[np.float32]], size: int
) -> Iterator[npt.NDArray[np.float32]]:
    """Lay chips side by side into tiles of ``size``, as many as fit; the last one wraps around.

    Args:
        tiles: float32 ``(h, w, bands)`` of one size.
        size: side of the mosaics, pixels; where a chip is larger, its middle is taken.

    Yields:
        float32 ``(size, size, bands)``. What a chip leaves of its cell is its mirror image.
    """
    height, width = tiles[0].shape[:2]
    down, across = max(1, size // height), max(1, size // width)
    tall, wide = -(-size // down), -(-size // across)
    inside = np.ix_(
        mirror(-((tall - height) // 2), tall, height), mirror(-((wide - width) // 2), wide, width)
    )
    for start in range(0, len(tiles), down * across):
        picks = [tiles[(start + i) % len(tiles)][inside] for i in range(down * across)]
        rows = [np.concatenate(picks[i : i + across], 1) for i in range(0, len(picks), across)]
        yield np.concatenate(rows)[:size, :size]


def _calibrated(
    model: keras.Model,
    network: Network,
    tiles: Sequence[npt.NDArray[np.float32]],
    size: int,
) -> bytes:
    """The float32 file with the range of every tensor in it."""
    import tensorflow as tf

    passes = next(i.shape[0] for i in model.inputs if i.name != "tile")
    # The trunk does not see the masks, and nothing else is quantised.
    given = {f"mask_{name}": mask for name, mask in masks.ones(network, passes).items()}
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        {"tile": mosaic[None], **given}
        for mosaic in mosaics([*tiles, *(_faded(tile) for tile in tiles)], size)
    )
    # As tf.lite.experimental.QuantizationDebugger does it, which cannot forget a range.
    converter._experimental_calibrate_only = True
    with quiet(STDOUT, STDERR):
        content: bytes = converter.convert()
    return content


def _faded(tile: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A chip whose rows fade from themselves into `GLARE`."""
    share = np.linspace(0, 1, len(tile), dtype=np.float32)[:, None, None]
    return tile + share * (np.float32(GLARE) - tile)


def _forget_ranges(parsed: Any) -> list[str]:
    """Take the ranges off what shall stay float32; returns the names of its operations."""
    graph = parsed.subgraphs[0]
    names = []
    trunk = _in_trunk(graph)
    for operator in graph.operators:
        if not trunk[id(operator)]:
            names += [graph.tensors[i].name.decode() for i in operator.outputs]
            # Without this, operations that want their inputs on one scale round them to it,
            # even where they are denied themselves.
            for i in operator.outputs:
                graph.tensors[i].quantization = None
    return names


def _in_trunk(graph: Any) -> dict[int, bool]:
    """Whether an operation belongs to the trunk: before the heads, and never sees a mask."""
    beyond = {i for i in graph.inputs if b"mask_" in graph.tensors[i].name}
    found = {}
    for operator in graph.operators:
        head = HEAD.encode() in graph.tensors[operator.outputs[0]].name
        found[id(operator)] = not head and beyond.isdisjoint(operator.inputs)
        if not found[id(operator)]:
            beyond.update(operator.outputs)
    return found


def _halved(parsed: Any, kernels: Sequence[int]) -> list[Any]:
    """Store tensors in float16; returns the operations that widen them again."""
    from tensorflow.lite.python import schema_py_generated as schema

    graph, code = parsed.subgraphs[0], _dequantise_code(parsed)
    widen, full = [], {graph.tensors[i].buffer for i in kernels}
    for i in kernels:
        wide, narrow = graph.tensors[i], schema.TensorT()
        buffer, operator = schema.BufferT(), schema.OperatorT()
        values = np.frombuffer(bytes(parsed.buffers[wide.buffer].data), "<f4")
        buffer.data = np.frombuffer(values.astype("<f2").tobytes(), np.uint8)
        parsed.buffers.append(buffer)
        narrow.shape, narrow.type = wide.shape, schema.TensorType.FLOAT16
        narrow.name, narrow.buffer = wide.name + b"_half", len(parsed.buffers) - 1
        graph.tensors.append(narrow)
        wide.buffer = 0  # By the format's rule the empty one: the values are computed.
        operator.opcodeIndex = code
        operator.inputs, operator.outputs = [len(graph.tensors) - 1], [i]
        widen.append(operator)
    for unused in full - {tensor.buffer for tensor in graph.tensors}:
        parsed.buffers[unused].data = None
    return widen


def _dequantise_code(parsed: Any) -> int:
    """Index of a new operator code for DEQUANTIZE, which widens float16 from version 3 on."""
    from tensorflow.lite.python import schema_py_generated as schema

    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
    code.version = 3
    parsed.operatorCodes.append(code)
    return len(parsed.operatorCodes) - 1
