"""A day of operation with all faults at random; at its end the books must balance."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onboard import quota, standby
from onboard.errors import BundleError, OutputError
from onboard.link import downlink
from onboard.link.housekeeping import State
from onboard.outbox import Cause, Outbox, name_of
from onboard.service import Hooks, Places, Service
from onboard.settings import Settings
from tests.onboard.flights import LOADED, QuickEngine, runtime, small_frame
from tests.samples import write_frame

DAY_MS = 86_400_000
SEED = 1957
TALLIED = ("frames", "seen", "refused")
FULL = "No space left on device; free space there"


class KilledError(BaseException):
    """What a kill is to code: no handler of ours sees it."""


class Day:
    """Everything that happens in a day, drawn from one seed.

    Kills are exceptions that no code of ours handles, so the state on disk is what a kill leaves;
    `test_service_process` kills real processes.
    """

    def __init__(self, folder: Path, frames: int) -> None:
        self.rng = random.Random(SEED)
        self.frames = frames
        self.places = Places(folder / "in", folder / "state" / "o.sqlite")
        self.places.inbox.mkdir()
        self.spare = folder / "camera"
        self.spare.mkdir()
        self.wall = 1_800_000_000_000
        self.seconds = 0.0
        self.faults: Counter[str] = Counter()
        self.todo: list[str] = []
        self.delivered = self.made = self.queued = 0
        self.counted: Counter[str] = Counter()
        self.disk_full = False
        self.kill_at = ""
        self.service: Service | None = None
        self.told = dict.fromkeys(TALLIED, 0)
        self.must_wait: set[bytes] = set()
        self.born: set[bytes] = set()
        self.fates: dict[bytes, Cause] = {}

    # --- what the service is given ---

    def make(self, name: str) -> Any:
        if name == "myriad" and self.rng.random() < 0.02:
            self.faults["bundle unreadable"] += 1
            raise BundleError("slot a: is damaged; flash it again")
        engine = QuickEngine(f"{name} (1)")
        engine.todo = self.todo if name == "myriad" else []
        return runtime(engine, limits=LOADED.limits)

    def moment(self, name: str) -> None:
        """A point of the frame's way, where power may go."""
        if self.kill_at == name:
            self.kill_at = ""
            self.faults[f"killed {name}"] += 1
            raise KilledError(name)

    def before(self) -> None:
        assert self.service is not None
        self.queued = self.service.outbox.totals.queued
        self.moment("before the network")

    def recorded(self) -> None:
        assert self.service is not None
        if self.service.state is State.WORKING:
            # A frame that was recorded before queues nothing and was not counted at its start.
            fresh = self.service.tally.frames > self.told["frames"]
            self.made += self.service.outbox.totals.queued - self.queued if fresh else 0
            self.look(self.service.outbox)
            self.moment("after the record")

    def room(self, outbox: Outbox) -> None:
        if self.disk_full:
            raise OutputError(f"o.sqlite: cannot be written ({FULL})")
        quota.keep_within(outbox, self.wall)
        self.moment("in the transaction")

    def start(self) -> Service:
        hooks = Hooks(
            before=self.before,
            after=lambda: self.moment("after the network"),
            recorded=self.recorded,
            make_room=self.room,
            clock=lambda: self.wall,
            monotonic=lambda: self.seconds,
        )
        settings = Settings(
            min_free_mb=0, retry_seconds=1, attempts=8, engine_retry_seconds=600, keep_done_mb=4
        )
        engines = standby.Standby(["myriad", "tflite"], self.make)
        service = Service(self.places, settings, engines, hooks)
        service.outbox.quota = 24_000
        return service

    # --- what happens ---

    def deliver(self, number: int) -> None:
        """One frame arrives, of one kind or another."""
        path = self.spare / f"{number:05d}.tif"
        kind = self.rng.choices(
            ["wet", "dry", "truncated", "noise", "empty", "no numbers", "no bands", "again"],
            [55, 20, 5, 4, 3, 4, 4, 5],
        )[0]
        if kind == "again" and number == 0:
            kind = "wet"
        if kind in ("wet", "dry", "truncated"):
            small_frame(path, number, wet=kind != "dry")
        if kind == "again":
            small_frame(path, 0)
        if kind == "truncated":
            path.write_bytes(path.read_bytes()[: self.rng.randrange(8, 20_000)])
        if kind in ("noise", "empty"):
            path.write_bytes(os.urandom(200 * (kind == "noise")))
        if kind == "no numbers":
            # Beyond what float32 holds once the network has multiplied it.
            write_frame(path, np.full((4, 64, 64), 3e38, np.float32) * (1 + number % 7 / 100))
        if kind == "no bands":
            write_frame(path, np.ones((1, 16, 16), np.uint16) * number, bands=("fog",))
        path.rename(self.places.inbox / path.name)
        self.delivered += 1

    def trouble(self) -> None:
        """Perhaps a fault."""
        fault = self.rng.choices(
            ["", "engine fails", "engine gives NaN", "engine fails for good", "killed", "disk full",
             "clock back", "clock ahead", "outbox damaged", "defect"],
            [54, 6, 4, 3, 12, 4, 3, 3, 7, 2],
        )[0]  # fmt: skip
        if not fault:
            return
        if fault != "killed":
            self.faults[fault] += 1
        if fault.startswith("engine"):
            what = "nan" if fault.endswith("NaN") else "fail"
            self.todo += [what] * (2 if fault.endswith("good") else 1)
        if fault == "defect":
            self.todo.append("defect")
        if fault.startswith("clock"):
            self.wall += (-1 if fault.endswith("back") else 1) * self.rng.randrange(DAY_MS)
        if fault == "killed":
            moments = ["before the network", "after the network", "in the transaction"]
            self.kill_at = self.rng.choice([*moments, "after the record"])
        self.disk_full = fault == "disk full"
        if fault == "outbox damaged":
            self.damage()

    def damage(self) -> None:
        """Overwrite a page of the database, or lose the file, while nothing runs."""
        self.stop()
        path = self.places.outbox
        with Outbox(path) as outbox:
            self.must_wait = {one.data for one in outbox.waiting()}
            self.look(outbox)
        data = bytearray(path.read_bytes())
        page = 4096 * self.rng.randrange(1, max(2, len(data) // 4096))
        data[page : page + 4096] = bytes(self.rng.getrandbits(8) for _ in range(4096))
        path.write_bytes(bytes(data))

    def contact(self) -> None:
        """A pass over the ground station, in a process of its own."""
        with Outbox(self.places.outbox) as outbox:
            passed = downlink.fill(outbox, self.rng.randrange(1200, 12_000), now_ms=self.wall)
            passed.commit(outbox)
            self.look(outbox)

    def look(self, outbox: Outbox) -> None:
        """Note what there is and what became of it; damage takes that from the outbox only."""
        for one in outbox.waiting(99):
            name = name_of(one.kind, one.data)
            self.born.add(name)
            if one.sendings:
                self.fates[name] = Cause.SENT
        for gone in outbox.left():
            self.born.add(gone.name)
            sent = gone.sendings or self.fates.get(gone.name) is Cause.SENT
            self.fates[gone.name] = Cause.SENT if sent else gone.cause

    def stop(self) -> None:
        if self.service is not None:
            self.service.close()
            self.service = None

    def turn(self) -> None:
        """Some turns of the service, started again where it was killed."""
        for _ in range(4):
            try:
                if self.service is None:
                    self.service = self.start()
                    self.told = dict.fromkeys(TALLIED, 0)
                    # Whatever was damaged: nothing that waited is missing.
                    stock = {one.data for one in self.service.outbox.waiting(99)}
                    assert self.must_wait <= stock
                    self.must_wait = set()
                self.service.step()
            except KilledError:
                assert self.service is not None
                # No last word: the connection is dropped as it is.
                self.count()
                self.service.outbox._db.close()
                self.service = None
            else:
                self.count()
            self.disk_full = False
            self.seconds += 20
            self.wall += 20_000

    def count(self) -> None:
        """Add up what the service counted, over all its starts."""
        assert self.service is not None
        for name in TALLIED:
            now = getattr(self.service.tally, name)
            self.counted[name] += now - self.told[name]
            self.told[name] = now

    def run(self) -> None:
        for number in range(self.frames):
            self.deliver(number)
            self.trouble()
            self.turn()
            if number % 25 == 24:
                self.contact()
        self.kill_at, self.todo[:] = "", []
        for _ in range(400):
            if self.service is not None and not self.service.inbox.waiting():
                break
            self.turn()
        self.stop()


def rebuilds(day: Day) -> list[dict[str, Any]]:
    """What was told of every damage to the outbox."""
    files = sorted(day.places.telemetry.parent.glob(day.places.telemetry.name + "*"))
    rows = [json.loads(line) for file in files for line in file.read_text("ascii").splitlines()]
    return [row for row in rows if row["event"] == "outbox rebuilt"]


def ledger(day: Day) -> dict[str, int]:
    """The books at the end of the day."""
    with Outbox(day.places.outbox) as outbox:
        day.look(outbox)
        stock, left = outbox.stock(), outbox.left()
        sent = sum(one.sendings > 0 for one in stock)
        causes = Counter(one.cause for one in left)
        wait = {name_of(one.kind, one.data) for one in outbox.waiting()}
        wait -= {name for name, fate in day.fates.items() if fate is Cause.SENT}
        fates = Counter(fate for name, fate in day.fates.items() if name not in wait)
        return {
            "frames in": day.delivered,
            "processed": day.counted["frames"],
            "refused, with the reason beside": day.counted["refused"],
            "seen before": day.counted["seen"],
            "processed, by the outbox": outbox.processed,
            **{f"refused as {kind}, by the outbox": n for kind, n in outbox.refused.items()},
            "products, alerts and chips made": len(day.born),
            "sent": fates[Cause.SENT],
            "waiting": len(wait),
            "evicted by a rule": fates[Cause.EVICTED],
            "made, by the outbox": day.made,
            "sent, by the outbox": sent + causes[Cause.SENT],
            "waiting, by the outbox": len(stock) - sent,
            "evicted, by the outbox": causes[Cause.EVICTED],
            "whose record damage took, told by the outbox": outbox.lost,
        }


def show(day: Day, books: dict[str, int]) -> None:
    print(f"\nA day of {day.frames} frames, seed {SEED}")
    for name, count in [*books.items(), *sorted(day.faults.items())]:
        print(f"{count:8d}  {name}")


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize(
    "frames", [60, pytest.param(1000, marks=[pytest.mark.soak, pytest.mark.timeout(0)])]
)
def test_the_books_of_a_day_balance(tmp_path: Path, frames: int) -> None:
    day = Day(tmp_path, frames)
    day.run()
    books = ledger(day)
    show(day, books)
    refused = books["refused, with the reason beside"]
    assert books["frames in"] == books["processed"] + refused + books["seen before"]
    assert books["products, alerts and chips made"] == (
        books["sent"] + books["waiting"] + books["evicted by a rule"]
    )
    # The outbox alone, whose own books are damaged again and again, tells how much it forgot.
    assert books["made, by the outbox"] == (
        books["sent, by the outbox"] + books["waiting, by the outbox"]
        + books["evicted, by the outbox"] + books["whose record damage took, told by the outbox"]
    )  # fmt: skip
    told = rebuilds(day)
    lost = sum(row["frames_lost"] for row in told)
    assert books["processed"] - lost <= books["processed, by the outbox"] <= books["processed"]
    assert (
        sum(row["items_lost"] for row in told)
        == books["whose record damage took, told by the outbox"]
    )
    assert list(day.places.inbox.glob("*.tif")) == []
    reasons = list((day.places.inbox / "refused").glob("*.reason.txt"))
    assert len(reasons) == refused
    assert {"sent", "waiting", "evicted by a rule"} <= {name for name, n in books.items() if n}
