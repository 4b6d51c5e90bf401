"""Splits: which places train the weights, which set thresholds, which are only ever scored.

The committed file ``splits.toml`` fixes them for the data sets it names. For any other set a
place is assigned by a hash of its name, so that the answer never depends on the order of files.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections import Counter
from importlib.resources import files
from typing import Literal

from onboard.errors import DatasetError
from training.chips import ChipFolder

Split = Literal["train", "calibration", "test"]
SPLITS: tuple[Split, ...] = ("train", "calibration", "test")

CALIBRATION_SHARE = 0.15
TEST_SHARE = 0.25
LARGE_GROUP = 0.1


def hashed_split(name: str, group: str) -> Split:
    """The split of a place by SHA-256 of data set and group: 60 / 15 / 25 % in expectation."""
    digest = hashlib.sha256(f"{name}/{group}".encode()).digest()
    u = int.from_bytes(digest[:8], "big") / 2**64
    if u < TEST_SHARE:
        return "test"
    return "calibration" if u < TEST_SHARE + CALIBRATION_SHARE else "train"


def propose(folder: ChipFolder) -> dict[str, Split]:
    """Group → split by hash, except that a group of over a tenth of the chips trains.

    Such a group in the test split would make the score that of one place.
    """
    sizes = Counter(folder.groups.values())
    limit = LARGE_GROUP * len(folder.ids)
    return {
        group: "train" if size > limit else hashed_split(folder.name, group)
        for group, size in sizes.items()
    }


def split_ids(folder: ChipFolder, split: str) -> list[str]:
    """Chip ids of one split, by the committed file where it names the set.

    Raises:
        DatasetError: a group is not in the committed file.
    """
    table = _committed().get(folder.name) or propose(folder)
    strange = sorted(set(folder.groups.values()) - set(table))
    if strange:
        raise DatasetError(
            f"{folder.path}: the group {strange[0]!r} is not in the committed splits of "
            f"{folder.name!r}; rename the set or add the group to training/splits.toml"
        )
    return [chip for chip in folder.ids if table[folder.groups[chip]] == split]


def _committed() -> dict[str, dict[str, Split]]:
    text = files("training").joinpath("splits.toml").read_text("utf-8")
    return {
        name: {group: split for split in SPLITS for group in table.get(split, [])}
        for name, table in tomllib.loads(text).items()
    }
