"""A training run on the terminal: a bar for the epoch, a line with the scores after each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from onboard.sensor import Sensor
from training.chips import ChipFolder
from training.config import TrainConfig
from training.start import Start

if TYPE_CHECKING:
    from training.group import Group


def show(
    folders: Sequence[ChipFolder],
    sensor: Sensor,
    config: TrainConfig,
    run: Path,
    folds: int = 0,
    start: Start | None = None,
    group: Group | None = None,
) -> dict[str, Any]:
    """Run `training.fit.fit`, or with ``folds`` a cross-validation, with progress.

    Of a ``group`` the chief alone shows something.

    Returns:
        The figures of the cross-validation; empty without one.
    """
    # Read before TensorFlow is imported, which would else print pages about its build.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from training.crossval import cross_validate
    from training.fit import Epoch, fit

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, disable=group is not None and not group.chief) as bar:
        task = bar.add_task("training", total=None)

        def on_step(done: int, of: int) -> None:
            bar.update(task, completed=done, total=of)

        def on_epoch(epoch: Epoch, fold: int | None = None) -> None:
            row = epoch.row
            part = "" if fold is None else f"fold {fold + 1}/{folds}  "
            bar.console.print(
                f"{part}epoch {epoch.number}/{epoch.of}  loss {row['loss']:.4f}  water IoU "
                f"{row['water_iou']:.3f}  cloud IoU {row['cloud_iou']:.3f}",
                highlight=False,
            )

        if not folds:
            fit(folders, sensor, config, run, on_epoch, on_step, start=start, group=group)
            return {}
        return cross_validate(
            folders,
            sensor,
            config,
            run,
            folds,
            lambda fold, epoch: on_epoch(epoch, fold),
            on_step,
        )
