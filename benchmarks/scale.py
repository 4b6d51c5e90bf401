"""A year of a constellation on paper, from what single steps were measured to take.

``python -m benchmarks.scale --write`` computes the tables of ``docs/scale.md`` from the figures in
``docs/figures``. ``--measure`` measures first what no other benchmark does: the catalogue's time
for an item beside how many the day has already. ``--month FOLDER`` takes anew what one satellite
does, from a replay of ``data_samples/scenarios/month.toml``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.streaming import SIDE
from ground import catalogue
from ground.catalogue import Catalogue
from ground.replay import result
from onboard import files

FOLDER = Path("docs") / "figures"
FIGURES = FOLDER / "scale.json"
PAGE = Path("docs") / "scale.md"
DAY = datetime(2026, 7, 14, tzinfo=UTC)
SIZES = (100, 1_000, 10_000, 100_000)
ADDED = 5
FRAMES = ("scenes/", "clouds/", "phisat2_sim/")
DAYS = 365
BYTES_PER_SAMPLE, BANDS = 2, 4


class Mission(NamedTuple):
    """What is assumed, and what a reader would change.

    Attributes:
        satellites: in the constellation.
        frames: that each takes in a day.
        megapixels: of a frame.
        sent: share of the frames whose mask is sent.
        training_tb: size of the training set, in TB (10¹² bytes).
        chip_side: of its chips, in pixels.
        epochs: of a training.
    """

    satellites: int = 100
    frames: int = 200
    megapixels: float = 12.0
    sent: float = 0.36
    training_tb: float = 1.0
    chip_side: int = 128
    epochs: int = 60


class Steps(NamedTuple):
    """What single steps take, as measured.

    Attributes:
        product_share: bytes of a product to those of its frame.
        segment_s: core seconds to segment a megapixel, file to file.
        code_s: seconds on one core to code the masks of 12 MP, a busy one.
        contact_bytes: that one station of the month's kind carries in a day.
        product_rest: bytes of link to bytes of products.
        add_s: items that a day has → core seconds to add one more.
        item_bytes: of a catalogue's item in its day's list.
        chip_s: seconds of training a chip of 64 pixels for one epoch.
    """

    product_share: float
    segment_s: float
    code_s: float
    contact_bytes: float
    product_rest: float
    add_s: dict[int, float]
    item_bytes: float
    chip_s: float


def steps(folder: Path = FOLDER) -> Steps:
    """Read them from the committed figures."""

    def read(name: str) -> Any:
        return json.loads((folder / name).read_text("utf-8"))

    bench, products, scale = read("bench.json"), read("products.json"), read("scale.json")
    found = {f["key"]: f["value"] for f in bench["figures"] if f["engine"] == "tflite"}
    whole = [p for p in products["products"] if p["name"].startswith(FRAMES)]
    month = scale["month"]
    training = read("streaming.json")["training"]
    few, many = training[-2:]
    busy = next(r["seconds"] for r in products["seconds"]["rows"] if r["what"] == "mask, busy")
    return Steps(
        product_share=sum(p["ours"]["total"] for p in whole) / sum(p["raw"] for p in whole),
        segment_s=found["segment_seconds"] * int(bench["facts"]["threads"]) / 12,
        code_s=busy,
        contact_bytes=month["capacity_bytes"] / month["days"],
        product_rest=month["flagged_sent_bytes"] / month["flagged_bytes"],
        add_s={row["items"]: row["add_s"] for row in scale["catalogue"]},
        item_bytes=scale["catalogue"][-1]["day_bytes"] / scale["catalogue"][-1]["items"],
        chip_s=(many["seconds"] - few["seconds"]) / (many["chips"] - few["chips"]),
    )


def an_item(number: int) -> dict[str, Any]:
    """A STAC item as small as the catalogue takes it."""
    west, south = number % 360 - 180.0, number // 360 % 170 - 85.0
    box = [west, south, west + 1, south + 1]
    when = DAY + timedelta(seconds=number * 86_000 // max(SIZES))
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": f"{number:012x}",
        "properties": {"datetime": when.isoformat(), "title": f"Flood, {number}"},
        "bbox": box,
        "links": [],
        "assets": {},
    }


def measure(sizes: Sequence[int] = SIZES) -> list[dict[str, float]]:
    """Core seconds to add an item to a day that has so many, and to find those of an hour."""
    rows = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as work:
            rows.append(_measure_one(Catalogue(Path(work)), size))
    return rows


def _measure_one(maps: Catalogue, size: int) -> dict[str, float]:
    day = maps.folder / catalogue.DAYS / f"{DAY.date().isoformat()}.json"
    # The items' own files do not matter here: only the list is read.
    maps.add([an_item(0)])
    maps._write_day(DAY.date().isoformat(), [an_item(number) for number in range(size)])
    begin = time.process_time()
    for number in range(ADDED):
        maps.add([an_item(size + number)])
    add = (time.process_time() - begin) / ADDED
    begin = time.process_time()
    found = len(list(maps.find(DAY, DAY + timedelta(hours=1))))
    return {
        "items": size,
        "add_s": round(add, 5),
        "find_s": round(time.process_time() - begin, 5),
        "found": found,
        "day_bytes": day.stat().st_size,
    }


def one_month(folder: Path) -> dict[str, Any]:
    """What one satellite did in a replay."""
    said = json.loads((folder / result.NAME).read_text("utf-8"))
    ways = {way["name"]: way for way in said["strategies"]}
    span = said["span"]
    return {
        "name": span["name"],
        "days": (span["end_ms"] - span["start_ms"]) / 86_400_000,
        "frames": len(said["frames"]),
        "frame_bytes": sum(frame["sample_bytes"] for frame in said["frames"]),
        "contacts": len(said["contacts"]),
        "capacity_bytes": sum(each["capacity_bytes"] for each in said["contacts"]),
        "products": sum(each["kind"] == "product" for each in said["products"]),
        "product_bytes": sum(p["bytes"] for p in said["products"] if p["kind"] == "product"),
        "sent_bytes": {name: way["sent_bytes"] for name, way in ways.items()},
        "flagged_bytes": ways["flagged"]["file_bytes"],
        "flagged_sent_bytes": ways["flagged"]["sent_bytes"],
    }


def day_seconds(add_s: dict[int, float], items: float) -> float:
    """Core seconds to add so many items to a day one by one, the time between sizes linear."""
    known = sorted(add_s.items())
    total, before, cost = 0.0, 0.0, known[0][1]
    for size, seconds in known:
        upto = min(items, float(size))
        if upto > before:
            share = (upto - before) / (size - before)
            end = cost + (seconds - cost) * share
            total += (cost + end) / 2 * (upto - before)
        before, cost = float(size), seconds
    if items > before:
        # Beyond what was measured it goes on in proportion.
        total += cost * (items / before + 1) / 2 * (items - before)
    return total


def figures(mission: Mission, taken: Steps) -> dict[str, float]:
    """The year, from the assumptions and the measured steps."""
    frames = mission.satellites * mission.frames * DAYS
    frame_bytes = mission.megapixels * 1e6 * BANDS * BYTES_PER_SAMPLE
    product = frame_bytes * taken.product_share
    products_day = mission.satellites * mission.frames * mission.sent
    down_day = mission.frames * mission.sent * product * taken.product_rest
    chip_bytes = mission.chip_side**2 * (BANDS * BYTES_PER_SAMPLE + 1)
    chips = mission.training_tb * 1e12 / chip_bytes
    chip_s = taken.chip_s * (mission.chip_side / SIDE) ** 2
    return {
        "frames": frames,
        "raw_tb": frames * frame_bytes / 1e12,
        "products": products_day * DAYS,
        "product_kb": product / 1e3,
        "products_tb": products_day * DAYS * product / 1e12,
        "down_mb": down_day / 1e6,
        "raw_down_mb": mission.frames * frame_bytes / 1e6,
        "station_mb": taken.contact_bytes / 1e6,
        "station_share": down_day / taken.contact_bytes,
        "raw_station_share": mission.frames * frame_bytes / taken.contact_bytes,
        "stations": mission.satellites * down_day / taken.contact_bytes,
        "segment_core_h": frames * mission.megapixels * taken.segment_s / 3600,
        "week_cores": frames * mission.megapixels * taken.segment_s / 3600 / (7 * 24),
        "items_day": products_day,
        "add_core_s": day_seconds(taken.add_s, products_day),
        "add_core_h": day_seconds(taken.add_s, products_day) * DAYS / 3600,
        "large_day_h": day_seconds(taken.add_s, 100_000) / 3600,
        "day_mb": products_day * taken.item_bytes / 1e6,
        "chips": chips,
        "epoch_core_h": chips * chip_s / 3600,
        "training_core_h": chips * chip_s * mission.epochs / 3600,
    }


def tables(mission: Mission, taken: Steps, scale: dict[str, Any]) -> dict[str, str]:
    """The tables of the page, by the name between its markers."""
    f, month = figures(mission, taken), scale["month"]
    assumed = [
        ("satellites", f"{mission.satellites}"),
        ("frames a day and satellite", f"{mission.frames}"),
        ("pixels of a frame", f"{mission.megapixels:g} MP, {BANDS} bands of 16 bits"),
        ("share of frames whose mask is sent", f"{mission.sent:.0%}"),
        ("training set", f"{mission.training_tb:g} TB of chips of {mission.chip_side} pixels"),
        ("epochs of a training", f"{mission.epochs}"),
    ]
    sat = [
        ("days", f"{month['days']:g}"),
        ("frames", f"{month['frames']}, {month['frame_bytes'] / 1e6:.0f} MB as taken"),
        ("contacts, and what they could carry", f"{month['contacts']}, {_mb(month)} MB"),
        ("maps that were queued", f"{month['products']}, {month['product_bytes'] / 1e3:.0f} kB"),
        *((f"bytes on the link, {name}", f"{sent / 1e6:.1f} MB")
          for name, sent in month["sent_bytes"].items()),
    ]  # fmt: skip
    year = [
        ("frames", f"{f['frames'] / 1e6:.1f} million", "assumed"),
        ("kept as taken", f"{f['raw_tb']:,.0f} TB", "size of a frame"),
        ("products", f"{f['products'] / 1e6:.1f} million", "assumed share"),
        ("one product", f"{f['product_kb']:.0f} kB", "`products.json`, share of its frame"),
        ("products, all", f"{f['products_tb']:.2f} TB", "the same"),
        ("down, satellite and day", f"{f['down_mb']:.1f} MB", "the same, with the month's link"),
        ("the same as frames", f"{f['raw_down_mb']:,.0f} MB", "size of a frame"),
        ("one station of the month's kind", f"{f['station_mb']:.1f} MB a day", "`scale.json`"),
        ("share of it that masks take", f"{f['station_share']:.2f}", ""),
        ("share of it that frames take", f"{f['raw_station_share']:,.0f}", ""),
        ("such stations for all satellites", f"{f['stations']:,.0f}", "masks alone"),
        ("segmenting the year anew", f"{f['segment_core_h']:,.0f} core-hours", "`bench.json`"),
        ("the same in a week", f"{f['week_cores']:,.0f} cores", "the same"),
        ("catalogue, items a day", f"{f['items_day']:,.0f}", "assumed share"),
        ("catalogue, a day's list", f"{f['day_mb']:.1f} MB", "`scale.json`"),
        ("catalogue, adding one by one", f"{f['add_core_s']:,.0f} core-seconds a day", "the same"),
        ("catalogue, of the year", f"{f['add_core_h']:,.0f} core-hours", "the same"),
        ("catalogue, a day of 100,000", f"{f['large_day_h']:,.1f} core-hours", "the same"),
        ("training, chips", f"{f['chips'] / 1e6:.1f} million", "size of a chip"),
        ("training, one epoch", f"{f['epoch_core_h']:,.0f} core-hours", "`streaming.json`"),
        ("training, all epochs", f"{f['training_core_h']:,.0f} core-hours", "the same"),
    ]
    lists = [
        (f"{row['items']:,}", f"{row['add_s'] * 1e3:.1f} ms", f"{row['find_s'] * 1e3:.1f} ms",
         f"{row['day_bytes'] / 1e6:.2f} MB") for row in scale["catalogue"]
    ]  # fmt: skip
    return {
        "assumed": _table(("assumed", "value"), assumed),
        "month": _table(("one satellite, one month", "measured"), sat),
        "year": _table(("of a year", "takes", "from"), year),
        "catalogue": _table(("items of the day", "one more", "an hour found", "its list"), lists),
    }


def _mb(month: dict[str, Any]) -> str:
    return f"{month['capacity_bytes'] / 1e6:.0f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def filled(page: str, made: dict[str, str]) -> str:
    """The page with its tables put between their markers."""
    for name, table in made.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, rest = page.split(begin)
        page = before + begin + table + end + rest.split(end, 1)[1]
    return page


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", action="store_true", help="the catalogue's times, anew")
    parser.add_argument("--month", type=Path, help="folder of a replay of the month")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE} and {FIGURES}")
    given = parser.parse_args()
    scale = json.loads(FIGURES.read_text("utf-8")) if FIGURES.exists() else {}
    if given.measure:
        scale["catalogue"] = measure()
    if given.month:
        scale["month"] = one_month(given.month)
    files.write_text(FIGURES, json.dumps(scale, indent=1) + "\n")
    made = tables(Mission(), steps(), scale)
    if given.write:
        files.write_text(PAGE, filled(PAGE.read_text("utf-8"), made))
    sys.stdout.write("\n".join(made.values()))


if __name__ == "__main__":
    main()
