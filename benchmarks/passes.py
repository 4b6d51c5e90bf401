"""What ten stochastic passes cost beside the deterministic one, moments included.

Both run in turn in one process on the same tile, engine and threads; the ratio of the medians is
the figure. ``floodsat bench`` shows it with all others; ``python -m benchmarks.passes --write``
measures it alone and puts it into docs/figures for the README.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import clock, machine
from onboard import bundle as bundles
from onboard import engines, masks
from onboard.bundle import Bundle
from onboard.engines import Engine

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "figures" / "passes.json"
PASSES = 10
ROUNDS = clock.Limits(least=5, most=25, seconds=5.0)
DETERMINISTIC = "deterministic"
STOCHASTIC = "stochastic"


def seconds(bundle: Bundle, engine: Engine, seed: int) -> dict[str, float]:
    """Median seconds of one tile: `DETERMINISTIC`, one pass with masks of ones, and `STOCHASTIC`.

    Args:
        bundle: the network.
        engine: with the bundle's model.
        seed: of the tile and of the masks of the `PASSES` stochastic passes.
    """
    size = engine.tile_size or 256 + 2 * bundle.network.halo
    shape = (size, size, bundle.network.bands)
    tile = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    drawn = masks.draw(bundle.network, seed, bundle.model_id, bytes(32), range(PASSES))
    one = masks.ones(bundle.network)
    engine.run(tile, one)
    engine.run(tile, drawn)
    cases = {
        DETERMINISTIC: lambda: engine.run(tile, one),
        STOCHASTIC: lambda: engine.run(tile, drawn),
    }
    return clock.interleaved(cases, ROUNDS)


def report() -> dict[str, Any]:
    """The figures of the shipped bundle on TFLite."""
    loaded = bundles.load(ROOT / "data_samples" / "bundle", ["tflite"])
    engine = engines.load("tflite", loaded)
    found = seconds(loaded, engine, seed=0)
    return {
        "ratio": round(found[STOCHASTIC] / found[DETERMINISTIC], 3),
        "median_seconds": found,
        "tile": engine.tile_size,
        "engine": engine.name,
        "model_id": loaded.model_id.hex(),
        "machine": machine.facts(),
    }


def main() -> None:
    """Measure and print; with ``--write`` for the README too."""
    text = json.dumps(report(), indent=1)
    if "--write" in sys.argv:
        OUT.write_text(text + "\n", "utf-8")
    print(text)


if __name__ == "__main__":
    main()
