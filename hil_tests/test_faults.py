from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hil_tests import plugins
from hil_tests.bench import Bench, bytes_of
from hil_tests.terminal import Terminal
from onboard import bundle, vpu
from onboard.engines.myriad import MyriadEngine
from onboard.engines.worker import DeviceError
from onboard.errors import BundleError, EngineError
from onboard.uncertainty import Moments

Note = Callable[[str], None]
CALLS = 3
"""Calls of a run in which a fault is met."""
DEADLINE_S = {True: 30.0, False: 6.0}
"""Hardware or not → the longest that a call may take, seconds."""
PULL_S, PLUG_S, BACK_S = 120.0, 300.0, 60.0


def in_calls(bench: Bench) -> int:
    """Passes that make `CALLS` calls."""
    return CALLS * bench.chunk


def run(bench: Bench, engine: MyriadEngine) -> Moments:
    """The chip through an engine of its own."""
    chip = bench.chips[0]
    return engine.run(chip.tile, bench.masks(chip, in_calls(bench)))


@pytest.mark.parametrize("call", ["start", "wait", "read"])
def test_lost_in_mid_inference(bench: Bench, call: str, tmp_path: Path, note: Note) -> None:
    """A stick that is lost in mid-inference is said in one line; opened again it computes on."""
    before = bytes_of(bench.run(bench.chips[0], in_calls(bench)))
    fault = plugins.Fault(call, CALLS - 1, plugins.LOST, tmp_path / "met")
    with bench.faulty(fault) as engine:
        with pytest.raises(DeviceError) as caught:
            run(bench, engine)
        assert (tmp_path / "met").exists()
    said = str(caught.value)
    note(f"injected at {call}: {said}")
    assert "\n" not in said
    assert "; " in said
    with bench.faulty(None) as engine:
        assert bytes_of(run(bench, engine)) == before


def test_lost_while_booting(bench: Bench, tmp_path: Path, note: Note) -> None:
    """A stick that does not boot is said in one line; the next boot serves."""
    fault = plugins.Fault("import_blob", 1, plugins.LOST, tmp_path / "met")
    with pytest.raises(DeviceError, match="does not boot") as caught:
        bench.faulty(fault)
    note(f"injected at import_blob: {caught.value}")
    with bench.faulty(fault) as engine:
        assert run(bench, engine).p_water.size


@pytest.mark.parametrize("kind", [plugins.LOST, *plugins.MISHAPS])
def test_watchdog(bench: Bench, kind: str, tmp_path: Path, note: Note) -> None:
    """A driver that is lost, hangs, crashes or freezes is started again; no result is lost."""
    before = bytes_of(bench.run(bench.chips[0], in_calls(bench)))
    deadline = DEADLINE_S[bench.hardware]
    fault = plugins.Fault("wait", CALLS - 1, kind, tmp_path / "met")
    settings = {"deadline_s": deadline, "heartbeat_s": deadline / 2}
    start = time.perf_counter()
    with bench.supervised(fault, **settings) as engine:
        chip = bench.chips[0]
        found = engine.run(chip.tile, bench.masks(chip, in_calls(bench)))
        health = engine.health
        assert (tmp_path / "met").exists()
        assert (health.restarts, health.in_a_row) == (1, 0)
        note(f"{health.last_error}; with its result {time.perf_counter() - start:.1f} s")
        assert bytes_of(found) == before


def test_gives_up(bench: Bench, note: Note) -> None:
    """A stick that fails again in a new process ends in one clear line, not in a loop."""
    fault = plugins.Fault("start", 1, plugins.LOST, None)
    with bench.supervised(fault, deadline_s=30.0, heartbeat_s=15.0) as engine:
        chip = bench.chips[0]
        with pytest.raises(EngineError, match="in a new process, again") as caught:
            engine.run(chip.tile, bench.masks(chip, bench.chunk))
        assert engine.health.restarts == 1
    note(str(caught.value))
    assert "\n" not in str(caught.value)


def test_flipped_bit(bench: Bench, tmp_path: Path, note: Note) -> None:
    """A bundle in which one bit of a blob is flipped is refused before anything is loaded."""
    copy = tmp_path / "bundle"
    shutil.copytree(str(bench.bundle.path), str(copy))
    path = copy / "myriad" / "ma2480.blob"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(BundleError, match="is damaged") as caught:
        bundle.load(copy, ["myriad"], bench.keys)
    assert "ma2480.blob" in str(caught.value)
    note(f"{caught.value}".replace(str(tmp_path), ""))


@pytest.mark.parametrize("damage", ["cut short", "empty", "no blob", "for the other chip"])
def test_damaged_blob(bench: Bench, damage: str, note: Note) -> None:
    """A damaged blob never reaches the device, which serves the good one afterwards."""
    chip = bench.engine().identity().chip or "ma2480"
    name = f"myriad/{chip}.blob"
    (other,) = (c for c in vpu.CHIPS if c != chip)
    good = bench.bundle.content[name]
    bad = {
        "cut short": good[: len(good) // 2],
        "empty": b"",
        "no blob": b"\0" + good[1:],
        "for the other chip": bench.bundle.content[f"myriad/{other}.blob"],
    }[damage]
    bench.release()
    spoiled = replace(bench.bundle, content={**bench.bundle.content, name: bad})
    with pytest.raises(BundleError, match=f"{chip}.blob") as caught:
        plugins.make(spoiled, bench.choice.device, None)
    assert "\n" not in str(caught.value)
    with bench.faulty(None) as engine:
        assert run(bench, engine).p_water.size


def test_pulled_out(bench: Bench, operator: Terminal, note: Note) -> None:
    """Pulled out by the operator in mid-inference: said in one line; plugged in it computes on."""
    chip = bench.chips[0]
    before = bytes_of(bench.run(chip))
    operator.say("Pull the stick out now; the device is computing")
    limit = time.monotonic() + PULL_S
    failed = bench.record.tally.failed
    with pytest.raises(DeviceError) as caught:
        run_until(bench, limit)
    # Asked for, so no failure of the device's.
    bench.record.tally.failed = failed
    note(f"pulled out: {caught.value}")
    assert "\n" not in str(caught.value)
    bench.release()
    assert operator.ask("Plug the stick in again", PLUG_S), "the operator did not answer"
    assert bytes_of(returned(bench)) == before


def run_until(bench: Bench, limit: float) -> None:
    """Keep the device computing."""
    while time.monotonic() < limit:
        bench.run(bench.chips[0])


def returned(bench: Bench) -> Moments:
    """The chip's moments once the stick is back on the bus."""
    limit = time.monotonic() + BACK_S
    while True:
        try:
            return bench.run(bench.chips[0])
        except EngineError:
            bench.release()
            if time.monotonic() > limit:
                raise
            time.sleep(1.0)
