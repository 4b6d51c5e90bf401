"""Copies: a few facts that must outlive power cuts and upsets, kept twice.

``NAME.0`` and ``NAME.1`` are equal: a line of JSON and its SHA-256. Both are written on every
change, one after the other, each by one rename, with a running edition. A power cut between the
two leaves the newer one to be read; an upset in one leaves the other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from onboard import files

EDITION = "edition"


class Stored(NamedTuple):
    """What was read; None where nothing whole is there; a line on every copy that is not whole."""

    values: dict[str, Any] | None
    notes: tuple[str, ...]


def paths(folder: Path, name: str) -> tuple[Path, Path]:
    """The two files."""
    return folder / f"{name}.0", folder / f"{name}.1"


def read(folder: Path, name: str) -> Stored:
    """The newer whole copy. That both are missing is no fault: nothing was written yet."""
    found, notes, missing = [], [], 0
    for path in paths(folder, name):
        try:
            found.append(_unpack(path.read_bytes()))
        except FileNotFoundError:
            notes.append(f"{path}: is missing")
            missing += 1
        except (OSError, ValueError, KeyError, TypeError):
            notes.append(f"{path}: is damaged")
    if missing == len(paths(folder, name)):
        return Stored(None, ())
    if len({values[EDITION] for values in found}) > 1:
        notes.append(f"{folder / name}: one copy is older than the other")
    best = max(found, key=lambda values: int(values[EDITION]), default=None)
    return Stored(best, tuple(notes))


def write(folder: Path, name: str, values: Mapping[str, Any]) -> None:
    """Write both copies, durably, with the next edition.

    Raises:
        OutputError: the folder cannot be written.
    """
    before = read(folder, name).values or {EDITION: 0}
    body = json.dumps({**values, EDITION: before[EDITION] + 1}, sort_keys=True).encode("ascii")
    for path in paths(folder, name):
        files.write_bytes(path, body + b"\n" + _digest(body) + b"\n")


def repair(folder: Path, name: str) -> tuple[str, ...]:
    """Make both copies whole again from the one that is; returns what was wrong.

    Raises:
        OutputError: the folder cannot be written.
    """
    values, notes = read(folder, name)
    if notes and values is not None:
        write(folder, name, values)
    return notes


def _unpack(data: bytes) -> dict[str, Any]:
    body, digest, rest = data.split(b"\n")
    if _digest(body) != digest or rest:
        raise ValueError("the checksum is wrong")
    values: dict[str, Any] = json.loads(body)
    values[EDITION] = int(values[EDITION])
    return values


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode("ascii")
