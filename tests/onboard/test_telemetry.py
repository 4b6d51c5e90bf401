from __future__ import annotations

import json
import os

from onboard.telemetry import MAX_LINE, Telemetry, iso, peak_memory


def lines(path):
    return [json.loads(line) for line in path.read_text("ascii").splitlines()]


def test_a_line_says_when_and_what(tmp_path):
    ticks = iter([100.0, 101.5])
    telemetry = Telemetry(
        tmp_path / "t.jsonl", 10**6, start=3, clock=lambda: 0, monotonic=lambda: next(ticks)
    )
    telemetry.log("frame", name="Fluß.tif", seconds={"segment": 0.25})
    assert lines(telemetry.path) == [
        {
            "t": "1970-01-01T00:00:00.000+00:00",
            "up": 1.5,
            "start": 3,
            "event": "frame",
            "name": "Fluß.tif",
            "seconds": {"segment": 0.25},
        }
    ]


def test_files_are_bounded_in_size_and_number(tmp_path):
    telemetry = Telemetry(tmp_path / "t.jsonl", 2000, keep=3)
    for number in range(200):
        telemetry.log("tick", number=number)
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == ["t.jsonl", "t.jsonl.1", "t.jsonl.2"]
    assert all((tmp_path / name).stat().st_size <= 2000 for name in found)
    kept = [row["number"] for name in reversed(found) for row in lines(tmp_path / name)]
    assert kept == list(range(kept[0], 200))


def test_a_line_is_bounded(tmp_path):
    telemetry = Telemetry(tmp_path / "t.jsonl", 10**6)
    telemetry.log("long", text="x" * 10**6)
    telemetry.log("wide", **{f"fact{n}": "y" * 500 for n in range(50)})
    first, second = lines(telemetry.path)
    assert first["text"] == "x" * 600
    assert second["cut"] > MAX_LINE
    assert all(len(line) <= MAX_LINE for line in telemetry.path.read_text().splitlines())


def test_a_line_that_power_cut_short_spoils_no_other(tmp_path):
    telemetry = Telemetry(tmp_path / "t.jsonl", 10**6)
    telemetry.path.write_bytes(b'{"t":"2026')
    telemetry.log("next")
    assert json.loads(telemetry.path.read_text().splitlines()[1])["event"] == "next"


def test_telemetry_that_cannot_be_written_stops_nothing(tmp_path):
    telemetry = Telemetry(tmp_path / "no" / "t.jsonl", 10**6)
    telemetry.log("tick")
    telemetry.log("tick")
    assert telemetry.lost == 2


def test_times_beyond_the_calendar_are_told_as_numbers():
    assert iso(10**18) == str(10**18)
    assert iso(1_700_000_000_123) == "2023-11-14T22:13:20.123+00:00"


def test_peak_memory_is_that_of_all(tmp_path):
    own = peak_memory([os.getpid()])
    assert own > 10**7
    assert peak_memory([os.getpid(), os.getpid()]) >= 2 * own
    assert peak_memory([2**22 + 1]) == 0
