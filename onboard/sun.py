"""The Sun: how high it stands over a place at a time, and how far away it is.

The low-precision theory of J. Meeus, *Astronomical Algorithms* (2nd ed., 1998): chapter 25 for the
apparent position (0.01°) and the distance (1e-5 au), chapter 12 for sidereal time, chapter 13 for
horizontal coordinates. Angles are geometric: without refraction, which does not change how much
light the top of the atmosphere receives, and without the Sun's parallax (0.0024°). UTC is taken
for both UT1 and TT, which moves the Sun by less than 0.005° in azimuth and 0.001° in longitude.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import NamedTuple

import numpy as np

from onboard.arrays import Floats

_J2000 = datetime(2000, 1, 1, 12, tzinfo=timezone.utc)
_DAY_S = 86_400.0
_CENTURY_DAYS = 36_525.0


class Sun(NamedTuple):
    """The Sun's apparent place.

    Attributes:
        right_ascension_deg: 0…360.
        declination_deg: −23.5…23.5.
        distance_au: astronomical units, 0.983…1.017.
        sidereal_deg: apparent sidereal time at Greenwich, 0…360.
    """

    right_ascension_deg: float
    declination_deg: float
    distance_au: float
    sidereal_deg: float


def sun_at(when: datetime) -> Sun:
    """The Sun's place at a time with a zone (Meeus 25.2…25.8 and 12.4)."""
    days = (when - _J2000).total_seconds() / _DAY_S
    t = days / _CENTURY_DAYS
    mean_longitude = 280.46646 + t * (36_000.76983 + t * 0.0003032)
    anomaly = np.radians(357.52911 + t * (35_999.05029 - t * 0.0001537))
    eccentricity = 0.016708634 - t * (0.000042037 + t * 0.0000001267)
    centre = (
        (1.914602 - t * (0.004817 + t * 0.000014)) * np.sin(anomaly)
        + (0.019993 - t * 0.000101) * np.sin(2 * anomaly)
        + 0.000289 * np.sin(3 * anomaly)
    )
    true_anomaly = anomaly + np.radians(centre)
    distance = 1.000001018 * (1 - eccentricity**2) / (1 + eccentricity * np.cos(true_anomaly))
    node = np.radians(125.04 - 1934.136 * t)
    nutation = -0.00478 * np.sin(node)
    longitude = np.radians(mean_longitude + centre - 0.00569 + nutation)
    mean_obliquity = 23.4392911 - t * (0.0130042 + t * (1.6e-7 - t * 5.04e-7))
    obliquity = np.radians(mean_obliquity + 0.00256 * np.cos(node))
    sidereal = 280.46061837 + 360.98564736629 * days + t * t * (0.000387933 - t / 38_710_000)
    return Sun(
        float(
            np.degrees(np.arctan2(np.cos(obliquity) * np.sin(longitude), np.cos(longitude))) % 360
        ),
        float(np.degrees(np.arcsin(np.sin(obliquity) * np.sin(longitude)))),
        float(distance),
        float((sidereal + nutation * np.cos(obliquity)) % 360),
    )


class Horizon(NamedTuple):
    """Where the Sun stands as seen from places on the ground.

    Attributes:
        cos_zenith: cosine of the zenith angle, negative at night.
        azimuth_deg: clockwise from north, 0…360.
    """

    cos_zenith: Floats
    azimuth_deg: Floats

    @property
    def elevation_deg(self) -> Floats:
        """Height over the horizon, −90…90."""
        return np.asarray(np.degrees(np.arcsin(np.clip(self.cos_zenith, -1.0, 1.0))))


def horizon(sun: Sun, latitude_deg: Floats, longitude_deg: Floats) -> Horizon:
    """The Sun over places (Meeus 13.5 and 13.6).

    Args:
        sun: of the time.
        latitude_deg: geodetic, −90…90, any shape.
        longitude_deg: east positive, the same shape.
    """
    hour = np.radians(sun.sidereal_deg + np.asarray(longitude_deg) - sun.right_ascension_deg)
    latitude, declination = np.radians(latitude_deg), np.radians(sun.declination_deg)
    up = np.sin(latitude) * np.sin(declination)
    up = up + np.cos(latitude) * np.cos(declination) * np.cos(hour)
    west = np.cos(declination) * np.sin(hour)
    north = np.cos(latitude) * np.sin(declination)
    north = north - np.sin(latitude) * np.cos(declination) * np.cos(hour)
    return Horizon(np.asarray(up), np.asarray(np.degrees(np.arctan2(-west, north)) % 360.0))


def glint_deg(sun: Horizon, view_zenith_deg: float, view_azimuth_deg: float) -> Floats:
    """Angle between the Sun's mirror image in level water and the line to the camera, degrees.

    ``cos θg = cos θs cos θv − sin θs sin θv cos(φs − φv)``: 0 where a level surface mirrors the
    Sun into the camera. The *reflected sun angle* of the MODIS cloud mask (Ackerman et al., MOD35
    algorithm theoretical basis document, version 6.1, 2010, section 3.2), azimuths seen from the
    ground.

    Args:
        sun: over the places.
        view_zenith_deg: of the camera as seen from the ground, 0 is straight above.
        view_azimuth_deg: of the camera as seen from the ground, clockwise from north.
    """
    view = np.radians(view_zenith_deg)
    sine = np.sqrt(np.maximum(1.0 - sun.cos_zenith**2, 0.0))
    between = np.radians(sun.azimuth_deg - view_azimuth_deg)
    cosine = sun.cos_zenith * np.cos(view) - sine * np.sin(view) * np.cos(between)
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))
