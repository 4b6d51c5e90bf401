"""Sensor profile: the calibration of one camera, from raw counts to radiance.

A TOML file with a dead-pixel map beside it; ``docs/frames.md`` has the format. It belongs to the
camera, not to the network: a bundle is trained for a sensor, a profile is measured on one unit and
again in orbit. The profile holds the map's SHA-256, so one can never be taken for another's; its
own SHA-256 is its *identity*, named in the notes of every frame that it calibrates.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from onboard import formats
from onboard.conditions import LightLimits
from onboard.dead import DeadMap, read_dead
from onboard.errors import ConfigError
from onboard.fields import Fields
from onboard.toml import parse_toml, read_bytes

if TYPE_CHECKING:
    from onboard.sensor import Sensor

MAX_BITS = 16
MAX_PROFILE_BYTES = 65_536
MAX_CORRECTION_PX = 3.0


@dataclass(frozen=True)
class Calibration:
    """One band: ``radiance = gain · DN + offset``.

    Attributes:
        gain: W m⁻² sr⁻¹ µm⁻¹ per digital number (DN), above 0.
        offset: W m⁻² sr⁻¹ µm⁻¹ at DN 0; negative where the detector has a dark level.
        esun: mean solar irradiance in the band outside the atmosphere at 1 au, W m⁻² µm⁻¹.
    """

    gain: float
    offset: float
    esun: float


@dataclass(frozen=True)
class Profile:
    """A camera.

    Attributes:
        path: the file.
        identity: SHA-256 of the file, 32 bytes.
        sensor: name of the `onboard.sensor.Sensor` that it is a unit of.
        revision: what people call this calibration.
        bits: significant bits of a sample; full scale is ``2**bits - 1``.
        bands: name → calibration.
        reference: the band onto which the others are laid.
        correct_px: misregistration up to this is corrected, at most 3.
        dead: the elements that do not work; None where all do.
        limits: from which geometry on a frame is flagged.
    """

    path: Path
    identity: bytes
    sensor: str
    revision: str
    bits: int
    bands: Mapping[str, Calibration]
    reference: str
    correct_px: float
    dead: DeadMap | None
    limits: LightLimits

    @property
    def full_scale(self) -> int:
        """The largest digital number."""
        return int(2**self.bits - 1)

    @property
    def name(self) -> str:
        """For notes: the revision and the first digits of the identity."""
        return f"{self.revision} ({self.identity.hex()[:12]})"

    def serve(self, sensor: Sensor) -> None:
        """Make sure that the profile is one of ``sensor``.

        Raises:
            ConfigError: it is another's, or lacks one of its bands.
        """
        if self.sensor != sensor.name:
            raise ConfigError(
                f"{self.path}: is a profile of the sensor {self.sensor!r}, the bundle is for "
                f"{sensor.name!r}; give the profile of that one"
            )
        missing = [band for band in sensor.bands if band not in self.bands]
        if missing:
            raise ConfigError(
                f"{self.path}: has no calibration of the band {missing[0]!r}; "
                f"add the table [bands.{missing[0]}]"
            )


def load(path: Path) -> Profile:
    """Read a profile and the map beside it.

    Raises:
        ConfigError: unreadable, no TOML, a field is missing, unknown or makes no sense, or the
            map is not the one that the profile names.
    """
    text = read_bytes(path, "a sensor profile", ConfigError, MAX_PROFILE_BYTES)
    fields = Fields(path, parse_toml(path, text, ConfigError), ConfigError)
    fields.version(formats.PROFILE)
    bands = _bands(fields.table("bands"))
    reference, correct = _registration(fields, bands)
    profile = Profile(
        path=path,
        identity=hashlib.sha256(text).digest(),
        sensor=fields.text("sensor"),
        revision=fields.text("revision"),
        bits=fields.whole("bits", 8, MAX_BITS),
        bands=bands,
        reference=reference,
        correct_px=correct,
        dead=_dead(path, fields, tuple(bands)),
        limits=_limits(fields),
    )
    fields.done()
    return profile


def _bands(table: Fields) -> dict[str, Calibration]:
    names = table.names()
    if not names:
        table.refuse("…", "is missing: no band is calibrated; add one table a band")
    return {name: _band(table.table(name)) for name in names}


def _band(fields: Fields) -> Calibration:
    found = Calibration(
        fields.number("gain", 1e-9, 1e6),
        fields.number("offset", -1e6, 1e6),
        fields.number("esun", 1e-3, 1e5),
    )
    fields.done()
    return found


def _registration(fields: Fields, bands: Mapping[str, Calibration]) -> tuple[str, float]:
    default = "red" if "red" in bands else next(iter(bands))
    if not fields.has("registration"):
        return default, MAX_CORRECTION_PX
    table = fields.table("registration")
    reference = table.text("reference", tuple(bands), default)
    correct = table.number("correct_px", 0.0, MAX_CORRECTION_PX, MAX_CORRECTION_PX)
    table.done()
    return reference, correct


def _dead(path: Path, fields: Fields, bands: tuple[str, ...]) -> DeadMap | None:
    if not fields.has("dead_pixels"):
        return None
    table = fields.table("dead_pixels")
    name, digest = table.text("file"), table.text("sha256")
    if Path(name).name != name:
        table.refuse("file", f"is {name!r}; the map lies beside the profile, name it without path")
    table.done()
    return read_dead(path.parent / name, digest, bands)


def _limits(fields: Fields) -> LightLimits:
    if not fields.has("limits"):
        return LightLimits()
    table, default = fields.table("limits"), LightLimits()
    found = LightLimits(
        table.number("dark_deg", 0.0, 90.0, default.dark_deg),
        table.number("low_sun_deg", 0.0, 90.0, default.low_sun_deg),
        table.number("glint_deg", 0.0, 180.0, default.glint_deg),
    )
    table.done()
    return found
