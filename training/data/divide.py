"""Dividing a chip folder into train, calibration and test, place by place.

Of several hundred divisions drawn from the seed the most even one is taken: parts of about the
wanted sizes, and in each part about the class shares of the whole. A place is never divided.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from onboard.errors import ConfigError, DatasetError
from training.chips import CLASS_NAMES, ChipFolder
from training.splits import CALIBRATION_SHARE, SPLITS, TEST_SHARE, Split, read_committed

DRAWS = 300
CLASSES = tuple(name for name in CLASS_NAMES if name != "ignore")
Counts = npt.NDArray[np.float64]


class Shares(NamedTuple):
    """Wanted shares of the chips, in the order of `training.splits.SPLITS`; they sum to 1."""

    train: float = 1 - CALIBRATION_SHARE - TEST_SHARE
    calibration: float = CALIBRATION_SHARE
    test: float = TEST_SHARE

    @classmethod
    def of(cls, calibration: float, test: float) -> Shares:
        """The rest trains.

        Raises:
            ConfigError: a share is not above 0, or nothing is left to train.
        """
        if not (calibration > 0 and test > 0 and calibration + test < 1):
            raise ConfigError(
                f"--calibration {calibration:g} --test {test:g}: each must be above 0 and both "
                "together below 1"
            )
        return cls(1 - calibration - test, calibration, test)


class Part(NamedTuple):
    """One part of a division.

    Attributes:
        chips: how many.
        groups: how many places.
        shares: class → share of the labelled pixels.
    """

    chips: int
    groups: int
    shares: dict[str, float]


def weigh(folder: ChipFolder, on_chip: Callable[[], None] = lambda: None) -> dict[str, Counts]:
    """Group → chips, then labelled pixels of each of `CLASSES`; reads every label.

    Raises:
        DatasetError: an unreadable label, or one with a value that has no class.
    """
    values = [[v for v, name in folder.classes.items() if name == wanted] for wanted in CLASSES]
    weights: dict[str, Counts] = {}
    for chip in folder.ids:
        label = folder.label(chip)
        folder.check_values(label, folder.files(chip)[1])
        counts = [1.0, *(float(np.isin(label, some).sum()) for some in values)]
        group = folder.groups[chip]
        weights[group] = weights.get(group, np.zeros(len(counts))) + counts
        on_chip()
    return weights


def divide(
    folder: ChipFolder, weights: Mapping[str, Counts], seed: int, shares: Shares
) -> dict[str, Split]:
    """Group → split; depends on the groups, their weights and the seed alone.

    Args:
        folder: for its name in errors.
        weights: of every group, see `weigh`.
        seed: of the divisions that are drawn.
        shares: wanted shares of the chips.

    Raises:
        DatasetError: fewer than three groups, or the committed file fixes the set already.
    """
    if folder.name in read_committed():
        raise DatasetError(
            f"{folder.path}: training/splits.toml fixes the splits of {folder.name!r} already; "
            "rename the set in dataset.toml to divide it anew"
        )
    groups = sorted(weights)
    if len(groups) < len(SPLITS):
        raise DatasetError(
            f"{folder.path}: has chips of {len(groups)} "
            f"{'place' if len(groups) == 1 else 'places'}, and a place is never divided; add chips "
            "of more places, or name the places in the column group of index.csv"
        )
    table = np.stack([weights[group] for group in groups])
    drawn = [_draw(table, np.random.default_rng([seed, draw]), shares) for draw in range(DRAWS)]
    best = min(drawn, key=lambda parts: _unevenness(table, parts, shares))
    return {group: SPLITS[part] for group, part in zip(groups, best, strict=True)}


def summarise(weights: Mapping[str, Counts], table: Mapping[str, Split]) -> dict[Split, Part]:
    """Chips, groups and class shares of each part."""
    parts = {}
    for split in SPLITS:
        own = [weights[group] for group in weights if table[group] == split]
        total = np.sum(own, axis=0) if own else np.zeros(1 + len(CLASSES))
        pixels = max(1.0, float(total[1:].sum()))
        shares = {n: float(c) / pixels for n, c in zip(CLASSES, total[1:], strict=True) if c}
        parts[split] = Part(int(total[0]), len(own), shares)
    return parts


def _draw(table: Counts, rng: np.random.Generator, shares: Shares) -> list[int]:
    """One division: group index → part index. No part is empty."""
    order = rng.permutation(len(table))
    # One place for each part first, the largest of the three to the part that wants the most.
    first = sorted(order[: len(shares)], key=lambda i: -table[i, 0])
    by_want = sorted(range(len(shares)), key=lambda part: -shares[part])
    parts = [0] * len(table)
    missing = [share * float(table[:, 0].sum()) for share in shares]
    for place, part in zip(first, by_want, strict=True):
        parts[place] = part
        missing[part] -= float(table[place, 0])
    for place in order[len(shares) :]:
        part = int(np.argmax(missing))
        parts[place] = part
        missing[part] -= float(table[place, 0])
    return parts


def _unevenness(table: Counts, parts: Sequence[int], shares: Shares) -> float:
    """How far chips and class shares of the parts are from those wanted; 0 is best."""
    where, found = np.asarray(parts), 0.0
    whole = table.sum(axis=0)
    classes = whole[1:] / max(1.0, float(whole[1:].sum()))
    for part, share in enumerate(shares):
        own = table[where == part].sum(axis=0)
        found += abs(float(own[0] / whole[0]) - share)
        found += float(np.abs(own[1:] / max(1.0, float(own[1:].sum())) - classes).sum())
    return found


def to_toml(tables: Mapping[str, Mapping[str, Split]]) -> str:
    """Data set → group → split as the text that `training.splits.read_tables` reads."""
    lines = ["# Which places train, calibrate and test. A place is never divided."]
    for name, table in tables.items():
        lines += ["", f"[{_quoted(name)}]"]
        for split in SPLITS:
            listed = ", ".join(_quoted(g) for g in sorted(table) if table[g] == split)
            lines.append(f"{split} = [{listed}]")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A basic string of TOML 1.0."""
    special = {'"': '\\"', "\\": "\\\\", "\x7f": "\\u007F"}
    escaped = (special.get(c) or (f"\\u{ord(c):04X}" if ord(c) < 32 else c) for c in text)
    return f'"{"".join(escaped)}"'
