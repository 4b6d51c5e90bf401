"""Raw twins of generated frames: what a camera with known faults would have stored.

The twin holds the same ground as the GeoTIFF, as counts of 12 bits: darker where the Sun is lower,
with a dark level, dead detector elements, and bands that lie off each other. The camera's profile
says what its gains and its dead elements are; how its bands lie it does not say, that is for the
software to find. The formats are those of ``docs/frames.md``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.warp import transform

from onboard.corners import CORNER_NAMES, WGS84, places_of
from onboard.errors import ConfigError
from onboard.files import replacing, write_bytes, write_text
from onboard.georef import Georef
from onboard.rasters import unlocated_is_fine, writing
from onboard.sensor import VNIR4
from onboard.sun import horizon, sun_at
from training.synth.camera import DN_PER_REFLECTANCE, FULL_SCALE
from training.synth.draws import stream
from training.synth.frame import BANDS, Shifts, SyntheticFrame, synthesise
from training.synth.geotiff import NOTICE, tags

PROFILE = "camera.toml"
DEAD_MAP = "camera_dead.tif"
#: Solar irradiance of Landsat 7's bands 1 to 4, W m⁻² µm⁻¹ (Chander, Markham and Helder 2009).
ESUN = (1997.0, 1812.0, 1533.0, 1039.0)
#: Counts without light.
DARK_LEVEL = 64
#: Reflectance under an overhead Sun at full scale.
BRIGHTEST = 1.5
#: Share of single elements that are dead; beside them one line and one column of one band.
DEAD_SHARE = 2e-4
#: Pixels for which the sun is worked out at once.
STRIP_ROWS = 64
CORNER_SIGMA_M = 60.0
TIME_SIGMA_S = 0.01
MAX_MISREGISTRATION = 6.0


@dataclass(frozen=True)
class Camera:
    """A camera with faults.

    Attributes:
        gains: radiance per count of each band, W m⁻² sr⁻¹ µm⁻¹.
        dead: bool (4, height, width).
        shifts: (rows, columns) in pixels by which each band lies off the red one.
    """

    gains: tuple[float, ...]
    dead: NDArray[np.bool_]
    shifts: Shifts


def draw_camera(seed: int, height: int, width: int, misregistration: float) -> Camera:
    """A camera for frames of one size.

    Args:
        seed: the same seed, the same camera.
        height: rows.
        width: columns.
        misregistration: most that a band lies off along rows or columns, pixels.

    Raises:
        ConfigError: the misregistration is out of range.
    """
    if not 0 <= misregistration <= MAX_MISREGISTRATION:
        raise ConfigError(
            f"--misregistration is {misregistration}; choose 0…{MAX_MISREGISTRATION:g} pixels"
        )
    rng = stream(seed, "raw camera")
    dead = rng.random((len(BANDS), height, width)) < DEAD_SHARE
    dead[1, int(rng.integers(height))] = True
    dead[3, :, int(rng.integers(width))] = True
    drawn = rng.uniform(-misregistration, misregistration, (len(BANDS), 2)).round(2)
    drawn[BANDS.index("red")] = 0.0
    span = FULL_SCALE - DARK_LEVEL
    return Camera(
        tuple(BRIGHTEST * esun / np.pi / span for esun in ESUN),
        dead,
        tuple((float(rows), float(cols)) for rows, cols in drawn),
    )


def write_camera(folder: Path, camera: Camera) -> None:
    """Write the profile and the dead-pixel map beside it.

    Raises:
        OutputError: the folder cannot be written.
    """
    _write_dead(folder / DEAD_MAP, camera.dead)
    digest = hashlib.sha256((folder / DEAD_MAP).read_bytes()).hexdigest()
    lines = [
        f"# {NOTICE}",
        "format = 1",
        f'sensor = "{VNIR4.name}"',
        'revision = "generated"',
        f"bits = {FULL_SCALE.bit_length()}",
        "",
        "[dead_pixels]",
        f'file = "{DEAD_MAP}"',
        f'sha256 = "{digest}"',
    ]
    for name, gain, esun in zip(BANDS, camera.gains, ESUN, strict=True):
        lines += ["", f"[bands.{name}]", f"gain = {gain!r}", f"offset = {-DARK_LEVEL * gain!r}"]
        lines += [f"esun = {esun}"]
    write_text(folder / PROFILE, "\n".join(lines) + "\n")


def write_raw(folder: Path, stem: str, frame: SyntheticFrame, camera: Camera) -> None:
    """Write the raw twin of ``frame``: the sidecar, then the samples that make it a frame.

    Raises:
        ConfigError: the Sun is down at the recipe's place and time.
        OutputError: the folder cannot be written.
    """
    moved = synthesise(frame.recipe, camera.shifts) if any(map(any, camera.shifts)) else frame
    when = datetime.fromisoformat(tags(frame.recipe)["ACQUIRED"])
    dn = counts(moved, camera, when)
    fields = sidecar(frame.georef, f"{stem}.raw", when)
    write_text(folder / f"{stem}.json", json.dumps(fields, indent=1) + "\n")
    write_bytes(folder / f"{stem}.raw", np.moveaxis(dn, 2, 0).astype("<u2").tobytes())


def counts(frame: SyntheticFrame, camera: Camera, when: datetime) -> NDArray[np.uint16]:
    """What the camera stores of a frame, uint16 (height, width, 4); 0 is nodata.

    Raises:
        ConfigError: the Sun is down there and then.
    """
    sun = sun_at(when)
    dn = np.zeros(frame.dn.shape, np.uint16)
    for top in range(0, frame.georef.height, STRIP_ROWS):
        rows = slice(top, top + STRIP_ROWS)
        part = frame.dn[rows]
        cosine = _cosines(frame.georef, sun, top, len(part))
        if cosine.min() <= 0:
            raise ConfigError(
                f"the Sun is down at the recipe's place and time ({when.isoformat()}); "
                "choose another weather or northing_m for a raw frame"
            )
        for band, gain in enumerate(camera.gains):
            reflectance = part[..., band] / DN_PER_REFLECTANCE
            light = reflectance * ESUN[band] * cosine / (np.pi * sun.distance_au**2)
            signal = np.rint(light / gain + DARK_LEVEL)
            dn[rows, :, band] = np.clip(signal, 1, FULL_SCALE)
        dn[rows][(part == 0).all(axis=-1)] = 0
    for band, dead in enumerate(camera.dead):
        # Half of them are stuck at nothing, half at full scale.
        dn[..., band][dead] = np.where(np.arange(int(dead.sum())) % 2, FULL_SCALE, 0)
    return dn


def _cosines(georef: Georef, sun: Any, top: int, height: int) -> NDArray[np.float64]:
    """Of the Sun's zenith angle at every pixel of some rows, float64 (rows, columns)."""
    a, _, c, _, e, f = georef.transform
    xs, ys = np.meshgrid(
        a * (np.arange(georef.width) + 0.5) + c, e * (np.arange(top, top + height) + 0.5) + f
    )
    longitude, latitude = transform(georef.crs, WGS84, xs.ravel(), ys.ravel())
    seen = horizon(sun, np.array(latitude), np.array(longitude))
    return np.asarray(seen.cos_zenith.reshape(height, georef.width), np.float64)


def sidecar(georef: Georef, samples: str, when: datetime) -> dict[str, Any]:
    """The sidecar's fields for samples on a grid."""
    places = places_of(georef)
    assert places is not None, "a generated frame has coordinates"
    return {
        "format": 1,
        "sensor": VNIR4.name,
        "samples": samples,
        "width": georef.width,
        "height": georef.height,
        "bands": list(BANDS),
        "interleave": "bsq",
        "byte_order": "little",
        "time": when.isoformat(),
        "time_quality": "gnss",
        "time_sigma_s": TIME_SIGMA_S,
        "corners": {
            name: {"latitude": round(float(at[0]), 8), "longitude": round(float(at[1]), 8)}
            for name, at in zip(CORNER_NAMES, places, strict=True)
        },
        "corner_sigma_m": CORNER_SIGMA_M,
    }


def _write_dead(path: Path, dead: NDArray[np.bool_]) -> None:
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "dtype": "uint8",
        "count": len(dead),
        "height": dead.shape[1],
        "width": dead.shape[2],
        "compress": "deflate",
    }
    with (
        replacing(path) as part,
        unlocated_is_fine(),
        writing(path),
        rasterio.open(part, "w", **profile) as out,
    ):
        out.write(dead.astype(np.uint8))
        out.descriptions = BANDS
