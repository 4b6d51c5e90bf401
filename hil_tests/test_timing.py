from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable

import numpy as np
import pytest

from hil_tests.bench import Bench, bytes_of
from hil_tests.record import percentile, throttling
from onboard import vpu_time

Note = Callable[[str], None]
EVERY = 10
"""Calls from one look at the temperature to the next."""


def timed(bench: Bench, index: int) -> float:
    """Seconds of one call of K passes on one of the chips, host's side included."""
    chip = bench.chips[index % len(bench.chips)]
    drawn = bench.masks(chip, bench.chunk)
    engine = bench.engine()
    start = time.perf_counter()
    found = engine.run(chip.tile, drawn)
    seconds = time.perf_counter() - start
    assert all(np.isfinite(array).all() for array in found)
    return seconds


@pytest.fixture(scope="module")
def latencies(bench: Bench) -> list[float]:
    """Seconds of single tiles, for all that looks at them."""
    timed(bench, 0)
    for index in range(bench.counts.latencies):
        bench.record.latencies_s.append(timed(bench, index))
        if index % EVERY == 0:
            bench.note_temperature()
    return bench.record.latencies_s


def test_latency(bench: Bench, latencies: list[float], note: Note) -> None:
    """The latency of a tile is measured, one inference in flight."""
    found = [1000 * s for s in latencies]
    assert len(found) == bench.counts.latencies
    assert min(found) > 0
    note(f"median {statistics.median(found):.4g} ms, 95 % {percentile(found, 0.95):.4g} ms")


def test_throughput(bench: Bench, note: Note) -> None:
    """With two inferences in flight every tile comes back, in order and bit for bit the same."""
    chip = bench.chips[0]
    turned = [chip._replace(tile=np.rot90(chip.tile, n).copy()) for n in range(4)]
    drawn = bench.masks(chip, bench.chunk)
    wanted = [bytes_of(bench.engine().run(c.tile, drawn)) for c in turned]
    assert len(set(wanted)) == len(wanted)
    count = bench.counts.latencies
    tiles = (turned[n % 4].tile for n in range(count))
    start = time.perf_counter()
    found = list(bench.engine().run_many(tiles, drawn))
    rate = count / (time.perf_counter() - start)
    assert [bytes_of(moments) for moments in found] == [wanted[n % 4] for n in range(count)]
    bench.record.tiles_per_second = round(rate, 3)
    note(f"{rate:.3g} tiles a second")


def test_prediction(bench: Bench, stick: None, latencies: list[float], note: Note) -> None:
    """The latency measured is no shorter than the chip's peak allows; the prediction beside it."""
    chip = bench.engine().identity().chip
    resources = bench.bundle.sets["myriad"]["resources"][chip]
    predicted = vpu_time.predict(resources, chip, bench.tiling)["predicted_seconds"]
    bench.record.predicted_ms = {name: 1000 * s for name, s in predicted.items()}
    median = 1000 * statistics.median(latencies)
    words = ", ".join(f"{name} {ms:.4g}" for name, ms in bench.record.predicted_ms.items())
    note(f"measured {median:.4g} ms, predicted {words} ms")
    assert median >= bench.record.predicted_ms["best"], "faster than the chip can be"


def test_thermal_soak(bench: Bench, stick: None, note: Note) -> None:
    """Under load for a quarter of an hour nothing fails; temperature and throttling are seen."""
    chip = bench.chips[0]
    before = bytes_of(bench.run(chip))
    end = time.monotonic() + bench.counts.soak_s
    while time.monotonic() < end:
        bench.record.soak_s.append(timed(bench, 0))
        if len(bench.record.soak_s) % EVERY == 0:
            found = bench.note_temperature()
            assert found is not None
            assert math.isfinite(found)
    assert bytes_of(bench.run(chip)) == before
    assert bench.record.tally.failed == 0
    seen = throttling(bench.record.soak_s)
    degrees = [value for _, value in bench.record.temperatures]
    note(f"{len(bench.record.soak_s)} calls, {max(degrees):.1f} °C at most")
    words = "throttled" if seen.seen else "not throttled"
    note(f"{words}: the last fifth took {seen.ratio:.2f} of the first's time")
