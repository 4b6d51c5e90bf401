"""Control: what commands have changed on board, and the count that stops a replay.

It lies in the slots folder and not in the outbox, so that it outlives a lost database: the files
``control.0`` and ``control.1`` are equal copies, each of JSON and its SHA-256. Both are written
on every change, one after the other, each by one rename. A power cut between the two leaves the
newer one to be read; an upset in one leaves the other.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from onboard import files

COPIES = ("control.0", "control.1")
KEY_SLOTS = 2

Area = tuple[float, float, float, float]


@dataclass(frozen=True)
class Control:
    """What commands have changed.

    Attributes:
        edition: counts the writings; the higher copy is read.
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

    edition: int = 0
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
    found, notes = [], []
    for name in COPIES:
        path = folder / name
        try:
            found.append(_unpack(path.read_bytes()))
        except FileNotFoundError:
            notes.append(f"{path}: is missing")
        except (OSError, ValueError, KeyError, TypeError):
            notes.append(f"{path}: is damaged")
    if not found and all(note.endswith("missing") for note in notes):
        return Stored(Control(), ())
    best = max(found, key=lambda control: control.edition, default=Control())
    if len({control.edition for control in found}) > 1:
        notes.append(f"{folder}: one copy of the control is older than the other")
    return Stored(best, tuple(notes))


def write(folder: Path, control: Control) -> Control:
    """Write both copies, durably; returns the control with its new edition.

    Raises:
        OutputError: the folder cannot be written.
    """
    new = dataclasses.replace(control, edition=control.edition + 1)
    for name in COPIES:
        files.write_bytes(folder / name, _pack(new))
    return new


def repair(folder: Path) -> tuple[str, ...]:
    """Make both copies whole again; returns what was wrong.

    Raises:
        OutputError: the folder cannot be written.
    """
    control, notes = read(folder)
    if notes:
        write(folder, control)
    return notes


def _pack(control: Control) -> bytes:
    body = json.dumps(dataclasses.asdict(control), sort_keys=True).encode("ascii")
    return body + b"\n" + hashlib.sha256(body).hexdigest().encode("ascii") + b"\n"


def _unpack(data: bytes) -> Control:
    body, digest = data.rstrip(b"\n").rsplit(b"\n", 1)
    if hashlib.sha256(body).hexdigest().encode("ascii") != digest:
        raise ValueError("the checksum is wrong")
    values: dict[str, Any] = json.loads(body)
    for name in ("keys", "area"):
        values[name] = None if values[name] is None else tuple(values[name])
    return Control(**values)
