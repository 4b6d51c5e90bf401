"""What the oddity score costs beside the segmentation of the same frame.

Both read one generated frame of 12 megapixels from disk and run in turn in one process, on the
same threads; the ratio of the medians is the figure. ``python -m benchmarks.oddity [BUNDLE]``
shows it, ``--write`` puts it into docs/figures for docs/oddity.md.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import clock, frames, machine
from onboard import bundle as bundles
from onboard import engines
from onboard.bundle import Bundle
from onboard.engines import Engine
from onboard.errors import BundleError
from onboard.frames import open_frame
from onboard.oddity import survey
from onboard.segment import Segmenter

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "data_samples" / "bundle"
OUT = ROOT / "docs" / "figures" / "odd-cost.json"
ROUNDS = clock.Limits(least=5, most=9, seconds=60.0)
SEED = 0
SEGMENT, SCORE = "segment", "score"


def seconds(bundle: Bundle, engine: Engine, path: Path) -> tuple[dict[str, float], int]:
    """Median seconds of `SEGMENT` and `SCORE` for the frame in ``path``, and its crops.

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
        found = survey(oddity, frame, epistemic)
        cases = {
            SEGMENT: lambda: sum(1 for _ in segmenter.run(frame, scene_id)),
            SCORE: lambda: survey(oddity, frame, epistemic),
        }
        return clock.interleaved(cases, ROUNDS), found.score.size


def report(path: Path) -> dict[str, Any]:
    """The figures of a bundle on TFLite."""
    loaded = bundles.load(path, ["tflite"])
    engine = engines.load("tflite", loaded)
    with tempfile.TemporaryDirectory() as folder:
        frame = Path(folder) / "frame.tif"
        samples = frames.spread(frames.scene(SEED), *frames.TWELVE_MEGAPIXELS, 4)
        frames.write(frame, samples, loaded.sensor)
        found, crops = seconds(loaded, engine, frame)
    return {
        "ratio": round(found[SCORE] / found[SEGMENT], 4),
        "median_seconds": found,
        "crops": crops,
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
