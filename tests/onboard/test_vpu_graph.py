"""The kept graphs are of ``vpu/tiny.onnx``: a 3×3 convolution with ReLU and pool, two passes of
mask and 1×1 convolution, a sigmoid; the compiler's dump without what is not read."""

from __future__ import annotations

from pathlib import Path

import pytest

from onboard import vpu_graph
from onboard.vpu_graph import DMA, NCE, SHAVE, Stage

SAMPLES = Path(__file__).parent / "vpu"


def graph(chip: str) -> vpu_graph.Graph:
    return vpu_graph.parse((SAMPLES / f"{chip}.dot").read_text("utf-8"))


def stage(chip: str, name: str, kind: str) -> Stage:
    (found,) = [s for s in graph(chip).stages if (s.name, s.kind) == (name, kind)]
    return found


def test_a_convolution_on_the_nce() -> None:
    found = stage("ma2480", "conv", "MyriadXHwOp")
    # 16 × 16 pixels are computed, though the pool fused behind lets 8 × 8 through; the compiler's
    # cost is 20 cycles a pixel.
    assert found == Stage(
        *("conv", 1, "MyriadXHwOp", NCE, 0, "1x4x16x16", "1x8x8x8", "3x3"),
        operations=2 * 16 * 16 * 4 * 8 * 9,
        cycles=16 * 16 * 20,
        weights=16 + 576,
        ddr=2 * 4 * 16 * 16 + 16 + 576,
        cmx=2 * 8 * 8 * 8,
    )


def test_a_convolution_on_the_shaves() -> None:
    found = stage("ma2450", "conv", "Conv")
    assert (found.unit, found.shaves, found.kernel) == (SHAVE, 12, "3x3")
    assert found.operations == 2 * 16 * 16 * 4 * 8 * 9
    assert found.weights == 2 * 4 * 8 * 9
    assert (found.ddr, found.cmx) == (2 * 16 * 16 * (4 + 8) + found.weights, 0)


def test_equal_stages_share_a_line() -> None:
    for chip in ("ma2480", "ma2450"):
        assert stage(chip, "masked", "Prod").repeats == 2
    # One of the two products is injected beside a convolution, and counted once all the same.
    assert stage("ma2480", "correct", "MyriadXHwOp").repeats == 2
    assert stage("ma2480", "masked", "Prod").cmx == 2 * 2 * 8 * 8 * 8


def test_elementwise_work_and_conversions() -> None:
    found = stage("ma2450", "p", "Sigmoid")
    assert found.operations == vpu_graph.OPERATIONS["Sigmoid"] * 2 * 8 * 8
    assert stage("ma2450", "tile", "Convert").ddr == (4 + 2) * 4 * 16 * 16
    assert stage("ma2450", "pool", "MaxPool").operations == 4 * 8 * 8 * 8


def test_what_never_runs_is_no_stage_but_counted() -> None:
    found = graph("ma2480")
    assert not {"Split", "StubConcat"} & {s.kind for s in found.stages}
    assert (found.kinds["Split"], found.kinds["StubConcat"]) == (1, 1)
    assert {s.unit for s in found.stages} <= {NCE, SHAVE, DMA}


def test_limits_and_memory() -> None:
    found = graph("ma2450")
    assert (found.shaves, found.slices) == (12, 12)
    assert found.memory["blob"] == 1344
    assert [c.size for c in found.constants] == [16, 576, 16, 16]


@pytest.mark.parametrize("chip", ["ma2480", "ma2450"])
def test_a_table_holds_all_of_it(chip: str) -> None:
    stages = graph(chip).stages
    lines = vpu_graph.to_table(stages)
    assert vpu_graph.from_table(lines) == stages
    assert all("0x" not in line for line in lines)


@pytest.mark.parametrize("lines", [[], ["name repeats"], ["other columns", "a b"]])
def test_another_table(lines: list[str]) -> None:
    with pytest.raises(ValueError, match="columns"):
        vpu_graph.from_table(lines)


def test_no_graph_has_no_stages() -> None:
    assert vpu_graph.parse("digraph {}").stages == []
