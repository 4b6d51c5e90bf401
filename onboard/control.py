"""Control: what commands have changed on board, and the count that stops a replay.

It lies in the slots folder and not in the outbox, so that it outlives a lost database, and it is
kept twice (`onboard.copies`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from onboard import copies
from onboard.area import Area

NAME = "control"
KEY_SLOTS = 2


@dataclass(frozen=True)
class Control:
    """What commands have changed.

    Attributes:
        count: of the last command that was accepted.
        last: SHA-256 of that command's bytes, hexadecimal.
        keys: raw public keys in hexadecimal, one a key slot; ``""`` is an empty slot. None while
            no command has changed what was provisioned.
        limits: name of a limit of triage → the value that a command gave it.
        area: west, south, east, north in degrees: frames beyond it are passed over; None: all.
        paused: whether frames are left lying.
        newest: highest version of a bundle that was ever installed.
        installed: slot → SHA-256 of the manifest that was verified when it was installed. Such a
            slot stays good when the key that signed it is revoked.
        allowed: SHA-256 of the manifest that may be installed though it is older.
        pending: a command that was accepted and not yet carried out, hexadecimal, or ``""``.
        plan: what was decided for it, so that doing it again does the same.
    """

    count: int = 0
    last: str = ""
    keys: tuple[str, ...] | None = None
    limits: Mapping[str, float] = field(default_factory=dict)
    area: Area | None = None
    paused: bool = False
    newest: int = 0
    installed: Mapping[str, str] = field(default_factory=dict)
    allowed: str = ""
    pending: str = ""
    plan: str = ""


class Stored(NamedTuple):
    """What was read, and a line on every copy that is damaged or missing."""

    control: Control
    notes: tuple[str, ...]


def read(folder: Path) -> Stored:
    """The control of a slots folder; where there is none, or nothing whole, a new one.

    With both copies gone the count starts at 0 again and the key slots are as provisioned: the
    satellite stays within reach, and what may then be replayed is bounded by the commands' times.
    """
    values, notes = copies.read(folder, NAME)
    if values is None:
        return Stored(Control(), notes)
    known = {field.name for field in dataclasses.fields(Control)}
    control = Control(**{name: value for name, value in values.items() if name in known})
    keys = None if control.keys is None else tuple(control.keys)
    area = None if control.area is None else (*control.area,)
    return Stored(dataclasses.replace(control, keys=keys, area=area), notes)


def write(folder: Path, control: Control) -> None:
    """Write both copies, durably.

    Raises:
        OutputError: the folder cannot be written.
    """
    copies.write(folder, NAME, dataclasses.asdict(control))


def repair(folder: Path) -> tuple[str, ...]:
    """Make both copies whole again; returns what was wrong.

    Raises:
        OutputError: the folder cannot be written.
    """
    return copies.repair(folder, NAME)
