"""Raw frames, profiles and dead-pixel maps for tests, made from reflectance.

The arithmetic is written out once more here, the other way round, so that the tests hold the
software to the formula and not to itself.
"""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.warp import transform

from onboard.sun import horizon, sun_at
from tests.samples import BANDS

TIME = "2026-07-14T04:40:00Z"
WHEN = datetime(2026, 7, 14, 4, 40, tzinfo=timezone.utc)
CRS = "EPSG:32645"
ORIGIN = (640_000.0, 2_640_000.0)
GSD = 30.0
ESUN = {"blue": 1997.0, "green": 1812.0, "red": 1533.0, "nir": 1039.0}
DARK = 64
NAMES = ("upper_left", "upper_right", "lower_right", "lower_left")


def gain_of(band: str) -> float:
    """Full scale, 4095, at a reflectance of 1.2 under an overhead Sun."""
    return 1.2 * ESUN[band] / math.pi / (4095 - DARK)


def write_profile(path: Path, dead: Any = None, head: str = "", tail: str = "") -> Path:
    """Write a profile; ``dead`` is bool ``(bands, H, W)``."""
    text = f'format = 1\nsensor = "vnir4"\nrevision = "test bench"\nbits = 12\n{head}\n'
    for band in BANDS:
        gain = gain_of(band)
        text += f"[bands.{band}]\ngain = {gain!r}\noffset = {-DARK * gain!r}\nesun = {ESUN[band]}\n"
    if dead is not None:
        map_path = write_dead(path.with_name("dead.tif"), dead)
        digest = hashlib.sha256(map_path.read_bytes()).hexdigest()
        text += f'[dead_pixels]\nfile = "dead.tif"\nsha256 = "{digest}"\n'
    path.write_text(text + tail, "utf-8")
    return path


def write_dead(path: Path, dead: Any, names: Any = BANDS) -> Path:
    """Write a dead-pixel map."""
    planes = np.asarray(dead).astype(np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            str(path),
            "w",
            driver="GTiff",
            count=len(planes),
            height=planes.shape[1],
            width=planes.shape[2],
            dtype="uint8",
            compress="deflate",
        ) as out:
            out.write(planes)
            out.descriptions = names
    return path


def places(height: int, width: int) -> tuple[Any, Any]:
    """Latitude and longitude of the corners, upper left first, then clockwise."""
    x, y = ORIGIN
    xs, ys = (x, x + GSD * width, x + GSD * width, x), (y, y, y - GSD * height, y - GSD * height)
    longitude, latitude = transform(CRS, "EPSG:4326", xs, ys)
    return np.array(latitude), np.array(longitude)


def counts(reflectance: Any, when: datetime = WHEN) -> Any:
    """What the camera stores, uint16 ``(bands, H, W)``, of reflectance ``(bands, H, W)``."""
    _, height, width = reflectance.shape
    x = ORIGIN[0] + GSD * (np.arange(width) + 0.5)
    y = ORIGIN[1] - GSD * (np.arange(height) + 0.5)
    xs, ys = np.meshgrid(x, y)
    longitude, latitude = transform(CRS, "EPSG:4326", xs.ravel(), ys.ravel())
    sun = sun_at(when)
    cosine = horizon(sun, np.array(latitude), np.array(longitude)).cos_zenith.reshape(height, width)
    planes = []
    for band, plane in zip(BANDS, reflectance):
        light = plane * ESUN[band] * cosine / (math.pi * sun.distance_au**2)
        planes.append(light / gain_of(band) + DARK)
    return np.clip(np.rint(np.stack(planes)), 1, 4095).astype(np.uint16)


def sidecar(height: int, width: int, **changes: Any) -> dict[str, Any]:
    """The fields of a sidecar; ``changes`` replace them, None takes one out."""
    latitude, longitude = places(height, width)
    corners = {
        name: {"latitude": float(a), "longitude": float(b)}
        for name, a, b in zip(NAMES, latitude, longitude)
    }
    fields = {
        "format": 1,
        "sensor": "vnir4",
        "samples": "f.raw",
        "width": width,
        "height": height,
        "bands": list(BANDS),
        "interleave": "bsq",
        "byte_order": "little",
        "time": TIME,
        "time_quality": "gnss",
        "time_sigma_s": 0.002,
        "corners": corners,
        "corner_sigma_m": 120.0,
    }
    return {key: value for key, value in {**fields, **changes}.items() if value is not None}


def write_raw(folder: Path, dn: Any, **changes: Any) -> Path:
    """Write counts ``(bands, H, W)`` as ``f.raw`` and ``f.json``; give the sidecar's path."""
    fields = sidecar(dn.shape[1], dn.shape[2], **changes)
    order = {"bsq": (0, 1, 2), "bil": (1, 0, 2), "bip": (1, 2, 0)}[fields["interleave"]]
    kind = "<u2" if fields["byte_order"] == "little" else ">u2"
    (folder / "f.raw").write_bytes(dn.transpose(order).astype(kind).tobytes())
    path = folder / "f.json"
    path.write_text(json.dumps(fields), "utf-8")
    return path
