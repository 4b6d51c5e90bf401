"""Evaluation: a bundle against labelled chips, through the engine that flies."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from onboard.bundle import Bundle
from onboard.classes import CLOUD, WATER
from onboard.engines import Engine
from onboard.errors import ConfigError, DatasetError
from onboard.scene import ArrayFrame
from onboard.segment import Segmenter, TileMaps
from onboard.sensor import Sensor
from training import scores, smallest
from training.augment import rescale
from training.calibrate import GRID
from training.chips import UNKNOWN, Chip, ChipFolder
from training.ndwi import ndwi
from training.over import Here, Over
from training.splits import split_ids

BOOTSTRAP_SEED = 0
NDWI_GRID = np.linspace(-0.6, 0.6, 121)


@dataclass(frozen=True)
class Scored:
    """One chip with what the model made of it."""

    chip: Chip
    found: TileMaps


def chips_of(folder: ChipFolder, split: str) -> list[str]:
    """Ids of one split, or of the whole folder for ``"all"``.

    Raises:
        DatasetError: there are none.
    """
    ids = list(folder.ids) if split == "all" else split_ids(folder, split)
    if not ids:
        raise DatasetError(
            f"{folder.path}: no chip falls into the split {split!r}; try --split all"
        )
    return ids


def run(
    bundle: Bundle,
    engine: Engine,
    folder: ChipFolder,
    ids: Sequence[str],
    passes: int,
    seed: int,
    on_chip: Callable[[], None] = lambda: None,
    gsd_m: float | None = None,
    over: Over | None = None,
) -> list[Scored]:
    """Segment chips one by one, here or ``over`` the workers of a cluster.

    ``gsd_m`` degrades each chip to that ground sample distance first, by blur and resampling; its
    label goes where at least half of a pixel has it, and it is scored there.

    Raises:
        ConfigError: ``gsd_m`` is finer than the chips are.
    """
    folder.check_sensor(bundle.sensor)
    if gsd_m is not None and gsd_m < folder.gsd_m:
        raise ConfigError(
            f"--gsd {gsd_m:g}: {folder.path} has {folder.gsd_m:g} m; chips can only be made coarser"
        )
    where = over or Here(Segmenter(bundle, engine, passes, seed))
    done = []
    for scored in where.each(partial(score, gsd_m), map(folder.only, ids)):
        done.append(scored)
        on_chip()
    return done


def score(gsd_m: float | None, segmenter: Segmenter, folder: ChipFolder) -> Scored:
    """Segment the only chip of a folder; see `run`."""
    chip = folder.read(folder.ids[0], segmenter.bundle.sensor)
    if gsd_m is not None and gsd_m > folder.gsd_m:
        chip = rescale(chip, gsd_m / folder.gsd_m)
    return Scored(chip, segmenter.whole(ArrayFrame(chip.reflectance)))


def table(bundle: Bundle, results: Sequence[Scored]) -> dict[str, Any]:
    """All figures over some chips, as plain JSON types; pixels are pooled over the chips.

    A figure that is not defined, such as the IoU where there is no water, is None.

    Raises:
        DatasetError: no pixel is labelled land or water.
    """
    flat = flatten(results)
    true, p = flat["water"] == 1, flat["p_water"]
    said = flat["classes"] == WATER
    sensitive = p >= bundle.sensitive.water
    figures: dict[str, Any] = {
        "chips": len(results),
        "places": len({r.chip.group for r in results}),
        "pixels": int(true.size),
        "water_share": float(true.mean()),
        "iou": scores.iou(said, true),
        "iou_interval_95": _interval(results),
        "iou_at_half": scores.iou(p >= 0.5, true),
        "ndwi_iou_best_threshold": _ndwi(results, bundle.sensor),
        "called_cloud": float((flat["classes"] == CLOUD).mean()),
        **scores.figures(p, flat["entropy"], flat["epistemic"], true, bundle.balanced.water),
    }
    for name, mask in (("balanced", said), ("sensitive", sensitive)):
        figures[f"precision_{name}"], figures[f"recall_{name}"] = scores.precision_recall(
            mask, true
        )
    more = {**_cloud(results), **smallest.figures(floods_of(bundle, results))}
    return {name: _defined(value) for name, value in {**figures, **more}.items()}


def floods_of(bundle: Bundle, results: Sequence[Scored]) -> dict[str, smallest.Floods]:
    """The labels' floods, and whether they were found, at each operating point.

    At the balanced point by the mask, in which cloud hides water; at the sensitive one by the
    probability alone, as an alert goes.
    """
    water = [r.chip.water for r in results]
    places = [r.chip.group for r in results]
    masks = {
        "balanced": [r.found.classes == WATER for r in results],
        "sensitive": [r.found.maps.p_water >= bundle.sensitive.water for r in results],
    }
    return {name: smallest.gather(water, said, places) for name, said in masks.items()}


def _defined(value: Any) -> Any:
    """JSON knows no NaN and no infinity."""
    if isinstance(value, list):
        return [_defined(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def flatten(results: Sequence[Scored]) -> dict[str, npt.NDArray[Any]]:
    """Pixels with a known water label, of all chips end to end, ``(N,)`` each.

    Raises:
        DatasetError: there is none.
    """
    parts: dict[str, list[npt.NDArray[Any]]] = defaultdict(list)
    for r in results:
        known = r.chip.water != UNKNOWN
        parts["water"].append(r.chip.water[known])
        parts["classes"].append(r.found.classes[known])
        for name in ("p_water", "entropy", "epistemic"):
            parts[name].append(getattr(r.found.maps, name)[known])
    flat = {name: np.concatenate(values) for name, values in parts.items()}
    if not flat["water"].size:
        ids = ", ".join(r.chip.id for r in results[:3])
        raise DatasetError(
            f"chips {ids}…: none has a pixel labelled land or water; check the classes in "
            "dataset.toml"
        )
    return flat


def _interval(results: Sequence[Scored]) -> list[float]:
    both: dict[str, int] = defaultdict(int)
    either: dict[str, int] = defaultdict(int)
    for r in results:
        known = r.chip.water != UNKNOWN
        said, true = r.found.classes[known] == WATER, r.chip.water[known] == 1
        both[r.chip.group] += int(np.count_nonzero(said & true))
        either[r.chip.group] += int(np.count_nonzero(said | true))
    return list(scores.group_bootstrap(both, either, BOOTSTRAP_SEED))


def _ndwi(results: Sequence[Scored], sensor: Sensor) -> float:
    """Best IoU of one NDWI threshold, fitted on these very chips; NaN where it has no bands."""
    values, labels = [], []
    for r in results:
        known = r.chip.water != UNKNOWN
        index = ndwi(r.chip.reflectance[known], sensor)
        if index is None:
            return math.nan
        values.append(index)
        labels.append(r.chip.water[known] == 1)
    index, true = np.concatenate(values), np.concatenate(labels)
    return max(scores.iou(index > threshold, true) for threshold in NDWI_GRID)


def _cloud(results: Sequence[Scored]) -> dict[str, float]:
    """IoU of cloud where the labels know it, and what the best threshold on them would give."""
    known = [r for r in results if (r.chip.cloud != UNKNOWN).any()]
    if not known:
        return {}
    said = np.concatenate([r.found.classes[r.chip.cloud != UNKNOWN] == CLOUD for r in known])
    true = np.concatenate([r.chip.cloud[r.chip.cloud != UNKNOWN] == 1 for r in known])
    p = np.concatenate([r.found.maps.p_cloud[r.chip.cloud != UNKNOWN] for r in known])
    return {
        "cloud_iou": scores.iou(said, true),
        "cloud_iou_best_threshold": max(scores.iou(p >= threshold, true) for threshold in GRID),
        "cloud_share": float(true.mean()),
    }
