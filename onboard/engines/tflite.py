"""The TFLite engine: runs on any CPU, with ``ai-edge-litert`` or ``tflite-runtime``.

A bundle holds two files of the same weights, of K passes and of one; see `onboard.engines.chunks`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

from onboard.arrays import Array
from onboard.engines import threads
from onboard.engines.chunks import in_chunks
from onboard.errors import BundleError, EngineError
from onboard.masks import Masks
from onboard.quiet import STDERR, quiet
from onboard.uncertainty import Moments

if TYPE_CHECKING:
    from onboard.bundle import Bundle

RUNTIMES = (
    ("ai_edge_litert.interpreter", "ai-edge-litert"),
    ("tflite_runtime.interpreter", "tflite-runtime"),
)


def find_runtime() -> tuple[Any, str]:
    """The ``Interpreter`` class and "<package> <version>" of the first runtime installed.

    Raises:
        EngineError: none is.
    """
    for module, package in RUNTIMES:
        try:
            found = importlib.import_module(module)
        except ImportError:
            continue
        return found.Interpreter, f"{package} {importlib.metadata.version(package)}"
    raise EngineError(
        "engine tflite: no TFLite runtime here; install ai-edge-litert or tflite-runtime"
    )


def _check_inputs(bundle: Bundle, runner: Any, wanted: set[str]) -> None:
    """Refuse a model of a network that is built otherwise than ours are now."""
    found = set(runner.get_input_details())
    if found != wanted:
        raise BundleError(
            f"{bundle.path}: its TFLite model takes {', '.join(sorted(found))}, the network of "
            f"this software {', '.join(sorted(wanted))}; export the run again"
        )


class TFLiteEngine:
    """Fits `onboard.engines.Engine`. Threads: all cores, or ``FLOODSAT_THREADS``."""

    target = "tflite"
    """The set of the bundle that it reads."""
    frugal = False
    """Whether only the model that was used last stays in memory; another takes time to load."""

    def __init__(self, bundle: Bundle) -> None:
        self._interpreter, self._version = find_runtime()
        self._threads = threads.count()
        self._path = bundle.path
        self._models = bundle.models(self.target)
        self._size = bundle.tile(self.target)
        self._chunk = max(self._models)
        self._runners: dict[int, Any] = {}
        self._keep: list[Any] = []
        wanted = {"tile", *(f"mask_{site.name}" for site in bundle.network.sites)}
        _check_inputs(bundle, self._runner(self._chunk), wanted)

    def _runner(self, count: int) -> Any:
        """The model of ``count`` passes; each takes memory, so it is loaded when first needed."""
        if count not in self._runners:
            if self.frugal:
                self._runners.clear()
                self._keep.clear()
            try:
                # The runtimes greet whoever starts them.
                with quiet(STDERR):
                    content = self._models[count]
                    model = self._interpreter(model_content=content, num_threads=self._threads)
                    model.allocate_tensors()
                    self._runners[count] = model.get_signature_runner()
            except ValueError as error:
                raise BundleError(
                    f"{self._path}: its TFLite model of {count} passes does not load "
                    f"({str(error).splitlines()[0]}); export the bundle again"
                ) from error
            self._keep.append(model)
        return self._runners[count]

    @property
    def name(self) -> str:
        """Runtime and version."""
        return f"{self.target} ({self._version})"

    @property
    def tile_size(self) -> int | None:
        """Side of the tiles, fixed at export."""
        return self._size

    def run(self, tile: Array, masks: Masks) -> Moments:
        """Moments over all passes of ``masks``; see `onboard.engines.Engine`."""
        return in_chunks(masks, self._chunk, lambda count, part: self._call(count, tile, part))

    def _call(self, count: int, tile: Array, masks: Masks) -> Moments:
        inputs = {f"mask_{k}": v for k, v in masks.items()}
        out = self._runner(count)(tile=tile[None], **inputs)
        # The runner hands out views of its own memory, which the next call overwrites.
        return Moments(*(out[name][0, ..., 0].copy() for name in Moments._fields))


class Float16Engine(TFLiteEngine):
    """The same graph, its weights rounded to float16."""

    target = "tflite-f16"


class Int8Engine(TFLiteEngine):
    """The same network with its deterministic trunk in 8-bit integers."""

    target = "tflite-int8"
