"""Engines for the U-Net: the runtimes and settings of FloodSat's own engines.

Each fits `onboard.engines.Engine`, so that `onboard.segment.Segmenter` runs the U-Net as it runs
FloodSat. A batch is filled with copies of one tile, since speed does not depend on what is in it;
whoever counts pixels counts every copy.
"""

from __future__ import annotations

import importlib.metadata
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from onboard.arrays import Array
from onboard.engines import threads
from onboard.masks import Masks
from onboard.uncertainty import Moments


class UNetEngine(Protocol):
    """What both have."""

    batch: int

    @property
    def name(self) -> str:
        """Runtime and version."""

    @property
    def tile_size(self) -> int | None:
        """Side of the tiles, pixels, halo included."""

    def run(self, tile: Array, masks: Masks) -> Moments:
        """Moments ``(core, core)`` of one tile ``(S, S, bands)``; ``masks`` is empty."""


class TFLiteUNet:
    """The U-Net on the TFLite runtime that `onboard.engines.tflite` finds."""

    def __init__(self, content: bytes, size: int, batch: int) -> None:
        from onboard.engines.tflite import find_runtime
        from onboard.quiet import STDERR, STDOUT, quiet

        interpreter, self.name = find_runtime()
        self.batch = batch
        self.tile_size: int | None = size
        with quiet(STDOUT, STDERR):
            self._model = interpreter(model_content=content, num_threads=threads.count())
            self._model.allocate_tensors()
            self._runner = self._model.get_signature_runner()

    def run(self, tile: Array, masks: Masks) -> Moments:
        """See `UNetEngine.run`."""
        out = self._runner(tile=np.repeat(tile[None], self.batch, axis=0))
        return Moments(*(out[name][0, ..., 0].copy() for name in Moments._fields))


class OpenVINOUNet:
    """The U-Net on OpenVINO, which reads the TFLite file itself."""

    def __init__(self, content: bytes, size: int, batch: int) -> None:
        from onboard.engines.openvino import DEVICE, SETTINGS, find_openvino

        openvino: Any = find_openvino()
        self.name = f"openvino {importlib.metadata.version('openvino')}"
        self.batch = batch
        self.tile_size: int | None = size
        core = openvino.Core()
        with tempfile.TemporaryDirectory() as folder:
            # Its TFLite reader takes files only.
            path = Path(folder) / "unet.tflite"
            path.write_bytes(content)
            model = core.read_model(path)
            names = output_names(content)
            for output in model.outputs:
                output.get_tensor().set_names({names[output.any_name]})
            settings = {**SETTINGS, "INFERENCE_NUM_THREADS": threads.count()}
            self._request = core.compile_model(model, DEVICE, settings).create_infer_request()

    def run(self, tile: Array, masks: Masks) -> Moments:
        """See `UNetEngine.run`."""
        out = self._request.infer([np.repeat(tile[None], self.batch, axis=0)])
        return Moments(*(out[name][0, ..., 0] for name in Moments._fields))


def output_names(content: bytes) -> dict[str, str]:
    """Name of the tensor → name of the output, of a TFLite file's one signature."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    tensors = model.subgraphs[0].tensors
    outputs = model.signatureDefs[0].outputs
    return {tensors[o.tensorIndex].name.decode(): o.name.decode() for o in outputs}


RUNNERS: dict[str, Callable[[bytes, int, int], UNetEngine]] = {
    "tflite": TFLiteUNet,
    "openvino": OpenVINOUNet,
}
