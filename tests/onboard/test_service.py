from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onboard.errors import BundleError, ConfigError, OutputError
from onboard.link.housekeeping import Flag, State
from onboard.outbox import Kind, Outbox
from onboard.service import HOLD, TRANSITIONS, Hooks, Places, Service
from onboard.settings import LIMITS, Settings, load
from onboard.standby import Standby
from tests.onboard.flights import QuickEngine, runtime, small_frame
from tests.samples import crop, write_frame


class Bench:
    """A service with two quick engines, and a clock that tests turn."""

    def __init__(self, folder: Path, **hooks: Any) -> None:
        self.places = Places(folder / "in", folder / "state" / "o.sqlite")
        self.hooks = hooks
        self.broken: set[str] = set()
        self.made: list[str] = []
        self.todo: dict[str, list[str]] = {}
        self.wall, self.seconds = 1_800_000_000_000, 0.0

    def make(self, name: str) -> Any:
        self.made.append(name)
        if name in self.broken:
            raise BundleError(f"{name}: is damaged; flash it again")
        engine = QuickEngine(f"{name} (1)")
        # The same list: what is to be done outlives a restart.
        engine.todo = self.todo.setdefault(name, [])
        return runtime(engine, max_pixels=Settings().max_pixels)

    def service(self, **settings: Any) -> Service:
        hooks = Hooks(
            **{"clock": lambda: self.wall, "monotonic": lambda: self.seconds, **self.hooks}
        )
        given = Settings(
            **{"min_free_mb": 0, "poll_seconds": 0.01, "retry_seconds": 0.01, **settings}
        )
        return Service(self.places, given, Standby(["myriad", "tflite"], self.make), hooks)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.places.telemetry.read_text().splitlines()]

    def event(self, name: str) -> list[dict[str, Any]]:
        return [row for row in self.events() if row["event"] == name]

    def put(self, name: str, seed: int = 1, **settings: Any) -> Path:
        self.places.inbox.mkdir(exist_ok=True)
        return small_frame(self.places.inbox / name, seed, **settings)

    def folder(self, name: str) -> list[str]:
        return sorted(path.name for path in (self.places.inbox / name).iterdir())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_frames_become_news_and_leave_the_inbox(bench: Bench) -> None:
    bench.put("wet.tif", 1)
    bench.put("dry.tif", 2, wet=False)
    with bench.service() as service:
        service.run(once=True)
        kinds = [item.kind for item in service.outbox.waiting()]
        assert kinds == [Kind.ALERT, Kind.PRODUCT]
        assert service.outbox.processed == 2
        assert service.state is State.IDLE
    assert bench.folder("refused") == []
    assert [name[13:] for name in bench.folder("done")] in (
        ["wet.tif", "dry.tif"],
        ["dry.tif", "wet.tif"],
    )
    frames = bench.event("frame")
    assert {row["outcome"] for row in frames} == {"alert, product", "nothing"}
    assert frames[0]["engine"] == "myriad (1)"
    assert frames[0]["memory_mb"] > 10
    assert set(frames[0]["seconds"]) >= {"hash", "segment", "triage", "store"}


def test_the_same_samples_are_processed_once_a_model(bench: Bench) -> None:
    bench.put("a.tif", 1)
    with bench.service() as service:
        service.run(once=True)
        bench.put("b.tif", 1)
        service.run(once=True)
        assert service.outbox.processed == 1
        assert len(service.outbox.waiting()) == 2
        assert service.tally.seen == 1
    assert len(bench.folder("done")) == 2


def test_what_it_says_rides_down_as_housekeeping(bench: Bench) -> None:
    bench.put("a.tif")
    with bench.service() as service:
        service.run(once=True)
        assert service.outbox.housekeeping().runtime.state is State.WORKING
    with Outbox(bench.places.outbox) as outbox:
        told = outbox.housekeeping()
    assert (told.frames, told.alerts, told.products) == (1, 1, 1)
    status = told.runtime
    assert (status.engine, status.state, status.starts) == ("myriad", State.STOPPED, 1)
    assert status.memory_bytes > 10**7
    assert status.temperature_c == 42
    assert status.seconds["segment"] >= 0
    with bench.service() as service:
        assert service.outbox.status.starts == 2


def test_half_a_frame_is_never_read(bench: Bench) -> None:
    whole = bench.put("a.tif")
    half = bench.places.inbox / ".b.tif"
    half.write_bytes(whole.read_bytes()[:500])
    with bench.service() as service:
        service.run(once=True)
        assert half.exists()
        half.write_bytes(small_frame(bench.places.inbox / ".c.tif", 2).read_bytes())
        half.rename(bench.places.inbox / "b.tif")
        service.run(once=True)
        assert service.tally.frames == 2


def absurd_frames(folder: Path) -> dict[str, Path]:
    """Files that lie about being frames, by what is said of them."""
    # With the directory in front, as a camera would stream it.
    whole = write_frame(folder / "whole", crop(200, 200), driver="COG")
    data = whole.read_bytes()
    whole.unlink()
    made = {
        "is empty": b"",
        "is not a readable": b"no image",
        "breaks off": data[: len(data) // 2],
        "lacks the band": None,
        "float64": None,
        "claims 60000×60000 pixels": None,
        "are more than can be flown": None,
        "no ISO 8601": None,
    }
    paths = {}
    for number, (words, content) in enumerate(made.items()):
        paths[words] = folder / f"{number}.tif"
        if content is not None:
            paths[words].write_bytes(content)
    shape = (4, 16, 16)
    write_frame(paths["lacks the band"], np.ones((1, 16, 16), np.uint16), bands=("fog",))
    write_frame(paths["float64"], np.ones(shape))
    huge = {"tiled": True, "SPARSE_OK": "TRUE", "compress": "deflate"}
    _sparse(paths["claims 60000×60000 pixels"], 60_000, huge)
    _sparse(paths["are more than can be flown"], 6_000, huge)
    write_frame(paths["no ISO 8601"], np.ones(shape, np.uint16), tags={"ACQUIRED": "soon"})
    return paths


def _sparse(path: Path, side: int, settings: Any) -> None:
    import rasterio

    profile = {"driver": "GTiff", "count": 4, "dtype": "uint16", "crs": "EPSG:32645", **settings}
    place = rasterio.Affine(30.0, 0.0, 600000.0, 0.0, -30.0, 2600000.0)
    with rasterio.open(str(path), "w", width=side, height=side, transform=place, **profile) as out:
        out.descriptions = ("blue", "green", "red", "nir")


def test_truncated_absurd_and_hostile_frames_are_refused(bench: Bench) -> None:
    bench.places.inbox.mkdir()
    paths = absurd_frames(bench.places.inbox)
    bench.put("good.tif")
    with bench.service() as service:
        service.run(once=True)
        assert service.tally.frames == 1
        assert service.outbox.refused == {"unusable": len(paths)}
    for words, path in paths.items():
        reason = bench.places.inbox / "refused" / (path.name + ".reason.txt")
        assert words in reason.read_text("utf-8")
    assert service.places.inbox.joinpath("refused", "0.tif").exists()
    assert [row["kind"] for row in bench.event("refused")] == ["unusable"] * len(paths)


def test_a_frame_of_no_numbers_shows_nothing(bench: Bench) -> None:
    bench.places.inbox.mkdir()
    samples = np.full((4, 64, 64), np.nan, np.float32)
    write_frame(bench.places.inbox / "nan.tif", samples)
    with bench.service() as service:
        service.run(once=True)
        assert service.tally.frames == 1
        assert service.outbox.waiting() == []


def test_a_frame_that_no_engine_makes_numbers_of_is_refused(bench: Bench) -> None:
    bench.put("a.tif")
    bench.todo = {"myriad": ["nan", "nan"], "tflite": ["nan"]}
    with bench.service() as service:
        service.run(once=True)
        assert service.outbox.refused == {"not finite": 1}
        # The frame was at fault, so the first engine goes on.
        assert service.standby.name == "myriad"


def test_a_file_that_is_too_large_is_not_read(bench: Bench) -> None:
    path = bench.put("a.tif")
    with path.open("r+b") as file:
        file.truncate(3 * 2**20)
    with bench.service(max_frame_mb=2) as service:
        service.run(once=True)
        assert service.outbox.refused == {"unusable": 1}


@pytest.mark.parametrize("fault", ["fail", "nan"])
def test_an_engine_that_fails_once_is_started_again(bench: Bench, fault: str) -> None:
    bench.put("a.tif")
    bench.todo = {"myriad": [fault]}
    with bench.service() as service:
        service.run(once=True)
        assert service.tally.frames == 1
        assert service.outbox.status.restarts == 1
        assert service.standby.name == "myriad"
    assert bench.made == ["myriad", "myriad"]
    assert len(bench.event("engine restart")) == 1


@pytest.mark.parametrize("fault", ["fail", "nan"])
def test_an_engine_that_fails_for_good_is_stood_in_for(bench: Bench, fault: str) -> None:
    bench.put("a.tif", 1)
    bench.todo = {"myriad": [fault] * 2}
    with bench.service() as service:
        service.run(once=True)
        assert service.tally.frames == 1
        status = service.outbox.status
        assert (status.engine, status.flags) == ("tflite", Flag.FALLBACK)
        (row,) = bench.event("engine stands in")
        assert (row["engine"], row["of"]) == ("tflite", "myriad")
        bench.put("b.tif", 2)
        bench.seconds += 3601
        service.run(once=True)
        assert service.standby.name == "myriad"
        assert service.outbox.status.flags == Flag(0)
    assert bench.event("frame")[0]["engine"] == "tflite (1)"


def test_with_no_engine_left_the_frame_waits_and_is_then_given_up(bench: Bench) -> None:
    bench.put("a.tif")
    with bench.service(attempts=4) as service:
        # Neither opens any more, not even for what it says of itself.
        bench.broken = {"myriad", "tflite"}
        service.standby.restart()
        assert service.step() > 0
        assert service.state is State.BLOCKED
        bench.broken = {"tflite"}
        bench.todo["myriad"] += ["fail"] * 6
        for attempt in range(3):
            assert service.step() > 0
            assert service.state is State.BLOCKED
            assert len(bench.event("attempt failed")) == attempt + 2
        assert service.step() == 0
        assert service.outbox.refused == {"attempts": 1}
        bench.put("b.tif", 2)
        service.run(once=True)
        assert service.tally.frames == 1


def test_a_first_engine_that_does_not_start_is_stood_in_for(bench: Bench) -> None:
    bench.broken = {"myriad"}
    with bench.service() as service:
        assert service.standby.name == "tflite"
    bench.broken.add("tflite")
    with pytest.raises(BundleError, match="myriad: is damaged"):
        bench.service()


def test_a_defect_holds_up_no_other_frame(bench: Bench) -> None:
    os.utime(str(bench.put("bad.tif", 1)), (1, 1))
    bench.put("good.tif", 2)
    bench.todo = {"myriad": ["defect"] * 2}
    with bench.service(attempts=2) as service:
        service.run(once=True)
        assert service.outbox.refused == {"attempts": 1}
        assert service.tally.frames == 1
    assert bench.event("attempt failed")[0]["reason"].startswith("KeyError at flights.py:")


def test_a_frame_that_brings_the_process_down_is_given_up(bench: Bench) -> None:
    path = bench.put("a.tif")
    with bench.service(attempts=2) as service:
        for _ in range(2):
            # As a process that dies in the frame leaves it.
            service.outbox.begin(service.inbox.file_id(path))
        service.run(once=True)
        assert service.outbox.refused == {"attempts": 1}


def test_a_full_disk_loses_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.put("a.tif")
    with bench.service() as service:
        real = service._shelf.put

        def full(*_: Any) -> int:
            raise OutputError("shelf: cannot be written (No space left on device); free space")

        monkeypatch.setattr(service._shelf, "put", full)
        for _ in range(9):
            assert service.step() > 0
            assert service.state is State.BLOCKED
        assert service.inbox.waiting() != []
        assert service.outbox.processed == 0
        assert len(bench.event("blocked")) == 1
        monkeypatch.setattr(service._shelf, "put", real)
        service.run(once=True)
        assert service.tally.frames == 1
        assert service.outbox.status.flags == Flag.STORAGE


def test_a_full_disk_at_the_database_loses_nothing(bench: Bench) -> None:
    bench.places.inbox.mkdir()
    # Its product does not compress, and fits into no page that is there already.
    wet = np.random.default_rng(0).integers(0, 2, (1, 400, 400))
    samples = np.where(wet, 100, 2800).astype(np.uint16).repeat(4, axis=0)
    write_frame(bench.places.inbox / "a.tif", samples)
    with bench.service() as service:
        db = service.outbox._db
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages + 1}")
        db.execute("CREATE TABLE filler (data)")
        with contextlib.suppress(sqlite3.OperationalError):
            while True:
                db.execute("INSERT INTO filler VALUES (zeroblob(40))")
        for _ in range(9):
            assert service.step() > 0
        assert service.outbox.processed == 0
        assert service.inbox.waiting() != []
        db.execute("PRAGMA max_page_count = 1000000")
        service.run(once=True)
        assert service.outbox.processed == 1
        assert len(service.outbox.waiting()) == 2


def test_frames_that_are_done_with_make_way(bench: Bench) -> None:
    free = [0]
    bench.hooks["free"] = lambda _: free[0]
    bench.put("a.tif")
    with bench.service(min_free_mb=1) as service:
        (bench.places.inbox / "done" / "old.tif").write_bytes(bytes(1000))
        assert service.step() > 0
        assert service.state is State.BLOCKED
        assert bench.folder("done") == []
        assert bench.event("storage low")[0]["freed"] == 1000
        free[0] = 2**20
        service.run(once=True)
        assert service.tally.frames == 1


@pytest.mark.parametrize("moment", ["at the start", "in flight"])
def test_a_corrupt_outbox_is_rebuilt(bench: Bench, moment: str) -> None:
    for seed in range(4):
        bench.put(f"{seed}.tif", seed)
    service = bench.service()
    service.run(limit=3)
    before = {item.data for item in service.outbox.waiting()}
    if moment == "at the start":
        service.close()
        bench.places.outbox.write_bytes(os.urandom(40_000))
        service = bench.service()
    else:
        service.outbox._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = bench.places.outbox.stat().st_size
        with bench.places.outbox.open("r+b") as file:
            file.seek(4096)
            file.write(os.urandom(size - 4096))
        service.outbox._db.execute("PRAGMA shrink_memory")
    with service:
        service.run(once=True)
        assert before <= {item.data for item in service.outbox.waiting()}
        assert service.inbox.waiting() == []
        assert service.tally.flags & Flag.REBUILT
    (row,) = bench.event("outbox rebuilt")
    assert row["items_lost"] == 0
    assert row["files_damaged"] == 0


def test_a_clock_that_goes_back_is_told_and_survived(bench: Bench) -> None:
    bench.put("a.tif", 1)
    with bench.service(max_frames_per_hour=1000) as service:
        service.run(once=True)
        bench.wall = 0
        bench.put("b.tif", 2)
        service.run(once=True)
        assert service.tally.frames == 2
        assert service.outbox.status.flags == Flag.CLOCK_BACK
    (row,) = bench.event("clock went back")
    assert row["seconds"] == 1_800_000_000


def test_it_holds_while_told_to(bench: Bench) -> None:
    paused = [True]
    bench.hooks["paused"] = lambda: paused[0]
    bench.put("a.tif")
    with bench.service() as service:
        assert service.step() > 0
        assert service.state is State.HOLDING
        paused[0] = False
        (bench.places.inbox / HOLD).touch()
        assert service.step() > 0
        assert service.tally.frames == 0
        (bench.places.inbox / HOLD).unlink()
        assert service.step() == 0
        assert service.tally.frames == 1
    assert [row["reason"] for row in bench.event("holding")] == [
        "a command says so",
        "the file HOLD lies in the inbox",
    ]


def test_pace_bounds_the_frames_of_any_hour(bench: Bench) -> None:
    for seed in range(4):
        bench.put(f"{seed}.tif", seed)
    with bench.service(max_frames_per_hour=2, idle_seconds=60) as service:
        assert service.step() == 0
        assert service.step() == 60
        bench.seconds += 60
        assert service.step() == 0
        assert service.step() == 3540
        # No change of the clock makes it hurry.
        bench.wall += 10**9
        assert service.step() == 3540
        bench.seconds += 3540
        assert service.step() == 0
        assert service.tally.frames == 3


def test_hooks_run_between_frames_and_their_trouble_is_survived(bench: Bench) -> None:
    calls = []

    def hook() -> None:
        calls.append(1)
        raise ConfigError("a command: makes no sense")

    bench.hooks["turn"] = [hook]
    bench.put("a.tif")
    with bench.service() as service:
        service.run(once=True)
        assert service.tally.frames == 1
    assert len(calls) == 2
    assert bench.event("hook failed")[0]["reason"] == "a command: makes no sense"


def test_it_stops_when_the_present_frame_is_done(bench: Bench) -> None:
    for seed in range(3):
        bench.put(f"{seed}.tif", seed)
    service = bench.service()
    bench.hooks["before"] = None
    service.hooks = Hooks(before=service.stop, clock=lambda: 0)
    with service:
        service.run()
        assert service.tally.frames == 1
        assert len(service.inbox.waiting()) == 2
    assert bench.event("stop")[0]["frames"] == 1


def test_what_is_beyond_the_quota_is_evicted_in_the_same_transaction(bench: Bench) -> None:
    bench.hooks["make_room"] = lambda box: box.evict([2], "lowest value")
    bench.put("a.tif")
    with bench.service() as service:
        service.run(once=True)
        assert [item.kind for item in service.outbox.waiting()] == [Kind.ALERT]
        assert [one.rule for one in service.outbox.left()] == ["lowest value"]
        service.outbox.evict([1], "any")
    assert list(bench.places.shelf.iterdir()) == []


def test_every_state_can_be_left_and_reached() -> None:
    assert set(TRANSITIONS) == set(State)
    reached = set().union(*TRANSITIONS.values())
    assert reached == set(State) - {State.STARTING}
    assert [state for state, to in TRANSITIONS.items() if not to] == [State.STOPPED]


def test_settings_are_read_and_held_to_their_limits(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text("idle_seconds = 5\nmax_frames_per_hour = 12\nattempts = 3\n")
    assert load(path) == Settings(idle_seconds=5.0, max_frames_per_hour=12, attempts=3)
    path.write_text("")
    assert load(path) == Settings()
    for text, words in (
        ("speed = 5", "'speed'|speed is not known"),
        ("idle_seconds = -1", "idle_seconds is -1"),
        ("attempts = 1.5", "attempts is 1.5"),
        ("attempts", "is not TOML"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=words):
            load(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.toml")


def test_every_setting_has_limits_that_hold_its_default() -> None:
    assert set(LIMITS) == set(vars(Settings()))
    for name, value in vars(Settings()).items():
        low, high = LIMITS[name]
        assert low <= value <= high


def test_what_is_told_of_itself_can_be_a_simulations(bench: Bench) -> None:
    bench.hooks["told"] = lambda status: dataclasses.replace(status, memory_bytes=7 << 20)
    bench.put("wet.tif", 1)
    with bench.service() as service:
        service.run(once=True)
        status = service.outbox.status
        assert status is not None
        assert status.memory_bytes == 7 << 20
        assert service.outbox.clock() == bench.wall
        assert {item.created_ms for item in service.outbox.waiting()} == {bench.wall}
