"""What limits the accuracy: labels, places, or the network.

Reads the runs of a finished cross-validation (``floodsat train DATA/dfc24 SYNTH --config
docs/experiments/recipes/log.toml --folds 3 --out RUNS``) and what ``benchmarks.accuracy`` wrote.
``python -m benchmarks.limits DATA/dfc24 SYNTH --runs RUNS --write`` makes docs/figures/limits.json
and docs/experiments/limits.md. Test places have no part in it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from onboard import files
from onboard.errors import ConfigError, FloodsatError
from onboard.sensor import VNIR4
from onboard.uncertainty import bernoulli_entropy
from training import scores
from training.calibrate import GRID, fit_temperature
from training.chips import ChipFolder
from training.crossval import EVERY, SURE, THRESHOLD, HeldOut, judged
from training.finished import Finished
from training.splits import Fold

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "figures" / "limits.json"
ACCURACY = ROOT / "docs" / "figures" / "accuracy.json"
PAGE = ROOT / "docs" / "experiments" / "limits.md"
FOLDS = 3
AIMS = {"iou": 0.72, "ece": 0.02, "error_auroc": 0.86}
DRAWS = 200
SEED = 0
HARD = 5
SIZES = ("unet-short", "full", "taught", "teachers")
"""Trials whose IoU says what a larger network or a teacher gives."""
FEWEST_WET = 100
"""Pixels of water below which a place's IoU says nothing."""

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating[Any]]


class Pixels(NamedTuple):
    """Held-out pixels of all folds, each by the network that never saw its place, ``(N,)``.

    Attributes:
        p: probability of water, by the temperature of the other folds.
        true: whether it is water by the label.
        places: index of its place.
        fold: index of its fold.
        dry: whether it looks dry.
        names: of the places.
    """

    p: Floats
    true: Flags
    places: npt.NDArray[np.int64]
    fold: npt.NDArray[np.int64]
    dry: Flags
    names: list[str]

    def of(self, part: Flags) -> Pixels:
        """Some of them."""
        columns: list[Any] = [self.p, self.true, self.places, self.fold, self.dry]
        p, true, places, fold, dry = (column[part] for column in columns)
        return Pixels(p, true, places, fold, dry, self.names)


def temperature(held: Sequence[HeldOut]) -> float:
    """That of some folds together."""
    logits = np.concatenate([h.logits[:, ::EVERY] for h in held], axis=1).astype(np.float32)
    return fit_temperature(
        logits, np.concatenate([h.water[::EVERY] for h in held]).astype(np.uint8)
    )


def pooled(held: Sequence[HeldOut], taus: Sequence[float]) -> Pixels:
    """The folds end to end.

    Raises:
        ConfigError: the sensor has no bands for the NDWI.
    """
    dry = [h.dry for h in held if h.dry is not None]
    if len(dry) < len(held):
        raise ConfigError("the sensor has no green and near infrared; limits need the NDWI")
    names, places = np.unique(np.concatenate([h.places for h in held]), return_inverse=True)
    return Pixels(
        np.concatenate([_p(h, tau) for h, tau in zip(held, taus, strict=True)]),
        np.concatenate([h.water for h in held]),
        places,
        np.repeat(np.arange(len(held)), [h.water.size for h in held]),
        np.concatenate(dry),
        names.tolist(),
    )


def _p(held: HeldOut, tau: float) -> Floats:
    return np.asarray(expit(held.logits.astype(np.float32) / np.float32(tau)).mean(axis=0))


def basic(pixels: Pixels) -> dict[str, float]:
    """IoU, ECE and error AUROC of some pixels."""
    said = pixels.p >= THRESHOLD
    return {
        "iou": scores.iou(said, pixels.true),
        "ece": scores.calibration_error(pixels.p, pixels.true),
        "error_auroc": scores.auroc(bernoulli_entropy(pixels.p), said != pixels.true),
    }


def labels(pixels: Pixels) -> dict[str, float]:
    """The three figures without the misses of which the network is sure and that look dry."""
    missed = pixels.true & (pixels.p < THRESHOLD)
    doubtful = missed & pixels.dry & (pixels.p < SURE)
    return {
        "missed_share_that_looks_dry": float(pixels.dry[missed].mean()),
        "doubtful_share_of_pixels": float(doubtful.mean()),
        "doubtful_share_of_errors": float(
            doubtful.sum() / ((pixels.p >= THRESHOLD) != pixels.true).sum()
        ),
        **basic(pixels.of(~doubtful)),
    }


def by_place(pixels: Pixels) -> dict[str, Any]:
    """How unlike the places are, and how much of the errors the worst few hold."""
    said = pixels.p >= THRESHOLD
    count = len(pixels.names)
    both, either, wrong, wet = (
        np.bincount(pixels.places, part, count)
        for part in (said & pixels.true, said | pixels.true, said != pixels.true, pixels.true)
    )
    counted = wet >= FEWEST_WET
    ious = (both / np.maximum(either, 1))[counted]
    worst = np.argsort(-wrong)[:HARD]
    others = ~np.isin(pixels.places, worst)
    return {
        "places": count,
        "with_water": int(counted.sum()),
        "iou_quartiles": [float(q) for q in np.percentile(ious, [25, 50, 75])],
        "share_below_half": float((ious < 0.5).mean()),
        "worst": [pixels.names[i] for i in worst],
        "worst_share_of_errors": float(wrong[worst].sum() / wrong.sum()),
        "worst_share_of_pixels": float((~others).mean()),
        "iou_without_worst": basic(pixels.of(others))["iou"],
        "iou_best_threshold_of_each_place": _oracle(pixels),
    }


def _oracle(pixels: Pixels) -> float:
    """The pooled IoU if somebody could tell each place its own best threshold."""
    both = either = 0
    for place in range(len(pixels.names)):
        own = pixels.of(pixels.places == place)
        counts = [
            (np.count_nonzero((own.p >= t) & own.true), np.count_nonzero((own.p >= t) | own.true))
            for t in GRID
        ]
        # With the pooled IoU as price, what helps the place helps the whole (Dinkelbach 1967).
        price = scores.iou(pixels.p >= THRESHOLD, pixels.true)
        best = max(counts, key=lambda pair: pair[0] - price * pair[1])
        both, either = both + best[0], either + best[1]
    return both / either


def calibration(held: Sequence[HeldOut], pixels: Pixels, taus: Sequence[float]) -> dict[str, Any]:
    """The ECE by fold, with the others' temperature and with its own, and its spread."""
    own = [temperature([h]) for h in held]
    folds = range(len(held))
    rng = np.random.default_rng(SEED)
    members = [np.flatnonzero(pixels.places == i) for i in range(len(pixels.names))]
    # Every so-manieth pixel: bins of 15 need no more.
    members = [part[::EVERY] for part in members]
    drawn = []
    for _ in range(DRAWS):
        picks = np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
        drawn.append(scores.calibration_error(pixels.p[picks], pixels.true[picks]))
    low, high = np.percentile(drawn, [2.5, 97.5])
    places = [
        float(pixels.p[part].mean() - pixels.true[part].mean()) for part in members if part.size
    ]
    return {
        "temperatures_of_others": list(taus),
        "temperatures_of_own": own,
        "ece_by_fold": [basic(pixels.of(pixels.fold == i))["ece"] for i in folds],
        "ece_by_fold_own_temperature": [
            scores.calibration_error(_p(h, tau), h.water) for h, tau in zip(held, own, strict=True)
        ],
        "ece_interval_95": [float(low), float(high)],
        "draws_at_most_aim": float(np.mean(np.array(drawn) <= AIMS["ece"])),
        "bias_by_place_spread": float(np.std(places)),
    }


def learning(accuracy: dict[str, Any]) -> list[dict[str, float]]:
    """Share of the training places → IoU, of the trials that differ in nothing else."""
    curve = [
        {
            "share": one["share_of_places"],
            "chips": one["train_chips"],
            **{key: one["figures"][key] for key in ("iou", "ece", "error_auroc_entropy", "nll")},
        }
        for one in accuracy["trials"].values()
        if one.get("recipe") == "short"
    ]
    return sorted(curve, key=lambda row: row["share"])


def report(held: Sequence[HeldOut], accuracy: dict[str, Any]) -> dict[str, Any]:
    """All figures as plain JSON types."""
    taus = [temperature([o for j, o in enumerate(held) if j != i]) for i in range(len(held))]
    pixels = pooled(held, taus)
    return {
        "aims": AIMS,
        "seed": SEED,
        "pixels": int(pixels.true.size),
        "all": basic(pixels),
        "without_doubtful_labels": labels(pixels),
        "places": by_place(pixels),
        "calibration": calibration(held, pixels, taus),
        "learning_curve": learning(accuracy),
        "size": {
            name: accuracy["trials"][name]["figures"]["iou"]
            for name in SIZES
            if name in accuracy["trials"]
        },
    }


def read(
    folders: Sequence[ChipFolder], runs: Path, on_fold: Any = lambda number: None
) -> list[HeldOut]:
    """What the networks of a finished cross-validation say of their held-out chips.

    Raises:
        ConfigError: a fold's run is not finished.
    """
    held = []
    for number in range(FOLDS):
        fold = Fold(number, FOLDS)
        fitted = Finished.open(runs / f"fold{number + 1}").on(folders, VNIR4, fold)
        held.append(judged(fitted, folders, VNIR4, fold))
        on_fold(number)
    return held


def page(found: dict[str, Any]) -> str:
    """The figures in words, as Markdown."""
    return "\n".join(
        part(found)
        for part in (_head, _labels_text, _places_text, _calibration_text, _curve_text, _verdict)
    )


def _head(found: dict[str, Any]) -> str:
    every, aims = found["all"], found["aims"]
    rows = "".join(
        f"| {name} | {aims[key]:g} | {every[key]:.3f} | "
        f"{found['without_doubtful_labels'][key]:.3f} |\n"
        for key, name in (
            ("iou", "water IoU, at least"),
            ("ece", "ECE, at most"),
            ("error_auroc", "AUROC of errors by entropy, at least"),
        )
    )
    return f"""\
# What limits the accuracy

Made by `python -m benchmarks.limits DATA/dfc24 SYNTH --runs RUNS --write` from the three networks
of the recipe `log` ([model log](model-log.md)): {found["pixels"] / 1e6:.1f} million labelled
pixels of {found["places"]["places"]} places of `dfc24`, each judged by the network that never saw
its place; 10 passes, seed {found["seed"]}. Test places have no part in it. The figures in full
are in `docs/figures/limits.json`.

| | aim | all labels | without doubtful labels |
|---|---|---|---|
{rows}"""


def _labels_text(found: dict[str, Any]) -> str:
    one = found["without_doubtful_labels"]
    return f"""\
## Labels

Of the water that is missed {one["missed_share_that_looks_dry"]:.0%} looks dry (NDWI below -0.2).
A label is called doubtful here where it says water, the pixel looks dry and the network is sure
of land (below {SURE:g}): {one["doubtful_share_of_pixels"]:.1%} of the pixels,
{one["doubtful_share_of_errors"]:.0%} of all errors. The right column leaves them out. It
flatters, for whatever the network is sure of and gets wrong that way leaves with them, real
misses of water under trees included: it is an upper bound of what better labels could give this
network, not a result.
"""


def _places_text(found: dict[str, Any]) -> str:
    one = found["places"]
    low, middle, high = one["iou_quartiles"]
    names = ", ".join(name.rpartition("/")[2] for name in one["worst"])
    return f"""\
## Places

Of the {one["with_water"]} places with {FEWEST_WET} pixels of water or more a quarter has an IoU
below {low:.2f}, half below {middle:.2f}, a quarter above {high:.2f};
{one["share_below_half"]:.0%} stay below one half. The {len(one["worst"])} worst places ({names}),
{one["worst_share_of_pixels"]:.0%} of the pixels, hold {one["worst_share_of_errors"]:.0%} of the
errors; without them the IoU is {one["iou_without_worst"]:.3f}. With the best threshold of every
place, which nobody knows beforehand, it would be {one["iou_best_threshold_of_each_place"]:.3f}.
"""


def _calibration_text(found: dict[str, Any]) -> str:
    one = found["calibration"]
    low, high = one["ece_interval_95"]
    rows = "".join(
        f"| {i + 1} | {a:.2f} | {b:.2f} | {c:.3f} | {d:.3f} |\n"
        for i, (a, b, c, d) in enumerate(
            zip(
                one["temperatures_of_others"],
                one["temperatures_of_own"],
                one["ece_by_fold"],
                one["ece_by_fold_own_temperature"],
                strict=True,
            )
        )
    )
    return f"""\
## Calibration across places

| fold | temperature of the others | its own | ECE with the others' | with its own |
|---|---|---|---|---|
{rows}
The ECE over all is {found["all"]["ece"]:.3f}; with places drawn anew it lies between
{low:.3f} and {high:.3f} (95 %, {DRAWS} draws), and at or below {AIMS["ece"]:g} in
{one["draws_at_most_aim"]:.0%} of the draws. What is said of a place is off by a spread of
{one["bias_by_place_spread"]:.3f} in its share of water. One temperature can sharpen or soften
every place alike; it cannot know which place is flooded wider than it looks.
"""


def _curve_text(found: dict[str, Any]) -> str:
    curve = found["learning_curve"]
    if not curve:
        return "## More places\n\nNot measured: run `python -m benchmarks.accuracy` first.\n"
    rows = "".join(
        f"| {one['share']:.0%} | {one['chips']} | {one['iou']:.3f} | {one['ece']:.3f} | "
        f"{one['error_auroc_entropy']:.3f} | {one['nll']:.3f} |\n"
        for one in curve
    )
    return f"""\
## More places

The recipe `short` on fold 1 of 3 with a part of the places, real chips alone, about as many steps
each (`python -m benchmarks.accuracy`); one seed, so that differences of 0.01 mean little.

| places | chips | water IoU | ECE | error AUROC | NLL |
|---|---|---|---|---|---|
{rows}"""


def _verdict(found: dict[str, Any]) -> str:
    every, aims = found["all"], found["aims"]
    clean, places = found["without_doubtful_labels"], found["places"]
    best = places["iou_best_threshold_of_each_place"]
    own = found["calibration"]["ece_by_fold_own_temperature"]
    size = "; ".join(f"{name} {iou:.3f}" for name, iou in found["size"].items())
    reached = {True: "reached", False: "not reached"}
    return f"""\
## Verdict

- **IoU of {aims["iou"]:g}: {reached[every["iou"] >= aims["iou"]]}** ({every["iou"]:.3f}). Neither
  labels without the doubtful misses ({clean["iou"]:.3f}) nor the best threshold of every place
  ({best:.3f}) leave room above it. Leaving out the {len(places["worst"])} worst of
  {places["places"]} places gives {places["iou_without_worst"]:.3f}. Nor is it the
  size of the network: on fold 1 the trials of the model log have an IoU of
  {size or "(not measured)"}.
- **ECE of {aims["ece"]:g}: {reached[every["ece"] <= aims["ece"]]}** ({every["ece"]:.3f}). With a
  temperature fitted on the very places it is {min(own):.3f} to {max(own):.3f} by fold: what is
  wrong is the share of water of single places, which no temperature mends.
- **Error AUROC of {aims["error_auroc"]:g}:
  {reached[every["error_auroc"] >= aims["error_auroc"]]}** ({every["error_auroc"]:.3f}). Without
  the doubtful labels it is {clean["error_auroc"]:.3f}: misses in which the network is sure and
  the pixel looks dry are {clean["doubtful_share_of_errors"]:.0%} of all, and no uncertainty points
  at them. That these figures leave out what the network was sure of makes them an upper bound.
"""


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("chips", type=Path, nargs="+", help="chip folders of the cross-validation")
    parser.add_argument("--runs", type=Path, required=True, help="its folder")
    parser.add_argument("--write", action="store_true", help=f"write {OUT.name} and {PAGE.name}")
    given = parser.parse_args()
    try:
        held = read([ChipFolder.open(path) for path in given.chips], given.runs)
        accuracy = json.loads(ACCURACY.read_text("utf-8")) if ACCURACY.exists() else {"trials": {}}
        found = report(held, accuracy)
    except FloodsatError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    text = page(found)
    if given.write:
        files.write_text(OUT, json.dumps(found, indent=1) + "\n")
        files.write_text(PAGE, text)
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
