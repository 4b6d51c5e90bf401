"""The ONNX engine: an ONNX file as a current OpenVINO runs it, to judge what the file says.

Nothing flies with it; `onboard.engines.openvino` reads an IR instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from onboard.engines import openvino
from onboard.masks import Masks
from onboard.uncertainty import Moments


class OnnxEngine:
    """Fits `onboard.engines.Engine`, on OpenVINO's CPU plugin in float32.

    Raises:
        EngineError: no current OpenVINO here.
    """

    name = "onnx"

    def __init__(self, content: bytes) -> None:
        core = openvino.find_openvino().Core()
        model = core.read_model(content)
        self._size = int(model.input("tile").shape[2])
        compiled = core.compile_model(model, openvino.DEVICE, openvino.SETTINGS)
        self._request = compiled.create_infer_request()

    @property
    def tile_size(self) -> int | None:
        """Side of the tiles, fixed at export."""
        return self._size

    def run(self, tile: npt.NDArray[Any], masks: Masks) -> Moments:
        """Moments of just as many passes as the file has."""
        inputs = {f"mask_{site}": mask[:, :, None, None] for site, mask in masks.items()}
        planes = np.ascontiguousarray(tile.transpose(2, 0, 1)[None])
        out = self._request.infer({"tile": planes, **inputs})
        return Moments(*(out[name][0, 0].copy() for name in Moments._fields))
