"""The demo: one generated frame closely, and a short replay, ending in one page.

The frame goes all the way: flash, fly, downlink, a link that loses frames, receive, maps. The
replay takes parts of it through an orbit, contacts and stations. Both run the code that flies
and the code that receives; generated are the frame, the orbit and the link, fixed by seeds.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from ground.backdrop import read_rgb
from ground.catalogue import Catalogue
from ground.channel import ChannelReport, impair
from ground.closeup import Closeup, Link, Scores
from ground.delivery import write_sheet
from ground.maps import Sheet, sheet_of
from ground.palette import U8
from ground.receive import Reception, receive
from ground.replay import checks, scenario_file
from ground.replay.page import write_page
from ground.replay.plots import write_plots
from ground.replay.simulate import Tell, quiet, simulate
from onboard import classes, engines, files, slots
from onboard.errors import ConfigError, FrameError, StreamError
from onboard.link.downlink import Downlink, fill
from onboard.outbox import Outbox
from onboard.product import Product
from onboard.reference_water import PermanentWater
from onboard.runtime import Clock, Flown, Runtime
from onboard.segment import Segmenter

BUDGET = 200_000
SENDINGS = 3
FRAME_LOSS = 0.03
CHANNEL_SEED = 8
MASK_SEED = 1
RGB = (3, 2, 1)
SUMMARY = "summary.json"


@dataclass(frozen=True)
class Samples:
    """The committed samples that the demo runs on."""

    frame: Path
    truth: Path
    permanent: Path
    bundle: Path
    scenario: Path

    @classmethod
    def under(cls, folder: Path) -> Samples:
        """The samples in a ``data_samples`` folder.

        Raises:
            ConfigError: one of them is missing.
        """
        found = cls(
            folder / "frame.tif",
            folder / "frame_truth.tif",
            folder / "frame_permanent.tif",
            folder / "bundle",
            folder / "scenarios" / "minute.toml",
        )
        for path in asdict(found).values():
            if not path.exists():
                raise ConfigError(
                    f"{path}: the sample is missing; name a whole data_samples folder with "
                    "--samples, or install FloodSat anew"
                )
        return found


@dataclass(frozen=True)
class Passage:
    """What became of the frame between the camera and the ground."""

    flown: Flown
    passes: int
    downlink: Downlink
    channel: ChannelReport
    reception: Reception


def run(samples: Samples, out: Path, tell: Tell = quiet) -> dict[str, Any]:
    """Run the demo into the folder ``out``, in one step.

    Args:
        samples: what it runs on.
        out: folder to write.
        tell: takes how far the replay is.

    Returns:
        The summary, as it stands in ``out/summary.json``.

    Raises:
        OutputError: ``out`` holds something that is no demo, or cannot be written.
        StreamError: the frame gave no product, or none arrived whole.
    """
    files.ours_to_replace(out, SUMMARY)
    clock = Clock()
    with files.replacing_folder(out) as folder:
        passage = _pass(samples, folder, clock)
        product = passage.reception.products[0][1]
        reference = PermanentWater(samples.permanent)
        with clock.stage("maps"):
            sheet = sheet_of(product, reference)
            rgb = read_rgb(samples.frame, RGB, mask=product.mask)
            _, item = write_sheet(sheet, folder / "maps", "flood", rgb)
            Catalogue(folder / "maps").add([item])
        truth = _read_truth(samples.truth)
        scores = score(product.mask, truth)
        ground_stages = {k: v for k, v in clock.seconds.items() if k != "flash"}
        stages = {"flash": clock.seconds["flash"], **passage.flown.seconds, **ground_stages}
        summary = summarise(passage, product, scores, truth, stages)
        close = _closeup(passage, sheet, rgb, truth, scores, stages)
        plan = checks.plan(scenario_file.load(samples.scenario))
        with tempfile.TemporaryDirectory(prefix="floodsat-demo-") as cache:
            replay = simulate(plan, folder, Path(cache), 1, tell)
        write_plots(replay, folder)
        write_page(replay, folder, close)
        files.write_text(folder / SUMMARY, json.dumps(summary, indent=1) + "\n")
    return summary


def _pass(samples: Samples, folder: Path, clock: Clock) -> Passage:
    """Flash, fly, send, lose, receive."""
    onboard, link = files.make_folder(folder / "onboard"), files.make_folder(folder / "link")
    with clock.stage("flash"):
        slots.install(samples.bundle, onboard / "slots", engines.DEFAULT, None)
        loaded = slots.load_active(onboard / "slots", engines.DEFAULT, None)
    segmenter = Segmenter(loaded, engines.load(engines.DEFAULT, loaded), loaded.passes, MASK_SEED)
    # The demo is about what a responder gets; chips for labelling are for who trains the network.
    limits = loaded.limits.with_value("max_chips", 0)
    reference = PermanentWater(samples.permanent)
    runtime = Runtime(segmenter, limits, reference, tables=loaded.tables)
    with Outbox(onboard / "outbox.sqlite") as outbox:
        flown = runtime.fly(samples.frame, outbox)
        if flown.product_id is None:
            reason = flown.decision.reason if flown.decision else "seen before"
            raise StreamError(f"{samples.frame}: gave no product ({reason}); train another model")
        with clock.stage("downlink"):
            sent = fill(outbox, BUDGET, SENDINGS)
            files.write_bytes(link / "sent.bin", sent.stream)
            sent.commit(outbox)
    with clock.stage("link"):
        stream, channel = impair(sent.stream, CHANNEL_SEED, FRAME_LOSS)
        files.write_bytes(link / "received.bin", stream)
    with clock.stage("receive"):
        reception = receive(stream, "link/received.bin", reference=reference)
        for data, product in reception.products:
            files.write_bytes(folder / "maps" / f"{product.stem}.fsp", data)
    if not reception.products:
        raise StreamError("link/received.bin: no product arrived whole; send it more often")
    return Passage(flown, segmenter.passes, sent, channel, reception)


def _read_truth(path: Path) -> U8:
    with rasterio.open(path) as dataset:
        truth: U8 = dataset.read(1)
    return truth


def score(mask: U8, truth: U8) -> Scores:
    """Agreement of a class mask with the truth.

    Args:
        mask: uint8 ``(H, W)`` of ``onboard.classes``.
        truth: the same.

    Returns:
        Scores over the pixels that both observed.

    Raises:
        FrameError: the two are not of one grid.
    """
    if mask.shape != truth.shape:
        raise FrameError(f"the truth is {truth.shape}, the mask {mask.shape}: not one grid")
    surface = (classes.LAND, classes.WATER)
    seen = np.isin(mask, surface) & np.isin(truth, surface)
    said, true = seen & (mask == classes.WATER), seen & (truth == classes.WATER)
    both = float((said & true).sum())

    def share(part: float, whole: float) -> float:
        return part / whole if whole else float("nan")

    return Scores(
        iou=share(both, float((said | true).sum())),
        accuracy=share(float((mask == truth)[seen].sum()), float(seen.sum())),
        precision=share(both, float(said.sum())),
        recall=share(both, float(true.sum())),
    )


def cloud_iou(mask: U8, truth: U8) -> float:
    """Intersection over union of cloud in ``(H, W)`` classes with data; NaN without any cloud."""
    data = (truth != classes.NODATA) & (mask != classes.NODATA)
    said, true = data & (mask == classes.CLOUD), data & (truth == classes.CLOUD)
    either = int((said | true).sum())
    return float((said & true).sum()) / either if either else float("nan")


def summarise(
    passage: Passage, product: Product, scores: Scores, truth: U8, stages: dict[str, float]
) -> dict[str, Any]:
    """The figures of the demo, as plain JSON types; fractions are 0…1, entropies in nats."""
    found, flown = product.statistics, passage.flown
    sent = len(passage.downlink.stream)
    report = passage.reception.report
    return {
        "raw_frame_bytes": flown.sample_bytes,
        "product_bytes": flown.product_bytes,
        "sent_bytes": sent,
        "ratio": flown.sample_bytes / sent,
        "ratio_of_one_copy": flown.sample_bytes / flown.product_bytes,
        "water_fraction_of_observed": found.water / max(1, found.observed),
        "flood_fraction_of_observed": (found.flood or 0) / max(1, found.observed),
        "flood_area_km2": None if found.flood_area_m2 is None else found.flood_area_m2 / 1e6,
        "cloud_fraction": found.cloud / found.pixels,
        "nodata_fraction": found.nodata / found.pixels,
        "mean_entropy": found.mean_entropy,
        "mean_epistemic": found.mean_epistemic,
        "accuracy": {**asdict(scores), "cloud_iou": cloud_iou(product.mask, truth)},
        "link": {
            "sendings": SENDINGS,
            "frames_sent": passage.channel.frames,
            "frames_lost": passage.channel.frames_lost,
            "frames_received": report.frames,
            "products_whole": len(passage.reception.products),
            "alerts": len(passage.reception.alerts),
            "channel_seed": CHANNEL_SEED,
        },
        "product_id": product.product_id.hex(),
        "scene_id": product.scene_id.hex(),
        "model_id": product.model_id.hex(),
        "engine": product.engine,
        "passes": product.passes,
        "seed": product.seed,
        "seconds": stages,
    }


def _closeup(
    passage: Passage,
    sheet: Sheet,
    rgb: U8,
    truth: U8,
    scores: Scores,
    stages: dict[str, float],
) -> Closeup:
    channel, reception = passage.channel, passage.reception
    return Closeup(
        title="One frame, closely",
        sheet=sheet,
        raw_bytes=passage.flown.sample_bytes,
        sent_bytes=len(passage.downlink.stream),
        stages=tuple(stages.items()),
        link=Link(
            frames_sent=channel.frames,
            frames_received=channel.frames - channel.frames_lost,
            copies=SENDINGS,
            products_sent=1,
            products_whole=len(reception.products),
        ),
        rgb=rgb,
        truth=truth,
        scores=scores,
        notes=(
            "The frame is generated: it shows no real place and no real day. It went through the "
            f"code that flies and over a link that loses {FRAME_LOSS:.0%} of its transfer frames, "
            "apart from the replay above.",
        ),
    )
