"""The oddity score on every place but the test's, each scored by what never saw it.

The test places give 31 crops, too few to tell an AUROC of 0.95 from 0.97. Here the places of the
other two splits are dealt into `FOLDS` parts by a hash of their names: four fit the densities, one
the tails, the last is scored as it is and corrupted, and so on round. ``python -m
benchmarks.oddity_folds DATA/dfc24 --write`` writes docs/figures/odd-folds.json and the table in
docs/oddity.md, for two ways of choosing the chips of the densities.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from onboard import bundle as bundles
from onboard import engines, files
from onboard.classes import CLOUD
from onboard.errors import FloodsatError
from onboard.oddity import MIN_VALID, SIDE, Features, measure
from onboard.scene import ArrayFrame
from onboard.segment import Segmenter
from training import corruptions, oddity
from training.chips import ChipFolder
from training.scores import auroc
from training.splits import SPLITS, split_ids

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "data_samples" / "bundle"
OUT = ROOT / "docs" / "figures" / "odd-folds.json"
PAGE = ROOT / "docs" / "oddity.md"
START, END = "<!-- folds -->\n", "<!-- /folds -->\n"
FOLDS = 6
MOST = 48
SEED = 0
DRAWS = 500
SPREAD, PLACES = "evenly over the chips", "one chip of every place"

Floats = npt.NDArray[np.float64]


class Rows(NamedTuple):
    """What was measured of ``N`` crops, as they are or corrupted.

    Attributes:
        features: of `onboard.oddity`.
        epistemic: mean over the observed pixels, nats, ``(N,)``.
        observed: share of the pixels, ``(N,)``.
        place: ``(N,)``.
        way: name of the corruption, empty for none, ``(N,)``.
    """

    features: Features
    epistemic: Floats
    observed: Floats
    place: npt.NDArray[np.str_]
    way: npt.NDArray[np.str_]

    def of(self, part: npt.NDArray[Any]) -> Features:
        """The features of some rows."""
        return Features(*(column[part] for column in self.features))


def rows(folder: ChipFolder) -> Rows:
    """Measure every chip of the two splits, with the shipped bundle's network."""
    bundle = bundles.load(SHIPPED, ["tflite"])
    segmenter = Segmenter(bundle, engines.load("tflite", bundle), bundle.passes, SEED)
    ways = {"": None, **corruptions.of(bundle.sensor)}
    measured: list[tuple[Any, ...]] = []
    for split_number, split in enumerate(SPLITS[:2]):
        for index, chip_id in enumerate(split_ids(folder, split)):
            image = folder.read(chip_id, bundle.sensor).reflectance[:SIDE, :SIDE]
            for number, (name, change) in enumerate(ways.items()):
                rng = np.random.default_rng([SEED, index, number, split_number])
                crop = image if change is None else change(image, rng)
                found = segmenter.whole(ArrayFrame(crop))
                seen = found.valid & (found.classes != CLOUD)
                nats = np.where(seen, found.maps.epistemic, 0.0).sum() / max(1, seen.sum())
                features = measure(crop[None], seen[None])
                place = folder.groups[chip_id]
                measured.append((*(f[0] for f in features), nats, seen.mean(), place, name))
    columns = [np.array(column) for column in zip(*measured, strict=True)]
    return Rows(Features(*columns[:4]), *columns[4:])


def reference(
    own: npt.NDArray[np.intp], place: npt.NDArray[np.str_], way: str
) -> npt.NDArray[np.intp]:
    """Rows for the densities out of ``own``, at most `MOST`."""
    if way == PLACES:
        _, first = np.unique(place[own], return_index=True)
        own = own[np.sort(first)]
    step = max(1.0, len(own) / MOST)
    return own[[int(i * step) for i in range(min(MOST, len(own)))]]


def scored(found: Rows, way: str) -> Floats:
    """The score of every row in decades, by a fit that never saw its place."""
    clean = found.way == ""
    fold = folds_of(found.place)
    score = np.full(len(found.way), np.nan)
    for number in range(FOLDS):
        tail = np.flatnonzero(clean & (fold == (number + 1) % FOLDS))
        fit = clean & (fold != number) & (fold != (number + 1) % FOLDS)
        known = reference(np.flatnonzero(fit), found.place, way)
        fitted = oddity.fit_features(found.of(known), found.of(tail), found.epistemic[tail])
        own = np.flatnonzero(fold == number)
        score[own] = fitted.combined(found.of(own), found.epistemic[own])
    return np.where(found.observed >= MIN_VALID, score, np.nan)


def folds_of(place: npt.NDArray[np.str_]) -> npt.NDArray[np.intp]:
    """The fold of every row: places in the order of their hashes, dealt out."""
    names, index = np.unique(place, return_inverse=True)
    hashes = [hashlib.sha256(str(name).encode()).digest() for name in names]
    order = sorted(range(len(names)), key=hashes.__getitem__)
    home = np.empty(len(names), np.intp)
    home[order] = np.arange(len(names)) % FOLDS
    return home[index]


def figures(found: Rows, way: str) -> dict[str, Any]:
    """AUROC of every corruption with an interval over places, and shares beyond the limit."""
    score = scored(found, way)
    good = np.isfinite(score)
    clean = good & (found.way == "")
    table = {}
    for name in sorted(set(found.way) - {""}):
        odd = good & (found.way == name)
        low, high = _interval(score, odd, clean, found.place)
        table[name] = {
            "scored": int(odd.sum()),
            "auroc": _auroc(score[odd], score[clean]),
            "auroc_interval_95": [low, high],
            "found": float((score[odd] > oddity.LIMIT).mean()),
        }
    return {
        "crops": int(clean.sum()),
        "false_alarms": float((score[clean] > oddity.LIMIT).mean()),
        "corruptions": table,
    }


def _auroc(odd: Floats, usual: Floats) -> float:
    truth = np.repeat([True, False], [len(odd), len(usual)])
    return auroc(np.concatenate([odd, usual]), truth)


def _interval(
    score: Floats,
    odd: npt.NDArray[np.bool_],
    clean: npt.NDArray[np.bool_],
    place: npt.NDArray[np.str_],
) -> tuple[float, float]:
    """95 % of the AUROC, places drawn anew."""
    rng = np.random.default_rng(SEED)
    names = np.unique(place)
    parts = [(score[odd & (place == n)], score[clean & (place == n)]) for n in names]
    values = []
    for _ in range(DRAWS):
        drawn = [parts[i] for i in rng.integers(0, len(parts), len(parts))]
        values.append(_auroc(*(np.concatenate(side) for side in zip(*drawn, strict=True))))
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def report(found: Rows) -> dict[str, Any]:
    """The figures of both ways, as plain JSON types."""
    return {
        "folds": FOLDS,
        "seed": SEED,
        "places": len(np.unique(found.place)),
        "ways": {way: figures(found, way) for way in (SPREAD, PLACES)},
    }


def table(found: dict[str, Any]) -> str:
    """The figures as Markdown."""
    spread, places = (found["ways"][way] for way in (SPREAD, PLACES))
    body = ""
    for name, one in spread["corruptions"].items():
        other = places["corruptions"][name]
        cells = " | ".join(
            f"{each['auroc']:.3f} ({each['auroc_interval_95'][0]:.2f}–"
            f"{each['auroc_interval_95'][1]:.2f}) | {each['found']:.0%}"
            for each in (one, other)
        )
        body += f"| {name.replace('_', ' ')} | {one['scored']} | {cells} |\n"
    return f"""\
{spread["crops"]} crops of {found["places"]} places, all but the test's, in {found["folds"]} folds;
in brackets 95 % over places.

| corruption | scored | AUROC, {SPREAD} | beyond the limit | AUROC, {PLACES} | \
beyond the limit |
|---|---|---|---|---|---|
{body}| none: false alarms | {spread["crops"]} | | {spread["false_alarms"]:.0%} | | \
{places["false_alarms"]:.0%} |
"""


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("chips", type=Path, help="labelled chip folder")
    parser.add_argument("--write", action="store_true", help=f"write {OUT.name} and {PAGE.name}")
    given = parser.parse_args()
    try:
        found = report(rows(ChipFolder.open(given.chips)))
    except FloodsatError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if given.write:
        write(found)
    sys.stdout.write(table(found))
    return 0


def write(found: dict[str, Any]) -> None:
    """Put the figures into the docs."""
    files.write_text(OUT, json.dumps(found, indent=1) + "\n")
    before, _, rest = PAGE.read_text("utf-8").partition(START)
    files.write_text(PAGE, before + START + table(found) + END + rest.partition(END)[2])


if __name__ == "__main__":
    sys.exit(main())
