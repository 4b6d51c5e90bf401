"""Megapixels per second from frame to maps: FloodSat beside the U-Net, on one engine.

Both go through `onboard.segment.Segmenter`: the same tiling, normalisation, maps and classes, on
a frame in memory of whole cores, so that only pixels that are kept count and every tile is full.
The U-Net runs at the tile and batch that a short search finds best; FloodSat at the tile of its
bundle, one at a time, as it flies.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from benchmarks import clock, frames, unet
from benchmarks.unet import UNet
from benchmarks.unet_engines import RUNNERS, UNetEngine
from onboard.arrays import Array
from onboard.normalise import Normalisation
from onboard.scene import ArrayFrame
from onboard.segment import Segmenter, Thresholds

if TYPE_CHECKING:
    from onboard.bundle import Bundle

SIZES = (256, 512, 1024)
BATCHES = (1, 2)
LONGEST_SECONDS = 12.0
"""A run that is expected to take longer is not tried."""
BATCH_GAIN = 1.05
"""What a batch must gain to be taken to the larger tiles; less is noise, at twice the time."""
REPEAT_SECONDS = 4.0
"""A candidate that takes less gets a second run where its first did not win."""
UNET_BYTES_PER_PIXEL = 4 * 512
"""Generous: the last block holds 64 + 128 channels of input beside 64 of output, float32."""
MEMINFO = Path("/proc/meminfo")
CORES_A_SIDE = 3
ROUNDS = clock.Limits(least=1, most=5, seconds=4.0)
FLOODSAT, UNET = "floodsat", "unet"


class Tried(NamedTuple):
    """One setting of the U-Net.

    Attributes:
        size: side of a tile, pixels, halo included.
        batch: tiles a call.
        rate: core megapixels per second of the engine alone; None where it was not run.
        why: why not.
    """

    size: int
    batch: int
    rate: float | None
    why: str = ""

    def __str__(self) -> str:
        said = f"{self.rate:.3f} MP/s" if self.rate is not None else f"not tried, {self.why}"
        return f"{self.size} px × {self.batch}: {said}"


@dataclass(frozen=True)
class StandIn:
    """What `Segmenter` asks of a bundle, for the U-Net."""

    network: UNet
    normalisation: Normalisation
    balanced: Thresholds
    model_id: bytes = bytes(32)


class Speeds(NamedTuple):
    """Frame to maps.

    Attributes:
        seconds: of `FLOODSAT` and `UNET`, each for its own frame.
        megapixels: of these frames.
        tile_gain: pixels of the U-Net's whole tile over those of its core.
        size: the U-Net's tile.
        batch: the U-Net's batch.
        tried: what the search found.
    """

    seconds: dict[str, float]
    megapixels: dict[str, float]
    tile_gain: float
    size: int
    batch: int
    tried: list[Tried]

    def rate(self, which: str) -> float:
        """Megapixels per second."""
        return self.megapixels[which] / self.seconds[which]


@functools.cache
def model(network: UNet, size: int, batch: int, seed: int) -> bytes:
    """`benchmarks.unet.tflite`, made once for all engines."""
    return unet.tflite(network, size, batch, seed)


class Search:
    """The best tile and batch of the U-Net: the batch first, on the smallest tile, then the tile.

    Args:
        network: the U-Net.
        make: an engine for a size and a batch.
    """

    def __init__(self, network: UNet, make: Callable[[int, int], UNetEngine]) -> None:
        self.network, self.make = network, make
        self.tried: list[Tried] = []
        self.best: UNetEngine | None = None
        self._rate = 0.0

    def run(self) -> UNetEngine:
        """Try, and return the engine that won."""
        for batch in BATCHES:
            self._try(SIZES[0], batch)
        assert self.best is not None, "the smallest tile is always tried"
        batch = self.best.batch
        for size in SIZES[1:]:
            # A batch that this machine has no time or memory for leaves the single tile.
            self._try(size, 1 if self._refused(size, batch) else batch)
        return self.best

    def _try(self, size: int, batch: int) -> None:
        core = (size - 2 * self.network.halo) ** 2 * batch / 1e6
        why = self._refused(size, batch)
        if why:
            self.tried.append(Tried(size, batch, None, why))
            return
        engine = self.make(size, batch)
        tile = np.zeros((size, size, self.network.bands), np.float32)
        seconds = clock.timed(lambda: engine.run(tile, {}))
        if not self.tried:
            # The very first also wakes the runtime's threads.
            seconds = clock.timed(lambda: engine.run(tile, {}))
        # The first run also touches fresh memory; whoever did not win by it may run again.
        if core / seconds <= self._rate and seconds < REPEAT_SECONDS:
            seconds = min(seconds, clock.timed(lambda: engine.run(tile, {})))
        self.tried.append(Tried(size, batch, core / seconds))
        gain = BATCH_GAIN if batch > 1 and size == SIZES[0] else 1.0
        if core / seconds > self._rate * gain:
            self.best, self._rate = engine, core / seconds

    def _refused(self, size: int, batch: int) -> str:
        """Why a setting is not run on this machine, or nothing."""
        if self.best is None:
            return ""
        # By the fastest yet, halo included: rather try in vain than not try the best.
        side = 2 * self.network.halo
        rate = max(t.rate * (t.size / (t.size - side)) ** 2 for t in self.tried if t.rate)
        expected = size**2 * batch / 1e6 / rate
        if expected > LONGEST_SECONDS:
            return f"one run would take about {expected:.0f} s"
        need, free = size**2 * batch * UNET_BYTES_PER_PIXEL, free_bytes()
        if need > free:
            return f"it needs about {need / 1e9:.1f} GB of memory"
        return ""


def free_bytes() -> float:
    """Memory that could be had now without swapping; without bound where Linux does not say."""
    if not MEMINFO.is_file():
        return math.inf
    fields = dict(line.split(":") for line in MEMINFO.read_text("ascii").splitlines())
    return float(fields["MemAvailable"].split()[0]) * 1024


def frame_of_cores(samples: Array, segmenter: Segmenter, side: int) -> ArrayFrame:
    """A frame in memory of ``side × side`` whole cores of a segmenter's tiles."""
    network = segmenter.bundle.network
    size = segmenter.engine.tile_size or 256 + 2 * network.halo
    length = (size - 2 * network.halo) * side
    return ArrayFrame(frames.spread(samples, length, length, network.bands))


def to_maps(segmenter: Segmenter, frame: ArrayFrame) -> None:
    """Segment, and let the maps go."""
    for _ in segmenter.run(frame, bytes(32)):
        pass


def measure(segmenter: Segmenter, engine: str, samples: Array, seed: int) -> Speeds:
    """Both, in turn.

    Args:
        segmenter: FloodSat's, with the passes to measure.
        engine: its name, one of `RUNNERS`.
        samples: reflectance to fill the frames with, float32 ``(h, w, bands)``.
        seed: of the U-Net's weights.
    """
    bundle = segmenter.bundle
    network = UNet(bundle.network.bands)
    runner = RUNNERS[engine]
    search = Search(network, lambda s, b: runner(model(network, s, b, seed), s, b))
    best = search.run()
    stand_in = StandIn(network, bundle.normalisation, bundle.balanced)
    # No stochastic passes: the deterministic one.
    rival = Segmenter(cast("Bundle", stand_in), best, 0, seed)
    own, other = (frame_of_cores(samples, segmenter, CORES_A_SIDE), rival_frame(samples, rival))
    cases = {
        FLOODSAT: lambda: to_maps(segmenter, own),
        UNET: lambda: to_maps(rival, other),
    }
    cases[FLOODSAT]()
    seconds = clock.interleaved(cases, ROUNDS)
    megapixels = {
        FLOODSAT: own.height * own.width / 1e6,
        UNET: other.height * other.width * best.batch / 1e6,
    }
    size = best.tile_size or 0
    gain = (size / other.height) ** 2
    return Speeds(seconds, megapixels, gain, size, best.batch, search.tried)


def rival_frame(samples: Array, rival: Segmenter) -> ArrayFrame:
    """One core is enough for the U-Net: it takes long."""
    return frame_of_cores(samples, rival, 1)
