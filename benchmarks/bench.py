"""The whole benchmark: every figure of ``floodsat bench``, in one run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import (
    coding_time,
    frames,
    machine,
    memory,
    month,
    passes,
    scaling,
    stages,
    throughput,
    work,
)
from benchmarks.figures import Bound, Figure, Report
from benchmarks.unet import UNet
from onboard import bundle as bundles
from onboard import engines
from onboard.arrays import Array
from onboard.bundle import Bundle
from onboard.engines import Engine
from onboard.segment import Segmenter

ENGINES = ("tflite", "openvino")
PASSES_BOUND, PASSES_AIM = 1.5, 1.2
SPEED_BOUND = 30.0
OVERHEAD_BOUND = 15.0
MEMORY_BOUND = 512.0
DURATION_BOUND = 120.0
STEPS_OF_ENGINE, STEPS_BESIDES = 3, 5

DEFINITIONS = {
    "in one run": "what a ratio compares ran in turn in one process, on the same threads; medians",
    "frame to maps": "tiles cut from a frame in memory, normalised, run, turned into maps and "
    "classes; only the cores of whole tiles count as pixels, so each network pays for its halo",
    "halo": "its share of the multiply-adds of one pass, counted from the shapes of the model's "
    "graph, of the deterministic pass's share of the engine's time: what further passes add is "
    "computed for the core alone",
    "blending": "none: cores abut without a seam, so nothing is blended",
    "I/O": "opening the frame, which was just written, reading and hashing it for its scene id, "
    "and what the network then waits for its tiles, which are read and normalised while it runs on "
    "the one before",
    "total": "frame file to maps in memory, as `floodsat fly` needs them; what `floodsat segment` "
    "takes to write them, six float32 bands, is a figure of its own",
    "U-Net": "double 3×3 convolutions of 64, 128, 256, 512 channels, {parameters:,} parameters, "
    "{macs:,.0f} multiply-adds a pixel, random weights, one deterministic pass, halo {halo} px",
    "an archive": "frame files segmented by worker processes of one thread each into maps and a "
    "catalogue, the first of two workers alone and both in turn; 100 % is twice the rate of one",
    "12 MP": "a generated frame of 4000 × 3000 pixels, four bands, uint16, not compressed",
    "MB": "10⁶ bytes",
}


class Job(NamedTuple):
    """What to run.

    Attributes:
        bundle: its folder.
        engines: names, each one of `ENGINES`.
        seed: of frames, masks and the U-Net's weights.
        trust: public keys, or none for the demo key.
        replays: folder where replays keep their maps, or None to leave the month out.
    """

    bundle: Path
    engines: tuple[str, ...]
    seed: int
    trust: tuple[Path, ...] = ()
    replays: Path | None = None


class Part(NamedTuple):
    """What one engine gave."""

    figures: list[Figure]
    budget: dict[str, float]
    facts: dict[str, str]


def choose(path: Path, wanted: Sequence[str], trust: Sequence[Path]) -> tuple[str, ...]:
    """The engines to run: those named, else TFLite, and OpenVINO if the bundle has its set.

    Raises:
        BundleError: no bundle, or not one with the files of these engines.
    """
    loaded = bundles.load(path, [], list(trust) or None)
    found = tuple(wanted) or tuple(
        name for name in ENGINES if name == engines.DEFAULT or name in loaded.sets
    )
    bundles.load(path, found, list(trust) or None)
    return found


def steps(job: Job) -> int:
    """How often `run` will call ``tell``."""
    return STEPS_OF_ENGINE * len(job.engines) + STEPS_BESIDES


def run(job: Job, tell: Callable[[str], None], start: float | None = None) -> Report:
    """Measure everything.

    Args:
        job: what.
        tell: called with the name of each step as it begins.
        start: when the benchmark began, by `time.perf_counter`; now where omitted.
    """
    start = time.perf_counter() if start is None else start
    bundle = bundles.load(job.bundle, job.engines, list(job.trust) or None)
    loaded = {name: engines.load(name, bundle) for name in job.engines}
    tell("a generated frame")
    samples = frames.scene(job.seed)
    with tempfile.TemporaryDirectory(prefix="floodsat-bench-") as name:
        folder = Path(name)
        frame = folder / "frame.tif"
        size = (*frames.TWELVE_MEGAPIXELS, bundle.network.bands)
        frames.write(frame, frames.spread(samples, *size), bundle.sensor)
        parts = {
            key: measure(job, bundle, key, engine, samples, frame, tell)
            for key, engine in loaded.items()
        }
        tell("memory in the flight environment")
        peak = peak_memory(job, bundle, frame, folder / "maps")
    tell("coding in the flight environment")
    coded = coding()
    figures = [f for part in parts.values() for f in part.figures]
    figures += [peak, coded, duration(time.perf_counter() - start)]
    tell("an archive on two workers")
    figures += scaling.figures(job.bundle, job.engines[0], job.trust, job.seed)
    tell("a month of replay")
    figures += [month.figure(job.replays)]
    return Report(
        ordered(figures),
        {key: part.budget for key, part in parts.items()},
        {**machine.facts(), **about(job, bundle), **merged(parts)},
        definitions(UNet(bundle.network.bands)),
    )


def ordered(figures: list[Figure]) -> list[Figure]:
    """Ratios first, then what else has a bound, then plain numbers; engines side by side."""
    keys = [figure.key for figure in figures]

    def rank(figure: Figure) -> tuple[bool, bool, int]:
        return figure.unit not in ("×", "%"), figure.bound is None, keys.index(figure.key)

    return sorted(figures, key=rank)


def merged(parts: dict[str, Part]) -> dict[str, str]:
    """The facts of all engines."""
    return {key: text for part in parts.values() for key, text in part.facts.items()}


def about(job: Job, bundle: Bundle) -> dict[str, str]:
    """What was run, for the report."""
    return {
        "bundle": f"{bundle.name}, version {bundle.version}",
        "model": bundle.model_id.hex(),
        "seed": str(job.seed),
    }


def definitions(unet: UNet) -> dict[str, str]:
    """`DEFINITIONS` with the U-Net's own numbers."""
    text = DEFINITIONS["U-Net"].format(
        parameters=unet.parameters, macs=unet.macs_per_pixel, halo=unet.halo
    )
    return {**DEFINITIONS, "U-Net": text}


def measure(
    job: Job,
    bundle: Bundle,
    name: str,
    engine: Engine,
    samples: Array,
    frame: Path,
    tell: Callable[[str], None],
) -> Part:
    """All figures of one engine."""
    segmenter = Segmenter(bundle, engine, passes.PASSES, job.seed)
    tell(f"{name}: passes")
    cost = passes.seconds(bundle, engine, job.seed)
    tell(f"{name}: U-Net")
    reflectance = frames.reflectance(samples, bundle.sensor)
    speeds = throughput.measure(segmenter, name, reflectance, job.seed)
    tell(f"{name}: stages")
    budget = stages.budget(segmenter, frame, frame.with_name(f"{name}.tif"))
    size = engine.tile_size or 0
    network = bundle.network
    single = work.halo_share(work.layers_of(bundle, name), size, network.halo, network.stride)
    # What further passes add is computed for the core alone.
    halo = single * min(1.0, cost[passes.DETERMINISTIC] / cost[passes.STOCHASTIC])
    facts = {
        f"{name}, FloodSat": f"{engine.name}, tile {size} px, halo {network.halo} px, batch 1",
        f"{name}, U-Net": f"tile {speeds.size} px, batch {speeds.batch}; "
        + "; ".join(str(tried) for tried in speeds.tried),
    }
    figures = [cost_of_passes(name, cost), *of_speeds(name, speeds), *of_budget(name, budget, halo)]
    return Part([*figures, *times(name, cost)], split(budget, halo), facts)


def cost_of_passes(engine: str, seconds: dict[str, float]) -> Figure:
    """The ratio of ten passes and one."""
    return Figure(
        "passes_ratio",
        engine,
        f"T = {passes.PASSES} over the deterministic pass",
        seconds[passes.STOCHASTIC] / seconds[passes.DETERMINISTIC],
        "×",
        Bound(PASSES_BOUND),
        f"aim {PASSES_AIM} ×, moments included",
    )


def times(engine: str, seconds: dict[str, float]) -> list[Figure]:
    """The milliseconds behind `cost_of_passes`."""
    said = {
        passes.DETERMINISTIC: "one tile, deterministic pass",
        passes.STOCHASTIC: f"one tile, T = {passes.PASSES}",
    }
    return [
        Figure(f"{key}_ms", engine, text, 1e3 * seconds[key], "ms") for key, text in said.items()
    ]


def of_speeds(engine: str, speeds: throughput.Speeds) -> list[Figure]:
    """The ratio of throughputs, and the throughputs."""
    own, other = speeds.rate(throughput.FLOODSAT), speeds.rate(throughput.UNET)
    unet = f"U-Net at {speeds.size} px × {speeds.batch}"
    larger = [tried for tried in speeds.tried if tried.rate is None]
    return [
        Figure(
            "speed_ratio",
            engine,
            f"speed at T = {passes.PASSES} over the U-Net's",
            own / other,
            "×",
            Bound(SPEED_BOUND, at_most=False),
            "; ".join([unet, *map(str, larger)]),
        ),
        Figure(
            "speed_ratio_no_halo",
            engine,
            "speed over the U-Net's, were its halo free",
            own / (other * speeds.tile_gain),
            "×",
            note="all pixels of the U-Net's tiles counted, FloodSat's cores only",
        ),
        rate_of("floodsat_rate", engine, f"FloodSat, T = {passes.PASSES}", own),
        rate_of("unet_rate", engine, "U-Net, one pass", other),
    ]


def rate_of(key: str, engine: str, text: str, rate: float) -> Figure:
    """A throughput, with the time it stands for."""
    return Figure(key, engine, text, rate, "MP/s", note=f"{1 / rate:.3g} s a megapixel")


def split(budget: dict[str, float], halo: float) -> dict[str, float]:
    """The stages with the engine's time divided into core and halo."""
    spent = budget[stages.ENGINE]
    return {
        stages.READ: budget[stages.READ],
        "engine, core": spent * (1 - halo),
        "engine, halo": spent * halo,
        stages.MAPS: budget[stages.MAPS],
        stages.WRITE: budget[stages.WRITE],
    }


def of_budget(engine: str, budget: dict[str, float], halo: float) -> list[Figure]:
    """What halo, blending and I/O take of the whole, together and each."""
    whole = sum(budget.values())
    total = whole - budget[stages.WRITE]
    parts = {
        "halo": 100 * budget[stages.ENGINE] * halo / total,
        "read": 100 * budget[stages.READ] / total,
    }
    return [
        Figure(
            "overhead_share",
            engine,
            "halo, blending and I/O, of the total",
            float(np.sum(list(parts.values()))),
            "%",
            Bound(OVERHEAD_BOUND),
            ", ".join(f"{name} {share:.1f} %" for name, share in parts.items()),
        ),
        Figure(
            "segment_seconds",
            engine,
            "`segment` of 12 MP, file to file",
            whole,
            "s",
        ),
        Figure(
            "write_share",
            engine,
            "writing the maps, of `segment`",
            100 * budget[stages.WRITE] / whole,
            "%",
        ),
    ]


def peak_memory(job: Job, bundle: Bundle, frame: Path, out: Path) -> Figure:
    """Peak memory of ``segment`` on the frame, where there is a flight environment."""
    python = memory.flight_python()
    peak: float | None = None
    if python is None:
        note = "not measured: no flight environment; 'make flight-env' makes it"
    elif engines.DEFAULT not in bundle.sets:
        note = f"not measured: the bundle has no files for {engines.DEFAULT}"
    else:
        peak = memory.of_segment(python, job.bundle, frame, out, engines.DEFAULT, job.trust) / 1e6
        note = "in the flight environment"
    text = "peak memory of `segment` of 12 MP"
    return Figure("peak_memory", engines.DEFAULT, text, peak, "MB", Bound(MEMORY_BOUND), note)


def coding() -> Figure:
    """How long coding a mask takes, where there is a flight environment."""
    python = memory.flight_python()
    seconds: float | None = None
    if python is None:
        note = "not measured: no flight environment; 'make flight-env' makes it"
    else:
        rows = coding_time.by_python(python, "--encode")["rows"]
        seconds = max(row["seconds"] for row in rows if row["what"].startswith("mask"))
        note = "one core, the slowest of four generated masks, in the flight environment"
    bound = Bound(coding_time.BOUND)
    return Figure("coding", "", "coding a mask of 12 MP", seconds, "s", bound, note)


def duration(seconds: float) -> Figure:
    """How long the benchmark took."""
    return Figure("duration", "", "this benchmark", seconds, "s", Bound(DURATION_BOUND))
