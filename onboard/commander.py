"""Commander: carries commands out, each exactly once, whatever power does.

An accepted command is first written into the control together with its count (`onboard.control`);
then it is carried out; then it is acknowledged; then taken out of the control again. After a
power cut the commander begins with what it finds there. So what a command does beyond the
control must come out the same when it is done twice in a row, with nothing in between; what it
does to the control comes in one writing with the end.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from onboard import commands, control, keyring
from onboard.area import Area
from onboard.commands import Code, Command
from onboard.control import Control
from onboard.errors import CommandError, FloodsatError, OutputError
from onboard.limits import Limits
from onboard.link.acks import Ack, Status
from onboard.outbox import clock_ms

MAX_FILES = 64
"""Command files that are looked at in one go, so that a flood of them holds no frame up."""


class Effects(Protocol):
    """What commands do beyond the control. Every method may be called twice for one command.

    Each returns a line for the acknowledgement and raises a `FloodsatError` where it cannot.
    """

    def plan_roll_back(self, slot: str) -> str:
        """Which slot is meant: ``a``, ``b`` or ``golden``, from one of these or ``other``."""

    def roll_back(self, slot: str) -> str:
        """Make a slot the active one."""

    def send_raw(self, scene: bytes, row: int, col: int, side: int) -> str:
        """Queue raw samples of the frame whose scene id begins with ``scene``."""

    def drop_queue(self, area: Area, command: str) -> str:
        """Take what was seen in an area out of the queue."""

    def install(self, name: str) -> str:
        """Install a bundle or apply a patch that lies in the folder of the uplink."""

    def acknowledge(self, ack: Ack) -> None:
        """Put an acknowledgement into telemetry, once a count."""


class Bench:
    """Effects where no satellite is: only commands that stay within the control succeed."""

    def plan_roll_back(self, slot: str) -> str:
        """As asked for."""
        return slot

    def roll_back(self, slot: str) -> str:
        """Not here: raises `CommandError`."""
        raise CommandError("on the bench 'floodsat slots --rollback' does it")

    def send_raw(self, scene: bytes, row: int, col: int, side: int) -> str:
        """Not here: raises `CommandError`."""
        raise CommandError("there are no frames on the bench")

    def drop_queue(self, area: Area, command: str) -> str:
        """Not here: raises `CommandError`."""
        raise CommandError("there is no outbox on the bench")

    def install(self, name: str) -> str:
        """Not here: raises `CommandError`."""
        raise CommandError("on the bench 'floodsat flash' does it")

    def acknowledge(self, ack: Ack) -> None:
        """The caller has it."""


class Refused(NamedTuple):
    """A command file that was not accepted, and why."""

    name: str
    reason: str


class Commander:
    """Carries out the commands of one satellite.

    Args:
        folder: its slots folder.
        effects: what they do beyond the control.
        clock: UTC milliseconds since 1970.
    """

    def __init__(self, folder: Path, effects: Effects, clock: Callable[[], int] = clock_ms) -> None:
        self._folder, self._effects, self._clock = folder, effects, clock

    @property
    def control(self) -> Control:
        """What commands have changed so far."""
        return control.read(self._folder).control

    def resume(self) -> Ack | None:
        """Finish the command that a power cut interrupted, if there is one.

        Raises:
            OutputError: nothing can be written; it stays pending.
        """
        return self._finish() if self.control.pending else None

    def run_folder(self, folder: Path) -> list[Ack | Refused]:
        """Carry out every ``*.cmd`` file of a folder whose time has come, by their counts.

        A file is taken away when it was carried out or refused. One that is too early stays.
        Names that begin with a dot are still being written.

        Raises:
            OutputError: nothing can be written; what is left is done later.
        """
        resumed = self.resume()
        done: list[Ack | Refused] = [] if resumed is None else [resumed]
        readable: list[tuple[Command, Path, bytes]] = []
        for path in _files_of(folder):
            try:
                data = read_file(path)
                readable.append((self.read(data), path, data))
            except CommandError as error:
                done.append(Refused(path.name, str(error)))
                _take_away(path)
        for command, path, data in sorted(readable, key=lambda one: one[0].count):
            if hashlib.sha256(data).hexdigest() == self.control.last:
                # Carried out already; power went before its file could be taken away.
                _take_away(path)
            elif commands.is_due(command, self._clock()) or command.count <= self.control.count:
                done.append(self._run(path.name, data))
                _take_away(path)
        return done

    def _run(self, name: str, data: bytes) -> Ack | Refused:
        try:
            return self.execute(data)
        except CommandError as error:
            return Refused(name, str(error))

    def read(self, data: bytes) -> Command:
        """Verify a command against the key slots as they are now.

        Raises:
            CommandError: as `onboard.commands.read`.
        """
        return commands.read(data, keyring.trusted(self._folder, self.control))

    def execute(self, data: bytes) -> Ack:
        """Verify, accept and carry out one command.

        Raises:
            CommandError: it is not accepted; nothing was changed.
            OutputError: the control cannot be written: nothing was changed, or the command is
                pending.
        """
        self.resume()
        command, now = self.read(data), self.control
        commands.accept(command, now.count, self._clock())
        if not commands.is_due(command, self._clock()):
            raise CommandError(f"begins at {command.start_ms} ms, it is too early")
        plan = self._plan(command)
        accepted = dataclasses.replace(
            now,
            count=command.count,
            last=hashlib.sha256(data).hexdigest(),
            pending=data.hex(),
            plan=plan,
        )
        control.write(self._folder, accepted)
        return self._finish()

    def _plan(self, command: Command) -> str:
        if command.code is not Code.ROLL_BACK:
            return ""
        try:
            return self._effects.plan_roll_back(command.arguments["slot"])
        except FloodsatError:
            # Said again, with its reason, when it is carried out.
            return str(command.arguments["slot"])

    def _finish(self) -> Ack:
        """Carry out what is pending, acknowledge it and take it out of the control."""
        now = self.control
        data = bytes.fromhex(now.pending)
        # Verified when it was accepted; its own key may be the one that it revoked.
        command = commands.decode(data)
        try:
            status, text = Status.DONE, self._apply(command, now.plan)
            after = _changed(self.control, command, self._folder)
        except FloodsatError as error:
            status, text, after = Status.FAILED, str(error), self.control
        ack = Ack(command.count, command.code, status, self._clock(), text)
        self._effects.acknowledge(ack)
        control.write(self._folder, dataclasses.replace(after, pending="", plan=""))
        return ack

    def _apply(self, command: Command, plan: str) -> str:
        """What a command does beyond the control; a line for the acknowledgement."""
        given = command.arguments
        if command.code is Code.ROLL_BACK:
            return self._effects.roll_back(plan)
        if command.code is Code.SEND_RAW:
            return self._effects.send_raw(**given)
        if command.code is Code.DROP_QUEUE:
            return self._effects.drop_queue(_area(given), f"command {command.count}")
        if command.code is Code.INSTALL:
            return self._effects.install(given["name"])
        return command.code.text


def _changed(now: Control, command: Command, folder: Path) -> Control:
    """The control after a command.

    Raises:
        ConfigError: a limit has no such name or range.
        CommandError: a key may not be changed so.
    """
    given, code = command.arguments, command.code
    if code is Code.SET_LIMIT:
        with_limits(Limits(), {given["name"]: given["value"]})
        return dataclasses.replace(now, limits={**now.limits, given["name"]: given["value"]})
    if code is Code.CLEAR_LIMITS:
        return dataclasses.replace(now, limits={})
    if code in (Code.SET_AREA, Code.CLEAR_AREA):
        return dataclasses.replace(now, area=_area(given) if given else None)
    if code in (Code.PAUSE, Code.RESUME):
        return dataclasses.replace(now, paused=code is Code.PAUSE)
    if code is Code.ALLOW_OLDER:
        return dataclasses.replace(now, allowed=given["manifest"].hex())
    if code in (Code.ROTATE_KEY, Code.REVOKE_KEY):
        held = keyring.slots_of(folder, now)
        new = given["key"].hex() if code is Code.ROTATE_KEY else keyring.EMPTY
        return keyring.with_keys(now, keyring.changed(held, given["slot"], new, command.key))
    return now


def with_limits(limits: Limits, given: Mapping[str, float]) -> Limits:
    """The limits of triage with what commands made of them.

    Raises:
        ConfigError: there is no such limit, or the value is out of its range.
    """
    for name, value in given.items():
        limits = limits.with_value(name, value)
    return limits


def _area(given: Mapping[str, Any]) -> Area:
    return (given["west"], given["south"], given["east"], given["north"])


def _files_of(folder: Path) -> list[Path]:
    """The oldest names first; what is no plain file is left alone."""
    if not folder.is_dir():
        return []
    found = (p for p in folder.glob("*" + commands.SUFFIX) if not p.name.startswith("."))
    return [path for path in sorted(found) if path.is_file()][:MAX_FILES]


def read_file(path: Path) -> bytes:
    """The bytes of a command file, one more at most than a command may have.

    Raises:
        CommandError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(commands.MAX_BYTES + 1)
    except OSError as error:
        raise CommandError(f"cannot be read ({error.strerror})") from error


def _take_away(path: Path) -> None:
    try:
        path.unlink()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise OutputError(f"{path}: cannot be taken away ({error.strerror})") from error
