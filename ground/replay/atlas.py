"""Atlas: the permanent-water references of many places as one, for the satellite and the ground."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from onboard.arrays import Bytes, Flags
from onboard.errors import ConfigError
from onboard.georef import Georef
from onboard.reference_water import DRY, UNKNOWN, VERSION_BYTES, PermanentWater


class Atlas:
    """References of places that frames lie on; fits `onboard.reference_water.Reference`.

    Args:
        places: a frame's grid, and the raster that knows it.

    Attributes:
        version: a hash of the rasters', 16 bytes.

    Raises:
        ConfigError: two rasters of one grid say different things.
        FrameError: one of them is no reference.
    """

    def __init__(self, places: Iterable[tuple[Georef, Path]]) -> None:
        self._parts: dict[Georef, PermanentWater] = {}
        self._seen: dict[Georef, Bytes] = {}
        for georef, path in places:
            part = PermanentWater(path)
            known = self._parts.setdefault(georef, part)
            if known.version != part.version and (known.on(georef) != part.on(georef)).any():
                raise ConfigError(
                    f"{path}: says otherwise than {known.path} of the same place; frames of one "
                    "place must have one permanent water: give them one seed, or other places"
                )
        versions = sorted(part.version for part in self._parts.values())
        self.version = hashlib.sha256(b"".join(versions)).digest()[:VERSION_BYTES]

    def on(self, georef: Georef) -> Bytes:
        """The references on a frame's grid, uint8 ``(H, W)``: 0, 1, or 255 where none knows."""
        known = self._seen.get(georef)
        if known is None:
            part = self._parts.get(georef)
            shape = (georef.height, georef.width)
            known = np.full(shape, UNKNOWN, np.uint8) if part is None else part.on(georef)
            known.flags.writeable = False
            self._seen[georef] = known
        return known

    def exact(self, georef: Georef) -> bool:
        """Whether `on` is the same everywhere; see `PermanentWater.exact`."""
        part = self._parts.get(georef)
        return part is not None and part.exact(georef)

    def beyond(self, georef: Georef) -> Flags | None:
        """Where water would be flood, ``(H, W)``; None where not known for the whole frame."""
        known = self.on(georef)
        return None if (known == UNKNOWN).any() else known == DRY
