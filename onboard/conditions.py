"""Conditions: what is known of a frame before it is looked at that makes its maps less sure.

Flags, not verdicts: a flagged frame is processed like any other, and its flags stand in its notes,
in the log of the decision on it and in its product.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np

from onboard.sun import Horizon, glint_deg


class Condition(enum.IntFlag):
    """Bits of a frame's conditions; numbers are never reused (they are in products)."""

    DARK = 1
    """The Sun is below `LightLimits.dark_deg` somewhere in the frame."""
    LOW_SUN = 2
    """The Sun is below `LightLimits.low_sun_deg` somewhere in the frame."""
    GLINT = 4
    """Water may mirror the Sun into the camera: nearer than `LightLimits.glint_deg`."""
    MISREGISTERED = 8
    """The bands do not lie on each other, and were not corrected."""
    UNREGISTERED = 16
    """How the bands lie could not be measured."""
    CORRECTED = 32
    """The bands did not lie on each other, and were corrected."""


_WORDS = {
    Condition.DARK: "dark",
    Condition.LOW_SUN: "low sun",
    Condition.GLINT: "sun glint possible",
    Condition.MISREGISTERED: "bands misregistered",
    Condition.UNREGISTERED: "band registration not measured",
    Condition.CORRECTED: "band registration corrected",
}


def condition_names(conditions: Condition) -> tuple[str, ...]:
    """The flags that are set, in words."""
    return tuple(words for flag, words in _WORDS.items() if conditions & flag)


@dataclass(frozen=True)
class LightLimits:
    """From which geometry on a frame is flagged; ``docs/frames.md`` says why these.

    Attributes:
        dark_deg: elevation of the Sun below which it is dark.
        low_sun_deg: elevation below which the Sun is low.
        glint_deg: angle to the Sun's mirror image below which water may glint.
    """

    dark_deg: float = 5.0
    low_sun_deg: float = 14.0
    glint_deg: float = 36.0


@dataclass(frozen=True)
class View:
    """Where the camera stands as seen from the ground.

    Attributes:
        zenith_deg: angle from the vertical, 0…90; 0 is a camera that looks straight down.
        azimuth_deg: clockwise from north, 0…360.
    """

    zenith_deg: float = 0.0
    azimuth_deg: float = 0.0


NADIR = View()
"""Straight down."""


def lighting(sun: Horizon, view: View, limits: LightLimits) -> tuple[Condition, list[str]]:
    """Flags from where the Sun and the camera stand, and a sentence for each.

    Args:
        sun: over several points of the frame.
        view: of the camera.
        limits: the thresholds.
    """
    lowest = float(np.min(sun.elevation_deg))
    angle = float(np.min(glint_deg(sun, view.zenith_deg, view.azimuth_deg)))
    flags, notes = Condition(0), []
    if lowest < limits.dark_deg:
        flags |= Condition.DARK
        notes.append(f"dark: the Sun stands at {lowest:.1f}°, under {limits.dark_deg:g}°")
    elif lowest < limits.low_sun_deg:
        flags |= Condition.LOW_SUN
        notes.append(f"low sun: it stands at {lowest:.1f}°, under {limits.low_sun_deg:g}°")
    if angle < limits.glint_deg and lowest > 0:
        flags |= Condition.GLINT
        notes.append(
            f"sun glint possible: {angle:.1f}° from the Sun's mirror image, "
            f"under {limits.glint_deg:g}°"
        )
    return flags, notes
