"""The TFLite engine: runs on any CPU, with ``ai-edge-litert`` or ``tflite-runtime``.

A bundle holds two files of the same weights: one computes a fixed chunk of K passes over a
shared prefix, one a single pass. T passes are ⌊T/K⌋ calls of the first and T mod K of the second.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from onboard.arrays import Array
from onboard.errors import BundleError, EngineError
from onboard.masks import Masks
from onboard.uncertainty import Moments, combine

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


def _threads() -> int:
    """How many threads to use: ``FLOODSAT_THREADS``, else all cores."""
    text = os.environ.get("FLOODSAT_THREADS", "")
    if not text:
        return os.cpu_count() or 1
    if not text.isdigit() or int(text) < 1:
        raise EngineError(f"FLOODSAT_THREADS is {text!r}; give a whole number from 1 up")
    return int(text)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the runtime's greetings, which it writes past Python, off the terminal."""
    sys.stderr.flush()
    saved = os.dup(2)
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(sink)


class TFLiteEngine:
    """Fits `onboard.engines.Engine`. Threads: all cores, or ``FLOODSAT_THREADS``."""

    def __init__(self, bundle: Bundle) -> None:
        interpreter, self._version = find_runtime()
        threads = _threads()
        self._runners: dict[int, Any] = {}
        self._keep: list[Any] = []
        for chunk, content in bundle.tflite_models().items():
            try:
                with _quiet():
                    model = interpreter(model_content=content, num_threads=threads)
                    model.allocate_tensors()
                    runner = model.get_signature_runner()
            except ValueError as error:
                raise BundleError(
                    f"{bundle.path}: its TFLite model of {chunk} passes does not load "
                    f"({str(error).splitlines()[0]}); export the bundle again"
                ) from error
            self._keep.append(model)
            self._runners[chunk] = runner
        self._size = bundle.tflite_tile
        self._chunk = max(self._runners)

    @property
    def name(self) -> str:
        """Runtime and version."""
        return f"tflite ({self._version})"

    @property
    def tile_size(self) -> int | None:
        """Side of the tiles, fixed at export."""
        return self._size

    def run(self, tile: Array, masks: Masks) -> Moments:
        """Moments over all passes of ``masks``; see `onboard.engines.Engine`."""
        passes = len(next(iter(masks.values())))
        parts = []
        start = 0
        while start < passes:
            count = self._chunk if passes - start >= self._chunk else 1
            part = {k: v[start : start + count] for k, v in masks.items()}
            parts.append((count, self._call(count, tile, part)))
            start += count
        return combine(parts)

    def _call(self, count: int, tile: Array, masks: Masks) -> Moments:
        inputs = {f"mask_{k}": v.reshape(count, 1, 1, -1) for k, v in masks.items()}
        out = self._runners[count](tile=tile[None], **inputs)
        # The runner hands out views of its own memory, which the next call overwrites.
        return Moments(*(out[name][0, ..., 0].copy() for name in Moments._fields))
