"""Flight: one strategy over a whole scenario, event after event in simulated time.

The satellite works on one frame after the other; a contact sends what the outbox holds when it
begins; what comes up is carried out when its last bit is there. Power may go at any moment: what
was being worked on begins anew when it is back.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ground.replay import contact as contacts
from ground.replay.checks import Plan
from ground.replay.contact import CADU, Ground
from ground.replay.craft import Craft, Fit, mission_key
from ground.replay.decoded import unpacker
from ground.replay.load import Load, loads
from ground.replay.log import Clock, ContactLog, FlightLog, FrameLog
from ground.replay.passes import Contact
from ground.replay.scenario import Station
from ground.replay.scenes import Scene
from onboard import signing
from onboard.engines import Engine
from onboard.triage import Outcome

Tell = Callable[[int, int], None]


def fly(
    plan: Plan,
    scenes: Sequence[Scene],
    fit: Fit,
    folder: Path,
    tell: Tell = lambda done, of: None,
    engines: dict[bytes, Engine] | None = None,
) -> FlightLog:
    """Fly one strategy.

    Args:
        plan: contacts, captures and times without power.
        scenes: the files of the captures, in order of time.
        fit: what the satellite is fitted out with; the mission's key is added to its keys.
        folder: an empty one, for the satellite's storage.
        tell: takes how many frames are done with, and of how many.
        engines: model id → an engine that is open already; takes what is opened here.

    Returns:
        Everything that happened.
    """
    return _Flight(plan, scenes, fit, folder, tell, engines if engines is not None else {}).run()


class Event(NamedTuple):
    """What happens at a time; at one instant the smaller rank first, then what was added first."""

    at_ms: int
    rank: int
    order: int
    action: Callable[[], None]


def _ms(when: datetime) -> int:
    return round(when.timestamp() * 1000)


class _Flight:
    def __init__(
        self,
        plan: Plan,
        scenes: Sequence[Scene],
        fit: Fit,
        folder: Path,
        tell: Tell,
        engines: dict[bytes, Engine],
    ) -> None:
        scenario = plan.scenario
        self._plan, self._tell = plan, tell
        self.log = FlightLog()
        self._clock = Clock(_ms(scenario.span.start))
        public, self._key = mission_key(folder, scenario.seed)
        keys = (*fit.keys, public)
        self._craft = Craft(
            folder / "craft", replace(fit, keys=keys), self._clock, self.log, engines
        )
        self._trust = signing.trusted(list(keys))
        self._ground = Ground(scenario.seed, fit.reference, unpacker(fit.cache))
        self._stations = {one.name: one for one in scenario.stations}
        self._events: list[Event] = []
        self._order = itertools.count()
        self._queue: deque[FrameLog] = deque()
        self._free_ms = self._since_ms = self._clock.now_ms
        self._came: list[Load] = []
        self._held = False
        self._loads: list[Load] = loads(scenario, self.log)
        self._end_ms = _ms(scenario.span.end)
        for number, scene in enumerate(scenes, 1):
            self.log.frames[number] = FrameLog(number, scene)

    def run(self) -> FlightLog:
        """Go through all events."""
        self._plan_events()
        with self._craft:
            self._craft.on()
            while self._events and self._events[0].at_ms <= self._end_ms:
                event = heapq.heappop(self._events)
                self._work_until(event.at_ms)
                self._clock.advance(event.at_ms)
                event.action()
            self._work_until(self._end_ms)
            self._clock.advance(self._end_ms)
            self._finish()
        return self.log

    # --- events ---

    def _add(self, at_ms: int, rank: int, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, Event(at_ms, rank, next(self._order), action))

    def _plan_events(self) -> None:
        """What happens when. At one instant: power, then frames, uploads, contacts."""
        for off in self._plan.off:
            self._add(_ms(off.span.start), 0, partial(self._power_off, off.reason))
            self._add(_ms(off.span.end), 1, self._power_on)
        for frame in self.log.frames.values():
            self._add(frame.taken_ms, 2, partial(self._take, frame))
        for number, one in enumerate(self._plan.served, 1):
            made = _contact(number, one)
            self._usable(made)
            self.log.contacts.append(made)
            begin = made.aos_ms if made.begin_ms is None else made.begin_ms
            self._add(begin, 4, partial(self._pass, made))

    def _usable(self, made: ContactLog) -> None:
        """When the payload has power within a contact: its first such stretch."""
        begin, end, why = made.aos_ms, made.los_ms, ""
        for off in self._plan.off:
            start, stop = _ms(off.span.start), _ms(off.span.end)
            if start <= begin < stop:
                begin, why = stop, off.reason
            elif begin < start < end:
                end, why = start, off.reason
                break
        rate = self._stations[made.station].down_bps
        made.note = why
        if begin < end and int((end - begin) * rate / 8000) >= CADU:
            made.begin_ms = begin
            made.capacity_bytes = int((end - begin) * rate / 8000)
            made.end_ms = end

    # --- power ---

    def _power_off(self, reason: str) -> None:
        frame = self._busy_with()
        if frame is not None:
            frame.begun_ms, frame.attempts = self._start_of(frame), frame.attempts + 1
            self._lose_frame(frame, "interrupted", f"{reason}; done again when power is back")
        self._craft.off()

    def _power_on(self) -> None:
        if not self._craft.powered:
            self._craft.on()
            self._since_ms = self._clock.now_ms
            self._carry_out()

    def _start_of(self, frame: FrameLog) -> int:
        """When the next frame can be begun."""
        return max(self._free_ms, frame.taken_ms, self._since_ms)

    def _busy_with(self) -> FrameLog | None:
        """The frame that is being worked on now."""
        if not self._queue or not self._craft.powered or self._held:
            return None
        frame = self._queue[0]
        return frame if self._start_of(frame) < self._clock.now_ms else None

    # --- frames ---

    def _take(self, frame: FrameLog) -> None:
        self._craft.deliver(frame)
        self._queue.append(frame)

    def _work_until(self, until_ms: int) -> None:
        """Work on what waits, as far as power and time allow."""
        while self._queue and self._craft.powered and not self._held:
            frame = self._queue[0]
            start = self._start_of(frame)
            done = start + self._takes(frame)
            if done > until_ms:
                return
            self._clock.advance(done)
            if not self._craft.work(frame):
                self._held = True
                return
            self._queue.popleft()
            self._free_ms = done
            frame.begun_ms, frame.done_ms = start, done
            frame.attempts += 1
            self._judged(frame)
            self._tell(frame.number, len(self.log.frames))

    def _takes(self, frame: FrameLog) -> int:
        return max(1, round(1000 * self._craft.seconds(frame)))

    def _judged(self, frame: FrameLog) -> None:
        decision = None if frame.flown is None else frame.flown.decision
        if frame.refused:
            self._lose_frame(frame, "refused", frame.refused)
        elif decision is None:
            self._lose_frame(frame, "refused", "the same samples were processed before")
        elif Outcome.ALERT not in decision.outcomes:
            self._lose_frame(frame, "not worth it", decision.reason)
        elif Outcome.PRODUCT not in decision.outcomes:
            name, now = frame.scene.capture.name, self._clock.now_ms
            self.log.lose(now, "product", name, "not worth it", decision.reason, frame.number)

    def _lose_frame(self, frame: FrameLog, cause: str, reason: str) -> None:
        name, size = frame.scene.capture.name, frame.scene.sample_bytes
        self.log.lose(
            self._clock.now_ms, "frame", name, cause, reason, frame=frame.number, size=size
        )

    # --- contacts ---

    def _pass(self, made: ContactLog) -> None:
        station = self._stations[made.station]
        if made.begin_ms is None:
            why = made.note or "too short for one frame"
            name = f"contact {made.number}"
            self.log.lose(made.aos_ms, "contact", name, "unused", f"{station.name}: {why}")
            return
        used = 0
        if station.up_bps:
            used = contacts.answer(self._ground, station, self._craft.outbox)
        sendings = self._plan.scenario.onboard.sendings
        contacts.downlink(self._craft.outbox, self._ground, station, made, sendings, self.log)
        if station.up_bps:
            self._send_up(made, station, used)

    def _send_up(self, made: ContactLog, station: Station, used: int) -> None:
        """What waits to go up, one after the other, behind the answers to transfers."""
        assert made.begin_ms is not None
        room = int((made.end_ms - made.begin_ms) * station.up_bps / 8000)
        made.up_bytes = used
        for load in self._loads:
            log = load.log
            if log.up_ms is not None or log.asked_ms > made.begin_ms or made.up_bytes >= room:
                continue
            load.prepare(self._craft, self._key, self._trust, self._end_ms)
            if log.begun_ms is None:
                log.begun_ms = made.begin_ms + int(made.up_bytes * 8000 / station.up_bps)
            goes = min(log.left, room - made.up_bytes)
            log.left -= goes
            made.up_bytes += goes
            if log.left:
                return
            log.up_ms = made.begin_ms + -int(-made.up_bytes * 8000 // station.up_bps)
            self._add(log.up_ms, 3, partial(self._arrived, load))

    def _arrived(self, load: Load) -> None:
        """An upload is there whole, and waits until the service looks up: between frames."""
        self._came.append(load)
        frame = self._busy_with()
        if frame is None:
            self._carry_out()
        else:
            self._add(self._start_of(frame) + self._takes(frame), 3, self._carry_out)

    def _carry_out(self) -> None:
        """The service carries out what came up; without power, when that is back."""
        if not self._came or not self._craft.powered:
            return
        for load in self._came:
            load.deliver(self._craft)
        events = self._craft.turn()
        for load in self._came:
            load.settle(events, self._clock.now_ms)
        self._came = [load for load in self._came if load.log.done_ms is None]
        if self._held:
            self._held, self._since_ms = False, self._clock.now_ms

    def _finish(self) -> None:
        if not self._craft.powered:
            self._craft.on()
        self._craft.ledger()
        for load in self._loads:
            load.log.heard_ms = self._ground.acks.get(load.log.count)
        for frame in self._queue:
            self._lose_frame(frame, "waiting", "not looked at when the replay ended")
        for item in self.log.items.values():
            if item.whole_ms is None and item.first_ms is not None:
                self.log.lose(
                    item.last_ms or item.first_ms,
                    item.kind.value,
                    item.key[-16:].hex()[:12],
                    "not whole",
                    "some of it was sent and did not arrive",
                    frame=item.frame,
                    size=len(item.data),
                )


def _contact(number: int, one: Contact) -> ContactLog:
    return ContactLog(number, one.station, _ms(one.aos), _ms(one.los), one.max_elevation_deg)
