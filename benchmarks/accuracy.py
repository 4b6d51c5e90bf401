"""Accuracy of the flying network beside a large U-Net, a taught one, and with fewer places.

All on one fold: the same places train, the same are held out (fold 1 of 3, test places in
neither). ``python -m benchmarks.accuracy DATA/dfc24 SYNTH --runs RUNS`` trains what ``RUNS`` lacks
and judges all; ``--write`` puts the figures into docs/figures and the table into the model log.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.trials import Material, Trial, judge, train
from onboard import files
from onboard.errors import FloodsatError
from onboard.sensor import VNIR4
from training.chips import ChipFolder
from training.crossval import HeldOut, figures
from training.fit import Epoch
from training.splits import Fold

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "figures" / "accuracy.json"
PAGE = ROOT / "docs" / "experiments" / "model-log.md"
START, END = "<!-- accuracy -->\n", "<!-- /accuracy -->\n"

TRIALS = (
    Trial("unet-short", "unet-short"),
    Trial("short", "short"),
    Trial("full", "log", generated=True),
    Trial("taught", "log", generated=True, taught_by=("unet-short", "full")),
    Trial("short-half", "short", Fold(0, 3, 0.5), longer=2),
    Trial("short-quarter", "short", Fold(0, 3, 0.25), longer=4),
)
WHAT = {
    "unet-short": "U-Net 64-128-256-512, `unet-short`",
    "short": "flying network, `short`",
    "full": "flying network, `log`, and generated chips",
    "taught": "the same, taught by the first and the third",
    "short-half": "flying network, `short`, half of the places",
    "short-quarter": "flying network, `short`, a quarter of the places",
    "teachers": "the two teachers together",
}


def halves(held: HeldOut) -> list[HeldOut]:
    """The held-out places dealt into two, so that none sets the temperature it is judged with."""
    names = np.unique(held.places)
    first = np.isin(held.places, names[::2])
    return [
        HeldOut(
            held.logits[:, part],
            held.water[part],
            held.places[part],
            None if held.dry is None else held.dry[part],
        )
        for part in (first, ~first)
    ]


def together(parts: list[HeldOut]) -> HeldOut:
    """Several networks' passes over the same pixels as those of one, each network as heavy."""
    most = max(len(part.logits) for part in parts)
    passes = [np.repeat(part.logits, most // len(part.logits), axis=0) for part in parts]
    return parts[0]._replace(logits=np.concatenate(passes))


def report(material: Material, trials: tuple[Trial, ...] = TRIALS) -> dict[str, Any]:
    """The figures of every finished trial, and of the teachers as an ensemble.

    Trials that are not finished are named under ``not_run``.
    """
    done = tuple(t for t in trials if (material.run(t.name) / "weights.npz").exists())
    missing, trials = [t.name for t in trials if t not in done], done
    found = {trial.name: judge(trial, material) for trial in trials}
    rows = {name: figures(halves(held)) for name, held in found.items()}
    for trial in trials:
        if trial.taught_by:
            rows["teachers"] = figures(halves(together([found[n] for n in trial.taught_by])))
    records = {trial.name: _record(material, trial) for trial in trials}
    return {
        "fold": 1,
        "folds": 3,
        "not_run": missing,
        "trials": {name: {**records.get(name, {}), "figures": row} for name, row in rows.items()},
    }


def _record(material: Material, trial: Trial) -> dict[str, Any]:
    run = material.run(trial.name)
    record = json.loads((run / "run.json").read_text("utf-8"))
    return {
        "recipe": trial.recipe,
        "seed": record["config"]["seed"],
        "epochs": record["config"]["epochs"],
        "share_of_places": trial.fold.share,
        "train_chips": record["train_chips"],
        "data": record["data"],
        **({"teaching": record["teaching"]} if "teaching" in record else {}),
    }


def table(found: dict[str, Any]) -> str:
    """The figures as Markdown."""
    rows = ""
    for name, trial in found["trials"].items():
        one = trial["figures"]
        low, high = one["iou_interval_95"]
        chips, epochs = trial.get("train_chips", ""), trial.get("epochs", "")
        rows += (
            f"| {WHAT[name]} | {chips} | {epochs} | {one['iou']:.3f} ({low:.2f}–{high:.2f}) | "
            f"{one['ece']:.3f} | {one['nll']:.3f} | {one['error_auroc_entropy']:.3f} | "
            f"{one['errors_in_most_uncertain_fifth']:.2f} | "
            f"{one['labels']['iou_without_sure_dry_misses']:.3f} |\n"
        )
    first = next(iter(found["trials"].values()))["figures"]
    missing = "".join(f"\nNot run: {WHAT[name]}.\n" for name in found["not_run"])
    return f"""\
Fold {found["fold"]} of {found["folds"]}: {first["places"]} places held out, \
{first["pixels"] / 1e6:.2f} million labelled pixels; seed 1. The temperature of a half of
these places comes from the other half.

| network and recipe | chips | epochs | water IoU (95 % over places) | ECE | NLL | error AUROC by \
entropy | errors in the most uncertain fifth | IoU without sure dry misses |
|---|---|---|---|---|---|---|---|---|
{rows}{missing}"""


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("real", type=Path, help="chip folder of a camera")
    parser.add_argument("generated", type=Path, help="chip folder of floodsat synth")
    parser.add_argument("--unlabelled", type=Path, nargs="*", default=[])
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--only", choices=[trial.name for trial in TRIALS], help="train one, stop")
    parser.add_argument("--judge", action="store_true", help="train nothing: what is finished")
    parser.add_argument("--write", action="store_true", help=f"write {OUT.name} and {PAGE.name}")
    given = parser.parse_args()
    try:
        real, generated = (ChipFolder.open(path) for path in (given.real, given.generated))
        unlabelled = tuple(ChipFolder.open(path) for path in given.unlabelled)
        material = Material(real, generated, unlabelled, VNIR4, given.runs)
        for trial in TRIALS:
            if given.only == trial.name or (given.only is None and not given.judge):
                train(trial, material, partial(_say, trial.name))
        if given.only is None:
            _show(report(material), given.write)
    except FloodsatError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _say(name: str, epoch: Epoch) -> None:
    row = epoch.row
    sys.stderr.write(
        f"{name} {epoch.number}/{epoch.of} loss {row['loss']:.4f} IoU {row['water_iou']:.3f}\n"
    )


def _show(found: dict[str, Any], write: bool) -> None:
    text = table(found)
    if write:
        files.write_text(OUT, json.dumps(found, indent=1) + "\n")
        before, _, rest = PAGE.read_text("utf-8").partition(START)
        _, _, after = rest.partition(END)
        files.write_text(PAGE, before + START + text + END + after)
    sys.stdout.write(text)


if __name__ == "__main__":
    sys.exit(main())
