"""Versions: what runs here, said without loading any of it."""

from __future__ import annotations

import importlib.metadata
import platform
import re
from collections.abc import Iterator

from onboard import __version__, formats, samples

PACKAGES = (
    "numpy",
    "rasterio",
    "ai-edge-litert",
    "tflite-runtime",
    "openvino",
    "tensorflow-cpu",
    "tensorflow",
    "keras",
)
"""What figures depend on: arrays, rasters, the engines, training."""
_GDAL = re.compile(r"libgdal\b.*\.so\.\d+\.(\d+\.\d+\.\d+)$")
"""A wheel of rasterio brings GDAL along, and its file ends with the soname and the version."""


def lines() -> Iterator[str]:
    """A name and its value on every line, a space between; packages that are not here are left out.

    ``formats`` lists what this software writes; what it also reads is in ``docs/formats.md``.
    """
    yield f"floodsat {__version__}"
    yield f"python {platform.python_version()}"
    for name in PACKAGES:
        version = _installed(name)
        if version is not None:
            yield f"{name} {version}"
    gdal = _gdal()
    if gdal is not None:
        yield f"gdal {gdal}"
    yield "formats " + " ".join(f"{one.name}={one.version}" for one in formats.ALL)
    yield f"samples {samples.FOLDER}"


def _installed(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _gdal() -> str | None:
    """The version of the GDAL that rasterio's wheel brought; None where it is the system's."""
    try:
        listed = importlib.metadata.files("rasterio") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = (_GDAL.match(one.name) for one in listed)
    return next((match.group(1) for match in found if match), None)
