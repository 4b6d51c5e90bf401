"""The OpenVINO engine: a current OpenVINO on the CPU, in float32 and nothing less.

The package is also named ``openvino`` in the flight environment, where version 2021.4.2 drives the
Myriad stick. That one has another interface, and this engine refuses it; the two can never share
an environment.

A current ``import openvino`` reports itself over the network and writes an identifier into the
user's home (package ``openvino-telemetry``). Neither has a place on a satellite or in a batch job,
so the import is made without that package; OpenVINO has a stub for its absence.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import sys
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from onboard.arrays import Array
from onboard.engines import threads
from onboard.engines.chunks import in_chunks
from onboard.errors import BundleError, EngineError, UnavailableError
from onboard.masks import Masks
from onboard.uncertainty import Moments

if TYPE_CHECKING:
    from onboard.bundle import Bundle
    from onboard.network import Network

    Shapes = Mapping[str, tuple[int, ...]]

SET = "openvino"
DEVICE = "CPU"
TELEMETRY = "openvino_telemetry"
SETTINGS = {
    # A CPU with bfloat16 units would use them of its own accord.
    "INFERENCE_PRECISION_HINT": "f32",
    "PERFORMANCE_HINT": "LATENCY",
    # Pinned, the threads of two processes on one machine would share the first cores.
    "ENABLE_CPU_PINNING": False,
}


def find_openvino() -> Any:
    """The module ``openvino``, imported in silence, of a version that this engine can use.

    Raises:
        UnavailableError: there is none, it does not import, or it is the one that drives the stick.
    """
    try:
        with _no_telemetry():
            found: Any = importlib.import_module("openvino")
    except ImportError as error:
        raise UnavailableError(
            f"engine openvino: OpenVINO cannot be imported here ({error}); "
            "'make install' or pip install 'floodsat[openvino]' brings it"
        ) from error
    if not hasattr(found, "Core"):
        raise UnavailableError(
            "engine openvino: needs a current OpenVINO (2026), but here is the one that drives "
            "the Myriad stick (2021.4.2), and they cannot share an environment; use another "
            "engine here, or the environment of 'make install'"
        )
    return found


@contextlib.contextmanager
def _no_telemetry() -> Iterator[None]:
    """Make an import of the telemetry package fail as if it were not installed."""
    modules: dict[str, Any] = sys.modules
    if TELEMETRY in modules:
        yield
        return
    modules[TELEMETRY] = None
    try:
        yield
    finally:
        modules.pop(TELEMETRY, None)


class OpenVINOEngine:
    """Fits `onboard.engines.Engine`. Threads: all cores, or ``FLOODSAT_THREADS``.

    Reads the set ``openvino`` of a bundle: ``tile``, the side of its tiles, and ``models``, passes
    per call → file of the IR's XML; its weights lie beside it with the suffix ``.bin``.

    Raises:
        EngineError: no current OpenVINO here, ``FLOODSAT_THREADS`` makes no sense, or this CPU
            cannot run the model.
        BundleError: an IR is damaged or does not compute this bundle's network.
    """

    def __init__(self, bundle: Bundle) -> None:
        openvino = find_openvino()
        self._version = importlib.metadata.version("openvino")
        entry = bundle.sets[SET]
        self._size = int(entry["tile"])
        core = openvino.Core()
        settings = {**SETTINGS, "INFERENCE_NUM_THREADS": threads.count()}
        self._requests: dict[int, Any] = {}
        for text, name in entry["models"].items():
            model = _read(core, bundle, name)
            _check(bundle, name, model, _inputs(bundle.network, int(text), self._size))
            self._requests[int(text)] = _compile(core, bundle, name, model, settings)
        self._chunk = max(self._requests)

    @property
    def name(self) -> str:
        """Engine and version."""
        return f"openvino ({self._version})"

    @property
    def tile_size(self) -> int | None:
        """Side of the tiles, fixed at export."""
        return self._size

    def run(self, tile: Array, masks: Masks) -> Moments:
        """Moments over all passes of ``masks``; see `onboard.engines.Engine`."""
        planes = np.ascontiguousarray(tile.transpose(2, 0, 1)[None], np.float32)

        def call(count: int, part: Masks) -> Moments:
            inputs = {
                f"mask_{site}": np.ascontiguousarray(mask[:, :, None, None], np.float32)
                for site, mask in part.items()
            }
            # Copies both ways: nothing of a result is overwritten by the next call.
            out = self._requests[count].infer({"tile": planes, **inputs})
            return Moments(*(out[name][0, 0] for name in Moments._fields))

        return in_chunks(masks, self._chunk, call)


def _inputs(network: Network, passes: int, size: int) -> dict[str, tuple[int, ...]]:
    """Input name → shape that a model of so many passes must have."""
    shapes: dict[str, tuple[int, ...]] = {"tile": (1, network.bands, size, size)}
    shapes.update({f"mask_{s.name}": (passes, s.channels, 1, 1) for s in network.sites})
    return shapes


def _read(core: Any, bundle: Bundle, name: str) -> Any:
    """A model from the bytes of its two files; OpenVINO sees no path."""
    weights = str(PurePosixPath(name).with_suffix(".bin"))
    if weights not in bundle.content:
        raise BundleError(f"{bundle.path}: has {name} but no {weights}; export the bundle again")
    try:
        return core.read_model(bundle.content[name], bundle.content[weights])
    except RuntimeError as error:
        raise BundleError(
            f"{bundle.path / name}: is no OpenVINO IR, or its weights are not whole "
            f"({_reason(error)}); export the bundle again"
        ) from error


def _reason(error: RuntimeError) -> str:
    """What OpenVINO says at the end of its many lines of where."""
    return ([line.strip() for line in str(error).splitlines() if line.strip()] or ["no reason"])[-1]


def _check(bundle: Bundle, name: str, model: Any, inputs: Shapes) -> None:
    """Before anything is compiled: the model takes and gives what this engine will ask of it."""
    fixed = [i for i in model.inputs if i.partial_shape.is_static]
    found = {name: tuple(i.shape) for i in fixed for name in i.names}
    outputs = {name for o in model.outputs for name in o.names}
    if found != inputs or outputs != set(Moments._fields):
        raise BundleError(
            f"{bundle.path / name}: does not compute this bundle's network (takes {found}, "
            f"should take {dict(inputs)}); export the bundle again"
        )


def _compile(core: Any, bundle: Bundle, name: str, model: Any, settings: Mapping[str, Any]) -> Any:
    """The one request through which all calls of a model go."""
    try:
        return core.compile_model(model, DEVICE, settings).create_infer_request()
    except RuntimeError as error:
        raise EngineError(
            f"engine openvino: {bundle.path / name} does not compile for this CPU "
            f"({_reason(error)}); use another engine"
        ) from error
