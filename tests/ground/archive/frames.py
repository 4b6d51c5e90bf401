"""Small frames of an archive, and what a job made of them."""

from __future__ import annotations

from pathlib import Path

from ground.archive.job import Summary
from tests.samples import crop, write_frame


def frames_in(folder: Path, count: int) -> list[Path]:
    """Small frames of two days, the last one without a time."""
    folder.mkdir(parents=True)
    times = [{"ACQUIRED": f"2026-07-1{n % 2 + 4}T10:{n:02}:00Z"} for n in range(count - 1)]
    return [
        write_frame(folder / f"f{n}.tif", crop(40, 50, 60 + 9 * n, 300 + 7 * n), tags=tags)
        for n, tags in enumerate([*times, None])
    ]


def maps_of(out: Path) -> dict[str, bytes]:
    """Name → bytes of every map; fails where anything half-written lies about."""
    assert not list(out.rglob(".part-*"))
    return {path.name: path.read_bytes() for path in sorted(out.glob("*.tif"))}


def counted(summary: Summary) -> tuple[int, int, int]:
    """Frames that were drawn, were done before, and failed."""
    return summary.drawn, summary.kept, len(summary.failed)


def make(folder: Path) -> Path:
    """The folder, made where it is not there."""
    folder.mkdir(exist_ok=True)
    return folder
