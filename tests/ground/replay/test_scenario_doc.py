"""docs/scenario.md lists every key that a scenario may have, with its default, and no other."""

from __future__ import annotations

import dataclasses
from collections import defaultdict

import pytest

from ground.replay.lined import LinedFields
from tests.ground.replay.example import BUNDLE, ROOT, TEXT, TLE, scenario

PAGE = (ROOT / "docs" / "scenario.md").read_text("utf-8")
SECTIONS = {
    "## The replay": ("",),
    "## `[satellite]`": ("satellite",),
    "## `[power]` and `[[safe_mode]]`": ("power", "safe_mode"),
    "## `[camera]`": ("camera",),
    "## `[onboard]`": ("onboard",),
    "## `[[station]]`": ("station",),
    "## `[channel]` and `[station.channel]`": ("channel",),
    "## `[[target]]` and `[[frame]]`": ("target", "frame"),
    "## `[[uplink]]`": ("uplink",),
}
TABLES = {"satellite", "power", "safe_mode", "camera", "onboard", "station", "channel", "target"}
TABLES |= {"frame", "uplink", "limits"}
MORE = """
[[frame]]
name = "a file"
time = 2021-03-17T05:26:17Z
lat = 23.5
lon = 78.0
file = "{file}"
"""
LEAST = f"""
name = "least"
start = 2021-03-15T00:00:00Z
days = 1
[satellite]
name = "x"
tle = ["{TLE[0]}", "{TLE[1]}"]
[onboard]
bundle = "{BUNDLE.as_posix()}"
seconds_per_megapixel = 1
[[station]]
name = "s"
lat = 0
lon = 0
down_bps = 1
[[target]]
name = "t"
lat = 0
lon = 0
[target.recipe]
"""
"""A scenario that says no more than it must."""


def documented() -> dict[str, dict[str, str]]:
    """Heading → key → default."""
    found: dict[str, dict[str, str]] = {}
    for section in SECTIONS:
        start = PAGE.index(section) + len(section)
        text = PAGE[start : PAGE.find("\n## ", start)]
        lines = [line for line in text.splitlines() if line.startswith("| `")]
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        found[section] = {row[0].strip("`"): row[2] for row in cells}
    return found


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Table → every key that reading a scenario asks for."""
    found = defaultdict(set)
    has, take = LinedFields.has, LinedFields.take

    def note(fields, name):
        parts = [part for part in fields.inside.split(".") if not part.isdigit()]
        found[parts[-1] if parts else ""].add(name)

    def noting_has(fields, name):
        note(fields, name)
        return has(fields, name)

    def noting_take(fields, name):
        note(fields, name)
        return take(fields, name)

    monkeypatch.setattr(LinedFields, "has", noting_has)
    monkeypatch.setattr(LinedFields, "take", noting_take)
    (tmp_path / "f.tif").touch()
    scenario(tmp_path, TEXT + MORE.format(file=(tmp_path / "f.tif").as_posix()))
    return found


def test_every_key_is_documented_and_no_other(asked):
    bench = {"factor"}  # asked for only where there is a benchmark
    for section, tables in SECTIONS.items():
        keys = set().union(*(asked[table] for table in tables)) - TABLES
        assert set(documented()[section]) - bench == keys - bench, section


def test_the_defaults_are_those_of_the_reader(tmp_path):
    least = scenario(tmp_path, LEAST)
    (station,) = least.stations
    values = {
        "## The replay": {"seed": least.seed},
        "## `[camera]`": dataclasses.asdict(least.camera),
        "## `[onboard]`": dataclasses.asdict(least.onboard),
        "## `[[station]]`": dataclasses.asdict(station),
        "## `[channel]` and `[station.channel]`": dataclasses.asdict(station.channel),
        "## `[[target]]` and `[[frame]]`": {"turn": least.targets[0].picture.turn},
    }
    checked = 0
    for section, known in values.items():
        for key, default in documented()[section].items():
            if default.replace(".", "").isdigit() and key != "factor":
                assert known[key] == float(default), key
                checked += 1
    assert checked == 17


def test_the_scenario_that_says_the_least_is_as_the_page_says(tmp_path):
    least = scenario(tmp_path, LEAST)
    needed = [
        key
        for section, keys in documented().items()
        for key, default in keys.items()
        if default == "needed" and section not in ("## `[[uplink]]`",)
    ]
    for key in set(needed) - {"start", "days", "hours", "reason", "time", "name"}:
        assert key in LEAST
    assert least.targets[0].flood is None
    assert least.power.off_daily == ()
    assert not least.power.off_in_eclipse
