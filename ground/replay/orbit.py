"""Orbit: where the satellite is, and how it stands to places on the ground and to the Sun.

SGP4 (the package sgp4) gives positions in TEME; turned by the Earth's angle of rotation (GMST 1982,
as Vallado et al., AIAA 2006-6753, prescribe for TEME) they are Earth-fixed. UT1 comes from
skyfield's built-in tables, once for an orbit: it drifts by a millisecond a day. The motion of the
poles, 15 m on the ground, is left out. Everything works on arrays of seconds since the *origin* of
an orbit, the start of the scenario, so that a month of positions is one call; the tests hold it to
skyfield's own way.

Earth-fixed vectors are km, shape ``(…, 3)``, on WGS 84.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sgp4.api import SGP4_ERRORS
from skyfield.api import load

from ground.replay.scenario import Span
from ground.replay.tle import Tle
from onboard.errors import ConfigError
from onboard.sun import sun_at

Array = NDArray[np.float64]

EARTH_KM = 6378.137
"""Equatorial radius, WGS 84."""
_FLAT = 1 / 298.257223563
_E2 = _FLAT * (2 - _FLAT)
_DAY_S = 86_400.0
_JULIAN_1970, _JULIAN_2000 = 2_440_587.5, 2_451_545.0
_HOUR_S = 3600.0


class Place(NamedTuple):
    """A place on the ground.

    Attributes:
        latitude: geodetic, −90…90.
        longitude: −180…180.
        height_m: over the ellipsoid.
    """

    latitude: float
    longitude: float
    height_m: float = 0.0


@dataclass(frozen=True)
class Orbit:
    """A satellite's orbit.

    Attributes:
        tle: its elements.
        origin: the instant from which seconds count, UTC.
    """

    tle: Tle
    origin: datetime

    @cached_property
    def _satrec(self) -> Any:
        return self.tle.satrec

    @cached_property
    def _ut1_s(self) -> float:
        """UT1 less UTC, seconds, at the origin."""
        scale = load.timescale(builtin=True)
        return float(scale.from_datetime(self.origin).dut1)

    def seconds(self, when: datetime) -> float:
        """Seconds of an instant from the origin."""
        return (when - self.origin).total_seconds()

    def when(self, seconds: float) -> datetime:
        """The instant so many seconds from the origin, to the microsecond."""
        return self.origin + timedelta(seconds=float(seconds))

    def julian(self, seconds: Array) -> Array:
        """Days since the epoch J2000 (JD 2451545.0), ``(N,)`` for ``(N,)`` seconds."""
        start = self.origin.timestamp() / _DAY_S + (_JULIAN_1970 - _JULIAN_2000)
        return np.asarray(start + np.asarray(seconds) / _DAY_S)

    def positions(self, seconds: Array) -> Array:
        """Earth-fixed positions, km, ``(N, 3)`` for ``(N,)`` seconds.

        Raises:
            ConfigError: the elements do not reach so far: by them the satellite has decayed.
        """
        seconds = np.asarray(seconds, float)
        days = self.julian(seconds)
        # The whole day and the rest apart keep SGP4's time to the microsecond.
        whole = np.floor(days)
        errors, teme, _ = self._satrec.sgp4_array(whole + _JULIAN_2000, days - whole)
        if errors.any():
            first = int(np.flatnonzero(errors)[0])
            raise ConfigError(
                f"the TLE of satellite {self.tle.number} gives no position on "
                f"{self.when(seconds[first]):%Y-%m-%d} ({SGP4_ERRORS[int(errors[first])]}); take "
                "one whose epoch is near the scenario's start"
            )
        return _turn(np.asarray(teme), -self._angle(days))

    def sun(self, seconds: Array) -> Array:
        """Earth-fixed unit vectors to the Sun, ``(N, 3)``; parallax (0.002°) is left out."""
        hours = (np.asarray(seconds, float) + self.origin.timestamp()) / _HOUR_S
        first, last = int(np.floor(hours.min())), int(np.ceil(hours.max()))
        knots = np.arange(first, last + 1)
        vectors = np.array([_sun_knot(int(one)) for one in knots])
        inertial = np.stack([np.interp(hours, knots, one) for one in vectors.T], axis=-1)
        return _turn(inertial, -self._angle(self.julian(seconds)))

    def _angle(self, days: Array) -> Array:
        """The Earth's angle at UTC days since J2000, radians."""
        return gmst(days + self._ut1_s / _DAY_S)


@lru_cache(maxsize=10_000)
def _sun_knot(hours: int) -> tuple[float, float, float]:
    """The unit vector to the Sun so many hours after 1970; in an hour it turns by 0.04°."""
    sun = sun_at(datetime.fromtimestamp(hours * _HOUR_S, UTC))
    ascension, declination = np.radians((sun.right_ascension_deg, sun.declination_deg))
    level = np.cos(declination)
    return (
        float(level * np.cos(ascension)),
        float(level * np.sin(ascension)),
        float(np.sin(declination)),
    )


def gmst(days: Array) -> Array:
    """The Earth's angle, Greenwich mean sidereal time of 1982, radians (AIAA 2006-6753, eq. C-5).

    Args:
        days: UT1 since J2000.
    """
    t = np.asarray(days) / 36_525.0
    seconds = 67_310.54841 + t * (8_640_184.812866 + t * (0.093104 - t * 6.2e-6))
    # 876600 h are whole turns but for the fraction of a day: kept apart, no digit is lost.
    turns = seconds / _DAY_S + np.asarray(days) % 1.0
    return np.asarray(2 * np.pi * (turns % 1.0))


def _turn(vectors: Array, angle: Array) -> Array:
    """Vectors turned about the Earth's axis by angles, radians."""
    sine, cosine = np.sin(angle), np.cos(angle)
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    return np.stack([cosine * x - sine * y, sine * x + cosine * y, z], axis=-1)


def fixed(place: Place) -> Array:
    """The Earth-fixed position of a place, km, ``(3,)``."""
    latitude, longitude = np.radians(place.latitude), np.radians(place.longitude)
    normal = EARTH_KM / np.sqrt(1 - _E2 * np.sin(latitude) ** 2)
    height = place.height_m / 1000
    level = (normal + height) * np.cos(latitude)
    up = (normal * (1 - _E2) + height) * np.sin(latitude)
    return np.array([level * np.cos(longitude), level * np.sin(longitude), up])


def vertical(place: Place) -> Array:
    """The unit vector straight up at a place, ``(3,)``."""
    latitude, longitude = np.radians(place.latitude), np.radians(place.longitude)
    level = np.cos(latitude)
    return np.array([level * np.cos(longitude), level * np.sin(longitude), np.sin(latitude)])


def geodetic(positions: Array) -> Array:
    """Latitude and longitude in degrees and height in km of Earth-fixed positions, ``(…, 3)``.

    B. R. Bowring, *Survey Review* 23 (1976), 323-327; to a millimetre up to 1000 km.
    """
    x, y, z = positions[..., 0], positions[..., 1], positions[..., 2]
    level, polar = np.hypot(x, y), EARTH_KM * (1 - _FLAT)
    reduced = np.arctan2(z * EARTH_KM, level * polar)
    for _ in range(2):
        latitude = np.arctan2(
            z + _E2 / (1 - _E2) * polar * np.sin(reduced) ** 3,
            level - _E2 * EARTH_KM * np.cos(reduced) ** 3,
        )
        reduced = np.arctan2((1 - _FLAT) * np.sin(latitude), np.cos(latitude))
    normal = EARTH_KM / np.sqrt(1 - _E2 * np.sin(latitude) ** 2)
    # Along the vertical, which fails nowhere, the poles included.
    height = level * np.cos(latitude) + z * np.sin(latitude) - EARTH_KM**2 / normal
    return np.stack([np.degrees(latitude), np.degrees(np.arctan2(y, x)), height], axis=-1)


def elevation_deg(positions: Array, place: Place) -> Array:
    """How high positions ``(N, 3)``, km, stand over a horizon: ``(N,)``, −90…90, no refraction."""
    line = positions - fixed(place)
    return _angle_up(line, vertical(place))


def in_sight(positions: Array, place: Place) -> NDArray[np.bool_]:
    """Whether positions ``(N, 3)`` stand over a horizon: the sign of `elevation_deg`, quicker."""
    up = vertical(place)
    return np.asarray(positions @ up > fixed(place) @ up)


def sun_elevation_deg(sun: Array, place: Place) -> Array:
    """How high the Sun stands over a place, ``(N,)``, degrees; ``sun`` as of `Orbit.sun`."""
    return _angle_up(sun, vertical(place))


def _angle_up(line: Array, up: Array) -> Array:
    sine = line @ up / np.linalg.norm(line, axis=-1)
    return np.asarray(np.degrees(np.arcsin(np.clip(sine, -1, 1))))


def off_nadir_deg(positions: Array, place: Place) -> Array:
    """The angle between straight down, to the Earth's middle, and a place: ``(N,)``, degrees.

    Small on the far side of the Earth too: whoever asks must know that the place is in sight.
    """
    line = fixed(place) - positions
    cosine = -(line * positions).sum(axis=-1)
    cosine = cosine / np.linalg.norm(line, axis=-1) / np.linalg.norm(positions, axis=-1)
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


class Track(NamedTuple):
    """Samples of the ground track; all arrays ``(N,)``.

    Attributes:
        seconds: from the orbit's origin.
        latitude: of the place under the satellite.
        longitude: of it, −180…180.
        height_km: of the satellite over it.
        day: whether the Sun is over the horizon there.
    """

    seconds: Array
    latitude: Array
    longitude: Array
    height_km: Array
    day: NDArray[np.bool_]


def track(orbit: Orbit, span: Span, step_s: float = 60.0) -> Track:
    """The ground track of a stretch of time, sampled from its start to its end.

    Args:
        orbit: of the satellite.
        span: the stretch.
        step_s: seconds between two samples, at most.
    """
    count = max(2, int(np.ceil(span.seconds / step_s)) + 1)
    seconds = np.linspace(orbit.seconds(span.start), orbit.seconds(span.end), count)
    positions = orbit.positions(seconds)
    latitude, longitude, height = np.moveaxis(geodetic(positions), -1, 0)
    up = np.stack(
        [
            np.cos(np.radians(latitude)) * np.cos(np.radians(longitude)),
            np.cos(np.radians(latitude)) * np.sin(np.radians(longitude)),
            np.sin(np.radians(latitude)),
        ],
        axis=-1,
    )
    day = (orbit.sun(seconds) * up).sum(axis=-1) > 0
    return Track(seconds, latitude, longitude, height, day)
