"""The Myriad engine: OpenVINO 2021.4.2, on the VPU of the stick or on the CPU.

One class for both devices; what differs is a line of `KINDS`. The VPU takes a compiled blob and
computes in FP16; this OpenVINO's CPU plugin can run no blob and takes no FP16 inputs, so it reads
the ONNX model that lies beside the blobs, in float32.

Two inferences are in flight at any time, so that the USB transfer of one hides behind the
computation of the other: chunks of passes of one tile in `MyriadEngine.run`, and of successive
tiles in `MyriadEngine.run_many`.

The model has a fixed number of passes K. T passes are ⌊T/K⌋ calls, and the remainder is laid out
as a sum of divisors of K (7 of 10 as 5 + 2): a call with r different masks, each of them K/r times,
has exactly the means of those r passes. So every T is exact, with one model file to send up.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from onboard import vpu
from onboard.arrays import Array
from onboard.closing import Closing
from onboard.engines import nc_codes, threads
from onboard.engines.plugin_2021 import MYRIAD, OK, Plugin
from onboard.engines.worker import DeviceError, SupervisedEngine
from onboard.errors import BundleError, EngineError
from onboard.masks import Masks
from onboard.uncertainty import Moments, combine

if TYPE_CHECKING:
    from onboard.bundle import Bundle

    Inputs = dict[str, Array]
    Job = tuple[int, Inputs]

SET = "myriad"
CPU = "CPU"
VARIABLE = "FLOODSAT_MYRIAD"
"""Environment variable that names one stick of several, such as ``1.2-ma2480``."""
REQUESTS = 2
TIMEOUT_S = 30.0
DEADLINE_S = 60.0
HEARTBEAT_S = 10.0
"""Importing a blob holds Python's lock for as long as the stick boots, some seconds; the supervisor
looks for heartbeats after the start only. Inferences leave the lock free."""
_CHIP = re.compile(r"-(ma\d+)$")
_STATUS = {-8: "REQUEST_BUSY", -9: "RESULT_NOT_READY"}


class Kind(NamedTuple):
    """How a kind of device is served.

    Attributes:
        label: the engine's name there.
        precision: of the inputs of a network that is compiled here; a blob has its own.
    """

    label: str
    precision: str


KINDS = {CPU: Kind("openvino-2021", "FP32"), MYRIAD: Kind("myriad", "FP16")}


class Identity(NamedTuple):
    """What a device says of itself.

    Attributes:
        device: as it was chosen, such as ``MYRIAD`` or ``CPU``.
        stick: its name on the bus, such as ``1.2-ma2480``; empty on a CPU.
        chip: ``ma2480`` and the like; empty on a CPU.
        full_name: in words.
        capabilities: the number formats that it computes in.
    """

    device: str
    stick: str
    chip: str
    full_name: str
    capabilities: tuple[str, ...]


def plan(passes: int, chunk: int) -> list[int]:
    """How many different passes each call computes.

    Args:
        passes: T, 1 at least.
        chunk: K, what a call holds.

    Returns:
        Divisors of K, largest first, that add up to T.
    """
    counts = [chunk] * (passes // chunk)
    rest = passes % chunk
    for divisor in range(chunk, 0, -1):
        while chunk % divisor == 0 and rest >= divisor:
            counts.append(divisor)
            rest -= divisor
    return counts


def weight_of_mean(passes: int) -> float:
    """What the VPU's means over the passes are, divided by the true ones.

    The graph weighs every pass by 1/K, which float16 has not exactly where K is no power of two:
    ten times 0.1 there is 0.99976. That is little for a probability, but the mutual information
    is a small difference of two such means. The host divides by it.
    """
    return passes * float(np.float16(1 / passes))


def weighed(moments: Moments, passes: int) -> Moments:
    """The VPU's moments over ``passes`` with means that are means, see `weight_of_mean`."""
    weight = np.float32(weight_of_mean(passes))
    means = {n: getattr(moments, n) / weight for n in ("p_water", "aleatoric", "p_water_2")}
    return moments._replace(**means)


def choose(sticks: list[str], device: str) -> str:
    """The one stick to use.

    Args:
        sticks: names of those that are there.
        device: ``MYRIAD`` for the only one, or ``MYRIAD.<name>``.

    Raises:
        EngineError: there is none, not the one that was named, or more than one.
    """
    asked = device[len(MYRIAD) + 1 :]
    if not sticks:
        raise EngineError(
            "engine myriad: no Myriad stick here, or another process holds it; plug it in, allow "
            "USB access (udev rules of Myriad, vendor 03e7), or use another engine"
        )
    if asked and asked not in sticks:
        raise EngineError(
            f"engine myriad: no stick {asked} here (has {', '.join(sticks)}); "
            f"name one of these with {VARIABLE}, or unset it"
        )
    if not asked and len(sticks) > 1:
        raise EngineError(
            f"engine myriad: {len(sticks)} sticks are here ({', '.join(sticks)}); "
            f"name one with {VARIABLE}={sticks[0]}"
        )
    return asked or sticks[0]


def chip_of(stick: str) -> str:
    """The chip of a stick; a name without one is that of a PCIe card, all of which have ma2480."""
    found = _CHIP.search(stick)
    return found.group(1) if found else "ma2480"


class MyriadEngine(Closing):
    """Fits `onboard.engines.Engine`. Not for several threads at once.

    Reads the set ``myriad`` of a bundle: ``tile``, the side of its tiles, ``passes``, K, a blob for
    each chip and the ONNX model that they were compiled from.

    Args:
        bundle: with the set ``myriad`` loaded.
        device: ``MYRIAD``, ``MYRIAD.<stick>`` or ``CPU``.
        plugin: the calls of OpenVINO; None makes a `Plugin`.
        compile_here: compile the ONNX model for the stick at hand instead of taking a blob.
        timeout_s: the longest that one inference may take, seconds.

    Raises:
        EngineError: no OpenVINO 2021.4.2, no device or not one, or it does not take the model.
        BundleError: no model for this device, or it is damaged or of another network.
    """

    def __init__(
        self,
        bundle: Bundle,
        device: str = MYRIAD,
        plugin: Plugin | None = None,
        compile_here: bool = False,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        kind = device.split(".")[0]
        if kind not in KINDS:
            raise EngineError(f"device {device}: unknown; choose one of {', '.join(KINDS)}")
        entry = bundle.sets[SET]
        self.device = device
        self._kind = KINDS[kind]
        self._bundle = bundle
        self._size, self._chunk = int(entry["tile"]), int(entry["passes"])
        self._timeout_ms = round(1000 * timeout_s)
        self.plugin = plugin or Plugin()
        with self._translated():
            self.stick = "" if kind == CPU else choose(self.plugin.sticks(), device)
            self._load(compile_here)
        self._check()

    @property
    def name(self) -> str:
        """Engine, version and device."""
        where = f"{MYRIAD} {chip_of(self.stick)}" if self.stick else CPU
        return f"{self._kind.label} ({self.plugin.version}, {where})"

    @property
    def tile_size(self) -> int | None:
        """Side of the tiles, fixed at export."""
        return self._size

    def run(self, tile: Array, masks: Masks) -> Moments:
        """Moments over all passes of ``masks``; see `onboard.engines.Engine`.

        Raises:
            DeviceError: the device failed; a new process may help.
            EngineError: it gave values that are no numbers.
        """
        return next(self.run_many([tile], masks))

    def run_many(self, tiles: Iterable[Array], masks: Masks) -> Iterator[Moments]:
        """Moments of one tile after the other, in their order; two inferences stay in flight.

        Args:
            tiles: each as `run` takes it; taken as they are needed.
            masks: the same for all tiles.

        Raises:
            DeviceError, EngineError: as `run` does.
        """
        counts = plan(len(next(iter(masks.values()))), self._chunk)
        parts = self._parts(masks, counts)

        def jobs() -> Iterator[Job]:
            for tile in tiles:
                planes = np.ascontiguousarray(tile.transpose(2, 0, 1)[None], np.float32)
                for count, part in zip(counts, parts):
                    yield count, {"tile": planes, **part}

        found: list[tuple[int, Moments]] = []
        for count, moments in self._in_flight(jobs()):
            found.append((count, moments))
            if len(found) == len(counts):
                yield combine(found)
                found = []

    def temperature(self) -> float | None:
        """The chip's temperature, °C; None on a CPU.

        Raises:
            DeviceError: the stick does not tell.
        """
        if not self.stick:
            return None
        with self._translated():
            return self.plugin.thermal()

    def identity(self) -> Identity:
        """What the device says of itself.

        Raises:
            EngineError: it does not tell.
        """
        chip = chip_of(self.stick) if self.stick else ""
        with self._translated():
            full = str(self.plugin.metric(self.device, "FULL_DEVICE_NAME"))
            formats = self.plugin.metric(self.device, "OPTIMIZATION_CAPABILITIES")
            return Identity(self.device, self.stick, chip, full.strip(), tuple(sorted(formats)))

    def close(self) -> None:
        """Let go of the device. The engine cannot run afterwards."""
        self.plugin.close()

    def _load(self, compile_here: bool) -> None:
        if self.stick and not compile_here:
            self.plugin.import_blob(self._blob(), self.device, REQUESTS)
            return
        settings: dict[str, str] = {}
        if not self.stick:
            # A CPU with bfloat16 units would use them unasked, with errors of 1e-2. Pinned, the
            # threads of two processes on one machine would share the first cores.
            settings = {"ENFORCE_BF16": "NO", "CPU_BIND_THREAD": "NO"}
            settings["CPU_THREADS_NUM"] = str(threads.count())
        self.plugin.compile_onnx(
            self._file(f"onnx/k{self._chunk}.onnx"),
            self.device,
            settings,
            self._kind.precision,
            REQUESTS,
        )

    def _blob(self) -> bytes:
        chip = chip_of(self.stick)
        name = f"myriad/{chip}.blob"
        data = self._file(name)
        vpu.check_blob(data, chip, str(self._bundle.path / name))
        return data

    def _file(self, name: str) -> bytes:
        try:
            return self._bundle.content[name]
        except KeyError:
            folder = name.split("/")[0] + "/"
            has = ", ".join(n for n in sorted(self._bundle.content) if n.startswith(folder))
            raise BundleError(
                f"{self._bundle.path}: has no {name} for device {self.stick or self.device} "
                f"(has {has or 'none'}); export the bundle with --target myriad"
            ) from None

    def _check(self) -> None:
        """Before anything runs: the model takes and gives what this engine will ask of it."""
        network = self._bundle.network
        wanted: dict[str, tuple[int, ...]] = {"tile": (1, network.bands, self._size, self._size)}
        wanted.update({f"mask_{s.name}": (self._chunk, s.channels, 1, 1) for s in network.sites})
        core = self._size - 2 * network.halo
        given = dict.fromkeys(Moments._fields, (1, 1, core, core))
        with self._translated():
            found = self.plugin.inputs(), self.plugin.outputs()
        if found != (wanted, given):
            raise BundleError(
                f"{self._bundle.path}: its {SET} model does not compute this bundle's network "
                f"(takes {found[0]}, should take {wanted}); export the bundle again"
            )

    def _parts(self, masks: Masks, counts: list[int]) -> list[Inputs]:
        """The mask inputs of every call, each ``(K, C, 1, 1)``."""
        parts = []
        start = 0
        for count in counts:
            part = {}
            for site, mask in masks.items():
                rows = np.repeat(mask[start : start + count], self._chunk // count, axis=0)
                part[f"mask_{site}"] = rows[:, :, None, None].astype(np.float32)
            parts.append(part)
            start += count
        return parts

    def _in_flight(self, jobs: Iterator[Job]) -> Iterator[tuple[int, Moments]]:
        """The results of all jobs, in their order, with `REQUESTS` of them under way."""
        free = deque(range(REQUESTS))
        under_way: deque[tuple[int, int]] = deque()
        try:
            for count, inputs in jobs:
                if not free:
                    yield self._finish(under_way, free)
                slot = free.popleft()
                with self._translated():
                    self.plugin.start(slot, inputs)
                under_way.append((slot, count))
            while under_way:
                yield self._finish(under_way, free)
        finally:
            # Whatever happened, or if nobody wants the rest: no request stays busy.
            for slot, _ in under_way:
                with contextlib.suppress(RuntimeError):
                    self.plugin.wait(slot, self._timeout_ms)

    def _finish(self, under_way: deque[tuple[int, int]], free: deque[int]) -> tuple[int, Moments]:
        slot, count = under_way.popleft()
        with self._translated():
            status = self.plugin.wait(slot, self._timeout_ms)
            if status != OK:
                raise RuntimeError(_STATUS.get(status, f"status code {status}"))
            found = self.plugin.read(slot)
        free.append(slot)
        for name in Moments._fields:
            self._finite(name, found[name])
        moments = Moments(*(found[name][0, 0] for name in Moments._fields))
        half = self.stick and self.plugin.stick_is_half
        return count, weighed(moments, self._chunk) if half else moments

    def _finite(self, name: str, values: Array) -> None:
        wrong = int(values.size - np.count_nonzero(np.isfinite(values)))
        if wrong:
            why = "beyond 65504 FP16 has none" if self.stick else "float32 should have had them"
            raise EngineError(
                f"engine {self.name}: {name} is no finite number in {wrong} of {values.size} "
                f"pixels ({why}); check the frame's reflectances, or use another engine"
            )

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """OpenVINO's errors as ours: one line with what it means and the cure."""
        try:
            yield
        except EngineError:
            raise
        except RuntimeError as error:
            if not self.device.startswith(MYRIAD):
                reason = nc_codes.last_line(str(error))
                raise EngineError(
                    f"engine {self._kind.label}: OpenVINO fails on the CPU ({reason}); "
                    "export the bundle again, or use another engine"
                ) from error
            fault = nc_codes.explain(str(error))
            line = f"engine {self._kind.label}: {fault.meaning}; {fault.cure}"
            raise (DeviceError if fault.lost else EngineError)(line) from error


def on_cpu(bundle: Bundle) -> MyriadEngine:
    """The engine ``openvino-2021``: this class on the CPU, in this process."""
    return MyriadEngine(bundle, CPU)


def supervised(bundle: Bundle, **settings: Any) -> SupervisedEngine:
    """The engine ``myriad``: this class on the stick, in a supervised process.

    Args:
        bundle: with the set ``myriad`` loaded.
        settings: of `onboard.engines.worker.SupervisedEngine`, where they are to differ.
    """
    return SupervisedEngine(
        partial(MyriadEngine, bundle, device_named(os.environ)),
        **{"deadline_s": DEADLINE_S, "heartbeat_s": HEARTBEAT_S, **settings},
    )


def device_named(environment: Mapping[str, str]) -> str:
    """``MYRIAD``, or the one that ``FLOODSAT_MYRIAD`` names."""
    stick = environment.get(VARIABLE, "")
    return f"{MYRIAD}.{stick}" if stick else MYRIAD
