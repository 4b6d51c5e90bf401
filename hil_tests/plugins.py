"""Plugins of the bench: one that counts, one that stands in for a stick, and faults in both.

A fault is injected where the driver's own would come from: at a call of `Plugin`. On a stick the
call is that of the real plugin. Without one, OpenVINO's CPU plugin answers in the stick's place, so
that the engine takes the path that it takes with a stick.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hil_tests.record import Tally
from onboard.arrays import Array
from onboard.bundle import Bundle
from onboard.engines import threads
from onboard.engines.myriad import CPU, MyriadEngine
from onboard.engines.plugin_2021 import MYRIAD, OK, Plugin

STAND_IN = "0.0-ma2480"
LOST = "lost"
SAYS = {
    "start": "Failed to queue inference: NC_ERROR",
    "wait": "Failed to read output from FIFO: NC_ERROR",
    "read": "Failed to read output from FIFO: X_LINK_ERROR",
    "import_blob": "Can not init Myriad device: NC_ERROR",
}
"""Call → what the plugin says when the stick is lost in it."""
HANG_S = 1000.0


class Counted(Plugin):
    """The plugin as it is; its inferences are counted."""

    def __init__(self, tally: Tally) -> None:
        super().__init__()
        self._tally = tally

    def start(self, slot: int, inputs: Mapping[str, Array]) -> None:
        """See `Plugin.start`."""
        try:
            super().start(slot, inputs)
        except RuntimeError:
            self._tally.failed += 1
            raise

    def wait(self, slot: int, timeout_ms: int) -> int:
        """See `Plugin.wait`."""
        try:
            status = super().wait(slot, timeout_ms)
        except RuntimeError:
            self._tally.failed += 1
            raise
        if status == OK:
            self._tally.done += 1
        else:
            self._tally.failed += 1
        return status


class StandIn(Plugin):
    """Answers as a plugin with one stick; the CPU computes.

    Args:
        model: the ONNX model that the blobs were compiled from.
    """

    stick_is_half = False

    def __init__(self, model: bytes) -> None:
        super().__init__()
        self._model = model

    def sticks(self) -> list[str]:
        """One, on no bus."""
        return [STAND_IN]

    def metric(self, device: str, name: str) -> Any:
        """The CPU's own."""
        return super().metric(CPU, name)

    def import_blob(self, blob: bytes, device: str, requests: int) -> None:
        """Takes the blob and loads the model that it was compiled from."""
        settings = {"ENFORCE_BF16": "NO", "CPU_BIND_THREAD": "NO"}
        settings["CPU_THREADS_NUM"] = str(threads.count())
        super().compile_onnx(self._model, CPU, settings, "FP32", requests)


class Fault(NamedTuple):
    """One mishap at one call.

    Attributes:
        call: of `Plugin`, a key of `SAYS`.
        number: which of these calls, from 1.
        kind: `LOST`, or the name of a mishap in `MISHAPS`.
        once: a file that is made when it happens, after which it happens no more, in no process;
            None lets it happen in every process.
    """

    call: str
    number: int
    kind: str
    once: Path | None


def hang() -> None:
    """The driver does not come back."""
    time.sleep(HANG_S)


def crash() -> None:
    """The driver takes its process with it."""
    os.kill(os.getpid(), signal.SIGSEGV)


def freeze() -> None:
    """The whole process stands still."""
    os.kill(os.getpid(), signal.SIGSTOP)


MISHAPS = {function.__name__: function for function in (hang, crash, freeze)}

if TYPE_CHECKING:
    Base = Plugin
else:
    Base = object


class Faulty(Base):
    """Calls of a plugin, with one fault among them."""

    fault: Fault
    met = 0

    def import_blob(self, blob: bytes, device: str, requests: int) -> None:
        """See `Plugin.import_blob`."""
        self._meet("import_blob")
        super().import_blob(blob, device, requests)

    def start(self, slot: int, inputs: Mapping[str, Array]) -> None:
        """See `Plugin.start`."""
        self._meet("start")
        super().start(slot, inputs)

    def wait(self, slot: int, timeout_ms: int) -> int:
        """See `Plugin.wait`."""
        self._meet("wait")
        return super().wait(slot, timeout_ms)

    def read(self, slot: int) -> dict[str, Array]:
        """See `Plugin.read`."""
        self._meet("read")
        return super().read(slot)

    def _meet(self, call: str) -> None:
        if call != self.fault.call:
            return
        self.met += 1
        if self.met != self.fault.number:
            return
        if self.fault.once:
            if self.fault.once.exists():
                return
            self.fault.once.touch()
        if self.fault.kind != LOST:
            MISHAPS[self.fault.kind]()
        raise RuntimeError(SAYS[call])


class FaultyStandIn(Faulty, StandIn):
    """A fault without a stick."""


class FaultyStick(Faulty, Plugin):
    """A fault with one."""


def make(bundle: Bundle, device: str, fault: Fault | None) -> MyriadEngine:
    """An engine on the stick, or on what stands in for one; can be made in a worker's process.

    Args:
        bundle: with the set ``myriad`` loaded.
        device: ``CPU`` for the stand-in.
        fault: to inject; None for none.
    """
    (model,) = (data for name, data in bundle.content.items() if name.endswith(".onnx"))
    if device != CPU:
        plugin: Plugin = FaultyStick() if fault else Plugin()
    else:
        plugin = FaultyStandIn(model) if fault else StandIn(model)
    if isinstance(plugin, Faulty):
        assert fault
        plugin.fault = fault
    return MyriadEngine(bundle, MYRIAD if device == CPU else device, plugin)
