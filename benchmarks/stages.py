"""Where the time of ``floodsat segment`` goes: one frame, from GeoTIFF to GeoTIFF.

The parts that `onboard.segment.Segmenter` and the command are made of are wrapped from outside, so
that what is timed is what runs.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import rasterio

from benchmarks.clock import Stopwatch
from onboard import mapfile
from onboard.arrays import Array
from onboard.files import replacing
from onboard.masks import Masks
from onboard.scene import Frame
from onboard.segment import Segmenter
from onboard.uncertainty import Moments

if TYPE_CHECKING:
    from onboard.engines import Engine
    from onboard.segment import Source
    from onboard.tiles import Tile

READ, ENGINE, MAPS, WRITE = "read", "engine", "maps", "write"
STAGES = (READ, ENGINE, MAPS, WRITE)


class _Wrapped:
    """Passes on what it does not time."""

    def __init__(self, inner: Any, watch: Stopwatch) -> None:
        self._inner, self._watch = inner, watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Frame(_Wrapped):
    def scene_id(self) -> bytes:
        with self._watch.stage(READ):
            return bytes(self._inner.scene_id())


@dataclasses.dataclass(frozen=True)
class _Segmenter(Segmenter):
    """Times how long the network waits for its next tile, which is read while it runs."""

    watch: Stopwatch

    def inputs(self, frame: Source) -> Iterator[tuple[Tile, Array, Array]]:
        waited = super().inputs(frame)
        while True:
            with self.watch.stage(READ):
                found = next(waited, None)
            if found is None:
                return
            yield found


class _Engine(_Wrapped):
    def run(self, tile: Array, masks: Masks) -> Moments:
        with self._watch.stage(ENGINE):
            return cast("Engine", self._inner).run(tile, masks)


def budget(segmenter: Segmenter, scene: Path, target: Path) -> dict[str, float]:
    """Seconds by stage of one frame, from its file to a file of maps; they add up to the whole.

    ``read`` opens the frame, hashes it for its scene id and waits for tiles, which are cut and
    normalised while the network runs on the one before; ``maps`` is moments to maps and classes.
    These are timed without writing, which would keep the same storage and threads busy; ``write``
    is what the same frame takes longer when its maps are written until they lie on the disk.
    """
    with Frame(scene, segmenter.bundle.sensor) as warm:
        # A frame that was just written is in the machine's memory, and so is the software.
        warm.scene_id()
    watch = Stopwatch()
    timed = _Segmenter(
        segmenter.bundle,
        cast("Engine", _Engine(segmenter.engine, watch)),
        segmenter.passes,
        segmenter.seed,
        watch,
    )
    start = time.perf_counter()
    with watch.stage(READ):
        frame = Frame(scene, segmenter.bundle.sensor)
    with frame:
        for _ in timed.run(cast("Frame", _Frame(frame, watch))):
            pass
    total = time.perf_counter() - start
    watch.seconds[MAPS] = total - sum(watch.seconds.values())
    watch.seconds[WRITE] = max(0.0, timed_write(segmenter, scene, target) - total)
    return {name: watch.seconds[name] for name in STAGES}


def timed_write(segmenter: Segmenter, scene: Path, target: Path) -> float:
    """Seconds from a frame's file to a file of maps, as ``floodsat segment`` makes it."""
    start = time.perf_counter()
    with Frame(scene, segmenter.bundle.sensor) as frame, replacing(target) as part:
        profile = mapfile.storage(frame, segmenter.tiling(frame).core)
        with rasterio.open(str(part), "w", **profile) as maps:
            mapfile.write_tiles(segmenter, frame, maps)
    return time.perf_counter() - start
