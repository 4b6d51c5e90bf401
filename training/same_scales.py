"""Same scales: an INT8 file of new weights with every scale of an older file.

A model that was trained a little further then differs from the older file in the weights' steps
alone, byte by byte in the same places, and goes up as a small patch (`onboard.patch`). Weights
that grew beyond the old range saturate; what that costs, the parity of the export says.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from onboard.errors import ConfigError
from training.tflite_file import convolutions, parse

STEPS = 127
"""Weights are symmetric: -127…127 steps (TensorFlow Lite 8-bit quantization specification)."""


class Buffer(NamedTuple):
    """Where a constant lies in a TFLite file: its first byte and its length."""

    start: int
    size: int


def same_scales(plain: bytes, fresh: bytes, old: bytes) -> bytes:
    """The older file with the constants of new weights.

    Args:
        plain: the new weights as a float32 file.
        fresh: the new weights as an INT8 file with scales of its own.
        old: the older INT8 file.

    Returns:
        A file of the size of ``old``.

    Raises:
        ConfigError: the files are not of one shape.
    """
    new, before = parse(fresh), parse(old)
    _check_alike(new, before)
    out = bytearray(old)
    places = _buffers(old)
    done = set()
    for kernel, bias, weights, offsets in _pairs(parse(plain), before):
        for index, values in ((kernel, weights), (bias, offsets)):
            tensor = before.subgraphs[0].tensors[index]
            _put(out, places[tensor.buffer], _steps(tensor, values))
            done.add(index)
    for index, tensor in enumerate(before.subgraphs[0].tensors):
        other = new.subgraphs[0].tensors[index]
        data = new.buffers[other.buffer].data
        if index not in done and places[tensor.buffer].size and data is not None:
            _put(out, places[tensor.buffer], bytes(data))
    return bytes(out)


def _check_alike(new: Any, old: Any) -> None:
    def shape(parsed: Any) -> list[Any]:
        tensors = parsed.subgraphs[0].tensors
        return [(t.name, () if t.shape is None else tuple(t.shape), t.type) for t in tensors]

    if shape(new) != shape(old):
        raise ConfigError(
            "--scales-of: the older bundle's INT8 model has another shape; export without it"
        )


def _pairs(plain: Any, old: Any) -> list[tuple[int, int, npt.NDArray[Any], npt.NDArray[Any]]]:
    """Kernel and bias of every integer convolution, with its new values, in order."""
    from tensorflow.lite.python import schema_py_generated as schema

    integer = [
        op.inputs
        for op in convolutions(old)
        if old.subgraphs[0].tensors[op.inputs[1]].type == schema.TensorType.INT8
    ]
    floats = [op.inputs for op in convolutions(plain)][: len(integer)]
    found = []
    for ours, theirs in zip(integer, floats, strict=True):
        kernel, bias = (_floats(plain, i) for i in (theirs[1], theirs[2]))
        shape = tuple(old.subgraphs[0].tensors[ours[1]].shape)
        if kernel.shape != shape:
            raise ConfigError("--scales-of: the convolutions differ in shape; export without it")
        found.append((int(ours[1]), int(ours[2]), kernel, bias))
    return found


def _floats(parsed: Any, index: int) -> npt.NDArray[Any]:
    tensor = parsed.subgraphs[0].tensors[index]
    values = np.frombuffer(bytes(parsed.buffers[tensor.buffer].data), "<f4")
    return values.reshape(tuple(tensor.shape))


def _steps(tensor: Any, values: npt.NDArray[Any]) -> bytes:
    """Values in steps of the tensor's own scales, one an output channel."""
    from tensorflow.lite.python import schema_py_generated as schema

    scales = np.asarray(tensor.quantization.scale, np.float64)
    scales = scales.reshape(-1, *[1] * (values.ndim - 1))
    steps = np.rint(values.astype(np.float64) / scales)
    if tensor.type == schema.TensorType.INT8:
        return bytes(np.clip(steps, -STEPS, STEPS).astype("<i1").tobytes())
    most = 2**31 - 1
    return bytes(np.clip(steps, -most, most).astype("<i4").tobytes())


def _buffers(content: bytes) -> list[Buffer]:
    """Where each buffer's data lie in the file."""
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.Model.GetRootAs(content, 0)
    found = []
    for index in range(model.BuffersLength()):
        table = model.Buffers(index)._tab
        # The first field of the table Buffer is its data.
        at = table.Offset(4)
        found.append(Buffer(table.Vector(at), table.VectorLen(at)) if at else Buffer(0, 0))
    return found


def _put(out: bytearray, place: Buffer, data: bytes) -> None:
    if len(data) != place.size:
        raise ConfigError("--scales-of: a constant has another size; export without it")
    out[place.start : place.start + place.size] = data
