"""The corpus: what the shipped model makes of real and generated frames, for fitting and judging.

The nets are fitted on the training and calibration places of ``dfc24``, the calibration scene of
``clouds`` and generated frames; they are judged on the test places, the scenes and all else. Of
``dfc24`` the reference is real: water for at least half of the years 1984 to 2021 (the band
``water_occurrence``). Generated frames have the water of normal days. The other frames have none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import rasterio

from onboard.arrays import Array, Bytes
from onboard.errors import DatasetError
from onboard.files import replacing
from onboard.frames import open_frame
from onboard.rasters import unlocated_is_fine
from onboard.scene import ArrayFrame
from onboard.segment import Segmenter, Source
from training.chips import ChipFolder
from training.splits import split_ids
from training.synth.frame import synthesise
from training.synth.recipe import random_recipe

OCCURRENCE = 50
"""Percent of the years from which on water counts as permanent."""
GENERATED_SEED = 70_000
GENERATED_SIDE = 384

Use = Literal["fit", "judge"]
ARRAYS = ("mask", "entropy", "epistemic", "reference", "truth")


@dataclass(frozen=True)
class Sample:
    """One frame as a product sees it; all arrays ``(H, W)``.

    Attributes:
        name: set and frame.
        use: what it may be used for.
        mask: uint8 of `onboard.classes`.
        entropy, epistemic: float16, nats.
        reference: uint8, 1 permanent water; None where there is none.
        truth: uint8, 1 water, 0 not, 255 where no label says; None where there are no labels.
    """

    name: str
    use: Use
    mask: Bytes
    entropy: Array
    epistemic: Array
    reference: Bytes | None = None
    truth: Bytes | None = None


def build(segmenter: Segmenter, data: Path, generated: int) -> Iterator[Sample]:
    """Every sample, one by one: what `fitting` gives, then what `judged` does."""
    yield from fitting(segmenter, data, generated)
    yield from judged(segmenter, data)


def fitting(segmenter: Segmenter, data: Path, generated: int) -> Iterator[Sample]:
    """The samples that tables are fitted on.

    Args:
        segmenter: the model that flies.
        data: the folder of ``dfc24``, ``clouds``, ``phisat2_sim`` and ``scenes``.
        generated: how many generated frames to add.
    """
    yield from _split(segmenter, data, ("train", "calibration"), "fit")
    for number in range(generated):
        yield _generated(segmenter, GENERATED_SEED + number)


def judged(segmenter: Segmenter, data: Path) -> Iterator[Sample]:
    """The samples that nothing was fitted on; arguments as of `fitting`."""
    yield from _split(segmenter, data, ("test",), "judge")
    folder = ChipFolder.open(data / "phisat2_sim")
    for one in folder.ids:
        yield _chip(segmenter, folder, one, "judge")
    for path in sorted((data / "scenes").glob("*.tif")):
        with open_frame(path, segmenter.bundle.sensor) as frame:
            yield sample(segmenter, f"scenes/{path.stem}", "judge", frame)


def _split(segmenter: Segmenter, data: Path, splits: tuple[str, ...], use: Use) -> Iterator[Sample]:
    for name in ("dfc24", "clouds"):
        folder = ChipFolder.open(data / name)
        for split in splits:
            for one in split_ids(folder, split):
                yield _chip(segmenter, folder, one, use)


def save(samples: Iterable[Sample], path: Path) -> int:
    """Write samples to a file of arrays; returns how many there were."""
    arrays: dict[str, Array] = {}
    count = 0
    for one in samples:
        count += 1
        for name in ARRAYS:
            found = getattr(one, name)
            if found is not None:
                arrays[f"{one.use}|{one.name}|{name}"] = found
    with replacing(path) as part, part.open("wb") as out:
        np.savez_compressed(out, **arrays)
    return count


def load(path: Path) -> list[Sample]:
    """What `save` wrote.

    Raises:
        DatasetError: it is no such file.
    """
    found: dict[tuple[str, str], dict[str, Array]] = {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for key in arrays.files:
                use, name, field = key.split("|")
                found.setdefault((use, name), {})[field] = arrays[key]
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{path}: is no corpus of masks ({error}); make it with 'python -m training.outlines'"
        ) from error
    # What is called "fit" or "judge" is a string to the type checker.
    return [Sample(name, use, **fields) for (use, name), fields in found.items()]  # type: ignore[arg-type]


def _chip(segmenter: Segmenter, folder: ChipFolder, chip: str, use: Use) -> Sample:
    found = folder.read(chip, segmenter.bundle.sensor)
    reference = None
    if "water_occurrence" in folder.bands:
        with unlocated_is_fine(), rasterio.open(folder.path / "images" / f"{chip}.tif") as tif:
            share = tif.read(folder.bands.index("water_occurrence") + 1)
        reference = (share >= OCCURRENCE).astype(np.uint8)
    frame = ArrayFrame(found.reflectance)
    return sample(segmenter, f"{folder.name}/{chip}", use, frame, reference, found.water)


def _generated(segmenter: Segmenter, seed: int) -> Sample:
    """A generated frame; every fourth is cloudless, so that water is what is learned."""
    clouds = {"cloud_fraction": 0.0} if seed % 4 == 0 else {}
    made = synthesise(random_recipe(seed, GENERATED_SIDE, GENERATED_SIDE, **clouds))
    frame = ArrayFrame(made.dn * np.float32(1e-4), (made.dn > 0).all(axis=-1))
    return sample(segmenter, f"generated/{seed}", "fit", frame, made.permanent, made.surface_water)


def sample(
    segmenter: Segmenter,
    name: str,
    use: Use,
    frame: Source,
    reference: Bytes | None = None,
    truth: Bytes | None = None,
) -> Sample:
    """What the model makes of a frame; the other arguments as of `Sample`."""
    found = segmenter.whole(frame)
    entropy, epistemic = (m.astype(np.float16) for m in (found.maps.entropy, found.maps.epistemic))
    return Sample(name, use, found.classes, entropy, epistemic, reference, truth)
