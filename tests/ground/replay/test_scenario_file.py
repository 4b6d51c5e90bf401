"""What a scenario's file says is what the replay plays; what makes no sense is named by line."""

from __future__ import annotations

from datetime import UTC, datetime, time

import pytest

from ground.channel import Conditions
from ground.replay.scenario import STRATEGIES
from onboard.limits import Limits
from tests.ground.replay.example import BUNDLE, scenario


def at(*parts):
    return datetime(2021, 3, *parts, tzinfo=UTC)


def line_of(text, part):
    (found,) = [n for n, line in enumerate(text.splitlines(), 1) if part in line]
    return found


def test_everything_is_read(tmp_path):
    read = scenario(tmp_path)
    assert (read.name, read.seed, read.satellite) == ("Three days", 7, "ΦSat-1")
    assert read.span == (at(15), at(18))
    assert read.tle.number == 46292
    assert read.power.off_in_eclipse
    assert read.power.off_daily == ((time(22), time(2)),)
    (mode,) = read.power.safe_modes
    assert mode.span == (at(16, 12), at(16, 18))
    assert mode.reason == "a star tracker was blinded"
    assert read.camera.max_off_nadir_deg == 30
    assert read.onboard.bundle == BUNDLE
    assert read.onboard.limits_over(Limits()).min_confidence == 0.3
    svalbard, inuvik = read.stations
    assert (svalbard.up_bps, svalbard.priority, inuvik.up_bps) == (9600, 2, 0)
    assert svalbard.channel == Conditions(frame_loss=0.02)
    assert inuvik.channel == Conditions(frame_loss=0.02, bit_error_rate=1e-6)
    (target,) = read.targets
    assert target.flood.at(at(15, 12)) == pytest.approx(0.1)
    assert target.flood.at(at(17, 23)) == pytest.approx(0.1)
    assert target.clouds == (0.0, 0.6)
    assert target.recipe == {"seed": 11, "width": 256, "height": 256}
    assert target.span == read.span
    bolder, older = read.uplinks[::-1] if read.uplinks[0].kind == "bundle" else read.uplinks
    assert (bolder.command, bolder.arguments) == ("set-limit", {"name": "min_wet", "value": 0.01})
    assert (older.time, older.path, older.corrupted) == (at(16, 10), BUNDLE, True)
    assert read.strategies == STRATEGIES


def test_uplinks_come_in_order_of_time(tmp_path):
    times = [one.time for one in scenario(tmp_path).uplinks]
    assert times == sorted(times)
