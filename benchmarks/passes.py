"""What ten stochastic passes cost beside the deterministic one: `make bench`.

Both run in turn in one process on the same tile, engine and threads, moments included; the ratio
of the medians is the figure. Times alone say nothing about another machine. `--write` puts it into
docs/figures.
"""

import json
import platform
import statistics
import sys
import time
from pathlib import Path

import numpy as np

from onboard import bundle, engines, masks
from onboard.masks import Masks

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "figures" / "passes.json"
ROUNDS = 25


def main() -> None:
    """Measure and write."""
    loaded = bundle.load(ROOT / "data_samples" / "bundle", ["tflite"])
    engine = engines.load("tflite", loaded)
    size = engine.tile_size
    tile = np.random.default_rng(0).normal(size=(size, size, 4)).astype(np.float32)
    drawn = masks.draw(loaded.network, 0, loaded.model_id, bytes(32), range(10))
    cases = {"deterministic": masks.ones(loaded.network), "ten passes": drawn}
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, own in cases.items():
            seconds[name].append(timed(engine, tile, own))
    median = {name: statistics.median(values) for name, values in seconds.items()}
    report = {
        "ratio": round(median["ten passes"] / median["deterministic"], 3),
        "median_seconds": median,
        "megapixels_per_second": size * size / median["ten passes"] / 1e6,
        "tile": size,
        "engine": engine.name,
        "machine": f"{platform.machine()}, {platform.processor() or 'unnamed processor'}",
        "rounds": ROUNDS,
    }
    if "--write" in sys.argv:
        OUT.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    print(json.dumps(report, indent=1))


def timed(engine: engines.Engine, tile: np.ndarray, own: Masks) -> float:
    """Seconds of one run."""
    start = time.perf_counter()
    engine.run(tile, own)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
