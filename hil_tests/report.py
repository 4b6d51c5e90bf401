"""The report's figures: ``report.json``, whose keys ``docs/hil.md`` lists, and where it is put."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hil_tests import page
from hil_tests.charts import histogram
from hil_tests.record import FAILED, HARDWARE, PASSED, SKIPPED, Record, percentile, throttling
from onboard import files
from onboard.errors import OutputError

FORMAT = 1
JSON, HTML, JUNIT = "report.json", "report.html", "junit.xml"
OURS = {JSON, HTML, JUNIT}


def to_json(record: Record, complete: bool) -> dict[str, Any]:
    """All that the report says, as plain JSON types; what was not measured is null.

    Args:
        record: of the run.
        complete: whether the whole suite ran, to its end.
    """
    checks = record.checks
    counts = {o: sum(c.outcome == o for c in checks) for o in (PASSED, FAILED, SKIPPED)}
    degrees = [value for _, value in record.temperatures]
    hardware = record.facts["mode"] == HARDWARE
    return {
        "format": FORMAT,
        **record.facts,
        "tile": {**record.facts["tile"], **_timing(record)},
        "prediction": _prediction(record) if hardware else None,
        "inferences": {"done": record.tally.done, "failed": record.tally.failed},
        "temperature_c": {
            "first": degrees[0] if degrees else None,
            "max": max(degrees) if degrees else None,
            "samples": [[round(s, 1), round(c, 1)] for s, c in record.temperatures],
        },
        "throttling": throttling(record.soak_s)._asdict() if len(record.soak_s) >= 10 else None,
        "mask": {"agreement": record.agreement},
        "tests": {**counts, "complete": complete},
        "skipped": [{"check": c.name, "reason": c.reason} for c in checks if c.outcome == SKIPPED],
        "checks": [{**c._asdict(), "notes": list(c.notes)} for c in checks],
    }


def _timing(record: Record) -> dict[str, Any]:
    milliseconds = [1000 * s for s in record.latencies_s]
    if not milliseconds:
        return {"latency_ms": None, "tiles_per_second": record.tiles_per_second}
    found = histogram(milliseconds)
    return {
        "latency_ms": {
            "count": len(milliseconds),
            "median": round(statistics.median(milliseconds), 3),
            "p95": round(percentile(milliseconds, 0.95), 3),
            "min": round(min(milliseconds), 3),
            "max": round(max(milliseconds), 3),
            "histogram": {
                "edges": [round(edge, 4) for edge in found.edges],
                "counts": found.counts,
            },
        },
        "tiles_per_second": record.tiles_per_second,
    }


def _prediction(record: Record) -> dict[str, Any] | None:
    """The prediction beside what was measured."""
    if record.predicted_ms is None or not record.latencies_s:
        return None
    median = 1000 * statistics.median(record.latencies_s)
    predicted = record.predicted_ms
    return {
        "tile_ms": predicted,
        "measured_over_central": round(median / predicted["central"], 3),
        "within": predicted["best"] <= median <= predicted["worst"],
    }


def check_folder(folder: Path, mode: str) -> None:
    """Before anything runs: whether the report may be put there.

    Raises:
        OutputError: it holds other files, cannot be written, or holds a report of hardware that a
            run in software would replace.
    """
    files.ours_to_replace(folder, JSON)
    if folder.is_dir():
        foreign = sorted(p.name for p in folder.iterdir() if p.name not in OURS)
        if foreign:
            raise OutputError(f"{folder}: holds {foreign[0]}, no part of a report; move it away")
        if mode != HARDWARE and _mode_of(folder / JSON) == HARDWARE:
            raise OutputError(
                f"{folder}: holds a report of hardware, and this run has none; "
                "name another folder with --report"
            )
    files.make_folder(folder.resolve().parent)


def _mode_of(path: Path) -> str:
    try:
        found: Any = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return ""
    return str(found.get("mode", "")) if isinstance(found, dict) else ""


def write(folder: Path, found: Mapping[str, Any], junit: bytes) -> None:
    """Put the three files of a report in place, together.

    Args:
        folder: made or replaced as a whole.
        found: of `to_json`.
        junit: the JUnit XML, as pytest wrote it.

    Raises:
        OutputError: as `check_folder`, or the disk is full.
    """
    check_folder(folder, found["mode"])
    with files.replacing_folder(folder) as part:
        (part / JSON).write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        (part / HTML).write_text(page.html(found), "utf-8")
        (part / JUNIT).write_bytes(junit)
