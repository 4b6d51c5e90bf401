"""View: what the page's script draws from, as plain JSON types, small enough for a telephone.

Times are seconds from the scenario's start, places degrees, areas km². Only what is drawn is in
it; the sentences and tables stand in the page itself.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ground.replay.lanes import in_order
from ground.replay.orbit import Orbit, geodetic
from ground.replay.result import Frame, Replay, Station, TrackPoint
from ground.replay.tle import Tle

TRACK_STEP_S = 120
"""Between samples of the ground track; the page goes along the great circle between them, which
over 2 minutes (8° of orbit) leaves the true track by less than 5 km."""
PACKED = 180.0
"""Steps of a packed coordinate in a degree: 0.0056°, 600 m at the equator."""
EARTH_KM = 6371.0


def view(replay: Replay) -> dict[str, Any]:
    """Return the page's data."""
    start = replay.span.start_ms

    def since(at_ms: int | None) -> float | None:
        return None if at_ms is None else round((at_ms - start) / 1000, 1)

    return {
        "start": start,
        "seconds": since(replay.span.end_ms),
        "satellite": replay.span.satellite,
        "track": track(replay),
        "stations": [
            {"name": s.name, "place": s.place, "reach": reach_deg(s, height_km(replay))}
            for s in replay.stations
        ],
        "contacts": [[since(c.aos_ms), since(c.los_ms), c.station] for c in in_order(replay)],
        "off": [[since(o.begin_ms), since(o.end_ms), int(o.safe)] for o in replay.off],
        "shots": shots(replay),
        "known": {
            s.name: [[since(at), round(km2, 3)] for at, km2 in s.known] for s in replay.strategies
        },
        "photographed": [[since(at), round(km2, 3)] for at, km2 in replay.photographed],
        "latency": {
            s.name: {
                kind: {"due": found.n + found.never, "seconds": [round(t) for t in found.seconds]}
                for kind, found in (("alert", s.alert), ("map", s.map))
            }
            for s in replay.strategies
        },
        "titles": {s.name: s.title for s in replay.strategies},
        "shown": replay.shown,
    }


def shots(replay: Replay) -> list[list[Any]]:
    """Return [longitude, latitude, taken, alert heard, map on the ground, name] of each frame."""
    start = replay.span.start_ms
    return [
        [
            round(frame.place[0], 3),
            round(frame.place[1], 3),
            *(
                None if at is None else round((at - start) / 1000, 1)
                for at in (frame.taken_ms, heard_ms(replay, frame), mapped_ms(replay, frame))
            ),
            frame.name,
        ]
        for frame in replay.frames
    ]


def heard_ms(replay: Replay, frame: Frame) -> int | None:
    """When the first alert of a frame was on the ground."""
    heard = [
        alert.heard_ms
        for alert in replay.alerts
        if alert.frame == frame.number and alert.heard_ms is not None
    ]
    return min(heard, default=None)


def mapped_ms(replay: Replay, frame: Frame) -> int | None:
    """When the first map of a frame was whole on the ground."""
    whole = [
        product.whole_ms
        for product in replay.products
        if product.frame == frame.number
        and product.kind == "product"
        and product.whole_ms is not None
    ]
    return min(whole, default=None)


def reach_deg(station: Station, satellite_km: float) -> float:
    """How far from a station the satellite can be heard, degrees of arc on the ground.

    Args:
        station: with its elevation mask.
        satellite_km: the satellite's height over the ground.
    """
    mask = np.radians(station.mask_deg)
    ratio = EARTH_KM / (EARTH_KM + satellite_km)
    return round(float(np.degrees(np.arccos(ratio * np.cos(mask)) - mask)), 3)


def height_km(replay: Replay) -> float:
    """The satellite's mean height over a round Earth, km, from its mean motion (Kepler's third)."""
    per_day = float(replay.span.tle[1][52:63])
    motion = per_day * 2 * np.pi / 86_400
    return float((398_600.4418 / motion**2) ** (1 / 3) - EARTH_KM)


def track(replay: Replay) -> dict[str, Any]:
    """Return the ground track over the whole replay, packed.

    The result's own track where it reaches so far, else by the orbit's elements: both come from
    the same propagator.
    """
    samples = replay.track
    if len(samples) > 1 and samples[-1].at_ms >= replay.span.end_ms - _step_ms(samples):
        return {
            "step": _step_ms(samples) / 1000,
            "longitude": packed(np.array([one.place[0] for one in samples])),
            "latitude": packed(np.array([one.place[1] for one in samples])),
        }
    orbit = Orbit(Tle(*replay.span.tle), datetime.fromtimestamp(replay.span.start_ms / 1000, UTC))
    length = (replay.span.end_ms - replay.span.start_ms) / 1000
    seconds = np.arange(0.0, length + TRACK_STEP_S, TRACK_STEP_S)
    below = geodetic(orbit.positions(seconds))
    return {
        "step": TRACK_STEP_S,
        "longitude": packed(below[:, 1]),
        "latitude": packed(below[:, 0]),
    }


def _step_ms(samples: tuple[TrackPoint, ...]) -> int:
    return samples[1].at_ms - samples[0].at_ms


def packed(degrees: NDArray[np.float64]) -> str:
    """Degrees ``(N,)``, −180…180, as little-endian int16 in steps of 1/`PACKED`°, in base64."""
    return base64.b64encode(np.rint(degrees * PACKED).astype("<i2").tobytes()).decode("ascii")
