"""A replay in small: all that flies and receives, over half a day, from windows of a file."""

from __future__ import annotations

import io
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from ground.receive import receive
from ground.replay import checks, result, tables
from ground.replay.contact import CADU
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


def test_times_follow_each_other(played: tuple[Path, Replay]) -> None:
    replay = played[1]
    frames = {frame.number: frame for frame in replay.frames}
    for frame in replay.frames:
        assert frame.begun_ms is not None
        assert frame.done_ms is not None
        assert frame.taken_ms <= frame.begun_ms < frame.done_ms
        assert frame.done_ms - frame.begun_ms == round(SIDE * SIDE * 900 / 1000)
    for one in replay.products:
        done = frames[one.frame].done_ms
        assert one.first_ms is not None
        assert one.whole_ms is not None
        assert one.queued_ms == done
        assert one.queued_ms <= one.first_ms < one.whole_ms
    begun = sorted(frame.begun_ms or 0 for frame in replay.frames)
    assert all(later - sooner >= 8294 for sooner, later in pairwise(begun)), "one at a time"


def test_what_is_whole_came_in_a_contact_that_says_so(played: tuple[Path, Replay]) -> None:
    replay = played[1]
    for one in replay.products:
        (contact,) = [contact for contact in replay.contacts if one.id in contact.whole]
        assert contact.begin_ms is not None
        assert one.whole_ms is not None
        assert contact.begin_ms < one.whole_ms <= contact.los_ms


def test_a_contact_carries_what_its_rate_allows(played: tuple[Path, Replay]) -> None:
    base, replay = played
    for one in replay.contacts:
        assert one.sent_bytes <= one.capacity_bytes <= (one.los_ms - one.aos_ms) * 20_000 / 8000
        assert one.frames_sent * CADU == one.sent_bytes
        assert sum(one.by_kind.values()) <= one.sent_bytes
        if one.stream is not None:
            assert one.begin_ms is not None
            stream = (base / "first" / "out" / one.stream).read_bytes()
            assert len(stream) == (one.frames_sent - one.frames_lost) * CADU
            after = np.fromfile((base / "first" / "out" / one.stream).with_suffix(".ms"), "<u4")
            assert len(after) == one.frames_sent - one.frames_lost
            assert one.begin_ms + int(after[-1]) <= one.los_ms
    assert sum(one.frames_lost for one in replay.contacts) > 0


def test_what_was_received_is_what_the_streams_hold(played: tuple[Path, Replay]) -> None:
    """The streams, received once more at one go, hold every product that is said to be whole."""
    base, replay = played
    streams = [
        (base / "first" / "out" / one.stream).read_bytes() for one in replay.contacts if one.stream
    ]
    again = receive(b"".join(streams))
    whole = {one.id for one in replay.products if one.whole_ms is not None}
    assert {product.product_id.hex() for _, product in again.products} | {
        chip.chip_id.hex() for _, chip in again.chips
    } == whole
    assert len(again.alerts) == sum(one.heard_ms is not None for one in replay.alerts)


def test_a_safe_mode_interrupts_a_frame_that_is_done_again(played: tuple[Path, Replay]) -> None:
    replay = played[1]
    (lost,) = [one for one in replay.losses if one.cause == "interrupted"]
    frame = replay.frames[(lost.frame or 0) - 1]
    (off,) = replay.off
    assert off.safe
    assert lost.at_ms == off.begin_ms
    assert frame.attempts == 2
    assert frame.begun_ms == off.end_ms
    assert all(one.attempts == 1 for one in replay.frames if one is not frame)


def test_uploads_take_the_contacts_that_they_need(played: tuple[Path, Replay]) -> None:
    command, bundle = played[1].uplinks
    assert (command.outcome, command.text) == ("done", "set-limit")
    assert command.up_ms is not None
    assert command.begun_ms is not None
    assert command.up_ms - command.begun_ms == pytest.approx(command.bytes * 8000 / 9600, abs=2)
    assert bundle.outcome == "refused"
    assert "SHA-256" in bundle.text
    assert "/" not in bundle.text.split(":")[0].replace("upload-2/tflite/k10.tflite", "")
    assert bundle.up_ms is not None
    assert bundle.heard_ms is not None
    assert bundle.heard_ms > bundle.up_ms
    up = sum(one.up_bytes for one in played[1].contacts)
    assert up >= command.bytes + bundle.bytes
    assert [one.model_id for one in played[1].models] == [played[1].frames[0].model_id]


def test_strategies_are_scored_over_the_same_frames(played: tuple[Path, Replay]) -> None:
    replay = played[1]
    assert [one.name for one in replay.strategies] == [
        "raw", "lossless", "masks", "flagged", "prioritised",
    ]  # fmt: skip
    seen = replay.photographed[-1][1]
    floods = sum((one.flood_km2 or 0) >= replay.flood_limit_km2 for one in replay.frames)
    for one in replay.strategies:
        assert one.floods == floods > 0
        assert one.map.n + one.map.never == floods
        assert one.missed <= one.map.never
        assert one.known[-1][1] <= seen
        assert one.file_bytes < one.sent_bytes
        assert one.how == ("accounted" if one.name in ("raw", "lossless") else "real code")
    raw, lossless, *flown = replay.strategies
    assert lossless.file_bytes < raw.file_bytes
    assert raw.file_bytes == sum(one.sample_bytes for one in replay.frames)
    assert all(one.sent_bytes < lossless.sent_bytes / 5 for one in flown)


def test_the_picture_of_every_map_is_there(played: tuple[Path, Replay]) -> None:
    base, replay = played
    maps = [one for one in replay.products if one.kind == "product" and one.whole_ms]
    assert maps
    for one in maps:
        for name in (one.mask, one.entropy, one.truth, replay.frames[one.frame - 1].rgb):
            assert name is not None
            with Image.open(base / "first" / "out" / name) as picture:
                assert picture.size == (SIDE, SIDE)
        outlines = json.loads((base / "first" / "out" / str(one.polygons)).read_text())
        west, south, east, north = one.bounds or (0.0,) * 4
        for feature in outlines["features"]:
            assert feature["geometry"]["type"] == "Polygon"
            for x, y in feature["geometry"]["coordinates"][0]:
                assert west - 1e-4 <= x <= east + 1e-4
                assert south - 1e-4 <= y <= north + 1e-4


def test_one_strategy_alone_is_scored_as_beside_others(
    played: tuple[Path, Replay], tmp_path: Path
) -> None:
    """Asked for raw frames alone, the network still has to say what they show."""
    path = tmp_path / "half.toml"
    path.write_text(f'strategies = ["raw"]\n{text()}', "utf-8")
    (tmp_path / "out").mkdir()
    replay = simulate(checks.plan(load(path)), tmp_path / "out", played[0] / "cache", jobs=1)
    assert replay.strategies == played[1].strategies[:1]


def test_table_and_lines_name_every_strategy(played: tuple[Path, Replay]) -> None:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(tables.comparison(played[1]))
    said = console.export_text() + "\n".join(tables.lines(played[1]))
    for word in ("raw", "lossless", "masks", "flagged", "prioritised", "false alarms", "refused"):
        assert word in said


@pytest.mark.parametrize("mapped", [True, False])
def test_strategies_flown_side_by_side_give_the_same(
    played: tuple[Path, Replay], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mapped: bool
) -> None:
    monkeypatch.setattr("ground.replay.simulate.MANY", 1)
    (tmp_path / "out").mkdir()
    (note,) = (played[0] / "cache/mapped").iterdir()
    if not mapped:  # then one strategy flies alone, before the others
        note.unlink()
    plan = checks.plan(load(played[0] / "half.toml"))
    assert simulate(plan, tmp_path / "out", played[0] / "cache", jobs=2) == played[1]
