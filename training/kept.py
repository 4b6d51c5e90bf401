"""Kept chips: the real chips that a run folder keeps for its export.

``representative.npz`` holds training chips that fix the ranges of integer arithmetic;
``held.npz`` holds calibration chips on which every engine is compared with the reference. An
export needs no data folder for them, and the run says by name which chips they are.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from onboard import files
from onboard.bundle import read_arrays
from onboard.errors import ConfigError
from onboard.normalise import Normalisation
from onboard.sensor import Sensor
from training.stream import ChipRef

REPRESENTATIVE = "representative.npz"
HELD = "held.npz"
MOST = 48
PARTS = ("tile", "water", "cloud")


class KeptChip(NamedTuple):
    """A chip as the network sees it.

    Attributes:
        name: ``<folder>/<id>``.
        tile: float32 ``(H, W, bands)``, normalised.
        water: uint8 ``(H, W)``: 1 water, 0 not, 255 unknown.
        cloud: uint8 ``(H, W)``, likewise.
    """

    name: str
    tile: npt.NDArray[np.float32]
    water: npt.NDArray[np.uint8]
    cloud: npt.NDArray[np.uint8]


def choose(refs: Sequence[ChipRef]) -> list[ChipRef]:
    """At most `MOST` chips, evenly spread; real ones where there are any."""
    real = [ref for ref in refs if not ref.folder.generated] or list(refs)
    step = max(1.0, len(real) / MOST)
    return [real[int(i * step)] for i in range(min(MOST, len(real)))]


def keep(
    path: Path, refs: Sequence[ChipRef], sensor: Sensor, normalisation: Normalisation
) -> list[str]:
    """Write the chosen of ``refs`` to ``path``; returns their names."""
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    names = []
    for ref in choose(refs):
        chip = ref.read(sensor)
        names.append(f"{ref.folder.name}/{ref.id}")
        tile = normalisation.apply(chip.reflectance, np.ones(chip.water.shape, bool))
        for part, array in zip(PARTS, (tile, chip.water, chip.cloud), strict=True):
            arrays[f"{part}:{names[-1]}"] = array
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    files.write_bytes(path, buffer.getvalue())
    return names


def read(path: Path) -> list[KeptChip]:
    """The chips of a file that `keep` wrote, in its order.

    Raises:
        ConfigError: absent or damaged.
    """
    try:
        arrays = read_arrays(path.read_bytes())
        names = [key.split(":", 1)[1] for key in arrays if key.startswith("tile:")]
        return [KeptChip(name, *(arrays[f"{part}:{name}"] for part in PARTS)) for name in names]
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}); train the run to its end"
        ) from error
    except (ValueError, EOFError, KeyError, IndexError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path}: the run is damaged ({error}); train it again") from error
