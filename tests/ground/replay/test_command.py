"""The command: what the orbit makes of a scenario is told, and what is wrong ends with 2."""

from __future__ import annotations

import json

import pytest

from onboard.cli import run
from tests.ground.replay.example import TEXT


@pytest.fixture
def scenario(tmp_path):
    path = tmp_path / "three.toml"
    path.write_text(TEXT, "utf-8")
    return path


def test_check_tells_contacts_and_frames(scenario, tmp_path, capsys):
    figures = tmp_path / "plan.json"
    assert run(["replay", str(scenario), "--check", "--json", str(figures)]) == 0
    told = capsys.readouterr().out
    plan = json.loads(figures.read_text("utf-8"))
    for station in ("Svalbard", "Inuvik"):
        count = sum(one["station"] == station for one in plan["contacts"])
        assert count > 0
        (row,) = [line.split() for line in told.splitlines() if line.strip().startswith(station)]
        assert row[1] == str(count)
    assert [one["target"] for one in plan["frames"]] == ["plain", "plain"]
    for one in plan["frames"]:
        assert one["name"] in told
    assert "frames: 2 taken, 0 not taken\n" in told
    assert plan["warnings"] == []
    assert not (tmp_path / "three").exists()


def test_check_says_why_frames_are_not_taken(scenario, capsys):
    scenario.write_text(TEXT.replace("start = 1.5", "start = 2021-03-17T05:00:00Z"), "utf-8")
    assert run(["replay", str(scenario), "--check"]) == 0
    told = capsys.readouterr().out
    assert "frames: 1 taken, 1 not taken:" in told
    assert "  1: safe mode: a star tracker was blinded" in told


def test_warnings_go_to_the_other_stream(scenario, capsys):
    text = TEXT.replace("lat = 68.32", "elevation_mask_deg = 89.9\nlat = 68.32")
    scenario.write_text(text, "utf-8")
    assert run(["replay", str(scenario), "--check"]) == 0
    told = capsys.readouterr()
    assert told.err.startswith(f"floodsat: {scenario}:")
    assert "station 'Inuvik' never hears the satellite" in told.err
    assert "never hears" not in told.out


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ([], "--out is missing: name a folder for the replay, or give --check"),
        (["--check", "--strategies", "hope"], "--strategies has 'hope'; choose from raw, lossless"),
        (["--check", "--live", "udp://192.0.2.1:9"], "is not this machine"),
        (["--check", "--live", "nowhere"], "give it as udp://127.0.0.1:PORT"),
    ],
)
def test_bad_options_end_with_2_and_one_line(scenario, options, fault, capsys):
    assert run(["replay", str(scenario), *options]) == 2
    told = capsys.readouterr().err
    assert fault in told
    assert told.count("\n") == 1


def test_a_bad_scenario_ends_with_2_and_nothing_is_written(scenario, tmp_path, capsys):
    scenario.write_text(TEXT.replace("lat = 78.23", "lat = 178.23"), "utf-8")
    out = tmp_path / "out"
    assert run(["replay", str(scenario), "--out", str(out)]) == 2
    line = 1 + TEXT[: TEXT.index("lat = 78.23")].count("\n")
    assert f"three.toml:{line}: lat is 178.23" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["three.toml"]
