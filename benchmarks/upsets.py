"""Upsets in loaded weights: which single flipped bits the golden tile finds, and what the rest do.

``python -m benchmarks.upsets`` flips one bit of one float32 weight at a time, loads it into the
reference engine, whose memory can be reached, and runs the golden tile. Where that would have
passed under an engine's tolerance, the committed frame's tile shows how many pixels of the mask
change. ``--write`` puts the table into docs/security.md.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from onboard import bundle as bundles
from onboard import engines, files, golden
from onboard.engines.reference import ReferenceEngine, moments
from onboard.frames import open_frame
from onboard.masks import draw

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "data_samples" / "bundle"
FRAME = ROOT / "data_samples" / "frame.tif"
PAGE = ROOT / "docs" / "security.md"
MARKS = ("<!-- upsets -->", "<!-- end of upsets -->")
FLIPS, SEED = 1000, 20261121
PASSES = 4
SIDE = 64
CORNER = (180, 420)
TOLERANCES = {"tflite": 1e-5, "myriad": 2e-2, "tflite-int8": 0.05}


class Flip(NamedTuple):
    """One flip: the largest change of a golden moment, and the share of mask pixels changed."""

    weight: str
    bit: int
    golden: float
    mask: float


class Model:
    """The shipped network in the reference engine, the golden tile and a tile of the frame."""

    def __init__(self, path: Path = BUNDLE) -> None:
        self.bundle = bundles.load(path, ["reference", bundles.COMMON])
        self.weights = self.bundle.weights()
        self._network = self.bundle.network
        self._image = self.bundle.golden()["image"]
        size = SIDE + 2 * self._network.halo
        size += -size % self._network.stride
        with open_frame(FRAME, self.bundle.sensor) as frame:
            row, col = (at - self._network.halo for at in CORNER)
            patch = frame.read(row, col, size, size)
        self._tile = self.bundle.normalisation.apply(patch.reflectance, patch.valid)
        self._drawn = draw(self._network, 0, self.bundle.model_id, b"upsets", list(range(PASSES)))

    def golden(self, weights: Any) -> Any:
        """Moments of the golden tile, ``PASSES`` passes."""
        engine: Any = engines.load("reference", self.bundle)
        assert isinstance(engine, ReferenceEngine)
        engine._weights = weights
        return golden.run(self.bundle, engine, self._image, PASSES)

    def mask(self, weights: Any) -> Any:
        """Class by class of the frame's tile: wet, cloudy."""
        found = moments(self._network, weights, self._tile, self._drawn)
        point = self.bundle.balanced
        return np.stack([found.p_water >= point.water, found.p_cloud >= point.cloud])


def flipped(weights: Any, name: str, index: int, bit: int) -> Any:
    """The weights in float64, one bit of one float32 value turned."""
    array = np.array(weights[name], np.float32)
    array.reshape(-1).view(np.uint32)[index] ^= np.uint32(1 << bit)
    return {**{k: v.astype(np.float64) for k, v in weights.items()}, name: array.astype(np.float64)}


def worst(found: Any, clean: Any) -> float:
    """The largest difference of any moment; infinite where one is no number."""
    pairs = zip(found, clean, strict=True)
    differences = [np.abs(np.asarray(one) - two).max() for one, two in pairs]
    largest = float(np.max(differences))
    return largest if np.isfinite(largest) else float("inf")


def measure(flips: int, seed: int, path: Path = BUNDLE) -> list[Flip]:
    """Flip bits, each of all weights' bits as likely as another."""
    model, dice = Model(path), np.random.default_rng(seed)
    names = list(model.weights)
    sizes = np.array([model.weights[name].size for name in names])
    plain = {k: v.astype(np.float64) for k, v in model.weights.items()}
    clean, mask = model.golden(plain), model.mask(plain)
    found = []
    for _ in range(flips):
        name = names[dice.choice(len(names), p=sizes / sizes.sum())]
        index, bit = int(dice.integers(model.weights[name].size)), int(dice.integers(32))
        with np.errstate(all="ignore"):
            weights = flipped(model.weights, name, index, bit)
            change = worst(model.golden(weights), clean)
            missed = change <= max(TOLERANCES.values())
            wrong = float((model.mask(weights) != mask).any(0).mean()) if missed else float("nan")
        found.append(Flip(name, bit, change, wrong))
    return found


def table(found: list[Flip], seed: int) -> str:
    """Markdown."""
    rows = [
        f"`python -m benchmarks.upsets --write`: {len(found)} single bits of float32 weights, seed "
        f"{seed}, shipped bundle, reference engine, {PASSES} passes; the mask is that of "
        f"{SIDE}×{SIDE} pixels of the sample frame and their surroundings.",
        "",
        "| tolerance of | found by the golden tile | missed | change a mask | at most |",
        "|---|---|---|---|---|",
    ]
    for engine, tolerance in TOLERANCES.items():
        missed = [flip for flip in found if flip.golden <= tolerance]
        share = 1 - len(missed) / len(found)
        effect = max((flip.mask for flip in missed), default=0.0)
        touched = sum(flip.mask > 0 for flip in missed)
        counts = (f"{share:.1%}", f"{len(missed)}", f"{touched}", f"{effect:.3%}")
        cells = (f"{engine}, {tolerance:g}", *counts)
        rows.append(f"| {' | '.join(cells)} of the pixels |")
    return "\n".join(rows)


def write(text: str, page: Path = PAGE) -> None:
    """Put the table between the marks of the page."""
    start, end = MARKS
    old = page.read_text("utf-8")
    new = re.sub(f"{start}.*{end}", lambda _: f"{start}\n{text}\n{end}", old, flags=re.DOTALL)
    files.write_text(page, new)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=FLIPS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--write", action="store_true", help="put the table into docs/security.md")
    given = parser.parse_args()
    text = table(measure(given.flips, given.seed), given.seed)
    print(text)
    if given.write:
        write(text)


if __name__ == "__main__":
    main()
