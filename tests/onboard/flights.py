"""What tests of the service fly with: small frames and an engine that is quick and obeys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from onboard import bundle
from onboard.errors import EngineError
from onboard.runtime import Runtime
from onboard.segment import Segmenter
from onboard.uncertainty import Moments
from tests.samples import BUNDLE, write_frame

HALO = 48
SIDE = 64
LOADED = bundle.load(BUNDLE, [])


class QuickEngine:
    """Water where the red band is below a value; does once what ``todo`` names."""

    tile_size = SIDE + 2 * HALO

    def __init__(self, name: str = "quick (1)") -> None:
        self.name = name
        self.todo: list[str] = []
        self.runs = 0
        self.closed = False

    def run(self, tile: Any, masks: Any) -> Moments:
        self.runs += 1
        todo = self.todo.pop() if self.todo else ""
        if todo == "fail":
            raise EngineError(f"engine {self.name}: the stick gives no result")
        if todo == "defect":
            raise KeyError("a defect")
        core = tile[HALO:-HALO, HALO:-HALO, 2]
        water = np.where(core < 0, np.float32(0.95), np.float32(0.02))
        if todo == "nan" or not np.isfinite(core).all():
            water = water * np.float32(np.nan)
        return Moments(water, water * 0, water * 0 + np.float32(0.01), water * water)

    def ask(self, method: str) -> float:
        assert method == "temperature"
        return 41.5

    def close(self) -> None:
        self.closed = True


def runtime(engine: Any, **changes: Any) -> Runtime:
    """What flies with an engine; chips for labelling are made only with ``limits`` that want them.

    So a frame with news gives two items, also where it is unlike anything real.
    """
    plain = LOADED.limits.with_value("max_chips", 0).with_value("max_odd", 1)
    limits = changes.pop("limits", plain)
    return Runtime(Segmenter(LOADED, engine, 1, 0), limits, **changes)


def small_frame(path: Path, seed: int, wet: bool = True, side: int = SIDE) -> Path:
    """A frame of its own for every seed; rename it in, or write it where nobody looks."""
    rng = np.random.default_rng(seed)
    samples = rng.integers(2500, 2900, (4, side, side)).astype(np.uint16)
    if wet:
        samples[:, : side // 2] = rng.integers(100, 200, (4, side // 2, side))
    hidden = path.with_name("." + path.name)
    write_frame(hidden, samples, tags={"ACQUIRED": "2026-07-14T10:21:33Z"})
    hidden.rename(path)
    return path
