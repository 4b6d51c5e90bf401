"""A scenario is replayed and goes out live: another process receives what the replay received."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ground.receive import receive
from ground.replay import result
from onboard.cli import run
from tests.ground.replay.example import ROOT
from tests.ground.replay.listening import receiver
from tests.ground.replay.test_simulate import text


def check_live(scenario: Path, folder: Path, speed: float, *options: str) -> None:
    """Replay into ``folder/out`` and live into ``folder/live``; both must have the same."""
    out, live = folder / "out", folder / "live"
    with receiver(live, idle_seconds=6) as port:
        line = ["replay", str(scenario), "--out", str(out), "--live", f"udp://127.0.0.1:{port}"]
        assert run([*line, "--speed", str(speed), "--longest-gap", "0.3", *options]) == 0
    replay = result.read(out / result.NAME)
    whole = {one.id for one in replay.products if one.whole_ms is not None}
    assert whole
    heard = json.loads((live / "reception.json").read_text("utf-8"))
    assert heard["report"]["frames_idle"] > 0
    names = [one["id"] for kind in ("products", "chips") for one in heard[kind]]
    assert len(names) == len(set(names)) == len(whole)
    assert {one.frame for one in replay.alerts if one.heard_ms is not None}
    assert len(heard["alerts"]) == sum(one.heard_ms is not None for one in replay.alerts)
    streams = [out / one.stream for one in replay.contacts if one.stream is not None]
    recorded = receive(path.read_bytes() for path in streams)
    for data, product in recorded.products:
        assert (live / f"{product.stem}.fsp").read_bytes() == data
    assert len(list(live.glob("*.fsp"))) == len(recorded.products) > 0


def test_half_a_day(tmp_path: Path) -> None:
    scenario = tmp_path / "half.toml"
    # Only what stands high, so that few seconds of idle frames are to be played.
    masked = text().replace("lon = 15.40", "lon = 15.40\nelevation_mask_deg = 35", 1)
    scenario.write_text(masked, "utf-8")
    # A hundred times as fast a link of 20 kbit/s gives 223 frames a second.
    check_live(scenario, tmp_path, 100, "--strategies", "prioritised", "--jobs", "1")
    page = (tmp_path / "out" / "index.html").read_text("utf-8")
    assert "Svalbard" in page
    assert [path.name for path in tmp_path.glob(".part*")] == []


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_the_scenario_of_a_minute(tmp_path: Path) -> None:
    check_live(ROOT / "data_samples" / "scenarios" / "minute.toml", tmp_path, 100)
