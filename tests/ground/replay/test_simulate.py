"""A replay in small: all that flies and receives, over half a day, from windows of a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from ground.replay import checks, result
from ground.replay.result import Replay
from ground.replay.scenario_file import load
from ground.replay.simulate import simulate
from tests.ground.replay.example import TLE
from tests.samples import BUNDLE, SAMPLES

SIDE = 96
WINDOWS = ((64, 300), (640, 200), (300, 600), (64, 900))
TEXT = f"""\
name = "Half a day"
seed = 3
start = 2021-03-16T04:00:00Z
days = 0.5
[satellite]
name = "ΦSat-1"
tle = ["{TLE[0]}", "{TLE[1]}"]
[camera]
max_off_nadir_deg = 60
min_sun_elevation_deg = -90
[onboard]
bundle = "{BUNDLE.as_posix()}"
seconds_per_megapixel = 900
[channel]
frame_loss = 0.2
[[safe_mode]]
start = 2021-03-16T05:36:08Z
hours = 0.3
reason = "a latch-up"
[[station]]
name = "Svalbard"
lat = 78.23
lon = 15.40
down_bps = 20_000
up_bps = 9600
[[uplink]]
name = "less is wet"
time = 2021-03-16T04:00:00Z
kind = "command"
command = "set-limit"
arguments = {{ name = "min_wet", value = 0.004 }}
[[uplink]]
name = "a damaged bundle"
time = 2021-03-16T05:00:00Z
kind = "bundle"
path = "{BUNDLE.as_posix()}"
corrupted = true
"""
FRAME = """\
[[frame]]
name = "part {number}"
time = 2021-03-16T05:{minute}:00Z
lat = {latitude}
lon = 78.0
file = "{samples}/frame.tif"
truth = "{samples}/frame_truth.tif"
permanent = "{samples}/frame_permanent.tif"
window = [{row}, {col}, {side}, {side}]
"""


def text() -> str:
    """The scenario with one frame a minute along the track."""
    frames = [
        FRAME.format(
            number=number,
            minute=33 + number,
            latitude=31.0 - 3.7 * number,
            samples=SAMPLES.as_posix(),
            row=row,
            col=col,
            side=SIDE,
        )
        for number, (row, col) in enumerate(WINDOWS)
    ]
    return TEXT + "".join(frames)


def play(folder: Path, cache: Path) -> Replay:
    """Play the scenario into a folder."""
    folder.mkdir()
    path = folder.parent / "half.toml"
    path.write_text(text(), "utf-8")
    out = folder / "out"
    out.mkdir()
    return simulate(checks.plan(load(path)), out, cache, jobs=1)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Replay]:
    """The scenario played once, and its folder."""
    base = tmp_path_factory.mktemp("replay")
    return base, play(base / "first", base / "cache")


def test_the_same_scenario_gives_the_same_bytes(played: tuple[Path, Replay]) -> None:
    base, replay = played
    assert play(base / "again", base / "cache") == replay
    first, again = (
        {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
        for out in (base / "first" / "out", base / "again" / "out")
    )
    assert first == again
    assert result.read(base / "first" / "out" / result.NAME) == replay
