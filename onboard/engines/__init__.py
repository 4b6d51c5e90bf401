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
