"""Targets: the files that serve one engine each, made from exported weights.

To add one, write a function from `Frozen` to `Made` and put it into ``MAKERS``.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import keras
import numpy as np

from onboard import bundle, samples
from onboard.errors import EngineError, UnavailableError
from onboard.network import Network
from training import tflite_model
from training.folding import Weights
from training.kept import KeptChip

CHUNK = 10
"""Passes per call of the larger model file."""
TILE = 768
VPU_TILE = 512
FLIGHT = "FLOODSAT_FLIGHT_PYTHON"
COMPILE_SECONDS = 600


class Frozen(NamedTuple):
    """What is exported.

    Attributes:
        network: its shape.
        weights: by name, the temperature folded in.
        representative: training chips that fix the ranges of integer arithmetic.
        scales: file name → an older INT8 file whose scales are taken over.
    """

    network: Network
    weights: Weights
    representative: Sequence[KeptChip] = ()
    scales: Mapping[str, bytes] = MappingProxyType({})


class Made(NamedTuple):
    """The files of one target by name, and what the manifest says of them."""

    files: dict[str, bytes]
    details: dict[str, Any]


def npz(arrays: dict[str, Any]) -> bytes:
    """Arrays as an ``.npz`` file; the same arrays give the same bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def reference(frozen: Frozen) -> Made:
    """The weights themselves, for the float64 reference."""
    return Made({bundle.WEIGHTS: npz(frozen.weights)}, {})


def tflite(frozen: Frozen) -> Made:
    """TFLite float32."""
    return _tflite(frozen, "tflite", lambda model, _: tflite_model.convert(model))


def tflite_f16(frozen: Frozen) -> Made:
    """TFLite with the trunk's weights in float16: half the size."""
    from training import quantise

    return _tflite(frozen, "tflite-f16", lambda model, _: quantise.float16(model))


def tflite_int8(frozen: Frozen) -> Made:
    """TFLite with the trunk in 8-bit integers, ranges from the representative chips.

    Raises:
        ConfigError: there are no such chips.
    """
    from training import quantise

    def convert(model: keras.Model, name: str) -> bytes:
        old = frozen.scales.get(name)
        return quantise.int8(model, frozen.network, frozen.representative, TILE, old)

    made = _tflite(frozen, "tflite-int8", convert)
    names = [chip.name for chip in frozen.representative]
    return Made(made.files, {**made.details, "representative": names})


def _tflite(frozen: Frozen, name: str, convert: Callable[[keras.Model, str], bytes]) -> Made:
    """A file of one pass and one of `CHUNK` passes."""
    files, models = {}, {}
    for chunk in (1, CHUNK):
        models[str(chunk)] = f"{name}/k{chunk}.tflite"
        model = tflite_model.build(frozen.network, frozen.weights, chunk, TILE)
        files[models[str(chunk)]] = convert(model, models[str(chunk)])
    return Made(files, {"tile": TILE, "models": models})


def openvino(frozen: Frozen) -> Made:
    """OpenVINO IR float32: a model of one pass and one of `CHUNK` passes.

    Raises:
        UnavailableError: no current OpenVINO here.
    """
    from training import onnx_model, openvino_model

    files, models = {}, {}
    for chunk in (1, CHUNK):
        graph = onnx_model.build(frozen.network, frozen.weights, chunk, TILE, for_cpu=True)
        xml, weights = openvino_model.build(graph)
        models[str(chunk)] = f"openvino/k{chunk}.xml"
        files.update({models[str(chunk)]: xml, f"openvino/k{chunk}.bin": weights})
    return Made(files, {"tile": TILE, "models": models})


def onnx(frozen: Frozen) -> Made:
    """The ONNX graph of `CHUNK` passes, for toolchains of others."""
    from training import onnx_model

    name = f"onnx/k{CHUNK}.onnx"
    model = onnx_model.build(frozen.network, frozen.weights, CHUNK, VPU_TILE)
    return Made({name: model}, {"tile": VPU_TILE, "models": {str(CHUNK): name}})


def myriad(frozen: Frozen) -> Made:
    """Blobs for both Myriad generations and the ONNX behind them, by the flight environment.

    Raises:
        UnavailableError: the flight environment is absent.
        EngineError: the graph does not compile.
    """
    made = onnx(frozen)
    ((name, model),) = made.files.items()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "model.onnx").write_bytes(model)
        _compile(folder)
        files = {name: model}
        resources = {}
        for path in sorted(folder.glob("*.blob")):
            files[f"myriad/{path.name}"] = path.read_bytes()
            resources[path.stem] = json.loads(path.with_suffix(".json").read_text("utf-8"))
    return Made(files, {"tile": VPU_TILE, "passes": CHUNK, "resources": resources})


def flight_folder(scratch: Path) -> Path:
    """Where the Python of the flight environment starts.

    In a checkout at its root, so that it runs this very code. An installed wheel lies among
    packages for another Python: there it starts in ``scratch``, with the wheel of its own
    environment.
    """
    return samples.HOME if samples.in_checkout() else scratch


def _compile(folder: Path) -> None:
    python = Path(os.environ.get(FLIGHT, samples.HOME / ".venv-flight" / "bin" / "python"))
    if not python.is_file():
        raise UnavailableError(
            f"target myriad: {python} is not there; 'make flight-env' makes the environment that "
            f"has the compiler, or name its Python in {FLIGHT}"
        )
    command = [str(python), "-m", "onboard.vpu", str(folder / "model.onnx"), str(folder)]
    found = subprocess.run(
        command,
        cwd=flight_folder(folder),
        capture_output=True,
        text=True,
        timeout=COMPILE_SECONDS,
        check=False,
    )
    if found.returncode:
        reason = (found.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise EngineError(f"target myriad: {reason}")


MAKERS: dict[str, Callable[[Frozen], Made]] = {
    "tflite": tflite,
    "tflite-f16": tflite_f16,
    "tflite-int8": tflite_int8,
    "reference": reference,
    "openvino": openvino,
    "onnx": onnx,
    "myriad": myriad,
}
