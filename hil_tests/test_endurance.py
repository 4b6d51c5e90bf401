from __future__ import annotations

import threading
from collections.abc import Callable

from hil_tests.bench import Bench, open_files, resident
from hil_tests.record import growth

Note = Callable[[str], None]
SAMPLES = 20
SLACK = 8 * 2**20
A_CALL = 8 * 2**10
"""Bytes of growth that are no leak: what allocators keep, and a little for every call. One result
that is not let go of is some hundred times as large."""


def test_no_leak(bench: Bench, note: Note) -> None:
    """Inference after inference the host's process keeps its size, files and threads."""
    count = bench.counts.inferences
    done = bench.record.tally.done
    chip = bench.chips[0]
    bench.run(chip)
    files, threads = open_files(), threading.active_count()
    samples = []
    for index in range(count):
        bench.run(chip)
        if (index + 1) % max(count // SAMPLES, 1) == 0:
            samples.append(resident())
            bench.note_temperature()
    assert bench.record.tally.done - done == count + 1
    assert bench.record.tally.failed == 0
    grown = growth(samples)
    note(f"{count} inferences, grown by {grown / 2**20:.2f} MiB to {samples[-1] / 2**20:.0f} MiB")
    assert grown <= SLACK + A_CALL * count
    assert open_files() <= files
    assert threading.active_count() <= threads
