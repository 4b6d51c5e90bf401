"""TFLite files taken apart and put together, by the schema that TensorFlow brings."""

from __future__ import annotations

from typing import Any


def parse(content: bytes) -> Any:
    """A file as the schema's ``ModelT``: ``subgraphs`` of tensors and operators, ``buffers``."""
    from tensorflow.lite.tools import flatbuffer_utils

    return flatbuffer_utils.read_model_from_bytearray(bytearray(content))


def pack(parsed: Any) -> bytes:
    """The inverse of `parse`; the same model gives the same bytes."""
    from tensorflow.lite.tools import flatbuffer_utils

    return bytes(flatbuffer_utils.convert_object_to_bytearray(parsed))


def kind_of(parsed: Any, operator: Any) -> str:
    """The builtin operation of an operator of a parsed file, such as ``CONV_2D``."""
    code = parsed.operatorCodes[operator.opcodeIndex]
    return names_of("BuiltinOperator")[max(code.builtinCode, code.deprecatedBuiltinCode)]


def convolutions(parsed: Any) -> list[Any]:
    """The operators of the kind ``CONV_2D``, in order."""
    return [op for op in parsed.subgraphs[0].operators if kind_of(parsed, op) == "CONV_2D"]


def names_of(enumeration: str) -> dict[int, str]:
    """Value → name of an enumeration of the schema, such as ``TensorType``."""
    from tensorflow.lite.python import schema_py_generated as schema

    values = vars(getattr(schema, enumeration))
    return {value: name for name, value in values.items() if not name.startswith("_")}
