"""Cross-validation: what a recipe gives on places that its network never saw.

The test places are few and are looked at once. A recipe is judged on all the others instead:
they are dealt into folds by place, each fold is held out from one training, and its predictions
are pooled. The temperature of a fold is fitted on the *other* folds' predictions, so that no
place has a say in how it is judged itself. Generated chips train but do not judge where real
ones can.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from onboard import files
from onboard.sensor import Sensor
from onboard.uncertainty import bernoulli_entropy
from training import scores
from training.calibrate import fit_temperature
from training.chips import UNKNOWN, ChipFolder
from training.config import TrainConfig
from training.fit import Epoch, Fitted, chip_refs, deciders, fit, pass_logits
from training.ndwi import ndwi
from training.splits import Fold

FIGURES = "crossval.json"
THRESHOLD = 0.5
BOOTSTRAP_SEED = 0
DRY = -0.2
SURE = 0.1
EVERY = 8
"""Temperatures are fitted on every so-manieth pixel."""


class HeldOut(NamedTuple):
    """Predictions for the labelled pixels of one fold, which its network never saw.

    Attributes:
        logits: float16 ``(T, N)`` of the passes.
        water: bool ``(N,)``.
        places: name of the place of every pixel, ``(N,)``.
        dry: bool ``(N,)``, whether the pixel looks dry: an NDWI below `DRY`; None where the
            sensor has no bands for it.
    """

    logits: npt.NDArray[np.float16]
    water: npt.NDArray[np.bool_]
    places: npt.NDArray[np.str_]
    dry: npt.NDArray[np.bool_] | None


def cross_validate(
    folders: Sequence[ChipFolder],
    sensor: Sensor,
    config: TrainConfig,
    out: Path,
    folds: int,
    on_epoch: Callable[[int, Epoch], None] = lambda fold, epoch: None,
    on_step: Callable[[int, int], None] = lambda done, of: None,
) -> dict[str, Any]:
    """Train ``folds`` networks into ``OUT/fold1 …`` and write ``OUT/crossval.json``.

    A cross-validation that was broken off goes on where it stood.

    Returns:
        What the file holds; see `figures`.

    Raises:
        ConfigError, DatasetError, OutputError: as `training.fit.fit`.
    """
    held = []
    for number in range(folds):
        fold = Fold(number, folds)
        fitted = fit(
            folders,
            sensor,
            config,
            out / f"fold{number + 1}",
            partial(on_epoch, number),
            on_step,
            fold=fold,
        )
        held.append(judged(fitted, folders, sensor, fold))
    found = figures(held)
    files.write_text(out / FIGURES, json.dumps(found, indent=1) + "\n")
    return found


def judged(fitted: Fitted, folders: Sequence[ChipFolder], sensor: Sensor, fold: Fold) -> HeldOut:
    """What a network says of the chips that its fold held out."""
    judging = deciders(chip_refs(folders, sensor, fold)[1], sensor)
    logits, water, places, dry = [], [], [], []
    for index, judges in enumerate(judging):
        if not judges:
            continue
        inputs, target = fitted.held[index]
        label = target[0, ..., 0]
        known = label != UNKNOWN
        logits.append(pass_logits(fitted, inputs)[0][:, known].astype(np.float16))
        water.append(label[known] == 1)
        places.append(np.full(water[-1].size, fitted.held.places[index]))
        values = ndwi(fitted.held.chip(index).reflectance[known], sensor)
        if values is not None:
            dry.append(values < DRY)
    return HeldOut(
        np.concatenate(logits, axis=1),
        np.concatenate(water),
        np.concatenate(places),
        np.concatenate(dry) if dry else None,
    )


class Pooled(NamedTuple):
    """The pixels of some folds end to end, each fold by the temperature of the others.

    Attributes:
        p: probability of water, ``(N,)``.
        entropy: of it, nats.
        aleatoric: mean entropy of the passes, nats.
        true: whether it is water.
        temperatures: of every fold.
    """

    p: npt.NDArray[np.float32]
    entropy: npt.NDArray[np.float32]
    aleatoric: npt.NDArray[np.float32]
    true: npt.NDArray[np.bool_]
    temperatures: list[float]


def pooled(held: Sequence[HeldOut]) -> Pooled:
    """Probabilities and entropies from the logits of all folds."""
    taus = [
        _temperature([other for j, other in enumerate(held) if j != i] or held)
        for i in range(len(held))
    ]
    parts = [expit(h.logits.astype(np.float32) / tau) for h, tau in zip(held, taus, strict=True)]
    p = np.concatenate([part.mean(0) for part in parts])
    aleatoric = np.concatenate([bernoulli_entropy(part).mean(0) for part in parts])
    true = np.concatenate([h.water for h in held])
    return Pooled(p, bernoulli_entropy(p), aleatoric, true, taus)


def figures(held: Sequence[HeldOut]) -> dict[str, Any]:
    """Pooled figures over all folds, at the threshold of 1/2, as plain JSON types.

    ``temperatures`` holds that of every fold; ``iou_by_fold`` and ``iou_by_place`` the spread;
    ``labels`` what speaks of labels that show more water than the image does, see `_labels`.
    """
    p, entropy, aleatoric, true, taus = pooled(held)
    said = p >= THRESHOLD
    both, either = _by_place(said, true, np.concatenate([h.places for h in held]))
    ends = np.cumsum([h.water.size for h in held])[:-1]
    return {
        "folds": len(held),
        "places": len(both),
        "pixels": int(true.size),
        "water_share": float(true.mean()),
        "temperatures": taus,
        "iou": scores.iou(said, true),
        "iou_interval_95": list(scores.group_bootstrap(both, either, BOOTSTRAP_SEED)),
        "iou_by_fold": [
            scores.iou(a, b)
            for a, b in zip(np.split(said, ends), np.split(true, ends), strict=True)
        ],
        **scores.figures(p, entropy, entropy - aleatoric, true, THRESHOLD),
        "labels": _labels(p, true, [h.dry for h in held]),
        "iou_by_place": {g: both[g] / either[g] for g in sorted(both) if either[g]},
    }


def _labels(
    p: npt.NDArray[Any], true: npt.NDArray[np.bool_], dry: Sequence[npt.NDArray[np.bool_] | None]
) -> dict[str, float]:
    """How much of the missed water looks as dry as land does, and the IoU without such misses.

    A miss does not count where the network is sure of land (below `SURE`) and the pixel looks
    dry: there the label says what no image of that date shows.
    """
    known = [part for part in dry if part is not None]
    if len(known) < len(dry):
        return {}
    looks_dry, said = np.concatenate(known), p >= THRESHOLD
    missed, found = true & ~said, true & said
    doubtful = missed & looks_dry & (p < SURE)
    groups = {"missed_water": missed, "found_water": found, "land": ~true}
    return {
        **{f"dry_share_of_{k}": float(looks_dry[v].mean()) for k, v in groups.items() if v.any()},
        "iou_without_sure_dry_misses": scores.iou(said[~doubtful], true[~doubtful]),
    }


def _temperature(held: Sequence[HeldOut]) -> float:
    logits = np.concatenate([h.logits[:, ::EVERY] for h in held], axis=1).astype(np.float32)
    return fit_temperature(
        logits, np.concatenate([h.water[::EVERY] for h in held]).astype(np.uint8)
    )


def _by_place(
    said: npt.NDArray[np.bool_], true: npt.NDArray[np.bool_], places: npt.NDArray[np.str_]
) -> tuple[dict[str, int], dict[str, int]]:
    names, index = np.unique(places, return_inverse=True)
    both = np.bincount(index, said & true, len(names)).astype(int)
    either = np.bincount(index, said | true, len(names)).astype(int)
    return dict(zip(names.tolist(), both.tolist(), strict=True)), dict(
        zip(names.tolist(), either.tolist(), strict=True)
    )
