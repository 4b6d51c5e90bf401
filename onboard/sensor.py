"""What a camera delivers: its bands, in order, and how its numbers become reflectance.

Reflectance is the ratio of reflected to incoming light per band, 0…1 for most surfaces (bright
cloud and sun-glint may exceed 1). ``reflectance = DN * scale + offset``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Sensor:
    """One camera as the network sees it.

    Attributes:
        name: short identifier, stands in bundles and products.
        bands: band names in the order of the network's input channels.
        scale: reflectance per digital number (DN) of integer frames.
        offset: reflectance at DN 0 of integer frames.
        gsd_m: nominal ground sample distance in metres.
    """

    name: str
    bands: tuple[str, ...]
    scale: float = 1e-4
    offset: float = 0.0
    gsd_m: float = 30.0

    def to_json(self) -> dict[str, Any]:
        """The sensor as plain JSON types."""
        return {**asdict(self), "bands": list(self.bands)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Sensor:
        """The inverse of `to_json`."""
        return cls(**{**data, "bands": tuple(data["bands"])})


VNIR4 = Sensor("vnir4", ("blue", "green", "red", "nir"))
"""Four visible and near-infrared bands of a HyperScout-2-like camera."""

SENSORS = {sensor.name: sensor for sensor in (VNIR4,)}
