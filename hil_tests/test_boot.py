from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

from hil_tests.bench import Bench, bytes_of
from hil_tests.device import USB, usb_speed
from onboard import golden, vpu

Note = Callable[[str], None]


def test_identity(bench: Bench, note: Note) -> None:
    """The device boots and says who it is."""
    bench.release()
    start = time.perf_counter()
    who = bench.engine().identity()
    note(f"open after {time.perf_counter() - start:.2f} s: {who.full_name}")
    assert who.full_name
    if bench.hardware:
        assert "FP16" in who.capabilities
        assert who.chip in vpu.CHIPS
        assert who.stick
    else:
        assert "FP32" in who.capabilities
        assert (who.stick, who.chip) == ("", "")


def test_usb_speed(bench: Bench, stick: None, note: Note) -> None:
    """The stick is on USB 3."""
    bench.engine()
    speed = usb_speed(USB)
    note(f"{speed or 'unknown'} Mbit/s")
    assert speed is not None, "the kernel does not tell the speed of the booted stick"
    assert speed >= 5000


def test_blobs(bench: Bench, note: Note) -> None:
    """The bundle's blobs are those for their chips, and fit."""
    resources = bench.bundle.sets["myriad"]["resources"]
    for chip in vpu.CHIPS:
        data = bench.bundle.content[f"myriad/{chip}.blob"]
        info = vpu.check_blob(data, chip, f"{chip}.blob")
        assert info.size <= vpu.MAX_BLOB_BYTES
        assert info.size == resources[chip]["bytes"]
        assert info.inputs == 1 + len(bench.bundle.network.sites)
        assert info.outputs == 4
        digest = hashlib.sha256(data).hexdigest()
        note(f"{chip}: {info.size} bytes, {info.stages} stages, SHA-256 {digest}")


def test_golden(bench: Bench, note: Note) -> None:
    """The model loads, and the golden tile gives what the bundle says."""
    worst = golden.check(bench.bundle, bench.engine(), bench.target)
    loaded = f"myriad/{bench.engine().identity().chip}.blob" if bench.hardware else "the ONNX model"
    note(f"{loaded} is loaded; largest difference {worst:.2g}, allowed {bench.tolerance:g}")


def test_power_cycles(bench: Bench, note: Note) -> None:
    """Closed and booted again, the device gives the same bytes every time."""
    chip = bench.chips[0]
    before = bytes_of(bench.run(chip))
    seconds = []
    for _ in range(bench.counts.cycles):
        bench.release()
        start = time.perf_counter()
        bench.engine()
        seconds.append(time.perf_counter() - start)
        bench.note_temperature()
        assert bytes_of(bench.run(chip)) == before, f"cycle {len(seconds)}"
    note(f"{len(seconds)} cycles; open after {min(seconds):.2f} to {max(seconds):.2f} s")
    note("by closing and booting: the supply itself is not switched")
