"""What the link costs: bytes sent over the products' bytes, against loss, class by class.

Each cell is the mean over some seeds of a rehearsal (`ground.rehearsal`): what flies and what
receives, over a channel that loses frames in bursts and flips bits. ``python -m benchmarks.link
--write`` makes docs/link.md and docs/figures/link.json anew, the same on every machine.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ground.channel import Conditions
from ground.rehearsal import Plan, rehearse
from onboard.georef import Georef
from onboard.link import frames
from onboard.outbox import Item, Outbox
from onboard.product import Product, TimeQuality, observed_pixels, pack, quantise, summarise

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "link.md"
FIGURES = ROOT / "docs" / "figures" / "link.json"

BURST = 3.0
BIT_ERRORS = 1e-5
CLEAN = "none, no bit errors"
LOSSES = (0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4)
LINKS = {CLEAN: Conditions()} | {
    f"{loss:.0%}": Conditions(loss, BIT_ERRORS, BURST) for loss in LOSSES
}
HIT = 1 - (1 - BIT_ERRORS) ** (8 * frames.cadu_length())
"""Share of frames that the bit errors alone spoil."""
SEEDS = 5
PRODUCTS = 12
SIDE = 180
"""Side of a product's mask, pixels: noise that does not compress, so some nine kilobytes."""
BUDGET = 40 * frames.cadu_length()


class Way(NamedTuple):
    """How files are sent: class, and how often in class 1."""

    link_class: int
    sendings: int

    @property
    def text(self) -> str:
        """For the head of a column."""
        return "class 2" if self.link_class == 2 else f"class 1, n = {self.sendings}"


WAYS = (Way(1, 1), Way(1, 2), Way(1, 3), Way(1, 4), Way(2, 1))


class Cell(NamedTuple):
    """Means over the seeds.

    Attributes:
        delivered: products that arrived, of all, 0…1.
        overhead: bytes sent down over the bytes of all products, less 1.
        returned: bytes sent up over the bytes of all products.
        contacts: until nothing was left to send.
    """

    delivered: float
    overhead: float
    returned: float
    contacts: float


def product(seed: int) -> bytes:
    """A product whose mask is noise."""
    rng = np.random.default_rng(seed)
    mask = rng.choice(np.array([0, 1, 2, 255], np.uint8), size=(SIDE, SIDE))
    maps = np.zeros(mask.shape, np.float32)
    georef = Georef(SIDE, SIDE, "EPSG:32633", (10.0, 0.0, 500000.0, 0.0, -10.0, 5000000.0))
    level = quantise(maps, observed_pixels(mask))
    made = Product(
        scene_id=seed.to_bytes(32, "big"),
        model_id=bytes(32),
        sensor="noise",
        engine="none",
        seed=seed,
        passes=1,
        acquired_ms=None,
        acquired_quality=TimeQuality.UNKNOWN,
        reference_version=None,
        water_threshold=0.5,
        cloud_threshold=0.5,
        operating_point="balanced",
        georef=georef,
        geolocation_sigma_m=None,
        mask=mask,
        entropy=level,
        epistemic=level,
        statistics=summarise(mask, maps, maps, maps, georef, None),
    )
    return pack(made)


def measure(way: Way, link: str, seeds: int = SEEDS) -> Cell:
    """One cell of the table."""
    plan = Plan(way.link_class, way.sendings, BUDGET, contacts=400)
    rows = []
    for seed in range(seeds):
        made = [product(PRODUCTS * seed + index) for index in range(PRODUCTS)]
        size = sum(map(len, made))
        with tempfile.TemporaryDirectory() as folder, Outbox(Path(folder) / "o.db") as outbox:
            for index, data in enumerate(made):
                outbox.record(index.to_bytes(32, "big"), bytes(32), [Item(data, 1.0)], now_ms=0)
            found = rehearse(outbox, LINKS[link], seed, plan)
        if not set(found.delivered) <= set(made):
            raise AssertionError("a product arrived that was not sent")
        rows.append(
            (
                len(found.delivered) / len(made),
                found.bytes_down / size - 1,
                found.bytes_up / size,
                float(found.contacts),
            )
        )
    return Cell(*(round(float(value), 4) for value in np.mean(rows, axis=0)))


def table() -> dict[str, dict[str, Cell]]:
    """Link → way → cell."""
    return {link: {way.text: measure(way, link) for way in WAYS} for link in LINKS}


def page(found: dict[str, dict[str, Cell]]) -> str:
    """The document."""
    size = len(product(0))
    heads = [way.text for way in WAYS]
    return f"""# What the link costs

Made by `python -m benchmarks.link --write`, in software: no radio was in it. {PRODUCTS} products of
{size} bytes each, contacts of {BUDGET} bytes, transfer frames of {frames.DEFAULT_LENGTH} bytes.
The channel loses frames in bursts of {BURST:.0f} on average (Gilbert and Elliott) and flips bits at
{BIT_ERRORS:g}, which alone spoils {HIT:.1%} of the frames; the way up loses as many packets and
flips as many bits. Means over the seeds 0 to {SEEDS - 1}. Class 1 sends everything n times; class 2
sends what is asked for until the ground has all, see [the wire format](wire-format.md).

## Products delivered

{_rows(found, heads, lambda cell: f"{cell.delivered:.1%}")}

## Overhead: bytes sent over the products' bytes, less one

Headers, checksums, fill, repeats and, in class 2, acknowledgements are in it. The first row is what
the formats cost.

{_rows(found, heads, lambda cell: f"{cell.overhead:.1%}")}

## Class 2: what it needs besides

{_class_2(found)}
"""


def _rows(found: dict[str, dict[str, Cell]], heads: list[str], text: Any) -> str:
    lines = [f"| frames lost | {' | '.join(heads)} |", f"|{' --- |' * (len(heads) + 1)}"]
    for loss, cells in found.items():
        lines.append(f"| {loss} | {' | '.join(text(cells[head]) for head in heads)} |")
    return "\n".join(lines)


def _class_2(found: dict[str, dict[str, Cell]]) -> str:
    lines = ["| frames lost | contacts | sent up, of the products' bytes |", "| --- | --- | --- |"]
    for loss, cells in found.items():
        cell = cells[WAYS[-1].text]
        lines.append(f"| {loss} | {cell.contacts:.1f} | {cell.returned:.1%} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print; with ``--write`` into the docs."""
    found = table()
    text = page(found)
    if "--write" in sys.argv:
        PAGE.write_text(text, "utf-8")
        rows = {
            loss: {way: cell._asdict() for way, cell in cells.items()}
            for loss, cells in found.items()
        }
        FIGURES.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    print(text)


if __name__ == "__main__":
    main()
