"""Kept maps: what the network made of a frame, on disk, so that a replay runs it once.

The key is everything that the maps depend on: samples, weights, thresholds, engine, passes and
seed. What `onboard.runtime` makes of them is the same to the bit, whether they come from here or
from the network: it keeps them in half precision, and so they are stored.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from onboard import files
from onboard.arrays import Array
from onboard.segment import Segmenter, Source, TileMaps
from onboard.tiles import Tile
from onboard.uncertainty import Maps

FORMAT = 1
_FIELDS = ("p_water", "entropy", "epistemic")


@dataclass(frozen=True)
class KeptSegmenter(Segmenter):
    """A segmenter that looks into a folder first.

    ``p_cloud`` and ``aleatoric`` are not kept: the runtime does not look at them. They are NaN.

    Attributes:
        folder: where maps are kept.
        last: scene id → mask of the scene that was run last.
    """

    folder: Path = Path()
    last: dict[bytes, Array] = field(default_factory=dict, compare=False, repr=False)

    def run(self, frame: Source, scene_id: bytes | None = None) -> Iterator[TileMaps]:
        """The whole frame as one tile."""
        scene = scene_id or frame.scene_id()
        path = self.path_of(scene)
        arrays = _load(path)
        if arrays is None:
            arrays = self._make(path, frame, scene)
        classes = arrays["classes"]
        self.last.clear()
        self.last[scene] = classes.copy()
        nothing = np.broadcast_to(np.float16(np.nan), classes.shape)
        p_water, entropy, epistemic = (arrays[name] for name in _FIELDS)
        found = Maps(p_water, nothing, entropy, nothing, epistemic)
        yield TileMaps(Tile(0, 0, *classes.shape), classes, found, arrays["valid"])

    def classes(self, scene_id: bytes) -> Array | None:
        """The kept mask of a scene, uint8 ``(H, W)``; None where there is none."""
        if scene_id in self.last:
            return self.last[scene_id]
        arrays = _load(self.path_of(scene_id))
        return None if arrays is None else arrays["classes"]

    def path_of(self, scene_id: bytes) -> Path:
        """Where the maps of a scene are kept."""
        balanced = self.bundle.balanced
        key = json.dumps(
            [
                FORMAT,
                scene_id.hex(),
                self.bundle.model_id.hex(),
                self.bundle.normalisation.to_json(),
                [balanced.water, balanced.cloud],
                self.engine.name,
                self.passes,
                self.seed,
            ],
            sort_keys=True,
        )
        return self.folder / "maps" / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.npz"

    def _make(self, path: Path, frame: Source, scene_id: bytes) -> dict[str, Array]:
        shape = (frame.height, frame.width)
        arrays: dict[str, Array] = {name: np.empty(shape, np.float16) for name in _FIELDS}
        arrays["classes"], arrays["valid"] = np.empty(shape, np.uint8), np.empty(shape, bool)
        for part in super().run(frame, scene_id):
            at = part.tile.window
            arrays["classes"][at], arrays["valid"][at] = part.classes, part.valid
            for name in _FIELDS:
                arrays[name][at] = getattr(part.maps, name)
        with files.replacing(path) as part_path:
            np.savez_compressed(part_path, **arrays)
        return arrays


def _load(path: Path) -> dict[str, Array] | None:
    """Kept arrays; None where there are none, or not whole ones: then they are made anew."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            return {name: kept[name] for name in (*_FIELDS, "classes", "valid")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
