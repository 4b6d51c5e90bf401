"""Fitting the oddity score, and measuring what it finds.

The densities are fitted on training chips, every tail on calibration chips of the same data sets:
a set without training places is another domain and says nothing of how rare a crop is in this
one. Both come from the run folder (`training.kept`), as the camera delivered them, without
augmentation: what augmentation makes the network stand is odd all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from onboard.bundle import Bundle
from onboard.classes import CLOUD
from onboard.engines import Engine
from onboard.errors import ConfigError
from onboard.frames import open_frame
from onboard.normalise import Normalisation
from onboard.oddity import (
    KINDS,
    SIDE,
    TAIL,
    Density,
    Features,
    Oddity,
    Survey,
    Tail,
    measure,
    survey,
)
from onboard.scene import ArrayFrame
from onboard.segment import Segmenter, Source
from training import corruptions
from training.chips import ChipFolder
from training.over import Here, Over
from training.scores import auroc

if TYPE_CHECKING:
    # Importing it would load Keras, which an evaluation has no use for.
    from training.kept import KeptChip

Floats = npt.NDArray[np.floating[Any]]
Image = npt.NDArray[np.float32]

SHRINKAGE = 0.1
NUGGET = 1e-6
LIMIT = 2.0
"""Decades beyond which a crop is called odd: one in 100 of the calibration crops' kind."""
MIN_FIT, MIN_CALIBRATION = 24, 12
# So few crops can make a tail look shorter than any is: values barely beyond them are not odd.
LEAST_SCALE, LEAST_JOINT = 0.15, 0.1


def crops_of(images: Sequence[Image]) -> Image:
    """All whole crops of some images, ``(N, SIDE, SIDE, bands)``; smaller images give none."""
    found = [
        image[row : row + SIDE, col : col + SIDE]
        for image in images
        for row in range(0, image.shape[0] - SIDE + 1, SIDE)
        for col in range(0, image.shape[1] - SIDE + 1, SIDE)
    ]
    bands = images[0].shape[-1] if images else 0
    return np.stack(found) if found else np.empty((0, SIDE, SIDE, bands), np.float32)


def fit(train: Image, calibration: Image, epistemic: Floats) -> Oddity:
    """Fit the score.

    Args:
        train: crops ``(N, SIDE, SIDE, bands)`` that fix the densities, reflectance.
        calibration: crops of other places that fix the tails.
        epistemic: their mean epistemic entropies, nats.

    Raises:
        ConfigError: too few crops.
    """
    for name, crops, least in (
        ("training", train, MIN_FIT),
        ("calibration", calibration, MIN_CALIBRATION),
    ):
        if len(crops) < least:
            raise ConfigError(
                f"no oddity score: the run keeps {len(crops)} whole {name} crops of {SIDE} pixels, "
                f"{least} are needed; train on larger chips, or on more places"
            )
    return fit_features(_features(train), _features(calibration), epistemic)


def fit_features(known: Features, held: Features, epistemic: Floats) -> Oddity:
    """`fit`, of crops that were measured already."""
    levels, texture = _density(known.levels), _density(known.texture)
    bare = Oddity(levels, texture, {}, Tail(0.0, 1.0), LIMIT, len(epistemic))
    values = bare.values(held, epistemic)
    tailed = replace(bare, tails={kind: _tail(values[kind], LEAST_SCALE) for kind in KINDS})
    worst = np.max(list(tailed.decades(held, epistemic).values()), axis=0)
    return replace(tailed, joint=_tail(worst, LEAST_JOINT))


def fit_kept(
    representative: Sequence[KeptChip],
    held: Sequence[KeptChip],
    bundle: Bundle,
    engine: Engine,
) -> Oddity:
    """Fit the score of a bundle on the chips that its run kept.

    Args:
        representative: training chips.
        held: calibration chips; those of sets that train nothing are left out.
        bundle: the network, for the epistemic part.
        engine: what runs it.

    Raises:
        ConfigError: too few whole crops.
    """
    sets = {chip.name.rpartition("/")[0] for chip in representative}
    same = [chip for chip in held if chip.name.rpartition("/")[0] in sets]
    train, calibration = (
        crops_of([reflectance(chip.tile, bundle.normalisation) for chip in chips])
        for chips in (representative, same)
    )
    segmenter = Segmenter(bundle, engine, bundle.passes, seed=0)
    epistemic = [segmenter.whole(ArrayFrame(crop)).maps.epistemic.mean() for crop in calibration]
    return fit(train, calibration, np.array(epistemic, np.float64))


def reflectance(tile: Image, normalisation: Normalisation) -> Image:
    """The inverse of `Normalisation.apply`, but for what was clipped, as it is below 0."""
    spread, mean = (np.asarray(v, np.float32) for v in (normalisation.spread, normalisation.mean))
    scaled = tile * spread + mean
    if normalisation.floor:
        scaled = np.maximum(np.exp(scaled) - np.float32(normalisation.floor), 0)
    return np.asarray(scaled, np.float32)


def _features(crops: Image) -> Features:
    return measure(crops, np.ones(crops.shape[:3], bool))


def _density(values: Floats) -> Density:
    """A normal density whose covariance is drawn towards its diagonal, since crops are few."""
    covariance = np.cov(values.T)
    diagonal = np.diag(np.diag(covariance) + NUGGET)
    mixed = (1 - SHRINKAGE) * covariance + SHRINKAGE * diagonal
    return Density(values.mean(axis=0), np.linalg.inv(mixed + NUGGET * np.eye(len(mixed))))


def _tail(values: Floats, least: float) -> Tail:
    """Start at the upper quantile `TAIL`, scale by the mean excess (maximum likelihood)."""
    start = float(np.quantile(values, 1 - TAIL))
    beyond = values[values > start] - start
    return Tail(start, max(least, float(beyond.mean()) if beyond.size else 0.0))


@dataclass(frozen=True)
class Judge:
    """A bundle's score over whole images, with the network's own uncertainty."""

    bundle: Bundle
    oddity: Oddity
    segmenter: Segmenter

    @classmethod
    def of(cls, bundle: Bundle, engine: Engine, passes: int, seed: int) -> Judge | None:
        """None where the bundle carries no score."""
        oddity = bundle.oddity
        if oddity is None:
            return None
        return cls(bundle, oddity, Segmenter(bundle, engine, passes, seed))

    def survey(self, frame: Source) -> Survey:
        """Score a frame that fits into memory, as the runtime does; cloud is not judged."""
        found = self.segmenter.whole(frame)
        observed = found.valid & (found.classes != CLOUD)
        return survey(self.oddity, frame, found.maps.epistemic, observed)


class Crops(NamedTuple):
    """What many crops gave, each ``(N,)``: decades, mean epistemic nats, and the kind's index."""

    score: Floats
    epistemic: Floats
    kind: npt.NDArray[np.uint8]


def under_corruption(
    judge: Judge,
    folder: ChipFolder,
    ids: Sequence[str],
    seed: int,
    on_chip: Callable[[], None] = lambda: None,
    over: Over | None = None,
) -> dict[str, Any]:
    """How well crops with one thing wrong are told from the same chips as they are.

    Args:
        judge: the score.
        folder: a chip folder with the bundle's bands.
        ids: chips; those smaller than a crop are left out.
        seed: of the corruptions.
        on_chip: called after every chip.
        over: where it is done; here where omitted.

    Returns:
        Plain JSON types: ``crops`` scored as they are, the ``limit``, and of them the share beyond
        it (``false_alarms``); and for each of ``corruptions`` how many crops were ``scored``, that
        is, are not called cloud, the AUROC of their score (``auroc``) and of the epistemic part
        alone, and the share ``found`` beyond the limit, by kind in ``found_by``; None where no
        crop was scored.
    """
    ways = ("", *corruptions.of(judge.bundle.sensor))
    parts: dict[str, list[Survey]] = {name: [] for name in ways}
    where = over or Here(judge.segmenter)
    numbered = ((index, folder.only(chip_id)) for index, chip_id in enumerate(ids))
    for surveys in where.each(partial(corrupted, judge.oddity, seed), numbered):
        for name, found in surveys.items():
            parts[name].append(found)
        on_chip()
    if not parts[""]:
        return {"crops": 0, "note": f"no chip has {SIDE} pixels a side"}
    usual = _pooled(parts.pop(""))
    limit = judge.oddity.limit
    if not len(usual.score):
        return {"crops": 0, "note": "no crop is observed well enough"}
    return {
        "crops": len(usual.score),
        "seed": seed,
        "limit": limit,
        "false_alarms": float((usual.score > limit).mean()),
        "corruptions": {
            name: _compared(_pooled(found), usual, limit) for name, found in parts.items()
        },
    }


def corrupted(
    oddity: Oddity, seed: int, segmenter: Segmenter, numbered: tuple[int, ChipFolder]
) -> dict[str, Survey]:
    """Surveys of the only chip of a folder: as it is (``""``), and with one thing wrong each.

    Nothing where the chip is smaller than a crop. The number is the chip's among all, for the seed.
    """
    index, folder = numbered
    judge = Judge(segmenter.bundle, oddity, segmenter)
    sensor = segmenter.bundle.sensor
    image = folder.read(folder.ids[0], sensor).reflectance
    if min(image.shape[:2]) < SIDE:
        return {}
    found = {"": judge.survey(ArrayFrame(image))}
    for number, (name, change) in enumerate(corruptions.of(sensor).items()):
        rng = np.random.default_rng([seed, index, number])
        found[name] = judge.survey(ArrayFrame(change(image, rng)))
    return found


def _pooled(parts: Sequence[Survey]) -> Crops:
    """The scored crops of some surveys, end to end."""
    joined = Crops(
        *(np.concatenate([a.ravel() for a in column]) for column in zip(*parts, strict=True))
    )
    scored = np.isfinite(joined.score)
    return Crops(*(part[scored] for part in joined))


def _compared(odd: Crops, usual: Crops, limit: float) -> dict[str, Any]:
    if not len(odd.score):
        nothing = dict.fromkeys(("auroc", "auroc_epistemic", "found"))
        return {**nothing, "found_by": {}, "scored": 0}
    truth = np.repeat([True, False], [len(odd.score), len(usual.score)])
    beyond = odd.score > limit
    return {
        "auroc": auroc(np.concatenate([odd.score, usual.score]), truth),
        "auroc_epistemic": auroc(np.concatenate([odd.epistemic, usual.epistemic]), truth),
        "found": float(beyond.mean()),
        "found_by": by_kind(odd.kind[beyond]),
        "scored": len(odd.score),
    }


def by_kind(kinds: npt.NDArray[np.uint8]) -> dict[str, int]:
    """How many of ``(N,)`` crops each kind spoke for, without those that spoke for none."""
    counts = np.bincount(kinds.ravel(), minlength=len(KINDS))
    return {kind: int(n) for kind, n in zip(KINDS, counts, strict=True) if n}


def listed(judge: Judge, frame: Source) -> dict[str, Any]:
    """The line of one real scene, as plain JSON types; None where no crop has enough data."""
    found = judge.survey(frame)
    crops = _pooled([found])
    beyond = crops.score > judge.oddity.limit
    line: dict[str, Any] = {
        "pixels": [frame.height, frame.width],
        "crops": len(crops.score),
        "odd_share": found.share(judge.oddity.limit),
        "odd_by": by_kind(crops.kind[beyond]),
    }
    for name, values in (("score", crops.score), ("epistemic", crops.epistemic)):
        line[f"{name}_median"] = float(np.median(values)) if values.size else None
        line[f"{name}_max"] = float(values.max()) if values.size else None
    return line


def list_frame(oddity: Oddity, segmenter: Segmenter, path: Path) -> dict[str, Any]:
    """`listed` of a frame that is yet to be opened.

    Raises:
        FrameError: the frame cannot be used.
    """
    with open_frame(path, segmenter.bundle.sensor) as frame:
        return listed(Judge(segmenter.bundle, oddity, segmenter), frame)
