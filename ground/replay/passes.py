"""Passes: when stations hear the satellite, when it sees places in daylight, when it is in shadow.

All of an orbit and a span, and all by one search (``windows.py``) over one grid of positions.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ground.replay import orbit as orbits
from ground.replay.orbit import EARTH_KM, Orbit, Place
from ground.replay.scenario import Camera, Span, Station
from ground.replay.windows import Window, windows

Array = NDArray[np.float64]

STEP_S = 20.0
_ELEVATION_SLOPE = 1.2
"""Degrees a second: at 400 km height and straight overhead it is 1.1."""
_OFF_NADIR_SLOPE = 1.2


class Contact(NamedTuple):
    """A stretch in which a station hears the satellite, within the span that was asked for.

    Attributes:
        station: its name.
        aos: acquisition of signal, to the millisecond.
        los: loss of signal.
        culmination: when the satellite stands highest.
        max_elevation_deg: how high that is.
    """

    station: str
    aos: datetime
    los: datetime
    culmination: datetime
    max_elevation_deg: float

    @property
    def span(self) -> Span:
        """From acquisition to loss."""
        return Span(self.aos, self.los)

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.span.seconds


class Overflight(NamedTuple):
    """The moment at which the satellite sees a place best.

    Attributes:
        time: of the smallest angle off nadir.
        off_nadir_deg: that angle.
        sun_elevation_deg: of the Sun over the place.
    """

    time: datetime
    off_nadir_deg: float
    sun_elevation_deg: float


class Sky:
    """An orbit over a span, looked at on one grid.

    Args:
        orbit: of the satellite.
        span: the time of interest.
        step_s: of the grid.

    Raises:
        ConfigError: the elements do not reach so far.
    """

    def __init__(self, orbit: Orbit, span: Span, step_s: float = STEP_S) -> None:
        self.orbit, self.span = orbit, span
        first, last = orbit.seconds(span.start), orbit.seconds(span.end)
        self.seconds = np.linspace(first, last, max(3, int(np.ceil((last - first) / step_s)) + 1))
        self.positions = orbit.positions(self.seconds)

    def contacts(self, station: Station) -> list[Contact]:
        """When a station hears the satellite, in order."""
        place = Place(station.latitude, station.longitude, station.height_m)
        mask = station.elevation_mask_deg

        def over(seconds: Array) -> Array:
            return orbits.elevation_deg(self.orbit.positions(seconds), place) - mask

        known = orbits.elevation_deg(self.positions, place) - mask
        found = windows(over, self.seconds, _ELEVATION_SLOPE, known)
        best = np.array([one.best for one in found])
        tops = over(best) + mask if found else best
        return [
            self._contact(station.name, one, float(top))
            for one, top in zip(found, tops, strict=True)
        ]

    def _contact(self, station: str, window: Window, top_deg: float) -> Contact:
        span = self._inside(window)
        # Where the span cuts a pass, its highest moment may be an end.
        best = self.orbit.when(round(window.best, 3))
        return Contact(station, *span, min(max(best, span.start), span.end), top_deg)

    def overflights(self, place: Place, camera: Camera) -> list[Overflight]:
        """When the satellite sees a place well enough and in daylight, in order."""
        limit = camera.max_off_nadir_deg

        def under(seconds: Array) -> Array:
            return _in_sight(self.orbit.positions(seconds), place, limit)

        known = np.full(len(self.seconds), -180.0)
        near = orbits.in_sight(self.positions, place)
        known[near] = _in_sight(self.positions[near], place, limit)
        found = windows(under, self.seconds, _OFF_NADIR_SLOPE, known)
        best = np.array([one.best for one in found])
        if not len(best):
            return []
        sun = orbits.sun_elevation_deg(self.orbit.sun(best), place)
        off = limit - under(best)
        return [
            Overflight(self.orbit.when(round(at, 3)), float(angle), float(height))
            for at, angle, height in zip(best, off, sun, strict=True)
            if height >= camera.min_sun_elevation_deg
        ]

    def eclipses(self) -> list[Span]:
        """When the satellite is in the Earth's shadow, in order."""

        def shadow(seconds: Array) -> Array:
            return _shadow(self.orbit.positions(seconds), self.orbit.sun(seconds))

        known = _shadow(self.positions, self.orbit.sun(self.seconds))
        return [self._inside(one) for one in windows(shadow, self.seconds, 0.2, known)]

    def _inside(self, window: Window) -> Span:
        """A window in whole milliseconds, never beyond its ends."""
        start, end = np.ceil(window.start * 1000), np.floor(window.end * 1000)
        return Span(self.orbit.when(start / 1000), self.orbit.when(end / 1000))


def _in_sight(positions: Array, place: Place, limit: float) -> Array:
    """``limit`` less the angle off nadir where the place is in sight, else less than −90."""
    aside = limit - orbits.off_nadir_deg(positions, place)
    return np.where(orbits.in_sight(positions, place), aside, aside - 180.0)


def _shadow(positions: Array, sun: Array) -> Array:
    """Degrees by which the Sun's middle stands behind the Earth's limb; positive in shadow.

    The Earth is a sphere of its equatorial radius here, as in the usual cylinder of shadow:
    Vallado, *Fundamentals of Astrodynamics and Applications* (4th ed., 2013), section 5.3.
    """
    distance = np.linalg.norm(positions, axis=-1)
    cosine = -(positions * sun).sum(axis=-1) / distance
    apart = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return np.asarray(np.degrees(np.arcsin(EARTH_KM / distance)) - apart)
