"""Where dropout acts: every block, bottleneck, decoder, or corrections of the logit.

``python -m benchmarks.placement DATA/dfc24 SYNTH --work WORK`` trains one network for each place
and seed by one schedule, on the fold of `benchmarks.onefold`, and compares what their uncertainty
is worth and what ten passes cost. It also holds the closed form of the shipped placement against
sampling (`benchmarks.closed_form`). With ``--write`` table, plot and figures go into docs. A
comparison that was broken off goes on in the same work folder; ``--train`` stops before judging.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks import closed_form, onefold
from benchmarks.onefold import SCHEDULE, Chips, Variant
from benchmarks.work import tflite_layers
from onboard import bundle as bundles
from onboard import files
from onboard.sensor import VNIR4
from training import scores
from training.chips import ChipFolder
from training.config import TrainConfig
from training.crossval import THRESHOLD, Pooled, pooled
from training.fit import shape
from training.placement import LOGIT, PLACEMENTS, work

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "data_samples" / "bundle"
OUT = ROOT / "docs" / "figures" / "placement.json"
PASSES, MANY = 10, 40
SEEDS = (1, 2)
SIDE = 64
"""Of the crops that are odd, pixels: each chip is run under six corruptions."""
REFERENCE = "every"
LONGER = replace(SCHEDULE, epochs=2 * SCHEDULE.epochs)
GENTLE = 0.1
"""Rate of the reference in the longer schedule: 0.3 everywhere is much for so small a network."""


class Case(NamedTuple):
    """A row of the table.

    Attributes:
        placement: where dropout acts.
        passes: T.
    """

    placement: str
    passes: int

    @property
    def name(self) -> str:
        """As the row is called in the figures."""
        return f"{self.placement}-{self.passes}"


CASES = (*(Case(placement, PASSES) for placement in PLACEMENTS), Case(REFERENCE, MANY))
FEW = (Case(LOGIT, PASSES), Case(REFERENCE, PASSES), Case(REFERENCE, MANY))

Trained = dict[tuple[str, int], Variant]


def train(
    chips: Chips,
    schedule: TrainConfig,
    placements: Sequence[str],
    seeds: Sequence[int],
    folder: Path,
) -> Trained:
    """A network for every placement and seed."""
    found = {}
    for seed in seeds:
        for placement in placements:
            config = replace(schedule, seed=seed, placement=placement)
            name = f"{placement}-seed{seed}"
            found[placement, seed] = onefold.train(
                chips, config, folder / name, on_epoch=tell(name)
            )
    return found


def tell(name: str) -> Any:
    """What prints a line for every epoch."""
    return lambda number, loss: print(f"{name}: epoch {number}, loss {loss:.4f}", file=sys.stderr)


def judge(variant: Variant, case: Case, chips: Chips, folder: Path) -> tuple[Pooled, float]:
    """Its pixels, and the temperature for crops: the mean of the two halves'."""
    # The first passes of many are those of few.
    most = MANY if case.placement == REFERENCE else case.passes
    held = onefold.held_out(variant, chips, most, folder / f"logits{most}.npz")
    held = held._replace(logits=held.logits[: case.passes])
    found = pooled(onefold.halves(held))
    return found, float(np.mean(found.temperatures))


def own_figures(found: Pooled) -> dict[str, float]:
    """Accuracy, calibration, and how its uncertainty points at its own errors."""
    p, entropy, aleatoric, true, _ = found
    return {
        "iou": scores.iou(p >= THRESHOLD, true),
        **scores.figures(p, entropy, entropy - aleatoric, true, THRESHOLD),
    }


def on_errors(found: Pooled, wrong: npt.NDArray[np.bool_]) -> dict[str, float]:
    """How its uncertainty points at errors that were fixed beforehand."""
    epistemic = found.entropy - found.aleatoric
    return {
        "auroc_entropy": scores.auroc(found.entropy, wrong),
        "auroc_epistemic": scores.auroc(epistemic, wrong),
        "aurc_entropy": scores.area_under_risk(found.entropy, wrong),
        "aurc_epistemic": scores.area_under_risk(epistemic, wrong),
        "in_most_uncertain_fifth": scores.errors_among(found.entropy, wrong),
    }


def odd_figures(
    variant: Variant, case: Case, chips: Chips, temperature: float, seed: int, path: Path
) -> dict[str, float]:
    """AUROC of the mean mutual information of a crop, by corruption, and their mean."""
    if path.exists():
        kept: dict[str, float] = json.loads(path.read_text("utf-8"))
        return kept
    found = onefold.odd_epistemic(variant, chips, case.passes, temperature, SIDE, seed)
    usual = found.pop("")
    each = {
        name: scores.auroc(
            np.concatenate([values, usual]), np.repeat([True, False], [len(values), len(usual)])
        )
        for name, values in found.items()
    }
    told = {"mean": float(np.mean(list(each.values()))), **each}
    files.write_text(path, json.dumps(told))
    return told


def compare(
    chips: Chips, variants: Trained, cases: Sequence[Case], seeds: Sequence[int], folder: Path
) -> dict[str, list[dict[str, Any]]]:
    """Case → its figures, seed by seed, in the order of ``seeds``.

    The first case is the shipped placement; the errors are its own, of the same seed.
    """
    found: dict[str, list[dict[str, Any]]] = {case.name: [] for case in cases}
    for seed in seeds:
        wrong: npt.NDArray[np.bool_] | None = None
        for case in cases:
            variant, run = variants[case.placement, seed], folder / f"{case.placement}-seed{seed}"
            pixels, temperature = judge(variant, case, chips, run)
            if wrong is None:
                wrong = (pixels.p >= THRESHOLD) != pixels.true
            row: dict[str, Any] = {
                "own": own_figures(pixels),
                "shipped_errors": on_errors(pixels, wrong),
                "temperature": temperature,
            }
            if case.passes == PASSES:
                row["odd"] = odd_figures(
                    variant, case, chips, temperature, seed, run / f"odd{case.passes}.json"
                )
            found[case.name].append(row)
    return found


def costs() -> dict[str, Any]:
    """Multiply-adds: by the shapes for every case, and of the shipped bundle's own graphs."""
    loaded = bundles.load(SHIPPED, ["tflite"])
    graphs = {
        passes: sum(layer.macs for layer in tflite_layers(content))
        for passes, content in sorted(loaded.models("tflite").items())
    }
    one, chunk = min(graphs), max(graphs)
    by_shape = {}
    for placement in PLACEMENTS:
        own = work(shape(VNIR4, replace(SCHEDULE, placement=placement)))
        by_shape[placement] = {
            "per_pixel_of_one_pass": own.shared + own.passed,
            "stochastic_share": own.passed / (own.shared + own.passed),
            "ten_over_one": own.over_one(PASSES),
            "forty_over_one": own.over_one(MANY),
        }
    return {
        "by_shape": by_shape,
        "shipped_graph": {
            "passes": chunk,
            "over_one": graphs[chunk] / graphs[one],
            "model_id": loaded.model_id.hex(),
        },
    }


def report(chips: Chips, seeds: Sequence[int], folder: Path, long: bool) -> dict[str, Any]:
    """All figures, as plain JSON types; ``long`` trains shipped and reference once more."""
    variants = train(chips, SCHEDULE, PLACEMENTS, seeds, folder)
    found = {
        "fold": list(onefold.FOLD),
        "schedule": {"epochs": SCHEDULE.epochs, "crop": SCHEDULE.crop},
        "seeds": list(seeds),
        "train_chips": len(chips.train),
        "judging_chips": len(chips.judge),
        "judging_places": len({ref.folder.groups[ref.id] for ref in chips.judge}),
        "cases": compare(chips, variants, CASES, seeds, folder),
        "costs": costs(),
        "closed_form": closed_form.report(variants[LOGIT, seeds[0]], chips),
    }
    if long:
        folder = folder / "longer"
        variants = {
            **train(chips, LONGER, (LOGIT,), seeds[:1], folder),
            **train(chips, replace(LONGER, dropout=GENTLE), (REFERENCE,), seeds[:1], folder),
        }
        found["longer"] = {
            "epochs": LONGER.epochs,
            "rate": GENTLE,
            "seed": seeds[0],
            "cases": compare(chips, variants, FEW, seeds[:1], folder),
        }
    return found


def opened(paths: Sequence[Path]) -> Chips:
    """The fold's chips of some folders."""
    return Chips.of([ChipFolder.open(path) for path in paths], VNIR4)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("chips", type=Path, nargs="+", help="chip folders")
    parser.add_argument("--work", type=Path, required=True, help="folder of the networks")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--train", action="store_true", help="train, and stop")
    parser.add_argument("--longer", action="store_true", help="shipped and reference once more")
    parser.add_argument("--write", action="store_true", help="write table, plot and figures")
    given = parser.parse_args()
    chips = opened(given.chips)
    if given.train:
        train(chips, SCHEDULE, PLACEMENTS, given.seeds, given.work)
        return
    from benchmarks.placement_page import write

    found = report(chips, given.seeds, given.work, given.longer)
    give(found, OUT, write if given.write else None)


def give(found: dict[str, Any], out: Path, write: Callable[[dict[str, Any]], None] | None) -> None:
    """Print what was found; with ``write``, put it into ``out`` and its page into docs."""
    if write is not None:
        files.write_text(out, json.dumps(found, indent=1) + "\n")
        write(found)
    json.dump(found, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
