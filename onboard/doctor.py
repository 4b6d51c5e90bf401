"""Doctor: what this machine can do, and how to get what is missing.

Every engine is tried on a bundle's golden tile in a process of its own: what crashes, hangs or
drifts is found here, not in a pass. Nothing is installed and nothing is changed.
"""

from __future__ import annotations

import enum
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from onboard import engines, libusb
from onboard.errors import FloodsatError, UnavailableError

DEADLINE_S = 120
"""The longest that an engine may take to start and to run the golden tile."""
INTEL_MYRIAD = "03e7"
"""USB vendor of the Myriad sticks, before and after their firmware is loaded."""
USB_DEVICES = Path("/sys/bus/usb/devices")
FLIGHT_PYTHON = "3.9"
GROUND_PYTHON = (3, 11)
DATA_VARIABLE = "FLOODSAT_DATA"
DEFAULT_DATA = Path("../shared/data")
DATA_SETS = ("dfc24", "clouds", "phisat2_sim", "scenes")
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


class State(enum.Enum):
    """What became of a check."""

    READY = "ready"
    MISSING = "missing"
    BROKEN = "broken"


class Finding(NamedTuple):
    """One thing that was looked at.

    Attributes:
        name: what it is.
        state: whether it can be used.
        text: what was seen.
        cure: what to do where it cannot be used; empty where it can, or where the text says it.
    """

    name: str
    state: State
    text: str
    cure: str = ""


class Extra(NamedTuple):
    """Packages that a part of the project needs.

    Attributes:
        name: of the extra, as ``pip install floodsat[NAME]`` takes it.
        packages: importable names of what it brings.
        what: what cannot be done without it.
        cure: how to get it.
    """

    name: str
    packages: tuple[str, ...]
    what: str
    cure: str


EXTRAS = (
    Extra("onboard", ("cbor2", "cryptography", "rasterio", "spacepackets"), "flying", "make base"),
    Extra(
        "ground",
        ("jinja2", "matplotlib", "rio_cogeo", "shapely", "skyfield"),
        "receiving, maps and replay",
        "make base",
    ),
    Extra("training", ("keras", "scipy", "tensorflow"), "training and export", "make install"),
)


def examine(bundle: Path, data: Path | None = None) -> list[Finding]:
    """Look at everything.

    Args:
        bundle: whose golden tile the engines run.
        data: the data folder; by `DATA_VARIABLE`, else beside the project, if None.
    """
    found = [interpreter(), *extras()]
    found += [engine(name, bundle) for name in engines.LOADERS]
    found += [flight_python(), usb_library(), stick(USB_DEVICES)]
    found += [data_folder(data or Path(os.environ.get(DATA_VARIABLE) or DEFAULT_DATA)), browser()]
    return found


def interpreter() -> Finding:
    """The Python that runs, and numpy."""
    text = f"Python {platform.python_version()}, numpy {importlib.metadata.version('numpy')}"
    if sys.version_info < GROUND_PYTHON:
        text += "; the commands of the ground and of training need Python 3.11"
    return Finding("python", State.READY, text)


def extras() -> list[Finding]:
    """Every optional part of the project: whether its packages are here."""
    found = []
    for extra in EXTRAS:
        lacking = [name for name in extra.packages if importlib.util.find_spec(name) is None]
        name = f"extra {extra.name}"
        if lacking:
            text = f"{extra.what} cannot be done: {', '.join(lacking)} not installed"
            found.append(Finding(name, State.MISSING, text, extra.cure))
        else:
            found.append(Finding(name, State.READY, extra.what))
    return found


def engine(name: str, bundle: Path) -> Finding:
    """Run the golden tile on one engine in a process of its own."""
    title = f"engine {name}"
    command = [sys.executable, "-m", "onboard.doctor", name, str(bundle)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S)
    except subprocess.TimeoutExpired:
        return Finding(title, State.BROKEN, f"no answer in {DEADLINE_S} s", _again(bundle))
    try:
        state, text = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        text = f"its process ended with {done.returncode}: {last}"
        return Finding(title, State.BROKEN, text, _again(bundle))
    # The line's own name says which engine; two of them share one plug-in and its errors.
    return Finding(title, State(state), text.removeprefix("engine myriad: "))


def _again(bundle: Path) -> str:
    return f"'floodsat inspect {bundle}' checks the bundle; 'make install' the packages"


def flight_python() -> Finding:
    """The interpreter that the flight environment is made with."""
    running = ".".join(platform.python_version_tuple()[:2]) == FLIGHT_PYTHON
    made = Path(".venv-flight/bin/python")
    where = sys.executable if running else shutil.which(f"python{FLIGHT_PYTHON}") or ""
    if not where and made.exists():
        where = str(made)
    if not where and (found := _of_pyenv()):
        where = str(found)
    name = f"python {FLIGHT_PYTHON}"
    if where:
        return Finding(name, State.READY, where)
    return Finding(
        name,
        State.MISSING,
        "the flight environment cannot be made",
        "pyenv install 3.9, or FLOODSAT_PYTHON39=/path/to/python3.9",
    )


def _of_pyenv() -> Path | None:
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = sorted((root / "versions").glob(f"{FLIGHT_PYTHON}.*/bin/python"))
    return found[-1] if found else None


def usb_library() -> Finding:
    """libusb, which the Myriad plugin wants."""
    if libusb.preload():
        return Finding("libusb", State.READY, libusb.NAME)
    return Finding(
        "libusb",
        State.MISSING,
        "no Myriad stick can be driven",
        "apt-get install libusb-1.0-0, or make flight-env",
    )


def stick(devices: Path) -> Finding:
    """A Myriad stick, by its USB vendor.

    Args:
        devices: the kernel's folder of USB devices.
    """
    if count := sticks(devices):
        return Finding("Myriad stick", State.READY, f"{count} here")
    return Finding(
        "Myriad stick",
        State.MISSING,
        "none on USB; hil_tests run in software",
        "plug one in, then 'make hil' (docs/hil.md)",
    )


def sticks(devices: Path) -> int:
    """How many Myriad sticks are on USB."""
    vendors = [path.read_text().strip() for path in sorted(devices.glob("*/idVendor"))]
    return vendors.count(INTEL_MYRIAD)


def data_folder(folder: Path) -> Finding:
    """The real imagery, which is never part of the project."""
    here = [name for name in DATA_SETS if (folder / name).is_dir()]
    if len(here) == len(DATA_SETS):
        return Finding("data folder", State.READY, f"{folder}: {', '.join(here)}")
    return Finding(
        "data folder",
        State.MISSING,
        f"{folder}: {'only ' + ', '.join(here) if here else 'not there'}; tests of real imagery "
        "are skipped",
        f"{DATA_VARIABLE}=/path/to/data, or 'floodsat data fetch' for public sets",
    )


def browser() -> Finding:
    """A Chromium, for the tests of the pages."""
    where = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if where:
        return Finding("chromium", State.READY, where)
    return Finding(
        "chromium",
        State.MISSING,
        "tests of the pages are skipped",
        "apt-get install chromium",
    )


def probe(name: str, bundle: Path) -> tuple[State, str]:
    """Load an engine and run the golden tile, here and now."""
    from onboard import bundle as bundles
    from onboard import golden

    try:
        loaded = bundles.load(bundle, [engines.set_of(name), bundles.COMMON])
        runs = engines.load(name, loaded)
        worst = golden.check(loaded, runs, name)
    except UnavailableError as error:
        return State.MISSING, str(error)
    except FloodsatError as error:
        # Without a stick nothing is broken.
        lacks_stick = name == "myriad" and not sticks(USB_DEVICES)
        return State.MISSING if lacks_stick else State.BROKEN, str(error)
    return State.READY, f"{runs.name}: golden tile within {worst:.1e}"


if __name__ == "__main__":
    print(json.dumps([(answer := probe(sys.argv[1], Path(sys.argv[2])))[0].value, answer[1]]))
