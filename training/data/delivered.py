"""Delivered: the chips for labelling that a reception left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from onboard.chip import MAX_BYTES, Chip, unpack
from onboard.errors import DatasetError, ProductError
from onboard.toml import read_bytes

ENDING = ".fsc"
CHIPS = "chips"
"""Where ``receive`` puts them within its folder."""


def read_delivered(paths: Sequence[Path]) -> list[Chip]:
    """The chips of files, and of folders as ``receive`` writes them.

    Args:
        paths: ``.fsc`` files, folders of them, or folders that a reception wrote.

    Returns:
        Each chip once, in the order of their file names.

    Raises:
        DatasetError: a path holds no chips, or one of them is damaged.
    """
    files = [file for path in paths for file in _files(path)]
    chips = {chip.chip_id: chip for chip in map(_read, files)}
    return list(chips.values())


def _files(path: Path) -> list[Path]:
    if path.suffix == ENDING:
        return [path]
    found = sorted([*path.glob(f"*{ENDING}"), *(path / CHIPS).glob(f"*{ENDING}")])
    if not found:
        raise DatasetError(
            f"{path}: holds no chips for labelling ({ENDING}); give what 'floodsat receive' wrote"
        )
    return found


def _read(path: Path) -> Chip:
    data = read_bytes(path, "a chip for labelling", DatasetError, MAX_BYTES)
    try:
        return unpack(data)
    except ProductError as error:
        raise DatasetError(f"{path}: {error}") from error
