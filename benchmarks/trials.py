"""Trials: trainings on one fold that are set beside each other.

Every trial is a recipe of `docs/experiments/recipes`, trained on the places that a fold of
`training.crossval` trains on and judged on those that it holds out. Each has a run folder of its
own; one that was broken off goes on where it stood, a finished one is only judged.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from onboard.errors import ConfigError
from onboard.sensor import Sensor
from training.chips import ChipFolder
from training.config import TrainConfig
from training.crossval import HeldOut, judged
from training.distil import Teaching
from training.finished import Finished
from training.fit import Epoch, fit
from training.splits import SPLITS, Fold, split_ids
from training.stream import ChipRef

RECIPES = Path(__file__).resolve().parents[1] / "docs" / "experiments" / "recipes"
FIRST = Fold(0, 3)


@dataclass(frozen=True)
class Trial:
    """One training.

    Attributes:
        name: of its run folder.
        recipe: file of `RECIPES`, without its ending.
        fold: what trains and what is held out.
        generated: whether generated chips train beside the real ones.
        taught_by: trials on the same fold whose networks teach it.
        longer: times the epochs of the recipe, so that fewer places make as many steps.
    """

    name: str
    recipe: str
    fold: Fold = FIRST
    generated: bool = False
    taught_by: tuple[str, ...] = ()
    longer: int = 1

    def config(self) -> TrainConfig:
        """Its settings."""
        recipe = TrainConfig.read(RECIPES / f"{self.recipe}.toml")
        return replace(recipe, epochs=recipe.epochs * self.longer)


class Material(NamedTuple):
    """What trials train on.

    Attributes:
        real: labelled chips of a camera.
        generated: chips of ``floodsat synth``.
        unlabelled: folders whose chips teach without their labels; their test chips do not.
        sensor: whose bands.
        runs: folder of the run folders.
    """

    real: ChipFolder
    generated: ChipFolder
    unlabelled: tuple[ChipFolder, ...]
    sensor: Sensor
    runs: Path

    def of(self, trial: Trial) -> list[ChipFolder]:
        """The folders of a trial."""
        return [self.real, self.generated] if trial.generated else [self.real]

    def run(self, name: str) -> Path:
        """The run folder of a trial."""
        return self.runs / name

    def extra(self) -> tuple[ChipRef, ...]:
        """The unlabelled chips."""
        return tuple(
            ChipRef(folder, chip)
            for folder in self.unlabelled
            for split in SPLITS[:2]
            for chip in split_ids(folder, split)
        )


def train(
    trial: Trial,
    material: Material,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> None:
    """Train it, or go on; a finished one is left as it is.

    Raises:
        ConfigError: the run folder holds another training.
    """
    run = material.run(trial.name)
    if (run / "weights.npz").exists():
        _check(run, trial, material)
        return
    teachers = tuple(Finished.open(material.run(name)) for name in trial.taught_by)
    config = trial.config()
    teaching = Teaching(teachers, config.taught, material.extra()) if teachers else None
    folders = material.of(trial)
    fit(folders, material.sensor, config, run, on_epoch, fold=trial.fold, teaching=teaching)


def _check(run: Path, trial: Trial, material: Material) -> None:
    record = json.loads((run / "run.json").read_text("utf-8"))
    there = TrainConfig.from_dict(record["config"], str(run))
    data = [folder.content_hash() for folder in material.of(trial)]
    if there != trial.config() or [one["sha256"] for one in record["data"]] != data:
        raise ConfigError(
            f"{run}: holds another training than the trial {trial.name!r}; move it away, or name "
            "another folder of runs"
        )


def judge(trial: Trial, material: Material) -> HeldOut:
    """What a finished trial says of the places that its fold holds out."""
    folders: Sequence[ChipFolder] = material.of(trial)
    fitted = Finished.open(material.run(trial.name)).on(folders, material.sensor, trial.fold)
    return judged(fitted, folders, material.sensor, trial.fold)
