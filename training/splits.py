"""Splits: which places train the weights, which set thresholds, which are only ever scored.

The committed file ``training/splits.toml`` fixes them for the data sets it names. Any other set
may bring a ``splits.toml`` of the same form in its folder, which ``floodsat data split`` writes.
Without one a place is assigned by a hash of its name, so that the answer never depends on the order
of files.
"""

from __future__ import annotations

import hashlib
import math
import tomllib
from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Literal, NamedTuple

from onboard.errors import DatasetError
from training.chips import ChipFolder

Split = Literal["train", "calibration", "test"]
SPLITS: tuple[Split, ...] = ("train", "calibration", "test")
FILE = "splits.toml"

CALIBRATION_SHARE = 0.15
TEST_SHARE = 0.25
LARGE_GROUP = 0.1


def _digest(name: str, group: str) -> bytes:
    return hashlib.sha256(f"{name}/{group}".encode()).digest()


def hashed_split(name: str, group: str) -> Split:
    """The split of a place by SHA-256 of data set and group: 60 / 15 / 25 % in expectation."""
    digest = _digest(name, group)
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
    """Chip ids of one split, by the file that names the set, see `table_of`.

    Raises:
        DatasetError: a group is in none of the file's splits, or the file is unusable.
    """
    table = table_of(folder)
    return [chip for chip in folder.ids if table[folder.groups[chip]] == split]


def table_of(folder: ChipFolder) -> dict[str, Split]:
    """Group → split: by the committed file, else by the folder's own, else by `propose`.

    Raises:
        DatasetError: a group is in none of the file's splits, or the file is unusable.
    """
    committed = read_committed()
    own = folder.path / FILE
    if folder.name in committed:
        table, cure = committed[folder.name], "rename the set or add the group to it"
        where = "the committed splits (training/splits.toml)"
    elif own.exists():
        found = read_tables(own.read_bytes(), own)
        if folder.name not in found:
            raise DatasetError(
                f"{own}: does not name the set {folder.name!r}; delete it and run "
                "'floodsat data split'"
            )
        table, where = found[folder.name], str(own)
        cure = "add it there to train, calibration or test"
    else:
        return propose(folder)
    strange = sorted(set(folder.groups.values()) - set(table))
    if strange:
        raise DatasetError(
            f"{folder.path}: the group {strange[0]!r} is not in {where} of {folder.name!r}; {cure}"
        )
    return table


def read_committed() -> dict[str, dict[str, Split]]:
    """Data set → group → split, of the committed file."""
    own = files("training").joinpath(FILE)
    return read_tables(own.read_bytes(), Path(str(own)))


class Fold(NamedTuple):
    """One part of a cross-validation.

    Attributes:
        number: which, from 0.
        of: how many there are.
        share: of the places that would train, so many do, those with the smallest hashes; what is
            held out stays the same. For learning curves.
    """

    number: int
    of: int
    share: float = 1.0


def fold_ids(folder: ChipFolder, fold: Fold) -> tuple[list[str], list[str]]:
    """Chip ids that train, and those held out, in one fold; test places are in neither.

    The places of the other two splits are dealt out, the largest first, each to the fold that
    has the fewest chips so far; equal ones by a hash of their names.
    """
    ids = [chip for split in SPLITS[:2] for chip in split_ids(folder, split)]
    sizes = Counter(folder.groups[chip] for chip in ids)
    load = [0] * fold.of
    home: dict[str, int] = {}
    for group in sorted(sizes, key=lambda name: (-sizes[name], _digest(folder.name, name))):
        home[group] = load.index(min(load))
        load[home[group]] += sizes[group]
    held = [chip for chip in ids if home[folder.groups[chip]] == fold.number]
    others = [name for name in sizes if home[name] != fold.number]
    others.sort(key=lambda name: _digest(folder.name, name))
    # A generated chip is a place of its own and no sample of the ground: all of them stay.
    count = len(others) if folder.generated else math.ceil(fold.share * len(others))
    train = set(others[:count])
    return [chip for chip in ids if folder.groups[chip] in train], held


def read_tables(content: bytes, path: Path) -> dict[str, dict[str, Split]]:
    """Data set → group → split, of a file's bytes.

    Raises:
        DatasetError: no TOML of that form, or a group stands in two splits.
    """
    try:
        tables = tomllib.loads(content.decode("utf-8"))
        listed = {
            name: [(s, g) for s in SPLITS for g in tables[name].get(s, [])] for name in tables
        }
    except (ValueError, AttributeError, TypeError) as error:
        raise DatasetError(
            f"{path}: is no file of splits ({error}); it needs a table of the set's name with "
            "train, calibration and test"
        ) from error
    for name, pairs in listed.items():
        counts = Counter(group for _, group in pairs)
        twice = [group for group, count in counts.items() if count > 1]
        if twice:
            raise DatasetError(
                f"{path}: the group {twice[0]!r} of {name!r} is in two splits; leave it in one"
            )
    return {name: {group: split for split, group in pairs} for name, pairs in listed.items()}
