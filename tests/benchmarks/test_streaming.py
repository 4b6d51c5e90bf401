"""Memory of a training does not grow with the number of chips."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import streaming
from onboard.sensor import VNIR4
from training.chips import ChipFolder
from training.splits import SPLITS, split_ids

MORE = 30e6
"""Bytes that two trainings may differ by; one of 10,000 chips at once would be 40 MB of samples,
and ten passes over the pixels that calibrate more than 200 MB."""

CHIP = 4 * 4 * streaming.SIDE**2
"""Bytes of a chip's samples: what 120 more chips would add, each, if they were kept."""

MEASURE = """
import sys, tracemalloc
from pathlib import Path
from onboard.sensor import VNIR4
from training.chips import ChipFolder
from training.stream import ChipRef, measure_normalisation

folder = ChipFolder.open(Path(sys.argv[1]))
refs = [ChipRef(folder, chip) for chip in folder.ids]
measure_normalisation(refs[:5], VNIR4)
for count in map(int, sys.argv[2:]):
    tracemalloc.start()
    measure_normalisation(refs[:count], VNIR4)
    print(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
"""


def test_the_fields_are_chips(tmp_path: Path) -> None:
    folder = ChipFolder.open(streaming.make_chips(tmp_path / "c", 60))
    assert len(folder.ids) == 60
    assert len(set(folder.groups.values())) == 12
    assert all(split_ids(folder, split) for split in SPLITS)
    chip = folder.read("7", VNIR4)
    assert chip.reflectance.shape == (64, 64, 4)
    assert 0.05 < (chip.water == 1).mean() < 0.65
    again = ChipFolder.open(streaming.make_chips(tmp_path / "again", 60))
    assert folder.content_hash() == again.content_hash()


def test_reading_holds_one_chip_at_a_time(tmp_path: Path) -> None:
    """What Python's and numpy's allocators hand out, with few chips and with five times as many.

    In a process of its own: what other tests left to their threads would be counted as well.
    """
    streaming.make_chips(tmp_path / "c", 150)
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "c"), "30", "150"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    few, many = map(int, done.stdout.split())
    assert many - few < 5 * CHIP


@pytest.mark.soak
def test_ten_thousand_chips_take_no_more(tmp_path: Path) -> None:
    """Both are beyond the pixels that calibration keeps, which is where memory stops to grow."""
    few, many = streaming.measure([2_500, 10_000], tmp_path)
    assert many.peak - few.peak < MORE


def test_the_page_compares_the_last_two() -> None:
    taken = [streaming.Taken(500, 700_000_000, 9.0), streaming.Taken(2_500, 750_000_000, 20.0)]
    text = streaming.page([*taken, streaming.Taken(10_000, 757_500_000, 80.0)])
    assert "From 2500 to 10000 chips it is +8 MB" in text
    assert "+1.00 kB a chip" in text.replace("\n", " ")
