from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from onboard import vpu, vpu_graph, vpu_time
from onboard.tiles import Tiling
from onboard.vpu_graph import DMA, NCE, SHAVE, Stage
from onboard.vpu_time import BEST, BOUNDS, CENTRAL, CHIPS, WORST

SAMPLES = Path(__file__).parent / "vpu"
MYRIAD_2, MYRIAD_X = CHIPS["ma2450"], CHIPS["ma2480"]


def conv(**changes: Any) -> Stage:
    plain = Stage(
        *("conv", 1, "Conv", SHAVE, 12, "1x16x64x64", "1x16x64x64", "3x3"),
        operations=2 * 64 * 64 * 16 * 16 * 9,
        cycles=0,
        weights=0,
        ddr=0,
        cmx=0,
    )
    return plain._replace(**changes)


def on_nce(**changes: Any) -> Stage:
    return conv(kind="MyriadXHwOp", unit=NCE, shaves=0, **changes)


def report(chip: str) -> Any:
    return vpu.resources((SAMPLES / f"{chip}.dot").read_text("utf-8"))


def test_a_convolution_at_the_peak_of_the_shaves() -> None:
    # 12 SHAVEs of 8 multiply-adds at 600 MHz are the 115 GFLOPS of a Myriad 2.
    peak = 2 * 12 * 8 * 600e6
    assert peak == pytest.approx(115.2e9)
    found = vpu_time.stage_seconds(conv(), MYRIAD_2, BEST)
    assert found == pytest.approx(conv().operations / peak)


def test_one_channel_fills_one_lane() -> None:
    one = conv(output="1x1x64x64")
    assert vpu_time.lanes_filled(one, MYRIAD_2) == 1 / 8
    assert vpu_time.lanes_filled(conv(output="1x12x1x1"), MYRIAD_2) == 12 / 16
    full, eighth = (
        vpu_time.stage_seconds(s, MYRIAD_2, CENTRAL) - CENTRAL.shave_overhead for s in (conv(), one)
    )
    assert eighth == pytest.approx(8 * full)
    assert vpu_time.stage_seconds(one, MYRIAD_2, BEST) == pytest.approx(
        vpu_time.stage_seconds(conv(), MYRIAD_2, BEST)
    )


def test_the_slower_of_work_and_memory_counts() -> None:
    work = vpu_time.stage_seconds(conv(), MYRIAD_2, BEST)
    few, many = conv(ddr=1000), conv(ddr=10**9)
    assert vpu_time.stage_seconds(few, MYRIAD_2, BEST) == work
    assert vpu_time.stage_seconds(many, MYRIAD_2, BEST) == pytest.approx(1e9 / MYRIAD_2.ddr)
    inside = conv(cmx=10**9)
    assert vpu_time.stage_seconds(inside, MYRIAD_2, BEST) == pytest.approx(
        max(work, 1e9 / MYRIAD_2.cmx)
    )


def test_the_nce_takes_the_compilers_cycles() -> None:
    stage = on_nce(cycles=7000)
    found = vpu_time.stage_seconds(stage, MYRIAD_X, CENTRAL)
    assert found == pytest.approx(7000 / 700e6 + CENTRAL.overhead)
    peak = vpu_time.stage_seconds(stage, MYRIAD_X, BEST)
    assert peak == pytest.approx(stage.operations / (2 * 256 * 700e6))


def test_a_copy_takes_its_bytes() -> None:
    stage = conv(kind="Copy", unit=DMA, shaves=0, operations=0, ddr=12800)
    assert vpu_time.stage_seconds(stage, MYRIAD_X, BEST) == pytest.approx(1e-6)


def test_fewer_shaves_take_longer() -> None:
    one, twelve = (
        vpu_time.stage_seconds(conv(shaves=n, kind="Sum"), MYRIAD_2, BEST) for n in (1, 12)
    )
    assert one == pytest.approx(12 * twelve)


@pytest.mark.parametrize("chip", list(CHIPS))
def test_the_range_is_in_order_and_the_sum_of_its_stages(chip: str) -> None:
    stages = vpu_graph.from_table(report(chip)["table"])
    whole = vpu_time.seconds(stages, chip)
    assert 0 < whole.best < whole.central < whole.worst
    assert whole.worst == pytest.approx(2 * whole.central)
    repeated = [s._replace(repeats=1) for s in stages for _ in range(s.repeats)]
    assert whole == pytest.approx(vpu_time.seconds(repeated, chip))
    units = vpu_time.by_unit(stages, chip).values()
    assert sum(u.central for u in units) == pytest.approx(whole.central)


def test_worst_is_central_twice_as_slow() -> None:
    for name in ("compute", "nce", "memory", "link"):
        assert getattr(WORST, name) == getattr(CENTRAL, name) / 2
    for name in ("shave_overhead", "overhead", "call_overhead"):
        assert getattr(WORST, name) == getattr(CENTRAL, name) * 2
    assert list(BOUNDS) == list(vpu_time.Range._fields)


def test_a_frame_is_its_tiles_and_their_way() -> None:
    given = report("ma2450")
    tiling = Tiling(3000, 4000, 256, 48, 8)
    found = vpu_time.predict(given, "ma2450", tiling, 2)
    assert found["tiles"] == 19 * 25
    inference = vpu_time.seconds(vpu_graph.from_table(given["table"]), "ma2450").central
    moved = given["memory"]["input"] + given["memory"]["output"]
    way = moved / CENTRAL.link + CENTRAL.call_overhead
    expected = 2 * 475 * (inference + way)
    assert found["predicted_seconds"]["central"] == pytest.approx(expected, rel=1e-3)


def test_every_time_is_labelled_a_prediction() -> None:
    found = vpu_time.predict(report("ma2480"), "ma2480", Tiling(3000, 4000, 256, 48, 8))
    assert "prediction" in found["label"]
    times = [name for name in found if "seconds" in name]
    assert len(times) == 4
    assert all(name.startswith("predicted_") for name in times)
    assert {name for stage in found["stages"] for name in stage if "seconds" in name} == {
        "predicted_seconds"
    }
    assert json.loads(json.dumps(found)) == found


def test_the_stages_make_the_inference() -> None:
    found = vpu_time.predict(report("ma2480"), "ma2480", Tiling(3000, 4000, 256, 48, 8))
    for bound, whole in found["predicted_inference_seconds"].items():
        parts = sum(stage["predicted_seconds"][bound] for stage in found["stages"])
        assert parts == pytest.approx(whole, rel=1e-3)


def test_a_report_without_a_table() -> None:
    with pytest.raises(ValueError, match="columns"):
        vpu_time.predict({"memory": {}}, "ma2480", Tiling(3000, 4000, 256, 48, 8))
