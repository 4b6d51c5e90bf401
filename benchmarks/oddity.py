"""What the oddity score costs beside the segmentation of the same frame.

Both read one generated frame of 12 megapixels from disk and run in turn in one process; the
ratios of the medians are the figures. One is of the processor's time, over all threads, which
other work on the machine moves little; the other is of the time that passes, in which the network
has all threads and the score one. ``python -m benchmarks.oddity [BUNDLE]`` shows them, ``--write``
puts them into docs/figures for docs/oddity.md.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import frames, machine
from onboard import bundle as bundles
from onboard import engines
from onboard.bundle import Bundle
from onboard.engines import Engine
from onboard.errors import BundleError
from onboard.frames import open_frame
from onboard.oddity import crop_origins, survey
from onboard.segment import Segmenter

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "data_samples" / "bundle"
OUT = ROOT / "docs" / "figures" / "odd-cost.json"
ROUNDS = 3
SEED = 0
SEGMENT, SCORE = "segment", "score"


def seconds(bundle: Bundle, engine: Engine, path: Path) -> dict[str, dict[str, float]]:
    """`SEGMENT` and `SCORE` → median seconds for the frame in ``path``, by both clocks.

    Raises:
        BundleError: the bundle carries no score.
    """
    oddity = bundle.oddity
    if oddity is None:
        raise BundleError(f"{bundle.path}: carries no oddity score; export it again")
    segmenter = Segmenter(bundle, engine, bundle.passes, SEED)
    with open_frame(path, bundle.sensor) as frame:
        epistemic = np.full((frame.height, frame.width), 1e-3, np.float32)
        scene_id = frame.scene_id()
        cases: dict[str, Callable[[], object]] = {
            SEGMENT: lambda: sum(1 for _ in segmenter.run(frame, scene_id)),
            SCORE: lambda: survey(oddity, frame, epistemic, epistemic > 0),
        }
        rounds = [{name: timed(case) for name, case in cases.items()} for _ in range(ROUNDS)]
    return {
        kind: {name: statistics.median(one[name][kind] for one in rounds) for name in cases}
        for kind in ("processor", "passing")
    }


def timed(case: Callable[[], object]) -> dict[str, float]:
    """Seconds of one call, by both clocks."""
    busy, start = time.process_time(), time.perf_counter()
    case()
    return {"processor": time.process_time() - busy, "passing": time.perf_counter() - start}


def report(path: Path) -> dict[str, Any]:
    """The figures of a bundle on TFLite."""
    loaded = bundles.load(path, ["tflite"])
    engine = engines.load("tflite", loaded)
    with tempfile.TemporaryDirectory() as folder:
        frame = Path(folder) / "frame.tif"
        samples = frames.spread(frames.scene(SEED), *frames.TWELVE_MEGAPIXELS, 4)
        frames.write(frame, samples, loaded.sensor)
        found = seconds(loaded, engine, frame)
    rows, cols = (len(crop_origins(size)) for size in frames.TWELVE_MEGAPIXELS)
    return {
        "ratio": {kind: round(two[SCORE] / two[SEGMENT], 4) for kind, two in found.items()},
        "median_seconds": found,
        "crops": rows * cols,
        "passes": loaded.passes,
        "seed": SEED,
        "engine": engine.name,
        "model_id": loaded.model_id.hex(),
        "machine": machine.facts(),
    }


def main() -> None:
    """Measure and print; with ``--write`` for the docs too."""
    named = [argument for argument in sys.argv[1:] if argument != "--write"]
    text = json.dumps(report(Path(named[0]) if named else SHIPPED), indent=1)
    if "--write" in sys.argv:
        OUT.write_text(text + "\n", "utf-8")
    print(text)


if __name__ == "__main__":
    main()
