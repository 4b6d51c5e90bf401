"""The bench: one device, one bundle, and how often everything is done."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from hil_tests import plugins
from hil_tests.chips import Chip
from hil_tests.device import Choice
from hil_tests.record import Record
from onboard import golden, masks
from onboard.bundle import Bundle
from onboard.engines.myriad import SET, MyriadEngine
from onboard.engines.worker import SupervisedEngine
from onboard.masks import Masks
from onboard.tiles import Tiling
from onboard.uncertainty import Moments

SEED = 20211013
STATM_RSS = 1


class Counts(NamedTuple):
    """How often.

    Attributes:
        chips: shown to the device.
        same: runs that must give the same bytes.
        latencies: single tiles that are timed.
        inferences: without a leak.
        cycles: of closing and booting.
        soak_s: of the thermal soak, seconds; on hardware only.
    """

    chips: int
    same: int
    latencies: int
    inferences: int
    cycles: int
    soak_s: float


REDUCED = Counts(chips=1, same=10, latencies=20, inferences=60, cycles=3, soak_s=0.0)
FULL = Counts(chips=6, same=100, latencies=300, inferences=1000, cycles=20, soak_s=900.0)


class Bench:
    """What the tests work with. Its engine is open from the first use until `release`.

    Args:
        choice: the device.
        bundle: with the sets ``myriad``, ``reference`` and ``common``.
        counts: how often.
        record: where measurements go.
        chips: one at least.
        keys: that the bundle is trusted by; None for the demo's.
    """

    def __init__(
        self,
        choice: Choice,
        bundle: Bundle,
        counts: Counts,
        record: Record,
        chips: list[Chip],
        keys: list[Path] | None = None,
    ) -> None:
        self.choice, self.bundle, self.counts = choice, bundle, counts
        self.record, self.chips, self.keys = record, chips, keys
        self._engine: MyriadEngine | None = None
        self._started = time.monotonic()

    @property
    def hardware(self) -> bool:
        """Whether a Myriad is in the loop."""
        return self.choice.hardware

    @property
    def target(self) -> str:
        """The name that `onboard.golden` knows this device by."""
        return SET if self.hardware else "openvino-2021"

    @property
    def tolerance(self) -> float:
        """Largest difference from the reference in any moment."""
        return golden.TOLERANCE[self.target]

    @property
    def chunk(self) -> int:
        """K: passes a call."""
        return int(self.bundle.sets[SET]["passes"])

    @property
    def tiling(self) -> Tiling:
        """Of a frame that is one tile."""
        network, size = self.bundle.network, int(self.bundle.sets[SET]["tile"])
        core = size - 2 * network.halo
        return Tiling(core, core, size, network.halo, network.stride)

    def engine(self) -> MyriadEngine:
        """The engine; the device is booted if need be."""
        if not self._engine:
            plugin = plugins.Counted(self.record.tally)
            self._engine = MyriadEngine(self.bundle, self.choice.device, plugin)
        return self._engine

    def release(self) -> None:
        """Let go of the device, for another engine or process."""
        if self._engine:
            self._engine.close()
            self._engine = None

    def masks(self, chip: Chip, passes: int) -> Masks:
        """The masks of a chip's first passes."""
        network, model = self.bundle.network, self.bundle.model_id
        return masks.draw(network, SEED, model, chip.scene_id, range(passes))

    def run(self, chip: Chip, passes: int = 0) -> Moments:
        """A chip with so many passes, K unless told, through the bench's own engine."""
        return self.engine().run(chip.tile, self.masks(chip, passes or self.chunk))

    def supervised(self, fault: plugins.Fault, **settings: Any) -> SupervisedEngine:
        """An engine in a worker's process, with a fault; the bench's own is released."""
        self.release()
        factory = partial(plugins.make, self.bundle, self.choice.device, fault)
        return SupervisedEngine(factory, **settings)

    def faulty(self, fault: plugins.Fault | None) -> MyriadEngine:
        """An engine in this process, with a fault; the bench's own is released."""
        self.release()
        return plugins.make(self.bundle, self.choice.device, fault)

    def note_temperature(self) -> float | None:
        """Ask for the temperature, °C, and record it; None on a CPU."""
        found = self.engine().temperature()
        if found is not None:
            self.record.temperatures.append((time.monotonic() - self._started, found))
        return found


def bytes_of(moments: Moments) -> bytes:
    """All values, for comparing bit by bit."""
    return b"".join(array.tobytes() for array in moments)


def resident() -> int:
    """Bytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[STATM_RSS])
    return pages * os.sysconf("SC_PAGE_SIZE")


def open_files() -> int:
    """How many files, pipes and devices this process holds open."""
    return len(list(Path("/proc/self/fd").iterdir()))
