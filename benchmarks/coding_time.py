"""How long coding the mask and the maps of a frame of 12 megapixels takes, on one core.

``python -m benchmarks.coding_time`` runs in the flight environment too: the mask is drawn here,
of smooth noise, calm as real masks are and busier, so that no network has to run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np

from onboard import doubts, outlines, tables
from onboard.arrays import Bytes
from onboard.entropy import Reader, Writer
from onboard.outlines import Known
from onboard.reduced import grade
from onboard.tables import ENTROPY, EPISTEMIC, FLOOD, WATER, Tables

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "data_samples" / "bundle" / tables.FILE
HEIGHT, WIDTH = 3000, 4000
WAVES = {"calm": 60, "busy": 15}
"""Kind of mask → pixels of its smallest waves."""
ROUNDS = 3
BOUND = 2.0
"""Seconds that coding a mask of 12 megapixels may take."""


def drawn(wave: int, seed: int = 0) -> Bytes:
    """A mask (HEIGHT, WIDTH) of 0 and 1: noise at a pitch of ``wave`` pixels, interpolated."""
    rng = np.random.default_rng(seed)
    total = np.zeros((HEIGHT, WIDTH), np.float32)
    for pitch, gain in ((wave, 1.0), (4 * wave, 2.0), (16 * wave, 4.0)):
        rows, cols = HEIGHT // pitch + 2, WIDTH // pitch + 2
        knots = rng.normal(size=(rows, cols)).astype(np.float32)
        total += gain * _between(_between(knots, HEIGHT, pitch).T, WIDTH, pitch).T
    return (total > 1.5).astype(np.uint8)


def _between(knots: Any, count: int, pitch: int) -> Any:
    """Knots along the first axis, interpolated smoothly."""
    at = np.arange(count) / pitch
    low = at.astype(np.intp)
    share = ((at - low) ** 2 * (3 - 2 * (at - low)))[:, None].astype(np.float32)
    return knots[low] * (1 - share) + knots[low + 1] * share


def timed(by: Tables, decode: bool = True) -> list[dict[str, Any]]:
    """Seconds and bytes of each mask, with and without a guide, and of the maps."""
    rows = []
    for kind, wave in WAVES.items():
        mask = drawn(wave)
        closed = np.zeros_like(mask)
        guide = np.roll(mask, 2, axis=1) & drawn(wave, seed=1)
        rows.append(
            _row(
                f"mask, {kind}",
                lambda w, m=mask, c=closed: outlines.encode(w, m, Known(c), by.nets[WATER]),
            )
        )
        rows.append(
            _row(
                f"mask, {kind}, guided",
                lambda w, m=mask, c=closed, g=guide: outlines.encode(
                    w, m, Known(c, g), by.nets[FLOOD]
                ),
            )
        )
    nats = np.random.default_rng(0).uniform(0, 0.6, mask.shape).astype(np.float16)
    seen = np.ones(mask.shape, bool)
    low, high = (grade(nats, seen, by.block, scale) for scale in (by.entropy, by.epistemic))

    def maps(writer: Writer) -> None:
        surface = doubts.describe(mask, by.block)
        doubts.encode(writer, low, surface, by.nets[ENTROPY], by.levels)
        doubts.encode(writer, high, surface, by.nets[EPISTEMIC], by.levels, low)

    rows.append(_row("both maps", maps))
    if decode:
        rows.append(_decoded(rows[0]["data"], by))
    for row in rows:
        row.pop("data", None)
    return rows


def _decoded(data: bytes, by: Tables) -> dict[str, Any]:
    """What decoding the calm mask takes, by the clock."""
    start = time.perf_counter()
    back = outlines.decode(Reader(data), Known(np.zeros((HEIGHT, WIDTH), np.uint8)), by.nets[WATER])
    spent = time.perf_counter() - start
    assert (back == drawn(WAVES["calm"])).all()
    return {"what": "decoding the mask, calm", "seconds": spent, "bytes": len(data)}


def _row(what: str, code: Any) -> dict[str, Any]:
    spent = []
    for _ in range(ROUNDS):
        writer = Writer()
        start = time.process_time()
        code(writer)
        data = writer.finish()
        spent.append(time.process_time() - start)
    return {"what": what, "seconds": sorted(spent)[ROUNDS // 2], "bytes": len(data), "data": data}


def by_python(python: Path, *options: str) -> dict[str, Any]:
    """What ``python -m benchmarks.coding_time --json`` says, by another Python."""
    command = [str(python), "-m", "benchmarks.coding_time", "--json", *options]
    # One core is what is measured: a second thread on it would only wait, and count as time.
    one = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, env=one)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(description="Time coding 12 megapixels")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--encode", action="store_true", help="leave decoding out")
    given = parser.parse_args()
    # One core is what is measured, whatever threads numpy would like to have.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rows = timed(tables.unpack(SHIPPED.read_bytes()), not given.encode)
    if given.json:
        print(json.dumps({"rows": rows, "bound": BOUND}))
        return
    for row in rows:
        print(f"{row['what']:28} {row['seconds']:7.2f} s {row['bytes']:9} bytes")


if __name__ == "__main__":
    main()
