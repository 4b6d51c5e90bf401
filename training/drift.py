"""Drift: how far an engine's activations lie from the reference's, layer by layer.

Layers are named for what the exported weights call them: ``enc1_conv0`` is what that convolution
gives behind its ReLU, ``correct_s4`` the corrections of all passes summed up to that site,
``head_water`` and ``head_cloud`` the logits of 2×2 pixels as channels, ``logit`` the passes'
logits of water. All are compared over the core only, where every engine has the whole picture.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from onboard.engines import openvino, reference, tflite
from onboard.masks import Masks
from onboard.network import CONVS_PER_BLOCK, STEM_STRIDE, Network

Layers = dict[str, npt.NDArray[Any]]
"""Layer name → activations ``(h, w, channels)``, in the order in which they are computed."""
ROUNDING = {"float32": 1e-6, "float16": 2.0**-11, "int8": 2.0**-8}
"""Relative error that is nobody's fault, by arithmetic."""
COMPUTING = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD"}
UNCHANGING = {"DEQUANTIZE", "DEPTH_TO_SPACE", "STRIDED_SLICE", "SLICE", "RESHAPE", "TRANSPOSE"}


def layers(network: Network) -> dict[str, int]:
    """Layer name → input pixels per feature pixel, in the order of computation."""
    found: dict[str, int] = {}
    sites = {site.stride: site.name for site in network.sites}
    down = [("enc", level) for level in range(network.depth + 1)]
    up = [("dec", level) for level in range(network.depth - 1, -1, -1)]
    for kind, level in down + up:
        stride = network.stride_of(level)
        for i in range(CONVS_PER_BLOCK):
            found[f"{kind}{level}_conv{i}"] = stride
        if stride in sites and (kind == "dec" or level == network.depth):
            found[f"correct_{sites[stride]}"] = stride
    return {**found, "head_water": STEM_STRIDE, "head_cloud": STEM_STRIDE, "logit": 1}


def exact(network: Network, weights: reference.Weights, part: Any, masks: Masks) -> Layers:
    """Every layer by the float64 reference, over the whole of ``part``."""
    wide = {name: array.astype(np.float64) for name, array in weights.items()}
    found: Layers = {}
    base, features = reference.trunk(network, wide, part, found)
    total: Any = 0.0
    for site in network.sites:
        vector = wide[f"correct_{site.name}/kernel"][0, 0, :, 0]
        total = total + features[site.name] @ (vector * masks[site.name]).T
        found[f"correct_{site.name}"] = total
        total = np.stack([reference.bilinear(t) for t in np.moveaxis(total, -1, 0)], axis=-1)
    while len(total) < len(part):
        total = np.stack([reference.bilinear(t) for t in np.moveaxis(total, -1, 0)], axis=-1)
    head = found.pop("head")
    found["head_water"], found["head_cloud"] = head[..., 0::2], head[..., 1::2]
    found["logit"] = total + base[..., :1]
    return {name: found[name] for name in layers(network)}


def errors(network: Network, found: Layers, wanted: Layers, size: int) -> dict[str, float]:
    """Root mean square of the error over that of the reference, by layer; inf where not finite.

    Args:
        network: its shape.
        found: an engine's layers; those that it does not have are left out.
        wanted: the reference's, over a part in the tile's upper left corner.
        size: S, side of the engine's tile, pixels.
    """
    strides = layers(network)
    side = len(wanted["logit"]) - 2 * network.halo
    result = {}
    for name, stride in strides.items():
        if name not in found:
            continue
        a, b = (
            _core(x[name], network, whole, side, stride)
            for x, whole in ((found, size), (wanted, side + 2 * network.halo))
        )
        scale = float(np.sqrt(np.mean(b**2))) or 1.0
        error = float(np.sqrt(np.mean((a.astype(np.float64) - b) ** 2))) / scale
        result[name] = error if np.isfinite(error) else float("inf")
    return result


def _core(x: Any, network: Network, whole: int, side: int, stride: int) -> Any:
    """The first core of a layer that was cut alike on all sides."""
    start = network.halo // stride - (whole // stride - len(x)) // 2
    inside = slice(start, start + side // stride)
    return x[inside, inside]


def worst(found: Mapping[str, float], arithmetic: str) -> str:
    """The layer that drifts: where the error grows most over all that came before it.

    Args:
        found: layer → relative error, in order.
        arithmetic: of `ROUNDING`, which the error may always have.
    """
    before, most, name = ROUNDING[arithmetic], -1.0, ""
    for layer, error in found.items():
        growth = error / before
        if growth > most:
            most, name = growth, layer
        before = max(before, error)
    return name


def of_tflite(content: bytes, tile: Any, masks: Masks) -> Layers:
    """The layers of a TFLite file, integers as the numbers they stand for.

    Args:
        content: of as many passes as ``masks`` holds.
        tile: float32 ``(S, S, bands)``, normalised.
        masks: site name → ``(passes, channels)``.
    """
    model = interpreter(content)
    signature = model.get_signature_runner().get_input_details()
    inputs = {"tile": tile[None], **{f"mask_{k}": v for k, v in masks.items()}}
    for name, array in inputs.items():
        model.set_tensor(signature[name]["index"], quantised(array, signature[name]))
    model.invoke()
    details = {d["index"]: d for d in model.get_tensor_details()}
    return {
        layer: np.concatenate(
            [dequantised(model.get_tensor(index), details[index])[0] for index in indices], axis=-1
        )
        for layer, indices in _tensors(model, details).items()
    }


def interpreter(content: bytes) -> Any:
    """A TFLite interpreter that keeps what lies between input and output."""
    runtime, _ = tflite.find_runtime()
    module = importlib.import_module(runtime.__module__)
    model = runtime(
        model_content=content,
        num_threads=1,
        experimental_preserve_all_tensors=True,
        # The default delegate fuses operations and leaves their tensors empty.
        experimental_op_resolver_type=module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    model.allocate_tensors()
    return model


def _tensors(model: Any, details: Mapping[int, Any]) -> dict[str, list[int]]:
    """Layer → its tensors by group of passes, by the names that `training.tflite_model` gives."""
    found: dict[str, list[int]] = {}
    for op in model._get_ops_details():
        for part in details[op["outputs"][0]]["name"].split(";")[0].split("/"):
            layer = part.replace("_relu", "_conv")
            # Keras may count a layer's calls behind its name.
            layer = layer[:-2] if layer.endswith("_1") else layer
            if layer.startswith(("enc", "dec", "head")) and op["op_name"] in COMPUTING:
                found[layer] = [int(op["outputs"][0])]
            if layer.startswith("lift_") and op["op_name"] == "RESIZE_BILINEAR":
                name = layer.removeprefix("lift_").partition("_")[0]
                found.setdefault(f"correct_{name}", []).append(int(op["inputs"][0]))
        if op["op_name"] == "ABS":
            found.setdefault("logit", []).append(int(op["inputs"][0]))
    return found


def quantised(array: Any, tensor: Any) -> Any:
    """Numbers as a TFLite tensor holds them."""
    scale, zero = tensor["quantization"]
    if not scale:
        return np.asarray(array, np.float32)
    limits = np.iinfo(tensor["dtype"])
    return np.clip(np.rint(array / scale) + zero, limits.min, limits.max).astype(tensor["dtype"])


def dequantised(array: Any, tensor: Any) -> Any:
    """The inverse of `quantised`."""
    scale, zero = tensor["quantization"]
    return (array.astype(np.float64) - zero) * scale if scale else array


def mask_error(content: bytes, keep: Mapping[str, float]) -> float:
    """Largest relative error of the masks' two values, 0 and 1/keep, in a TFLite model."""
    model = interpreter(content)
    details = {d["index"]: d for d in model.get_tensor_details()}
    inputs = model.get_signature_runner().get_input_details()
    most = 0.0
    for site, share in keep.items():
        index = inputs[f"mask_{site}"]["index"]
        holds = [index] + [
            op["outputs"][0]
            for op in model._get_ops_details()
            if op["op_name"] == "QUANTIZE" and index in op["inputs"]
        ]
        values = np.array([0.0, 1.0 / share])
        for tensor in (details[i] for i in holds):
            back = dequantised(quantised(values, tensor), tensor)
            most = max(most, float(np.abs(back - values).max() * share))
    return most


def logit_bits(content: bytes) -> int:
    """Bits of the narrowest logit in a TFLite model, before any conversion to wider ones."""
    model = interpreter(content)
    details = {d["index"]: d for d in model.get_tensor_details()}
    makers = {int(i): op for op in model._get_ops_details() for i in op["outputs"]}
    narrowest = 64
    for op in model._get_ops_details():
        if op["op_name"] != "LOGISTIC":
            continue
        index = int(op["inputs"][0])
        while True:
            narrowest = min(narrowest, 8 * np.dtype(details[index]["dtype"]).itemsize)
            maker = makers.get(index)
            if maker is None or maker["op_name"] not in UNCHANGING:
                break
            index = int(maker["inputs"][0])
    return narrowest


def of_openvino(read: Callable[[Any], Any], network: Network, tile: Any, masks: Masks) -> Layers:
    """The layers of an ONNX file or IR on OpenVINO's CPU plugin.

    Args:
        read: makes the model of an ``openvino.Core``.
        network: its shape.
        tile: float32 ``(S, S, bands)``, normalised.
        masks: site name → ``(passes, channels)``.
    """
    core = openvino.find_openvino().Core()
    model = read(core)
    tensors = {}
    for layer in layers(network):
        tensors[layer] = layer.replace("_conv", "_relu")
    for site in network.sites[1:]:
        tensors[f"correct_{site.name}"] = f"sum_{site.name}"
    model.add_outputs(list(tensors.values()))
    request = core.compile_model(model, openvino.DEVICE, openvino.SETTINGS).create_infer_request()
    inputs = {f"mask_{k}": v[:, :, None, None] for k, v in masks.items()}
    out = request.infer({"tile": np.ascontiguousarray(tile.transpose(2, 0, 1)[None]), **inputs})
    return {layer: out[name][0].transpose(1, 2, 0) for layer, name in tensors.items()}


def of_half(network: Network, seen: Mapping[str, Any]) -> Layers:
    """The layers among what `training.half.emulate` saw."""
    found = {}
    for layer in layers(network):
        name = layer.replace("_conv", "_relu").replace("correct_", "sum_")
        # The coarsest site's corrections have nothing to be added to.
        found[layer] = seen[name] if name in seen else seen[layer]
    return found
