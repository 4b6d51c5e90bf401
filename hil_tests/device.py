"""Which device a run is of, and what is known of it and of its host."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import onboard
from hil_tests.record import HARDWARE, SOFTWARE, UNUSED
from onboard.engines import myriad, nc_codes
from onboard.engines.plugin_2021 import MYRIAD, Plugin, find_core
from onboard.errors import EngineError

CPU = myriad.CPU
AUTO = "auto"
DEVICES = (AUTO, MYRIAD, CPU)
FIRMWARE = "libs/usb-ma2x8x.mvcmd"
USB = Path("/sys/bus/usb/devices")
VENDOR, BOOTED = "03e7", "f63b"
ROOT = Path(__file__).resolve().parents[1]


class Choice(NamedTuple):
    """The device of a run.

    Attributes:
        device: as `onboard.engines.myriad.MyriadEngine` takes it.
        mode: what the report says on every page.
        note: why there is no stick, if more is known; empty otherwise.
    """

    device: str
    mode: str
    note: str = ""

    @property
    def hardware(self) -> bool:
        """Whether a Myriad is in the loop."""
        return self.mode == HARDWARE


def choose(asked: str, plugin: Plugin, environment: Mapping[str, str]) -> Choice:
    """The device for what was asked.

    Args:
        asked: of `DEVICES`; auto takes a stick where there is one.
        plugin: asked for sticks; none is booted.
        environment: where ``FLOODSAT_MYRIAD`` may name one stick.

    Raises:
        EngineError: a stick is wanted, and there is none or not one.
    """
    named = myriad.device_named(environment)
    try:
        sticks, note = plugin.sticks(), ""
    except RuntimeError as error:
        fault = nc_codes.explain(str(error))
        sticks, note = [], f"{fault.meaning}; {fault.cure}"
        if asked == MYRIAD or (asked == AUTO and named != MYRIAD):
            raise EngineError(f"engine myriad: {note}") from error
    if asked == CPU or (asked == AUTO and not sticks and named == MYRIAD):
        return Choice(CPU, UNUSED if sticks else SOFTWARE, note)
    myriad.choose(sticks, named)
    return Choice(named, HARDWARE)


def facts(choice: Choice, full: bool) -> dict[str, Any]:
    """What ``report.json`` says before the device is opened; what it does not know yet is null.

    Args:
        choice: the device.
        full: whether the counts are the full ones.
    """
    unknown = dict.fromkeys(("full_name", "stick", "chip", "capabilities", "engine"))
    plugin, version = plugin_versions(choice.device.split(".")[0])
    return {
        "mode": choice.mode,
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "commit": commit(ROOT),
        "counts": "full" if full else "reduced",
        "device": {"name": choice.device, **unknown, "note": choice.note},
        "versions": {
            "floodsat": onboard.__version__,
            "openvino": version,
            "plugin": plugin,
            "firmware": firmware() if choice.hardware else None,
            "python": f"{platform.python_version()}, numpy {np.__version__}",
        },
        "host": host(),
        "usb": {"speed_mbps": None},
        "bundle": {"name": None, "model_id": None, "passes": None},
        "tile": {"size": None},
        "chips": {"source": None, "names": []},
    }


def identity(engine: myriad.MyriadEngine) -> dict[str, Any]:
    """What the open device says of itself, for the section ``device``."""
    who = engine.identity()
    return {
        "full_name": who.full_name,
        "stick": who.stick,
        "chip": who.chip,
        "capabilities": list(who.capabilities),
        "engine": engine.name,
    }


def plugin_versions(kind: str) -> tuple[str, str]:
    """Name and build of OpenVINO's plugin for a kind of device, and OpenVINO's version."""
    core, version = find_core()
    try:
        (plugin,) = core.get_versions(kind).values()
    except RuntimeError as error:
        return f"does not load ({nc_codes.last_line(str(error))})", version
    return f"{plugin.description} {plugin.build_number}", version


def firmware() -> str | None:
    """The firmware that a stick is booted with: it states no version, so its SHA-256."""
    spec = importlib.util.find_spec("openvino")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / FIRMWARE
        if path.is_file():
            return f"{path.name}, SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}"
    return None


def host() -> dict[str, Any]:
    """The computer, without its name."""
    return {
        "processor": processor(Path("/proc/cpuinfo")) or platform.processor() or "unknown",
        "system": system(Path("/etc/os-release")) or platform.system(),
        "kernel": f"{platform.release()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)),
    }


def processor(path: Path) -> str:
    """The processor's name out of ``/proc/cpuinfo``; empty if it has none."""
    return _value(path, "model name", ":")


def system(path: Path) -> str:
    """The distribution's name out of ``/etc/os-release``; empty if it has none."""
    return _value(path, "PRETTY_NAME", "=").strip('"')


def _value(path: Path, key: str, separator: str) -> str:
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    pairs = [line.partition(separator) for line in lines]
    return next((value.strip() for name, _, value in pairs if name.strip() == key), "")


def usb_speed(devices: Path) -> int | None:
    """Speed of the booted stick's connection, Mbit/s: 5000 is USB 3, 480 USB 2.

    Args:
        devices: the folder of the kernel's USB devices.

    Returns:
        None where no stick is booted, where several are, or where the kernel does not tell.
    """
    speeds = []
    for path in devices.glob("*/idProduct"):
        try:
            own = [path.with_name(n).read_text().strip() for n in ("idVendor", "idProduct")]
            if own == [VENDOR, BOOTED]:
                speeds.append(int(float(path.with_name("speed").read_text())))
        except (OSError, ValueError):
            continue
    return speeds[0] if len(speeds) == 1 else None


def commit(folder: Path) -> str:
    """Commit of the working tree, with ``-dirty`` where it was changed; ``unknown`` without git."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--exclude=*"],
            cwd=str(folder),
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip()
