"""Engines: what runs the frozen network ``f(tile, masks)``. One protocol, one file each.

To add one, write a module with a class that fits `Engine` and add a line to ``LOADERS``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Protocol

from onboard.arrays import Array
from onboard.errors import EngineError
from onboard.masks import Masks
from onboard.uncertainty import Moments

if TYPE_CHECKING:
    from onboard.bundle import Bundle


class Engine(Protocol):
    """Runs stochastic passes over one tile."""

    @property
    def name(self) -> str:
        """Engine and version, as products carry it."""

    @property
    def tile_size(self) -> int | None:
        """Side of the tiles it takes, in pixels; None for any multiple of the stride."""

    def run(self, tile: Array, masks: Masks) -> Moments:
        """Moments of the tile's core over all passes that ``masks`` holds.

        Args:
            tile: float32 ``(S, S, bands)``, normalised.
            masks: site name → ``(passes, channels)``.

        Returns:
            Each moment ``(S - 2·halo, S - 2·halo)``, with the network's halo.
        """


LOADERS = {
    "tflite": "onboard.engines.tflite:TFLiteEngine",
    "tflite-f16": "onboard.engines.tflite:Float16Engine",
    "tflite-int8": "onboard.engines.tflite:Int8Engine",
    "openvino": "onboard.engines.openvino:OpenVINOEngine",
    "openvino-2021": "onboard.engines.myriad:on_cpu",
    "myriad": "onboard.engines.myriad:supervised",
    "reference": "onboard.engines.reference:ReferenceEngine",
}
DEFAULT = "tflite"
STANDS_IN = {
    "myriad": "openvino-2021",
    "openvino-2021": "tflite",
    "openvino": "tflite",
    "tflite-f16": "tflite",
    "tflite-int8": "tflite",
    "tflite": "reference",
    "reference": "tflite",
}
"""The engine on the CPU that takes over from one that fails, where its files are installed."""
TELL_TEMPERATURE = ("myriad",)
"""Engines whose method ``temperature`` says how hot their chip is, in a process of their own."""
SETS = {"openvino-2021": "myriad"}
"""Engines that read the bundle's set of another; every other reads the set of its own name."""


def set_of(name: str) -> str:
    """The bundle's set that an engine reads."""
    return SETS.get(name, name)


def load(name: str, bundle: Bundle) -> Engine:
    """The engine ``name`` with the model of ``bundle``.

    Raises:
        EngineError: no such engine, or it cannot run here.
        BundleError: the bundle lacks this engine's files, or they are damaged.
    """
    if name not in LOADERS:
        raise EngineError(f"--engine {name}: unknown; choose one of {', '.join(LOADERS)}")
    module, attribute = LOADERS[name].split(":")
    engine: Engine = getattr(importlib.import_module(module), attribute)(bundle)
    return engine


def supervised(name: str, bundle: Bundle, deadline_s: float, heartbeat_s: float) -> Engine:
    """The engine ``name`` in a process of its own, see `onboard.engines.worker`.

    Args:
        name: of the engine.
        bundle: with its files.
        deadline_s: the longest that a tile may take, seconds.
        heartbeat_s: the longest that the process may be silent, seconds.

    Raises:
        EngineError: no such engine, it cannot run here, or its process does not start.
        BundleError: the bundle lacks this engine's files, or they are damaged.
    """
    from functools import partial

    from onboard.engines.worker import SupervisedEngine

    if name == "myriad":
        # Supervised by itself, with deadlines of its own.
        return load(name, bundle)
    return SupervisedEngine(partial(frugal, name, bundle), deadline_s, heartbeat_s)


def frugal(name: str, bundle: Bundle) -> Engine:
    """As `load`, but an engine of several models keeps one of them in memory at a time."""
    engine = load(name, bundle)
    if hasattr(engine, "frugal"):
        engine.frugal = True
    return engine
