"""The machine and the software that figures were measured on, without names of hosts or users."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

from onboard.engines import threads

CPUINFO = Path("/proc/cpuinfo")
PACKAGES = ("ai-edge-litert", "tflite-runtime", "openvino", "tensorflow-cpu", "numpy", "rasterio")


def processor(text: str) -> str:
    """The processor's name out of the text of ``/proc/cpuinfo``, or what Python knows."""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name" and value.strip():
            return value.strip()
    return platform.processor() or platform.machine()


def facts() -> dict[str, str]:
    """Processor, cores, threads, system and versions, for people to read."""
    text = CPUINFO.read_text("utf-8") if CPUINFO.is_file() else ""
    return {
        "processor": processor(text),
        "cores": str(os.cpu_count() or 1),
        "threads": str(threads.count()),
        "system": f"{platform.system()}, {platform.machine()}, Python {platform.python_version()}",
        "versions": ", ".join(_versions()),
    }


def _versions() -> list[str]:
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
