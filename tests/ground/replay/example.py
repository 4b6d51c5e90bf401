"""A scenario for tests: ΦSat-1 over Svalbard, Inuvik and a plain in India for three days."""

from __future__ import annotations

from pathlib import Path

from ground.replay.scenario import Scenario
from ground.replay.scenario_file import load
from ground.replay.tle import checksum

ROOT = Path(__file__).resolve().parents[3]
BUNDLE = ROOT / "data_samples" / "bundle"

TLE = (
    "1 46292U 20061W   21073.15035660  .00000684  00000-0  45489-4 0  9993",
    "2 46292  97.4953 148.5306 0004209  39.0632 321.0901 15.10390241 28942",
)

TEXT = f"""\
name = "Three days"
seed = 7
start = 2021-03-15T00:00:00Z
days = 3

[satellite]
name = "ΦSat-1"
tle = [
    "{TLE[0]}",
    "{TLE[1]}",
]

[power]
off_in_eclipse = true
off_daily = [["22:00", "02:00"]]

[[safe_mode]]
start = 1.5
hours = 6
reason = "a star tracker was blinded"

[camera]
max_off_nadir_deg = 30
min_sun_elevation_deg = 20

[onboard]
bundle = "{BUNDLE.as_posix()}"
seconds_per_megapixel = 4.0
quota_mb = 2
[onboard.limits]
min_confidence = 0.3

[channel]
frame_loss = 0.02

[[station]]
name = "Svalbard"
lat = 78.23
lon = 15.40
height_m = 450
elevation_mask_deg = 5
down_bps = 1e6
up_bps = 9600
priority = 2

[[station]]
name = "Inuvik"
lat = 68.32
lon = -133.55
down_bps = 200_000
[station.channel]
bit_error_rate = 1e-6

[[target]]
name = "plain"
lat = 23.5
lon = 78.0
clouds = [0.0, 0.6]
flood = [[0, 0.0], [1, 0.2], [2021-03-17T12:00:00Z, 0.1]]
[target.recipe]
seed = 11
width = 256
height = 256

[[uplink]]
name = "be bolder"
time = 1
kind = "command"
command = "set-limit"
arguments = {{ name = "min_wet", value = 0.01 }}

[[uplink]]
name = "an older model"
time = 2021-03-16T12:00:00+02:00
kind = "bundle"
path = "{BUNDLE.as_posix()}"
corrupted = true
"""


def elements(inclination, node, eccentricity, perigee, anomaly, turns, drag="00000-0"):
    """Two lines of a TLE of March 2021, their checksums right."""
    first = f"1 99999U 21001A   21073.50000000  .00000000  00000-0  {drag} 0  999"
    second = (
        f"2 99999 {inclination:8.4f} {node:8.4f} {round(eccentricity * 1e7):07d} {perigee:8.4f} "
        f"{anomaly:8.4f} {turns:11.8f}    1"
    )
    return tuple(line + str(checksum(line)) for line in (first, second))


def scenario(folder: Path, text: str = TEXT) -> Scenario:
    """The scenario of a text, written into a folder."""
    path = folder / "three.toml"
    path.write_text(text, "utf-8")
    return load(path)
