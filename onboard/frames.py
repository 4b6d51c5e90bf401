"""Opening a frame, whatever it is stored as: the one door that every command goes through."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from onboard.arrays import Array, Flags, Floats
from onboard.conditions import Condition, LightLimits, lighting
from onboard.corners import places_of
from onboard.dead import Fill, plan_fill
from onboard.errors import FrameError
from onboard.items import read_item
from onboard.mosaic import mosaic
from onboard.profile import Profile
from onboard.radiometry import Correction
from onboard.raw import RawFrame
from onboard.registration import Found, Look, Shift, measure
from onboard.remote import Remote
from onboard.scene import Crop, Frame, OpenFrame
from onboard.sensor import Sensor
from onboard.sidecar import find_sidecar
from onboard.sun import horizon, sun_at

MAX_BEYOND_SCALE = 0.01
"""Share of samples above full scale: single ones are upsets of bits, many are a wrong reading."""
STRIP_ROWS = 64
FLAG_PX = 0.5
"""Bands of a calibrated frame, which is never resampled, are flagged beyond this."""


def open_frame(
    path: Path, sensor: Sensor, profile: Profile | None = None, crop: Crop | None = None
) -> OpenFrame:
    """Open a frame for reading reflectance by window.

    Args:
        path: a GeoTIFF, here or in an object store, a STAC item as `onboard.items` names it, the
            sidecar of raw samples, or raw samples with a sidecar beside them.
        sensor: whose bands are read, in its order.
        profile: of the camera; needed for frames of raw counts.
        crop: the part of the image that is the frame; all of it where omitted.

    Raises:
        FrameError: the frame cannot be used.
        ConfigError: the profile is another sensor's.
    """
    if profile is not None:
        profile.serve(sensor)
    item = read_item(path)
    frame: OpenFrame
    if item is not None:
        found = mosaic(path, item, sensor)
        frame = Frame(path, sensor, crop, found.vrt)
        frame.notes += found.notes
        return _prepared(frame, profile)
    sidecar = find_sidecar(path)
    if sidecar is None:
        frame = Frame(path, sensor, crop)
    elif crop is not None or isinstance(path, Remote):
        raise FrameError(f"{path}: raw samples are read whole and from a disk; copy them to one")
    else:
        frame = RawFrame(sidecar, sensor)
    return _prepared(frame, profile)


def _prepared(frame: OpenFrame, profile: Profile | None) -> OpenFrame:
    try:
        _prepare(frame, profile)
    except BaseException:
        frame.close()
        raise
    return frame


class Light(NamedTuple):
    """The Sun over a frame.

    Attributes:
        distance_au: of the Sun.
        cosines: float64 ``(2, 2)``, of its zenith angle at the upper and the lower corners.
        lowest_deg: its lowest elevation over a corner.
    """

    distance_au: float
    cosines: Floats
    lowest_deg: float


def _prepare(frame: OpenFrame, profile: Profile | None) -> None:
    light = _light(frame, LightLimits() if profile is None else profile.limits)
    if frame.raw:
        if profile is None:
            raise FrameError(
                f"{frame.path}: holds raw counts; name the camera's calibration with --profile"
            )
        _calibrate(frame, profile, light)
    elif profile is not None:
        _examine(frame, profile)


def _light(frame: OpenFrame, limits: LightLimits) -> Light | None:
    """The Sun over the corners of a frame, and the flags it raises; None where not known."""
    places, time = places_of(frame.georef), frame.capture.time
    if places is None or time is None:
        return None
    sun = sun_at(time)
    seen = horizon(sun, places[:, 0], places[:, 1])
    flags, notes = lighting(seen, frame.capture.view, limits)
    frame.conditions |= flags
    frame.notes += notes
    # Corners run round the frame; the lower two are the other way about in an array.
    cosines = seen.cos_zenith[[0, 1, 3, 2]].reshape(2, 2)
    return Light(sun.distance_au, cosines, float(seen.elevation_deg.min()))


def _calibrate(frame: OpenFrame, profile: Profile, light: Light | None) -> None:
    """Give a frame of counts what makes reflectance of them."""
    if light is None:
        raise FrameError(
            f"{frame.path}: holds raw counts but not where and when they were taken, so that "
            "the Sun is not known; add coordinates and a time"
        )
    if light.lowest_deg <= 0:
        raise FrameError(
            f"{frame.path}: the Sun is below the horizon there and then ({light.lowest_deg:.1f}°), "
            "counts have no reflectance; check time and corners, or leave out night frames"
        )
    _check_scale(frame, profile)
    frame.notes.append(f"calibrated by the profile {profile.name}")
    bands = frame.sensor.bands
    correction = Correction(
        size=(frame.height, frame.width),
        bands=tuple(profile.bands[band] for band in bands),
        full_scale=profile.full_scale,
        distance_au=light.distance_au,
        cosines=light.cosines,
        fills=_fills(frame, profile),
        shifts=((0.0, 0.0),) * len(bands),
    )

    def look(row: int, col: int, height: int, width: int) -> tuple[Array, Flags]:
        return correction.planes(frame.look, row, col, height, width)

    shifts = _register(frame, profile, look)
    frame.correction = replace(correction, shifts=tuple(shift.correction for shift in shifts))
    _tell(frame, shifts, profile.correct_px)


def _check_scale(frame: OpenFrame, profile: Profile) -> None:
    """Refuse samples that were read in a wrong way; a strip of the frame's middle shows it."""
    rows = min(STRIP_ROWS, frame.height)
    samples = frame.samples((frame.height - rows) // 2, 0, rows, frame.width)
    share = float((samples > profile.full_scale).mean())
    if share > MAX_BEYOND_SCALE:
        raise FrameError(
            f"{frame.path}: {share:.0%} of its samples are beyond {profile.bits} bits; "
            "mend the byte order of the sidecar or the bits of the profile"
        )


def _fills(frame: OpenFrame, profile: Profile) -> tuple[Fill, ...]:
    """How the dead samples of each band are filled, counted in a note."""
    if profile.dead is None:
        return ()
    profile.dead.fit(frame.path, frame.height, frame.width)
    fills = []
    for band in frame.sensor.bands:
        dead = profile.dead.of(band, frame.height)
        fills.append(plan_fill(dead, frame.height, frame.width))
    dead_samples = sum(len(fill.rows) for fill in fills)
    if not dead_samples:
        return ()
    holes = sum(int((~fill.reach.any(axis=1)).sum()) for fill in fills)
    text = f"{dead_samples} dead samples, {dead_samples - holes} filled from their neighbours"
    frame.notes.append(f"{text}, {holes} without any" if holes else text)
    return tuple(fills)


def _register(frame: OpenFrame, profile: Profile, look: Look) -> list[Shift]:
    bands = frame.sensor.bands
    # A camera's bands may be measured against one that the network does not see: then the first.
    name = profile.reference if profile.reference in bands else bands[0]
    size = (frame.height, frame.width)
    return measure(look, size, len(bands), bands.index(name), profile.correct_px)


def _examine(frame: OpenFrame, profile: Profile) -> None:
    """Measure how the bands of a frame of reflectance lie, and flag what is off."""

    def look(row: int, col: int, height: int, width: int) -> tuple[Array, Flags]:
        patch = frame.read(row, col, height, width)
        return np.moveaxis(patch.reflectance, 2, 0), patch.valid

    for band, shift in zip(frame.sensor.bands, _register(frame, profile, look)):
        if shift.found is Found.UNSURE:
            frame.conditions |= Condition.UNREGISTERED
            frame.notes.append(f"how {band} lies on the other bands could not be measured")
        elif np.hypot(shift.rows, shift.cols) > FLAG_PX:
            frame.conditions |= Condition.MISREGISTERED
            frame.notes.append(f"{band} lies {_px(shift)} off; reflectance is not resampled")


def _tell(frame: OpenFrame, shifts: list[Shift], limit: float) -> None:
    """Flags and notes of what was measured, and of what was made of it."""
    for band, shift in zip(frame.sensor.bands, shifts):
        if shift.found is Found.SHIFTED:
            frame.conditions |= Condition.CORRECTED
            frame.notes.append(f"{band} lay {_px(shift)} off and was laid back")
        if shift.found is Found.TOO_FAR:
            frame.conditions |= Condition.MISREGISTERED
            frame.notes.append(f"{band} lies {_px(shift)} off, over {limit:g}: not corrected")
        if shift.found is Found.UNSURE:
            frame.conditions |= Condition.UNREGISTERED
            frame.notes.append(f"how {band} lies on the other bands could not be measured")


def _px(shift: Shift) -> str:
    return (
        f"({shift.rows:+.2f}, {shift.cols:+.2f}) pixels (rows, columns; ±{shift.spread:.2f}, "
        f"{shift.patches} patches)"
    )
