"""Sidecar: what must be known of raw samples to read them and to know where and when they are.

A JSON or TOML file beside the samples; ``docs/frames.md`` has the fields.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from onboard import formats
from onboard.arrays import Floats
from onboard.capture import MAX_SIGMA_M, MAX_SIGMA_S, QUALITIES, Capture, parse_time
from onboard.conditions import View
from onboard.corners import CORNER_NAMES, fit_corners
from onboard.errors import FrameError
from onboard.fields import Fields
from onboard.georef import Georef
from onboard.toml import parse_toml, read_bytes

SUFFIXES = (".json", ".toml")
INTERLEAVES = ("bip", "bil", "bsq")
ORDERS = {"little": "<u2", "big": ">u2"}
MAX_SIDE = 65_535
MAX_SIDECAR_BYTES = 65_536


@dataclass(frozen=True)
class Sidecar:
    """A raw frame's description.

    Attributes:
        path: the file.
        sensor: name of the camera.
        samples: the file of samples.
        width: columns.
        height: rows.
        bands: in the order of the samples.
        interleave: ``bip`` (by pixel), ``bil`` (by line) or ``bsq`` (band sequential).
        dtype: numpy's name of a sample with its byte order.
        georef: the grid that was fitted to the corners.
        residual_m: how far the corners are from that grid, metres; see `onboard.corners`.
        residual_px: the same in pixels.
        capture: when and from where; its geolocation sigma includes the residual.
    """

    path: Path
    sensor: str
    samples: Path
    width: int
    height: int
    bands: tuple[str, ...]
    interleave: str
    dtype: str
    georef: Georef
    residual_m: float
    residual_px: float
    capture: Capture


def find_sidecar(path: Path) -> Path | None:
    """The sidecar of a frame named by its sidecar or by its samples; None for other frames.

    Raises:
        FrameError: raw samples without a sidecar.
    """
    if path.suffix.lower() in SUFFIXES:
        return path
    if path.suffix.lower() != ".raw":
        return None
    for suffix in SUFFIXES:
        beside = path.with_suffix(suffix)
        if beside.exists():
            return beside
    raise FrameError(f"{path}: has no sidecar; lay {path.stem}.json or {path.stem}.toml beside it")


def read_sidecar(path: Path) -> Sidecar:
    """Read and check a sidecar.

    Raises:
        FrameError: unreadable, a field is missing, unknown or makes no sense, or the corners
            contradict each other.
    """
    fields = _fields(path)
    fields.version(formats.SIDECAR)
    width, height = (fields.whole(name, 1, MAX_SIDE) for name in ("width", "height"))
    fit = fit_corners(path, _corners(fields), width, height)
    found = Sidecar(
        path=path,
        sensor=fields.text("sensor"),
        samples=_beside(path, fields),
        width=width,
        height=height,
        bands=fields.words("bands"),
        interleave=fields.text("interleave", INTERLEAVES),
        dtype=ORDERS[fields.text("byte_order", tuple(ORDERS))],
        georef=fit.georef,
        residual_m=fit.residual_m,
        residual_px=fit.residual_px,
        capture=_capture(path, fields, fit.residual_m),
    )
    fields.done()
    return found


def _fields(path: Path) -> Fields:
    data = read_bytes(path, "a sidecar", FrameError, MAX_SIDECAR_BYTES)
    if path.suffix.lower() == ".toml":
        return Fields(path, parse_toml(path, data, FrameError), FrameError)
    try:
        return Fields(path, json.loads(data.decode("utf-8")), FrameError)
    except (ValueError, RecursionError) as error:
        why = str(error).splitlines()[0]
        raise FrameError(f"{path}: is not JSON ({why}); mend it or write it anew") from error


def _beside(path: Path, fields: Fields) -> Path:
    name = fields.text("samples")
    if Path(name).name != name:
        fields.refuse("samples", f"is {name!r}; they lie beside the sidecar, name them so")
    return path.parent / name


def _corners(fields: Fields) -> Floats:
    """Latitude and longitude, float64 ``(4, 2)``, in the order of `CORNER_NAMES`."""
    table = fields.table("corners")
    rows = []
    for name in CORNER_NAMES:
        corner = table.table(name)
        rows.append(
            (corner.number("latitude", -90.0, 90.0), corner.number("longitude", -180.0, 180.0))
        )
        corner.done()
    table.done()
    return np.array(rows, np.float64)


def _capture(path: Path, fields: Fields, residual_m: float) -> Capture:
    sigma = fields.number("corner_sigma_m", 0.0, MAX_SIGMA_M)
    return Capture(
        time=parse_time(path, "field time", fields.text("time")),
        quality=QUALITIES[fields.text("time_quality", tuple(QUALITIES))],
        time_sigma_s=fields.number("time_sigma_s", 0.0, MAX_SIGMA_S),
        geolocation_sigma_m=math.hypot(sigma, residual_m),
        view=View(
            fields.number("view_zenith_deg", 0.0, 89.0, 0.0),
            fields.number("view_azimuth_deg", 0.0, 360.0, 0.0),
        ),
    )
