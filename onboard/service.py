"""The service: frames in, news out, for weeks and with no one to ask.

One turn of it (`Service.step`) carries out what is to be done between frames, and then works on at
most one frame. Whatever happens in a turn, the next one finds the inbox and the outbox in order:

- a frame leaves the inbox only when it is recorded or refused, and is recorded in one transaction;
- what belongs to the frame (unusable, not finite) refuses the frame; what belongs to the engine
  starts it again, then another one takes over; what belongs to storage waits; a damaged outbox is
  rebuilt;
- whatever is none of these, or brings the process down, is tried a bounded number of times.

``docs/flight-software.md`` draws the states and lists the faults with their tests.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from onboard.closing import Closing
from onboard.engines import TELL_TEMPERATURE
from onboard.errors import (
    BundleError,
    DamagedError,
    EngineError,
    FloodsatError,
    FrameError,
    NotFiniteError,
    OutputError,
)
from onboard.inbox import Inbox
from onboard.link.housekeeping import NOTHING, STAGES, Flag, State, Status
from onboard.outbox import Outbox, clock_ms
from onboard.pace import Pace
from onboard.quota import make_room
from onboard.rebuild import rebuild
from onboard.runtime import Around, Entry, Flown, keep, nothing
from onboard.settings import Settings
from onboard.shelf import Shelf
from onboard.standby import Standby
from onboard.telemetry import Telemetry, peak_memory

HOLD = "HOLD"
"""While a file of this name lies in the inbox, no frame is begun."""
TIDY_FRAMES = 50
TOLD_FILES = 4
CLOCK_STEP_MS = 1000

ENGINE_TROUBLE = (EngineError, BundleError)
"""What starting an engine again, or another one, may cure."""

TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.STARTING: frozenset({State.IDLE, State.STOPPED}),
    State.IDLE: frozenset({State.WORKING, State.HOLDING, State.BLOCKED, State.STOPPED}),
    State.WORKING: frozenset({State.IDLE, State.BLOCKED, State.STOPPED}),
    State.HOLDING: frozenset({State.IDLE, State.STOPPED}),
    State.BLOCKED: frozenset({State.IDLE, State.STOPPED}),
    State.STOPPED: frozenset(),
}


class Places(NamedTuple):
    """Where the service reads and writes.

    Attributes:
        inbox: folder where frames arrive.
        outbox: file of the outbox; its folder is the service's own.
    """

    inbox: Path
    outbox: Path

    @property
    def shelf(self) -> Path:
        """Folder from which the outbox can be rebuilt."""
        return self.outbox.with_name(self.outbox.name + ".shelf")

    @property
    def telemetry(self) -> Path:
        """The newest file of telemetry."""
        return self.outbox.with_name(self.outbox.name + ".telemetry.jsonl")


def never() -> bool:
    """Say no."""
    return False


def as_found(status: Status) -> Status:
    """Change nothing."""
    return status


def free_bytes(folder: Path) -> int:
    """Bytes that can still be written there."""
    return shutil.disk_usage(str(folder)).free


@dataclass(frozen=True)
class Hooks:
    """What others do in the service's turns. A `FloodsatError` of theirs is told and survived.

    Attributes:
        turn: called at the beginning of every turn, between frames: commands, for example.
        paused: whether frames are to be left lying.
        before: called before a frame's network runs; an `EngineError` means that the engine or
            its files cannot be trusted, and is treated as one of the engine.
        after: the same after it ran, before anything is kept.
        recorded: called when a frame is recorded and out of the inbox, and when none waits: so
            far all is well.
        make_room: called within a frame's transaction: evicts what is beyond the outbox's quota.
        free: bytes that can still be written to a folder.
        clock: UTC milliseconds since 1970.
        monotonic: seconds that never go back.
        told: what is told to the ground of the status that was found; a simulation puts its own
            figures for those of this computer.
    """

    turn: Sequence[Callable[[], None]] = ()
    paused: Callable[[], bool] = never
    before: Callable[[], None] = nothing
    after: Callable[[], None] = nothing
    recorded: Callable[[], None] = nothing
    make_room: Callable[[Outbox], None] = make_room
    free: Callable[[Path], int] = free_bytes
    clock: Callable[[], int] = clock_ms
    monotonic: Callable[[], float] = time.monotonic
    told: Callable[[Status], Status] = as_found


@dataclass
class Tally:
    """What the service counts, since its start.

    Attributes:
        frames: recorded.
        seen: that had been recorded before.
        refused: that could not be used.
        errors: attempts that failed, and refusals.
        flags: what happened.
        seconds: stage → of the last frame.
    """

    frames: int = 0
    seen: int = 0
    refused: int = 0
    errors: int = 0
    flags: Flag = NOTHING
    seconds: dict[str, float] = field(default_factory=dict)


class Service(Closing):
    """Runs until it is told to stop; use it in a ``with`` statement.

    Args:
        places: where it reads and writes; the folders are made.
        settings: how often, how much and how long.
        standby: the engines.
        hooks: what others do in its turns.

    Raises:
        OutputError: the folders cannot be written.
    """

    def __init__(
        self, places: Places, settings: Settings, standby: Standby, hooks: Hooks = Hooks()
    ) -> None:
        self.places, self.settings, self.standby, self.hooks = places, settings, standby, hooks
        self.state = State.STARTING
        self.tally = Tally()
        self._stop = threading.Event()
        self._pace = Pace(settings.max_frames_per_hour, settings.idle_seconds, hooks.monotonic)
        self._wall = hooks.clock()
        self._telling = ""
        self._stood_in_at = 0.0
        self._model = bytes(8)
        self.inbox = Inbox(places.inbox, *settings.bounds)
        places.outbox.parent.mkdir(parents=True, exist_ok=True)
        self._shelf = Shelf(places.shelf)
        self.telemetry = Telemetry(
            places.telemetry,
            settings.telemetry_bytes // TOLD_FILES,
            TOLD_FILES,
            clock=hooks.clock,
            monotonic=hooks.monotonic,
        )
        self.outbox = self._open_outbox()
        try:
            last = self.outbox.status
            self.telemetry.start = (0 if last is None else last.starts) + 1
            self._begin()
        except BaseException:
            self.outbox.close()
            self.standby.close()
            raise

    # --- turns ---

    def stop(self) -> None:
        """Ask it to stop when the present frame is done; may be called by a signal's handler."""
        self._stop.set()

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._stop.is_set()

    def run(self, once: bool = False, limit: int | None = None) -> None:
        """Take turns until `stop`.

        Args:
            once: end as soon as there is nothing that can be done now.
            limit: end after so many frames.
        """
        begin = self._worked
        while not self.stopping:
            pause = self.step()
            if limit is not None and self._worked - begin >= limit:
                break
            if pause:
                if once:
                    break
                self._stop.wait(pause)

    @property
    def _worked(self) -> int:
        return self.tally.frames + self.tally.seen + self.tally.refused

    def step(self) -> float:
        """One turn; how many seconds to wait before the next, 0 where there is more to do."""
        try:
            return self._turn()
        except DamagedError as error:
            self._rebuild(str(error))
            return 0.0
        except OutputError as error:
            self.tally.flags |= Flag.STORAGE
            return self._blocked(str(error))
        except ENGINE_TROUBLE as error:
            return self._blocked(str(error))

    def _turn(self) -> float:
        self._look_at_clock()
        self._enter(State.IDLE)
        for hook in self.hooks.turn:
            self._tolerate(hook)
        why = self._hold()
        if why:
            self._enter(State.HOLDING, why)
            return self.settings.poll_seconds
        paths = self.inbox.waiting()
        if not paths:
            self._telling = ""
            self._tolerate(self.hooks.recorded)
            return self.settings.poll_seconds
        wait = self._pace.wait_s()
        if wait > 0:
            self._enter(State.HOLDING, "the pace that is set")
            return wait
        self._need_space()
        self._try_first_engine()
        self._enter(State.WORKING)
        self._work(paths[0])
        self._enter(State.IDLE)
        return 0.0

    def _hold(self) -> str:
        """Why no frame may be begun, if so."""
        if (self.places.inbox / HOLD).exists():
            return f"the file {HOLD} lies in the inbox"
        return "a command says so" if self.hooks.paused() else ""

    def _tolerate(self, hook: Callable[[], None]) -> None:
        """A hook's own trouble must not stop frames; that of the outbox is everybody's."""
        try:
            hook()
        except DamagedError:
            raise
        except FloodsatError as error:
            self.tally.errors += 1
            self.telemetry.log("hook failed", reason=str(error))

    # --- one frame ---

    def _work(self, path: Path) -> None:
        """Bring one frame out of the inbox, or find out that it cannot be done now."""
        try:
            file_id = self.inbox.file_id(path)
        except FrameError:
            # Taken away by somebody since the folder was listed.
            return
        begun = self.outbox.begin(file_id)
        if begun > self.settings.attempts:
            self._refuse(path, file_id, "attempts", f"failed {begun - 1} times; look into it")
            return
        self._pace.begin()
        try:
            self._check_file(path)
            flown = self._fly(path, file_id)
        except FrameError as error:
            self._refuse(path, file_id, "unusable", str(error))
        except NotFiniteError as error:
            self._refuse(path, file_id, "not finite", str(error))
        except (DamagedError, OutputError):
            # No fault of the frame: this attempt does not count.
            with contextlib.suppress(OutputError):
                self.outbox.end(file_id)
            raise
        except ENGINE_TROUBLE as error:
            self._failed(path, begun, str(error))
            raise
        except Exception as error:
            # A defect of ours must not stop the frames behind this one for ever.
            where = traceback.extract_tb(error.__traceback__)[-1]
            at = f"{Path(where.filename).name}:{where.lineno}"
            self._failed(path, begun, f"{type(error).__name__} at {at}: {error}")
        else:
            self._done(path, file_id, flown)
        finally:
            self._pace.end()

    def _check_file(self, path: Path) -> None:
        size, most = path.stat().st_size, self.settings.max_frame_bytes
        if size > most:
            raise FrameError(f"{path}: has {size} bytes, over the limit of {most}; cut it up")

    def _fly(self, path: Path, file_id: bytes) -> Flown:
        """One frame through the engine; again after a restart, then through the one standing in."""
        around = Around(self.hooks.before, self.hooks.after, self._keeper(file_id))
        try:
            return self.standby.runtime.fly(path, self.outbox, around)
        except ENGINE_TROUBLE as error:
            self.telemetry.log("engine restart", engine=self.standby.name, reason=str(error))
            self.tally.errors += 1
            self.standby.restart()
        try:
            return self.standby.runtime.fly(path, self.outbox, around)
        except ENGINE_TROUBLE as error:
            self.tally.errors += 1
            if not self._stand_in(str(error)):
                raise
        try:
            return self.standby.runtime.fly(path, self.outbox, around)
        except ENGINE_TROUBLE:
            # Not even this one can: then the frame is at fault, not the engine before.
            self.standby.go_back()
            raise

    def _keeper(self, file_id: bytes) -> Callable[[Outbox, Entry], None]:
        def put(outbox: Outbox, entry: Entry) -> None:
            # The file first: one too many is found by its name, one too few would be a loss.
            self._shelf.put(entry, self.hooks.clock(), outbox.totals)
            with outbox.transaction():
                keep(outbox, entry)
                outbox.end(file_id)
                self.hooks.make_room(outbox)
                outbox.status = self._status()

        return put

    def _done(self, path: Path, file_id: bytes, flown: Flown) -> None:
        if flown.decision is None:
            self.tally.seen += 1
            self.outbox.end(file_id)
        else:
            self.tally.frames += 1
        self.tally.seconds = dict(flown.seconds)
        self.inbox.done(path, flown.scene_id)
        self.inbox.tidy()
        self._tolerate(self.hooks.recorded)
        if self.tally.frames % TIDY_FRAMES == 0:
            self._shelf.tidy(self.outbox.owners())
        self.telemetry.log(
            "frame",
            name=path.name,
            scene=flown.scene_id.hex(),
            model=self.standby.runtime.segmenter.bundle.model_id.hex()[:12],
            engine=self.standby.engine.name,
            outcome="seen before" if flown.decision is None else flown.decision.text,
            reason="" if flown.decision is None else flown.decision.reason,
            product_bytes=flown.product_bytes,
            seconds={name: round(value, 3) for name, value in flown.seconds.items()},
            memory_mb=round(self._memory() / 1e6),
            temperature=self._temperature(),
            waiting=len(self.inbox.waiting()),
            errors=self.tally.errors,
            notes="; ".join((*flown.conditions, *flown.notes)),
        )

    def _refuse(self, path: Path, file_id: bytes, kind: str, reason: str) -> None:
        with self.outbox.transaction():
            self.outbox.refuse(file_id, path.name, kind, self.hooks.clock())
            self.outbox.end(file_id)
        self.inbox.refuse(path, f"{kind}: {reason}")
        self.inbox.tidy()
        self.tally.refused += 1
        self.tally.errors += 1
        self.telemetry.log("refused", name=path.name, kind=kind, reason=reason)

    def _failed(self, path: Path, begun: int, reason: str) -> None:
        self.tally.errors += 1
        self.telemetry.log("attempt failed", name=path.name, attempt=begun, reason=reason)

    # --- engines ---

    def _stand_in(self, reason: str) -> bool:
        failed = self.standby.name
        if not self.standby.move_on():
            self.telemetry.log("no engine stands in", engine=failed, reason=reason)
            return False
        self._stood_in_at = self.hooks.monotonic()
        self.telemetry.log("engine stands in", engine=self.standby.name, of=failed, reason=reason)
        return True

    def _try_first_engine(self) -> None:
        """Where another engine stands in, go back to the first after some time."""
        waited = self.hooks.monotonic() - self._stood_in_at
        if self.standby.stands_in and waited >= self.settings.engine_retry_seconds:
            self._stood_in_at = self.hooks.monotonic()
            back = self.standby.go_back()
            self.telemetry.log("first engine tried", engine=self.standby.name, back=back)

    # --- storage ---

    def _need_space(self) -> None:
        """See that there is room to work; frames that are done with make way."""
        least, folder = self.settings.min_free_bytes, self.places.outbox.parent
        if self.hooks.free(folder) >= least:
            return
        freed = self.inbox.empty_done()
        self.telemetry.log("storage low", freed=freed)
        free = self.hooks.free(folder)
        if free < least:
            raise OutputError(
                f"{folder}: has {free} bytes free, {least} are needed; free space there"
            )

    def _open_outbox(self) -> Outbox:
        missing = not self.places.outbox.exists()
        if missing and self._shelf.names():
            return self._rebuilt("it was gone")
        try:
            return self._outbox_at(self.places.outbox)
        except DamagedError as error:
            return self._rebuilt(str(error))

    def _rebuild(self, why: str) -> None:
        self.outbox.close()
        self.outbox = self._rebuilt(why)

    def _rebuilt(self, why: str) -> Outbox:
        loss = rebuild(self.places.outbox, self._shelf)
        self.tally.flags |= Flag.REBUILT
        self.telemetry.log("outbox rebuilt", reason=why, **loss._asdict())
        return self._outbox_at(self.places.outbox)

    def _outbox_at(self, path: Path) -> Outbox:
        return Outbox(path, quota=self.settings.quota, clock=self.hooks.clock)

    # --- what it says of itself ---

    def _begin(self) -> None:
        try:
            engine = self.standby.runtime.segmenter.engine.name
        except ENGINE_TROUBLE as error:
            if not self._stand_in(str(error)):
                raise
            engine = self.standby.engine.name
        self._shelf.tidy(self.outbox.owners())
        self.inbox.tidy()
        with contextlib.suppress(OutputError):
            self.outbox.status = self._status()
        self.telemetry.log("start", engine=engine, inbox=len(self.inbox.waiting()))

    def _enter(self, state: State, why: str = "") -> None:
        """Change the state, if it is another one.

        Waiting states are told once, not at every look.
        """
        if state is self.state:
            return
        assert state in TRANSITIONS[self.state], f"{self.state!r} to {state!r}"
        self.state = state
        if why and why != self._telling:
            self._telling = why
            self.telemetry.log(state.name.lower(), reason=why)
            with contextlib.suppress(OutputError):
                self.outbox.status = self._status()

    def _blocked(self, why: str) -> float:
        self.tally.errors += 1
        self._enter(State.BLOCKED, why)
        return self.settings.retry_seconds

    def _look_at_clock(self) -> None:
        """A clock that goes back is told; nothing here depends on it."""
        now = self.hooks.clock()
        if now < self._wall - CLOCK_STEP_MS:
            self.tally.flags |= Flag.CLOCK_BACK
            self.telemetry.log("clock went back", seconds=round((self._wall - now) / 1000))
        self._wall = now

    def _memory(self) -> int:
        health = getattr(self.standby.engine, "health", None)
        return peak_memory([os.getpid(), *([health.pid] if health and health.pid else [])])

    def _temperature(self) -> float | None:
        """Of the engine's chip, where it has one that tells."""
        if self.standby.name not in TELL_TEMPERATURE or self.standby.engine is None:
            return None
        with contextlib.suppress(EngineError):
            told = self.standby.engine.ask("temperature")
            return None if told is None else round(float(told), 1)
        return None

    def _restarts(self) -> int:
        health = getattr(self.standby.engine, "health", None)
        return self.standby.restarts + (health.restarts if health else 0)

    def _status(self) -> Status:
        # An engine that is closed stays so: opening it may be what failed.
        if self.standby.engine is not None:
            self._model = self.standby.runtime.segmenter.bundle.model_id[:8]
        heat = self._temperature()
        spent = dict.fromkeys(STAGES, 0.0)
        for name, seconds in self.tally.seconds.items():
            spent[name if name in STAGES else STAGES[0]] += seconds
        free = 0
        with contextlib.suppress(OSError):
            free = self.hooks.free(self.places.outbox.parent)
        status = Status(
            model_id=self._model,
            engine=self.standby.name,
            state=self.state,
            flags=self.tally.flags | (Flag.FALLBACK if self.standby.stands_in else NOTHING),
            temperature_c=None if heat is None else round(heat),
            uptime_s=int(self.telemetry.uptime_s),
            starts=self.telemetry.start,
            restarts=self._restarts(),
            errors=self.tally.errors,
            memory_bytes=self._memory(),
            free_bytes=free,
            inbox=len(self.inbox.waiting()),
            seconds=spent,
        )
        return self.hooks.told(status)

    def close(self) -> None:
        """Say that it stops, and let go of engine and outbox."""
        with contextlib.suppress(FloodsatError):
            self._shelf.tidy(self.outbox.owners())
            if self.state is not State.STOPPED:
                self.state = State.STOPPED
                self.outbox.status = self._status()
        self.telemetry.log("stop", **{k: v for k, v in vars(self.tally).items() if k != "flags"})
        self.standby.close()
        self.outbox.close()
