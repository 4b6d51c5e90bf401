"""What the service takes of a small computer: time to start, memory, storage, and what it writes.

``python -m benchmarks.footprint --write`` runs ``floodsat fly --watch`` in the flight environment
and puts the figures into docs/figures/footprint.json and the table of docs/flight-software.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import frames, machine, memory
from onboard import bundle as bundles
from onboard.errors import EngineError

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "data_samples" / "bundle"
SAMPLE = ROOT / "data_samples" / "frame.tif"
FIGURES = ROOT / "docs" / "figures" / "footprint.json"
PAGE = ROOT / "docs" / "flight-software.md"
BEGIN, END = "<!-- footprint: begin -->", "<!-- footprint: end -->"
SMALL = 256
SMALL_FRAMES = 3
MEMORY_BOUND = 512.0
SECONDS = 1800.0
STEP_S = 0.02
SEED = 0

# Sizes of the distributions that flight needs, by following what each requires.
SIZES = """
import importlib.metadata as m, json, re, sys
seen, todo = {}, sys.argv[1:]
while todo:
    name = re.match("[A-Za-z0-9_.-]+", todo.pop()).group().lower().replace("_", "-")
    if name in seen:
        continue
    try:
        found = m.distribution(name)
    except m.PackageNotFoundError:
        continue
    files = [f.locate() for f in found.files or ()]
    seen[name] = sum(f.stat().st_size for f in files if f.is_file() and f.suffix != ".pyc")
    todo += [r for r in found.requires or () if "extra ==" not in r]
print(json.dumps(seen))
"""
NEEDED = (
    "numpy", "click", "cbor2", "cfdp-py", "cryptography", "fastcrc", "rasterio", "rich",
    "spacepackets", "tomli", "tflite-runtime",
)  # fmt: skip
MYRIAD = ("openvino", "libusb-package")


@dataclass
class Watched:
    """A running service, looked at from outside."""

    process: subprocess.Popen[bytes]
    telemetry: Path
    began: float
    peak: int = 0
    ended: bool = False

    def watch(self) -> None:
        """Sample the memory of the process and of those it started, until it ends."""
        while not self.ended:
            self.peak = max(self.peak, sum(proportional(pid) for pid in tree(self.process.pid)))
            time.sleep(STEP_S)

    def events(self, name: str) -> list[dict[str, Any]]:
        """Lines of telemetry of one kind."""
        if not self.telemetry.exists():
            return []
        lines = self.telemetry.read_text("ascii").splitlines()
        return [row for row in map(json.loads, lines) if row["event"] == name]

    def wait(self, name: str, count: int) -> float:
        """Wait for so many lines; seconds since the launch.

        Raises:
            EngineError: the service ended, or it takes too long.
        """
        while len(self.events(name)) < count:
            if self.process.poll() is not None or time.monotonic() - self.began > SECONDS:
                raise EngineError(f"fly --watch: no event {name!r}; run it by hand and see why")
            time.sleep(STEP_S)
        return time.monotonic() - self.began

    def written(self) -> int:
        """Bytes that the service's own process sent to storage."""
        text = Path(f"/proc/{self.process.pid}/io").read_text("ascii")
        return int(dict(line.split(": ") for line in text.splitlines())["write_bytes"])


def tree(pid: int) -> Iterator[int]:
    """A process and all that it started."""
    yield pid
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text("ascii").split():
                yield from tree(int(child))


def proportional(pid: int) -> int:
    """Bytes of memory of a process; what several share is divided among them."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


@contextlib.contextmanager
def service(python: Path, folder: Path) -> Iterator[Watched]:
    """``floodsat fly --watch`` in the flight environment."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    run = [str(python), "-m", "onboard"]
    slots, outbox = folder / "slots", folder / "state" / "outbox.sqlite"
    subprocess.run(
        [*run, "flash", str(BUNDLE), "--slots", str(slots)],
        cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    fly = ["fly", "--watch", str(folder / "inbox"), "--slots", str(slots), "--outbox", str(outbox)]
    began = time.monotonic()
    process = subprocess.Popen([*run, *fly], cwd=ROOT, env=environment)
    watched = Watched(process, outbox.with_name(outbox.name + ".telemetry.jsonl"), began)
    thread = threading.Thread(target=watched.watch, daemon=True)
    thread.start()
    try:
        yield watched
    finally:
        process.terminate()
        process.wait(SECONDS)
        watched.ended = True
        thread.join()


def deliver(samples: Any, size: tuple[int, int], path: Path, sensor: Any) -> None:
    """Write a frame under a hidden name and rename it in."""
    hidden = path.with_name("." + path.name)
    frames.write(hidden, frames.spread(samples, *size, len(sensor.bands)), sensor)
    hidden.rename(path)


def _samples() -> Any:
    """Digital numbers of the sample scene, uint16 ``(H, W, bands)``, its bands in order."""
    import numpy as np
    import rasterio

    with rasterio.open(str(SAMPLE)) as dataset:
        return np.moveaxis(dataset.read(), 0, 2)


def measure(python: Path) -> dict[str, Any]:
    """All figures."""
    loaded = bundles.load(BUNDLE, [])
    sensor = loaded.sensor
    with tempfile.TemporaryDirectory(prefix="floodsat-footprint-", dir=ROOT / "build") as name:
        inbox = Path(name) / "inbox"
        inbox.mkdir()
        deliver(frames.scene(SEED), (SMALL, SMALL), inbox / "first.tif", sensor)
        with service(python, Path(name)) as watched:
            start = watched.wait("start", 1)
            first = watched.wait("frame", 1)
            before = watched.written()
            for seed in range(1, SMALL_FRAMES + 1):
                path = inbox / f"{seed}.tif"
                deliver(frames.scene(SEED + seed), (SMALL, SMALL), path, sensor)
            watched.wait("frame", 1 + SMALL_FRAMES)
            small = (watched.written() - before) / SMALL_FRAMES
            before = watched.written()
            # The sample scene: all stages run, that of a product included.
            deliver(_samples(), frames.TWELVE_MEGAPIXELS, inbox / "12.tif", sensor)
            watched.wait("frame", 2 + SMALL_FRAMES)
            large = watched.written() - before
            row = watched.events("frame")[-1]
    sizes = installed(python)
    return {
        "model": loaded.model_id.hex(),
        "machine": machine.facts(),
        "start_s": round(start, 1),
        "first_frame_s": round(first, 1),
        "peak_mb": round(watched.peak / 1e6),
        "small_written_kb": round(small / 1e3, 1),
        "large_written_kb": round(large / 1e3, 1),
        "product_kb": round(row["product_bytes"] / 1e3, 1),
        "installed_mb": {key: round(value / 1e6, 1) for key, value in sizes.items()},
    }


def installed(python: Path) -> dict[str, int]:
    """Bytes of what has to be on board."""

    def sizes(names: tuple[str, ...]) -> dict[str, int]:
        done = subprocess.run(
            [str(python), "-c", SIZES, *names], capture_output=True, text=True, check=True
        )
        found: dict[str, int] = json.loads(done.stdout)
        return found

    base, myriad = sizes(NEEDED), sizes(NEEDED + MYRIAD)
    code = sum(path.stat().st_size for path in (ROOT / "onboard").rglob("*.py"))
    engine = sum(path.stat().st_size for path in (BUNDLE / "tflite").iterdir())
    return {
        "floodsat": code,
        "packages": sum(base.values()),
        "packages for a Myriad": sum(v for k, v in myriad.items() if k not in base),
        "bundle, tflite": engine,
    }


def table(figures: dict[str, Any]) -> str:
    """The figures as Markdown."""
    sizes = figures["installed_mb"]
    held = "holds" if figures["peak_mb"] <= MEMORY_BOUND else "does not hold"
    rows = [
        ("launch to ready: golden tile passed, inbox read", f"{figures['start_s']} s"),
        ("launch to first frame recorded", f"{figures['first_frame_s']} s"),
        (
            "peak memory at a frame of 12 MP, service and engine process together",
            f"{figures['peak_mb']} MB (bound {MEMORY_BOUND:g} MB: {held})",
        ),
        ("written to storage for a frame of 256 × 256", f"{figures['small_written_kb']} kB"),
        (
            f"written for the frame of 12 MP (its product: {figures['product_kb']} kB)",
            f"{figures['large_written_kb']} kB",
        ),
        ("installed: FloodSat's `onboard`", f"{sizes['floodsat']} MB"),
        ("installed: Python packages, TFLite included", f"{sizes['packages']} MB"),
        ("installed: further packages for a Myriad", f"{sizes['packages for a Myriad']} MB"),
        ("installed: a bundle's set for TFLite", f"{sizes['bundle, tflite']} MB"),
    ]
    facts = figures["machine"]
    head = [
        "| figure | value |",
        "| --- | --- |",
        *(f"| {name} | {value} |" for name, value in rows),
    ]
    where = f"{facts['processor']}, {facts['cores']} cores, {facts['system']}"
    return "\n".join([*head, "", f"Measured on: {where}; the service itself in Python 3.9."])


def write(figures: dict[str, Any]) -> None:
    """Put the figures into their file and their table into the page."""
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    page = PAGE.read_text("utf-8")
    head, rest = page.split(BEGIN)
    _, tail = rest.split(END)
    PAGE.write_text(f"{head}{BEGIN}\n{table(figures)}\n{END}{tail}", "utf-8")


def main() -> None:
    """Measure, and print or write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--write", action="store_true", help="into docs")
    wanted = parser.parse_args()
    python = memory.flight_python()
    if python is None:
        raise SystemExit("no flight environment here; 'make flight-env' makes it")
    (ROOT / "build").mkdir(exist_ok=True)
    figures = measure(python)
    if wanted.write:
        write(figures)
    print(table(figures))


if __name__ == "__main__":
    main()
