"""Describing a chip folder: what it holds, and what in it is wrong or odd.

*Problems* would stop a training; *notes* would not, but deserve a look. Chips are read one by one,
so that a folder of any size can be described.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from onboard.errors import DatasetError
from training.chips import CLASS_NAMES, UNKNOWN, ChipFolder, index_ids

PLAUSIBLE = (-0.2, 1.6)
"""Mean reflectance of a band over a whole set, generously; beyond it the scale is wrong."""
FILL_SHARE = 0.01
REFERENCE = ("fmask_qa", "worldcover", "water_occurrence")
"""Layers beside the camera's bands; their numbers are no reflectance."""


class Range(NamedTuple):
    """Values of one band over a whole set, in reflectance; a reference layer's as stored.

    Attributes:
        low: smallest finite value.
        mean: of the finite values.
        high: largest finite value.
    """

    low: float
    mean: float
    high: float


@dataclass(frozen=True)
class Description:
    """A chip folder in figures.

    Attributes:
        path: the folder.
        name: of the set.
        generated: whether the chips come from ``floodsat synth``.
        chips: how many.
        places: how many groups.
        largest_place: the group with the most chips, and how many those are.
        bands: names in file order.
        gsd_m: ground sample distance in metres.
        sizes: ``"width×height"`` → chips of that size in pixels.
        shares: class → share of all pixels; what has no label counts as ``ignore``.
        ranges: band → its values; a band without a finite value is missing.
        problems: one line each; a training would stop there.
        notes: one line each; a training would go on.
    """

    path: str
    name: str
    generated: bool
    chips: int
    places: int
    largest_place: tuple[str, int]
    bands: tuple[str, ...]
    gsd_m: float
    sizes: dict[str, int]
    shares: dict[str, float]
    ranges: dict[str, Range]
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        ranges = {band: found._asdict() for band, found in self.ranges.items()}
        return {**asdict(self), "ranges": ranges}


def describe(folder: ChipFolder, on_chip: Callable[[], None] = lambda: None) -> Description:
    """Read every chip of a folder once; what is wrong with one is noted, not raised."""
    tally = _Tally(folder)
    for chip in folder.ids:
        tally.add(chip)
        on_chip()
    places = Counter(folder.groups.values())
    pixels = max(1, sum(tally.classes.values()))
    return Description(
        path=str(folder.path),
        name=folder.name,
        generated=folder.generated,
        chips=len(folder.ids),
        places=len(places),
        largest_place=places.most_common(1)[0],
        bands=folder.bands,
        gsd_m=folder.gsd_m,
        sizes=dict(tally.sizes),
        shares={name: tally.classes[name] / pixels for name in CLASS_NAMES if tally.classes[name]},
        ranges=tally.ranges(),
        problems=tuple(tally.problems),
        notes=(*tally.notes, *_notes_on_files(folder), *_notes_on(folder, tally)),
    )


class _Tally:
    """Sums over the chips read so far."""

    def __init__(self, folder: ChipFolder) -> None:
        self._folder = folder
        bands = len(folder.bands)
        self._low, self._high = np.full(bands, np.inf), np.full(bands, -np.inf)
        self._sum, self._count = np.zeros(bands), np.zeros(bands, np.int64)
        self.sizes: Counter[str] = Counter()
        self.classes: Counter[str] = Counter()
        self.problems: list[str] = []
        self.notes: list[str] = []

    def add(self, chip: str) -> None:
        """Take one chip into account."""
        image_path, label_path = self._folder.files(chip)
        try:
            image, label = self._folder.raw(chip)
            self._folder.check_values(label, label_path)
        except DatasetError as error:
            self.problems.append(str(error))
            return
        self.sizes[f"{label.shape[1]}×{label.shape[0]}"] += 1
        self._add_label(label)
        finite = np.isfinite(image).reshape(len(image), -1)
        self._add_values(image.reshape(len(image), -1), finite)
        spoilt = [
            b for b, good in zip(self._folder.bands, finite.all(axis=1), strict=True) if not good
        ]
        if spoilt:
            self.problems.append(
                f"{image_path}: holds NaN or infinity in the band {spoilt[0]!r}; mend it or take "
                "it out"
            )
        self.notes += [f"{image_path}: {text}" for text in self._oddities(image, label)]

    def ranges(self) -> dict[str, Range]:
        """Low, mean and high of each band that has a finite value."""
        layer = np.array([band in REFERENCE for band in self._folder.bands])[:, None]
        found = np.stack([self._low, self._sum / np.maximum(self._count, 1), self._high], axis=1)
        found = np.where(layer, found, found * self._folder.scale + self._folder.offset)
        return {
            band: Range(*(round(float(v), 6) for v in values))
            for band, values, count in zip(self._folder.bands, found, self._count, strict=True)
            if count
        }

    def _add_label(self, label: npt.NDArray[Any]) -> None:
        values, counts = np.unique(label, return_counts=True)
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            self.classes[self._folder.classes.get(int(value), "ignore")] += count

    def _add_values(self, samples: npt.NDArray[Any], finite: npt.NDArray[np.bool_]) -> None:
        wide = samples.astype(np.float64)
        self._low = np.minimum(self._low, np.where(finite, wide, np.inf).min(axis=1))
        self._high = np.maximum(self._high, np.where(finite, wide, -np.inf).max(axis=1))
        self._sum += np.where(finite, wide, 0.0).sum(axis=1)
        self._count += finite.sum(axis=1)

    def _oddities(self, image: npt.NDArray[Any], label: npt.NDArray[Any]) -> list[str]:
        found = []
        names = {v: n for v, n in self._folder.classes.items() if n != "ignore" and v != UNKNOWN}
        labelled = np.isin(label, list(names))
        if not labelled.any():
            found.append("has no labelled pixel")
        sensed = [i for i, band in enumerate(self._folder.bands) if band not in REFERENCE]
        dark = (image[sensed] == 0).all(axis=0) & labelled
        if dark.mean() > FILL_SHARE:
            found.append(f"{dark.mean():.0%} of it is 0 in every band and labelled all the same")
        flat = [self._folder.bands[i] for i in sensed if image[i].min() == image[i].max()]
        if flat:
            found.append(f"the band {flat[0]!r} has one value throughout")
        return found


def _notes_on_files(folder: ChipFolder) -> list[str]:
    """Labels without an image, and rows of the index without a chip."""
    ids, notes = {*folder.ids, *folder.waiting}, []
    for path in sorted((folder.path / "labels").glob("*.tif")):
        if path.stem not in ids:
            notes.append(f"{path}: has no image beside it; add it or take the label out")
    if folder.waiting:
        notes.append(
            f"{folder.path}: {len(folder.waiting)} chips wait for a label and are left out"
        )
    missing = sorted(index_ids(folder.path / "index.csv") - ids)
    if missing:
        notes.append(
            f"{folder.path / 'index.csv'}: names {len(missing)} chips that are not there, "
            f"{missing[0]!r} first"
        )
    return notes


def _notes_on(folder: ChipFolder, tally: _Tally) -> list[str]:
    """What is odd about the set as a whole."""
    notes = []
    if len(set(folder.groups.values())) == 1:
        notes.append(f"{folder.path}: all chips are of one place, so they cannot be divided")
    if tally.classes and not tally.classes["water"]:
        notes.append(f"{folder.path}: no pixel is labelled water")
    for band, found in tally.ranges().items():
        if band not in REFERENCE and not PLAUSIBLE[0] <= found.mean <= PLAUSIBLE[1]:
            notes.append(
                f"{folder.path}: the mean of {band!r} is {found.mean:g}, which is no reflectance; "
                "look at scale and offset in dataset.toml"
            )
    return notes
