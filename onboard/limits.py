"""Limits: the thresholds of triage, as a bundle carries them and as commands may change them.

A bundle's manifest holds them under ``triage``. One made before a limit existed lacks it: then
the default below holds. ``SETTINGS`` is the table of their names, units and ranges; whoever
takes a limit from outside (a manifest, a command) is held to it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple, Union

from onboard.errors import ConfigError
from onboard.uncertainty import LN2

Number = Union[int, float]
MAX_PIXELS = 2**27


class Setting(NamedTuple):
    """What one limit may be.

    Attributes:
        unit: of the value, for people.
        low: the least value, allowed.
        high: the greatest value, allowed.
        whole: whether only whole numbers make sense.
        help: what it does, in one clause.
    """

    unit: str
    low: Number
    high: Number
    whole: bool
    help: str


SETTINGS: Mapping[str, Setting] = {
    "max_unobserved": Setting(
        "share of the pixels", 0, 1, False, "a frame with more cloud and nodata is dropped"
    ),
    "max_odd": Setting(
        "share of the scored crops",
        0,
        1,
        False,
        "a frame with more crops unlike the training says nothing of water",
    ),
    "sensitive_water": Setting(
        "probability",
        0,
        1,
        False,
        "a pixel from here on may be wet; without it the bundle's sensitive operating point",
    ),
    "min_wet": Setting(
        "share of the observed pixels",
        0,
        1,
        False,
        "so much must be wet at the sensitive point",
    ),
    "min_pixels": Setting(
        "pixels",
        0,
        MAX_PIXELS,
        True,
        "and so many; for a product so many at the balanced operating point",
    ),
    "min_confidence": Setting(
        "1 - entropy / ln 2", 0, 1, False, "a mask that is less sure is not sent as a product"
    ),
    "min_epistemic": Setting(
        "nats", 0, LN2, False, "a tile with less mutual information is no chip for labelling"
    ),
    "max_chips": Setting("chips a frame", 0, 16, True, "at most so many"),
    "max_chips_day": Setting("chips in 24 hours", 0, 1000, True, "at most so many"),
}


@dataclass(frozen=True)
class Limits:
    """What decides; units and ranges are in ``SETTINGS``.

    Attributes:
        max_unobserved: share of cloud and nodata beyond which a frame is dropped; ΦSat-1
            dropped frames of over 70 % cloud (Giuffrida et al. 2022).
        max_odd: share of crops that are unlike the training beyond which nothing is said of
            water.
        sensitive_water: probability from which a pixel may be wet; None is the bundle's
            sensitive operating point.
        min_wet: share of the observed pixels that must be wet at the sensitive operating point.
        min_pixels: and at least so many of them, so that speckle in a small frame says nothing;
            a product needs so many at the balanced operating point too.
        min_confidence: the least confidence of a product's wet pixels.
        min_epistemic: the least mean mutual information of a tile that is worth a label, nats.
        max_chips: chips for labelling from one frame, at most.
        max_chips_day: and from all frames of 24 hours.

    Raises:
        ConfigError: a value is out of its range.
    """

    max_unobserved: float = 0.7
    max_odd: float = 0.5
    sensitive_water: float | None = None
    min_wet: float = 0.005
    min_pixels: int = 30
    min_confidence: float = 0.2
    min_epistemic: float = 0.002
    max_chips: int = 2
    max_chips_day: int = 20

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None:
                _check(name, value)

    def with_value(self, name: str, value: str | Number) -> Limits:
        """These limits with one of them changed, as a command asks for.

        Args:
            name: of ``SETTINGS``.
            value: a number, or its text.

        Raises:
            ConfigError: there is no such limit, or the value is no number in its range.
        """
        if name not in SETTINGS:
            raise ConfigError(f"there is no limit {name!r}; choose one of {', '.join(SETTINGS)}")
        change: dict[str, Any] = {name: _number(name, value)}
        return replace(self, **change)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Limits:
        """The inverse of `to_json`; what is missing takes its default.

        Raises:
            ConfigError: a limit is not known here, or its value is out of its range.
        """
        limits = cls()
        for name, value in data.items():
            if value is not None or name not in SETTINGS:
                limits = limits.with_value(name, value)
        return limits


def _number(name: str, value: str | Number) -> Number:
    """The number that ``value`` means for this limit."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ConfigError(f"the limit {name} is {value!r}, no number; {_range(name)}")
    try:
        number = float(value)
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"the limit {name} is {value!r}, no number; {_range(name)}") from error
    _check(name, number)
    return int(number) if SETTINGS[name].whole else number


def _check(name: str, value: Number) -> None:
    setting = SETTINGS[name]
    # A comparison with NaN is false.
    if not setting.low <= value <= setting.high or (setting.whole and not _is_whole(value)):
        raise ConfigError(f"the limit {name} cannot be {value}; {_range(name)}")


def _is_whole(value: Number) -> bool:
    return math.isfinite(value) and value == math.floor(value)


def _range(name: str) -> str:
    setting = SETTINGS[name]
    kind = "a whole number" if setting.whole else "a number"
    return f"give {kind} from {setting.low:.10g} to {setting.high:.10g} ({setting.unit})"
