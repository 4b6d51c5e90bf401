"""Triage: what is worth sending.

The alert decision is taken at the *sensitive* operating point, which misses little; the mask
that goes down is the *balanced* one. All limits live in the bundle.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from onboard.uncertainty import LN2


class Outcome(enum.Enum):
    """What becomes of a frame."""

    PRODUCT = "product"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Limits:
    """What decides.

    Attributes:
        max_unobserved: fraction of cloud and nodata beyond which a frame is dropped; ΦSat-1
            dropped frames of over 70 % cloud.
        min_wet: fraction of the observed pixels that must be wet at the sensitive operating
            point for the frame to be sent.
        min_pixels: and at least so many of them at the balanced one, so that speckle in a small
            frame is not sent.
    """

    max_unobserved: float = 0.7
    min_wet: float = 0.005
    min_pixels: int = 30

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Limits:
        """The inverse of `to_json`."""
        return cls(float(data["max_unobserved"]), float(data["min_wet"]), int(data["min_pixels"]))


@dataclass(frozen=True)
class Sight:
    """What was seen in a frame, in pixels.

    Attributes:
        pixels: all.
        observed: neither cloud nor nodata.
        wet_sensitive: observed pixels of flood (without a reference: water), sensitive point.
        wet_balanced: the same at the balanced point.
        entropy_of_wet: mean predictive entropy over ``wet_balanced``, nats; 0 if there are none.
    """

    pixels: int
    observed: int
    wet_sensitive: int
    wet_balanced: int
    entropy_of_wet: float


@dataclass(frozen=True)
class Decision:
    """The outcome, why, and what the product is worth (larger goes down first)."""

    outcome: Outcome
    reason: str
    value: float


def decide(sight: Sight, limits: Limits) -> Decision:
    """Decide on one frame.

    The value is the wet area in pixels times confidence, ``1 - entropy / ln 2``.
    """
    unobserved = 1 - sight.observed / sight.pixels
    if unobserved > limits.max_unobserved:
        return Decision(
            Outcome.NOTHING,
            f"{unobserved:.0%} not observed, over the limit of {limits.max_unobserved:.0%}",
            0.0,
        )
    wet = sight.wet_sensitive / max(1, sight.observed)
    if wet < limits.min_wet or sight.wet_balanced < limits.min_pixels:
        return Decision(
            Outcome.NOTHING,
            f"{wet:.2%} of the observed pixels may be wet and {sight.wet_balanced} are; "
            f"{limits.min_wet:.2%} and {limits.min_pixels} are needed",
            0.0,
        )
    value = sight.wet_balanced * (1 - sight.entropy_of_wet / LN2)
    return Decision(Outcome.PRODUCT, f"{wet:.2%} of the observed pixels may be wet", value)
