"""What ``floodsat --version`` says, and at what price."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from onboard import __version__, formats, versions
from onboard.cli import run
from tests.samples import ROOT

HEAVY = ("numpy", "rasterio", "tensorflow", "openvino", "ai_edge_litert", "tflite_runtime", "rich")


def told(capfd: Any) -> dict[str, str]:
    assert run(["--version"]) == 0
    lines = capfd.readouterr().out.splitlines()
    return dict(line.split(" ", 1) for line in lines)


def test_versions_are_those_of_what_runs_here(capfd: Any) -> None:
    found = told(capfd)
    assert next(iter(found)) == "floodsat"
    assert found["floodsat"] == __version__
    assert found["python"] == platform.python_version()
    assert found["numpy"] == np.__version__
    assert found["rasterio"] == rasterio.__version__
    # The system's GDAL, beside a rasterio that was built here, is not told.
    assert found.get("gdal", rasterio.__gdal_version__) == rasterio.__gdal_version__
    assert {"ai-edge-litert", "tflite-runtime"} & found.keys()


def test_formats_and_samples_are_named(capfd: Any) -> None:
    found = told(capfd)
    assert f"product={formats.PRODUCT.version}" in found["formats"].split()
    assert len(found["formats"].split()) == len(formats.ALL)
    assert (Path(found["samples"]) / "bundle" / "manifest.json").is_file()


def test_what_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "PACKAGES", ("numpy", "no-such-package"))
    names = [line.split(" ")[0] for line in versions.lines()]
    assert "numpy" in names
    assert "no-such-package" not in names


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from onboard.cli import run; run(['--version']);"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
