"""Comparison: real chips, one set of masks, and what reference and engines make of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from onboard import masks
from onboard.bundle import Bundle
from onboard.engines import Engine, reference
from onboard.errors import EngineError
from onboard.masks import Masks
from onboard.network import Network
from onboard.segment import classify
from onboard.uncertainty import Moments, maps
from training import drift, half, mosaic
from training.bounds import Figure
from training.folding import Weights
from training.mosaic import Window
from training.onnx_engine import OnnxEngine

SEED = 20210629
SCENE = b"parity".ljust(32, b"\0")


class Pixels(NamedTuple):
    """What an engine says of the chips' pixels, end to end: ``(N,)`` each."""

    p_water: npt.NDArray[Any]
    classes: npt.NDArray[Any]
    entropy: npt.NDArray[Any]
    epistemic: npt.NDArray[Any]


@dataclass(frozen=True)
class Comparison:
    """What all targets of a bundle are measured with.

    Attributes:
        bundle: what is measured; signed or not yet.
        engines: target → what runs it.
        windows: the chips.
    """

    bundle: Bundle
    engines: Mapping[str, Engine]
    windows: tuple[Window, ...]

    @property
    def network(self) -> Network:
        """Its shape."""
        return self.bundle.network

    @property
    def passes(self) -> int:
        """As many as one call of the larger model files computes."""
        return int(self.bundle.manifest["chunk"])

    @cached_property
    def weights(self) -> Weights:
        """As exported."""
        return self.bundle.weights()

    @cached_property
    def masks(self) -> Masks:
        """One fixed set for all targets."""
        passes = list(range(self.passes))
        return masks.draw(self.network, SEED, self.bundle.model_id, SCENE, passes)

    @cached_property
    def exact(self) -> list[Moments]:
        """The reference's moments of every window."""
        wide = {name: array.astype(np.float64) for name, array in self.weights.items()}
        return [reference.moments(self.network, wide, w.tile, self.masks) for w in self.windows]

    @cached_property
    def float32(self) -> list[Moments]:
        """What integers are held to: the float32 engine, or the reference where there is none."""
        if "tflite" in self.engines:
            return self.run(self.engines["tflite"])
        return self.exact

    def engine(self, target: str) -> Engine:
        """What runs a target; an ONNX file is run by a current OpenVINO.

        Raises:
            EngineError: it is not available here.
        """
        if target in self.engines:
            return self.engines[target]
        if _onnx_names(target, self.bundle.content):
            return OnnxEngine(self.onnx(target))
        raise EngineError("no engine of this target runs here")

    def run(self, engine: Engine) -> list[Moments]:
        """An engine's moments of every window."""
        return mosaic.run(engine, self.network, self.windows, self.masks)

    def emulate(self, tile: npt.NDArray[Any], accumulation: str) -> half.Emulated:
        """A window ``(S, S, bands)``, normalised, in the VPU's arithmetic."""
        return half.emulate(self.network, self.weights, tile, self.masks, accumulation)

    def pixels(self, moments: Sequence[Moments], windows: Sequence[Window]) -> Pixels:
        """The chips' own pixels, classes by the balanced operating point."""
        parts = []
        for window, one in zip(windows, moments, strict=True):
            rows, cols = window.water.shape
            found = maps(Moments(*(a[:rows, :cols] for a in one)))
            classes = classify(found, np.ones((rows, cols), bool), self.bundle.balanced)
            arrays = (found.p_water, classes, found.entropy, found.epistemic)
            parts.append([a.ravel() for a in arrays])
        return Pixels(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def onnx(self, target: str) -> bytes:
        """The ONNX file of a target."""
        return self.bundle.content[_onnx_names(target, self.bundle.content)[0]]

    def tflite(self, target: str) -> bytes:
        """The larger TFLite file of a target."""
        return self.bundle.models(target)[self.passes]

    def explain(
        self, figure: Figure, target: str, arithmetic: str, window: Window, accumulation: str = ""
    ) -> Figure:
        """The figure, with the ``layer`` that drifts and its relative ``drift`` if it is broken.

        Args:
            figure: of any kind.
            target: whose engine is looked into.
            arithmetic: of `training.drift.ROUNDING`.
            window: where the engine differs most.
            accumulation: of `training.half.ACCUMULATIONS`, for what is emulated.
        """
        if figure["holds"] is not False:
            return figure
        if accumulation:
            size, seen = len(window.tile), self.emulate(window.tile, accumulation).seen
            found = drift.of_half(self.network, seen)
        else:
            size = self.bundle.tile(target)
            found = self._layers(target, window, size)
        wanted = drift.exact(self.network, self.weights, window.tile, self.masks)
        errors = drift.errors(self.network, found, wanted, size)
        layer = drift.worst(errors, arithmetic)
        error = errors[layer]
        return {**figure, "layer": layer, "drift": error if np.isfinite(error) else None}

    def _layers(self, target: str, window: Window, size: int) -> drift.Layers:
        tile = np.zeros((size, size, self.network.bands), np.float32)
        tile[: len(window.tile), : len(window.tile)] = window.tile
        if target.startswith("tflite"):
            return drift.of_tflite(self.tflite(target), tile, self.masks)
        files = [self.onnx(target)] if target != "openvino" else self._ir(target)
        return drift.of_openvino(
            lambda core: core.read_model(*files), self.network, tile, self.masks
        )

    def _ir(self, target: str) -> list[bytes]:
        name = self.bundle.sets[target]["models"][str(self.passes)]
        weights = str(PurePosixPath(name).with_suffix(".bin"))
        return [self.bundle.content[name], self.bundle.content[weights]]


def _onnx_names(target: str, names: Iterable[str]) -> list[str]:
    """ONNX files that serve a target: its own first, then one that it shares with another."""
    found = sorted(name for name in names if name.endswith(".onnx"))
    return sorted(found, key=lambda name: not name.startswith(f"{target}/"))
