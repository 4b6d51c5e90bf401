"""What a TFLite file computes, for tests that look into one."""

from __future__ import annotations

from typing import NamedTuple

from training.tflite_file import kind_of, names_of, parse


class Operation(NamedTuple):
    """One operation of a TFLite file.

    Attributes:
        kind: of TFLite's builtin operations, such as ``CONV_2D``.
        name: of its output; holds the name of the Keras layer.
        reads: types of its inputs, such as ``INT8``, weights and biases included.
        gives: type of its output.
    """

    kind: str
    name: str
    reads: tuple[str, ...]
    gives: str


def operations(content: bytes) -> list[Operation]:
    """What a TFLite file computes, and in which types, in order."""
    parsed = parse(content)
    graph = parsed.subgraphs[0]
    types = names_of("TensorType")
    return [
        Operation(
            kind_of(parsed, operator),
            graph.tensors[operator.outputs[0]].name.decode(),
            tuple(types[graph.tensors[i].type] for i in operator.inputs if i >= 0),
            types[graph.tensors[operator.outputs[0]].type],
        )
        for operator in graph.operators
    ]
