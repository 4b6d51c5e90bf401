"""The seam to OpenVINO 2021.4.2: the calls of its inference API that the Myriad engine makes.

Nothing is decided or translated here, so a test that replaces one of these calls by another that
raises what the driver raises exercises all of ours.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from onboard import libusb
from onboard.arrays import Array
from onboard.errors import UnavailableError

if TYPE_CHECKING:
    Shapes = dict[str, tuple[int, ...]]

RELEASE = "2021.4"
MYRIAD = "MYRIAD"
OK = 0


def find_core() -> tuple[Any, str]:
    """A new ``IECore`` and the version of OpenVINO.

    Raises:
        UnavailableError: there is none, or another one.
    """
    try:
        version = importlib.metadata.version("openvino")
    except importlib.metadata.PackageNotFoundError:
        version = ""
    if not version.startswith(RELEASE):
        # Not imported to be looked at: a current one reports itself over the network.
        raise UnavailableError(
            f"engine myriad: needs OpenVINO 2021.4.2, here is {version or 'none'}; "
            "'make flight-env' makes the environment that has it"
        )
    libusb.preload()
    try:
        module: Any = importlib.import_module("openvino.inference_engine")
    except ImportError as error:
        raise UnavailableError(
            f"engine myriad: OpenVINO {version} cannot be imported ({error}); "
            "'make flight-env' makes the environment that has it"
        ) from error
    return module.IECore(), version


class Plugin:
    """One network on one device, and some requests of it. All errors are OpenVINO's own.

    A *slot* is the index of a request.
    """

    stick_is_half = True
    """Whether what answers as a stick computes in float16, as a stick does."""

    def __init__(self) -> None:
        self._core, self.version = find_core()
        self._network: Any = None

    def sticks(self) -> list[str]:
        """Names of the sticks, such as ``1.2-ma2480``; one that another process booted is absent.

        Raises:
            RuntimeError: the Myriad plugin does not load.
        """
        return list(self._core.get_metric(MYRIAD, "AVAILABLE_DEVICES"))

    def metric(self, device: str, name: str) -> Any:
        """A metric of a device, such as ``FULL_DEVICE_NAME``."""
        return self._core.get_metric(device, name)

    def import_blob(self, blob: bytes, device: str, requests: int) -> None:
        """Boot the device if need be and load a compiled network onto it."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.blob"
            path.write_bytes(blob)
            self._network = self._core.import_network(str(path), device, {}, requests)

    def compile_onnx(
        self, model: bytes, device: str, settings: Mapping[str, str], precision: str, requests: int
    ) -> None:
        """Compile an ONNX model for a device, its inputs in one precision, and load it."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            path.write_bytes(model)
            network = self._core.read_network(str(path))
        for info in network.input_info.values():
            info.precision = precision
        self._network = self._core.load_network(network, device, dict(settings), requests)

    def inputs(self) -> Shapes:
        """Input name → shape of the loaded network."""
        found = self._network.input_info.items()
        return {name: tuple(info.tensor_desc.dims) for name, info in found}

    def outputs(self) -> Shapes:
        """Output name → shape of the loaded network."""
        return {name: tuple(data.shape) for name, data in self._network.outputs.items()}

    def thermal(self) -> float:
        """The chip's temperature, °C; a Myriad alone tells it."""
        return float(self._network.get_metric("DEVICE_THERMAL"))

    def start(self, slot: int, inputs: Mapping[str, Array]) -> None:
        """Start an inference; the values are converted to the inputs' precision."""
        self._network.requests[slot].async_infer(inputs)

    def wait(self, slot: int, timeout_ms: int) -> int:
        """Wait for an inference; `OK`, or one of OpenVINO's negative status codes."""
        return int(self._network.requests[slot].wait(timeout_ms))

    def read(self, slot: int) -> dict[str, Array]:
        """Output name → a copy of the values of a finished inference."""
        blobs = self._network.requests[slot].output_blobs
        return {name: np.array(blob.buffer) for name, blob in blobs.items()}

    def close(self) -> None:
        """Let go of network and device. Nothing else can be called afterwards."""
        self._network = None
        self._core = None
