"""Uplink: what commands do to the satellite, and how the service comes to carry them out.

Command files arrive in a folder beside the inbox by the same rule as frames (`onboard.inbox`):
renamed in when complete. Bundles and patches arrive in another, and wait there for the command
that installs them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from onboard import control, files, rawchip, slots
from onboard import patch as patches
from onboard.acks import Acks
from onboard.area import Area, contains
from onboard.commander import Commander, Refused
from onboard.errors import BundleError, CommandError, FloodsatError
from onboard.inbox import DONE, SUFFIXES
from onboard.link.acks import Ack
from onboard.outbox import Item, Kind, Outbox, clock_ms
from onboard.raw import RawFrame
from onboard.rawchip import RawChip
from onboard.scene import Frame, OpenFrame
from onboard.sensor import Sensor
from onboard.sidecar import find_sidecar

STEM = 12
"""Hexadecimal digits of a scene id with which the name of a frame that is done begins."""
RAW_VALUE = 1e9
"""What a person asked for goes down before chips that were chosen on board."""


class Folders(NamedTuple):
    """Where things lie.

    Attributes:
        slots: the slots folder.
        inbox: of the frames; those that are done lie in its ``done/``.
        commands: command files.
        bundles: bundles and patches that came up.
    """

    slots: Path
    inbox: Path
    commands: Path
    bundles: Path


def nothing_changed() -> None:
    """Do nothing."""


class Satellite:
    """What commands do beyond the control; fits `onboard.commander.Effects`.

    Args:
        folders: where things lie.
        engine: name of the engine that bundles are for.
        outbox: gives the outbox that is open now.
    """

    def __init__(self, folders: Folders, engine: str, outbox: Callable[[], Outbox]) -> None:
        self._folders, self._engine, self._outbox = folders, engine, outbox

    def plan_roll_back(self, slot: str) -> str:
        """Which slot is meant."""
        return slots.rollback_target(self._folders.slots, slot)

    def roll_back(self, slot: str) -> str:
        """Make a slot the active one."""
        slots.rollback(self._folders.slots, self._engine, to=slot)
        return f"slot {slot} is active"

    def send_raw(self, scene: bytes, row: int, col: int, side: int) -> str:
        """Queue raw samples of a frame that is still in ``done/``.

        Raises:
            CommandError: the frame is not kept any more, or is smaller than that.
        """
        bundle = slots.load_active(self._folders.slots, self._engine)
        with _as_stored(self._find(scene), bundle.sensor) as frame:
            if row >= frame.height or col >= frame.width:
                raise CommandError(
                    f"the frame has {frame.height} rows and {frame.width} columns only"
                )
            height, width = min(side, frame.height - row), min(side, frame.width - col)
            samples = frame.samples(row, col, height, width)
            scene_id, bands = frame.scene_id(), tuple(bundle.sensor.bands)
        data = rawchip.pack(RawChip(scene_id, row, col, bands, samples))
        self._outbox().queue(Kind.CHIP, Item(data, RAW_VALUE), (scene_id, bundle.model_id))
        return f"{height}x{width} pixels, {len(data)} bytes queued"

    def _find(self, scene: bytes) -> Path:
        """A frame that is done with and still kept."""
        name = scene.hex()[:STEM]
        for path in sorted((self._folders.inbox / DONE).glob(f"{name}-*")):
            if path.suffix.lower() in SUFFIXES:
                return path
        raise CommandError(f"no frame {name} is kept any more")

    def drop_queue(self, area: Area, command: str) -> str:
        """Take what was seen in an area out of the queue."""
        box = self._outbox()
        with box.transaction() as db:
            rows = db.execute("SELECT item, latitude, longitude FROM queue").fetchall()
            inside = [
                item for item, lat, lon in rows if lat is not None and contains(area, lat, lon)
            ]
            box.drop(inside, command)
        return f"{len(inside)} items dropped"

    def install(self, name: str) -> str:
        """Install a bundle or apply a patch that came up.

        Raises:
            BundleError: it did not come up.
            CommandError: it cannot be installed; says why.
        """
        path = self._folders.bundles / name
        if not path.exists():
            raise BundleError(f"{name}: did not come up")
        install = slots.install if path.is_dir() else patches.install
        try:
            slot = install(path, self._folders.slots, self._engine)
        except FloodsatError as error:
            raise CommandError(self._brief(str(error))) from error
        return f"installed in slot {slot}"

    def _brief(self, text: str) -> str:
        """A reason without the folders of this computer: an acknowledgement has little room."""
        for folder in (self._folders.bundles, self._folders.slots):
            text = text.replace(f"{folder}{os.sep}", "")
        return re.sub(rf"{re.escape(files.PART)}\w+{re.escape(os.sep)}?", "", text)

    def acknowledge(self, ack: Ack) -> None:
        """Put an acknowledgement where downlinks find it."""
        Acks(self._outbox()).put(ack)


def _as_stored(path: Path, sensor: Sensor) -> OpenFrame:
    """A frame, not calibrated."""
    sidecar = find_sidecar(path)
    return Frame(path, sensor) if sidecar is None else RawFrame(sidecar, sensor)


class Uplink:
    """The commands of one satellite, for `onboard.service.Hooks`.

    Args:
        folders: where things lie.
        satellite: what commands do.
        tell: takes an event's name and its fields, for telemetry.
        changed: called when limits, area or the active bundle changed.
        clock: UTC milliseconds since 1970.
    """

    def __init__(
        self,
        folders: Folders,
        satellite: Satellite,
        tell: Callable[..., None],
        changed: Callable[[], None] = nothing_changed,
        clock: Callable[[], int] = clock_ms,
    ) -> None:
        self._folders, self._tell, self._changed = folders, tell, changed
        self._commander = Commander(folders.slots, satellite, clock)

    def turn(self) -> None:
        """Carry out what came up since the last turn.

        Raises:
            OutputError: nothing can be written; what is left is done in another turn.
        """
        done = self._commander.run_folder(self._folders.commands)
        for one in done:
            if isinstance(one, Refused):
                self._tell("command refused", name=one.name, reason=one.reason)
            else:
                self._tell("command", count=one.count, status=one.status.name, text=one.text)
        if any(isinstance(one, Ack) for one in done):
            self._changed()

    def paused(self) -> bool:
        """Whether a command says to leave frames lying."""
        return control.read(self._folders.slots).control.paused
