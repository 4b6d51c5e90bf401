"""How long a Myriad takes: a static model of its time. Every figure it gives is a prediction.

A stage takes ``max(operations / rate of its unit, bytes / bandwidth) + overhead``; a blob takes
the sum of its stages, a frame the sum of its tiles and their way to the chip and back. Nothing is
fitted: rates and bandwidths are published or follow from what is published, efficiencies are
assumptions from first principles, and ``docs/vpu-time-model.md`` sets the model against published
measurements as it stands. Three sets of assumptions make a range: `BEST`, `CENTRAL`, `WORST`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from onboard.tiles import Tiling
from onboard.vpu_graph import CONVOLUTIONS, NCE, SHAVE, Stage, from_table

FRAME = (3000, 4000)
"""Rows and columns of a 12 MP frame."""
PASSES = 10
LABEL = "prediction of a static model, not a measurement"


@dataclass(frozen=True)
class Chip:
    """A Myriad's peak rates; the sources are in ``docs/vpu-time-model.md``.

    Attributes:
        title: its name in public.
        shave_hz: clock of the SHAVE processors.
        shave_lanes: FP16 multiply-adds of one SHAVE in a cycle: its vector unit has 128 bits.
        nce_hz: clock of a neural compute engine; 0 without.
        nce_macs: FP16 multiply-adds of one engine in a cycle.
        ddr: bandwidth of the DRAM in the package, bytes a second.
        cmx: bandwidth of the memory on the chip, bytes a second.
    """

    title: str
    shave_hz: float
    shave_lanes: int
    nce_hz: float
    nce_macs: int
    ddr: float
    cmx: float


CHIPS = {
    # 12 SHAVEs at 600 MHz and DRAM at 933 MHz: BDTI, InsideDSP 2017-08-31, of the NCS. 32 bits
    # wide: Movidius's paper on Myriad 2. CMX: 400 GB/s, its product brief.
    "ma2450": Chip("Myriad 2 (MA2450)", 600e6, 8, 0.0, 0, 32 / 8 * 2 * 933e6, 400e9),
    # 700 MHz, 16 SHAVEs, 450 GB/s of CMX: Intel's product brief. DRAM of 12.8 GB/s: QuTiBench's
    # table of platforms. 256 multiply-adds: the compiler's tiling modes, 16×16 … 1×256; two such
    # engines make 0.72 TFLOPS, and twice that with 8 bits, the 1.4 TOPS that Luxonis publishes.
    "ma2480": Chip("Myriad X (MA2480)", 700e6, 8, 700e6, 256, 12.8e9, 450e9),
}


@dataclass(frozen=True)
class Assumptions:
    """How much of a peak is reached, and what comes on top.

    Attributes:
        compute: share of a SHAVE's vector rate.
        by_channels: whether a convolution's vectors run along its output channels, so that 1 of
            16 channels fills a lane of eight; and whether the NCE takes the cycles of the
            compiler's tiling, not its peak.
        nce: share of the NCE's rate by that measure.
        memory: share of a memory's bandwidth.
        shave_overhead: to start a stage on the SHAVEs, seconds.
        overhead: to start a stage on the NCE or the DMA engine, seconds.
        link: bytes a second between host and chip.
        call_overhead: of one inference on the host's side, seconds.
    """

    compute: float
    by_channels: bool
    nce: float
    memory: float
    shave_overhead: float
    overhead: float
    link: float
    call_overhead: float


BEST = Assumptions(1.0, False, 1.0, 1.0, 0.0, 0.0, 500e6, 0.0)
"""Peak of everything; USB 3.0 carries 5 Gbit/s with 8 bits in 10."""
CENTRAL = Assumptions(0.5, True, 1.0, 0.5, 100e-6, 20e-6, 350e6, 1e-3)
"""A SHAVE's two load units bring one vector a cycle and a multiply-add wants two, hence half of
its rate. A memory that one stage reads and writes in turn is waited for half of the time. A stage
on the SHAVEs has to fetch its code from DRAM, some tens of kilobytes, and to be waited for. USB:
2.8 Gbit/s, the most that Luxonis measured with a Myriad X."""
WORST = Assumptions(0.25, True, 0.5, 0.25, 200e-6, 40e-6, 175e6, 2e-3)
"""Everything twice as slow as `CENTRAL`."""
BOUNDS = {"best": BEST, "central": CENTRAL, "worst": WORST}


class Range(NamedTuple):
    """Seconds by the three sets of assumptions."""

    best: float
    central: float
    worst: float

    def plus(self, other: Range) -> Range:
        """Both, one after the other."""
        return Range(*(a + b for a, b in zip(self, other)))

    def times(self, count: int) -> Range:
        """``count`` of them, one after the other."""
        return Range(*(count * seconds for seconds in self))

    def to_json(self) -> dict[str, float]:
        """By name, to four figures."""
        return {name: float(f"{value:.4g}") for name, value in self._asdict().items()}


def stage_seconds(stage: Stage, chip: Chip, given: Assumptions) -> float:
    """One stage once (`Stage.repeats` is not looked at)."""
    overhead = given.shave_overhead if stage.unit == SHAVE else given.overhead
    memory = (stage.ddr / chip.ddr + stage.cmx / chip.cmx) / given.memory
    return max(_compute_seconds(stage, chip, given), memory) + overhead


def _compute_seconds(stage: Stage, chip: Chip, given: Assumptions) -> float:
    if stage.unit == NCE:
        cycles = stage.cycles if given.by_channels else stage.operations / 2 / chip.nce_macs
        return cycles / (chip.nce_hz * given.nce)
    # A multiply-add counts two operations; what is no convolution issues one operation a lane.
    convolution = stage.kind in CONVOLUTIONS
    vectors = stage.operations / (2 if convolution else 1) / chip.shave_lanes
    if convolution and given.by_channels:
        vectors /= lanes_filled(stage, chip)
    return vectors / (chip.shave_hz * max(stage.shaves, 1) * given.compute)


def lanes_filled(stage: Stage, chip: Chip) -> float:
    """Share of the vector lanes that a convolution's output channels fill, 0…1."""
    channels = int(stage.output.split("x")[1]) if "x" in stage.output else 1
    return channels / (-(-channels // chip.shave_lanes) * chip.shave_lanes)


def seconds(stages: Sequence[Stage], chip: str) -> Range:
    """A whole inference, stage after stage.

    Args:
        stages: of a blob's report.
        chip: a key of `CHIPS`.
    """
    return Range(
        *(
            sum(stage.repeats * stage_seconds(stage, CHIPS[chip], given) for stage in stages)
            for given in BOUNDS.values()
        )
    )


def transfer_seconds(size: int) -> Range:
    """So many bytes between host and chip in one inference."""
    return Range(*(size / given.link + given.call_overhead for given in BOUNDS.values()))


def by_unit(stages: Sequence[Stage], chip: str) -> dict[str, Range]:
    """Seconds of an inference by unit."""
    units = sorted({stage.unit for stage in stages})
    return {unit: seconds([s for s in stages if s.unit == unit], chip) for unit in units}


def predict(
    report: Mapping[str, Any],
    chip: str,
    tiling: Tiling,
    calls: int = 1,
) -> dict[str, Any]:
    """What a frame would take on a chip, as plain JSON types.

    Args:
        report: of `onboard.vpu.resources`.
        chip: a key of `CHIPS`.
        tiling: how the frame is cut.
        calls: inferences a tile: ⌈T / K⌉.

    Returns:
        Seconds under names that begin with ``predicted``, each by `Range`; ``label`` says what
        they are. ``stages`` has those of one inference, a stage's repetitions together.

    Raises:
        ValueError: a report without a table of stages.
    """
    stages = from_table(report.get("table", []))
    memory = report["memory"]
    inference = seconds(stages, chip)
    transfer = transfer_seconds(memory["input"] + memory["output"])
    return {
        "label": LABEL,
        "chip": CHIPS[chip].title,
        "frame": [tiling.height, tiling.width],
        "tiles": len(tiling),
        "calls_a_tile": calls,
        "predicted_seconds": inference.plus(transfer).times(len(tiling) * calls).to_json(),
        "predicted_inference_seconds": inference.to_json(),
        "predicted_transfer_seconds": transfer.to_json(),
        "predicted_inference_seconds_by_unit": {
            unit: own.to_json() for unit, own in by_unit(stages, chip).items()
        },
        "stages": [
            {
                "name": stage.name,
                "kind": stage.kind,
                "unit": stage.unit,
                "repeats": stage.repeats,
                "predicted_seconds": seconds([stage], chip).to_json(),
            }
            for stage in stages
        ],
    }
