"""Targets: the files that serve one engine each, made from exported weights.

To add one, write a function from network and weights to `Made` and put it into ``MAKERS``.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt

from onboard import bundle, masks
from onboard.errors import EngineError
from onboard.network import Network
from training.network import build, copy_weights, moments_model

Weights = dict[str, npt.NDArray[np.float32]]

CHUNK = 10
"""Passes per call of the larger model file."""
TILE = 512
VPU_TILE = 256
ROOT = Path(__file__).resolve().parents[1]
FLIGHT = "FLOODSAT_FLIGHT_PYTHON"
COMPILE_SECONDS = 600


class Made(NamedTuple):
    """The files of one target by name, and what the manifest says of them."""

    files: dict[str, bytes]
    details: dict[str, Any]


def npz(arrays: dict[str, Any]) -> bytes:
    """Arrays as an ``.npz`` file; the same arrays give the same bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def reference(network: Network, weights: Weights) -> Made:
    """The weights themselves, for the float64 reference."""
    return Made({bundle.WEIGHTS: npz(weights)}, {})


def tflite(network: Network, weights: Weights) -> Made:
    """TFLite float32: a file of one pass and one of `CHUNK` passes."""
    source = build(network)
    load_weights(source, weights)
    files, models = {}, {}
    for chunk in (1, CHUNK):
        model = moments_model(network, chunk, TILE)
        copy_weights(source, model)
        models[str(chunk)] = f"tflite/k{chunk}.tflite"
        files[models[str(chunk)]] = _convert(model)
    return Made(files, {"tile": TILE, "models": models})


def onnx(network: Network, weights: Weights) -> Made:
    """The ONNX graph of `CHUNK` passes, for toolchains of others."""
    from training import onnx_model

    name = f"onnx/k{CHUNK}.onnx"
    model = onnx_model.build(network, weights, CHUNK, VPU_TILE)
    return Made({name: model}, {"tile": VPU_TILE, "models": {str(CHUNK): name}})


def myriad(network: Network, weights: Weights) -> Made:
    """Blobs for both Myriad generations and the ONNX behind them, by the flight environment.

    Raises:
        EngineError: the flight environment is absent, or the graph does not compile.
    """
    made = onnx(network, weights)
    (model,) = made.files.values()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "model.onnx").write_bytes(model)
        _compile(folder)
        files = {"myriad/model.onnx": model}
        resources = {}
        for path in sorted(folder.glob("*.blob")):
            files[f"myriad/{path.name}"] = path.read_bytes()
            resources[path.stem] = json.loads(path.with_suffix(".json").read_text("utf-8"))
    return Made(files, {"tile": VPU_TILE, "passes": CHUNK, "resources": resources})


def _compile(folder: Path) -> None:
    python = Path(os.environ.get(FLIGHT, ROOT / ".venv-flight" / "bin" / "python"))
    if not python.is_file():
        raise EngineError(
            f"target myriad: {python} is not there; 'make flight-env' makes the environment that "
            f"has the compiler, or name its Python in {FLIGHT}"
        )
    command = [str(python), "-m", "onboard.vpu", str(folder / "model.onnx"), str(folder)]
    found = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=COMPILE_SECONDS,
        check=False,
    )
    if found.returncode:
        reason = (found.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise EngineError(f"target myriad: {reason}")


MAKERS: dict[str, Callable[[Network, Weights], Made]] = {
    "tflite": tflite,
    "reference": reference,
    "onnx": onnx,
    "myriad": myriad,
}
DEFAULT = ("tflite", "reference")


def load_weights(model: keras.Model, weights: Weights) -> None:
    """Set every variable of ``model`` from ``<layer>/<variable>`` names."""
    for layer in model.layers:
        for variable in layer.weights:
            variable.assign(weights[f"{layer.name}/{variable.name}"])


def mask_inputs(network: Network, drawn: masks.Masks) -> dict[str, npt.NDArray[np.float32]]:
    """Masks by site as the Keras models take them: input name → ``(T, 1, 1, C)``."""
    return {f"mask_{s.name}": drawn[s.name].reshape(-1, 1, 1, s.channels) for s in network.sites}


def _convert(model: keras.Model) -> bytes:
    import tensorflow as tf

    with _quiet():
        content: bytes = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    return content


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the converter's chatter, which it writes past Python, off the terminal."""
    saved = [os.dup(1), os.dup(2)]
    with tempfile.TemporaryFile() as sink:
        try:
            os.dup2(sink.fileno(), 1)
            os.dup2(sink.fileno(), 2)
            yield
        finally:
            for number, handle in enumerate(saved, start=1):
                os.dup2(handle, number)
                os.close(handle)
