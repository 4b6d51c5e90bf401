"""Scrub: finds what upsets did to files in a slots folder, and mends what it can.

Every file there is held to a hash: a bundle's files to its manifest, manifest and signature to
what was noted when they were installed, the facts kept twice to their checksums, and the marker
of the active slot to the three things that it may say. A file of a bundle is mended from another
slot that holds the same bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from onboard import bundle as bundles
from onboard import control, copies, files, golden, keyring, slots
from onboard.bundle import Bundle
from onboard.engines import Engine
from onboard.errors import OutputError


class Finding(NamedTuple):
    """A file that is not what it should be, and whether it is mended."""

    path: Path
    mended: bool


def scrub(folder: Path) -> list[Finding]:
    """Check every file of a slots folder against its hash, and mend what can be mended.

    Returns:
        What was found wrong, in order of the slots; empty where all is well.
    """
    found = [*_facts(folder)]
    wanted = {slot: _hashes(folder, slot) for slot in slots.ALL}
    for slot in slots.ALL:
        for name, digest in wanted[slot].items():
            path = folder / slot / name
            if _digest(path) != digest:
                found.append(Finding(path, _mend(folder, path, digest, wanted)))
    found += [finding for finding in (_marker(folder),) if finding is not None]
    return found


def _facts(folder: Path) -> Iterator[Finding]:
    """What is kept twice."""
    kept = ((folder, control.NAME), (folder, slots.STARTS), (folder / keyring.FOLDER, keyring.NAME))
    for place, name in kept:
        notes = copies.read(place, name).notes
        if not notes:
            continue
        with contextlib.suppress(OutputError):
            copies.repair(place, name)
        left = copies.read(place, name).notes
        for path in copies.paths(place, name):
            if any(note.startswith(str(path)) for note in notes):
                yield Finding(path, not any(note.startswith(str(path)) for note in left))


def _marker(folder: Path) -> Finding | None:
    """The marker of the active slot; which one it named cannot be told, so a start decides."""
    path = folder / slots.ACTIVE
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() not in {slot.encode() + b"\n" for slot in slots.ALL}:
            return Finding(path, False)
    return None


def _hashes(folder: Path, slot: str) -> Mapping[str, str]:
    """File → SHA-256 of what should lie in a slot, as far as it is known."""
    noted = control.read(folder).control.installed
    place = folder / slot
    if not place.is_dir() or slot not in noted:
        return {}
    wanted = {bundles.MANIFEST: noted[slot]}
    if slots.SIGNED.format(slot) in noted:
        wanted[bundles.SIGNATURE] = noted[slots.SIGNED.format(slot)]
    # A damaged manifest still names most files; one in another slot may be the same.
    for manifest in (folder / other / bundles.MANIFEST for other in (slot, *slots.ALL)):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            data = manifest.read_bytes()
            if bundles.manifest_id(data) == noted[slot]:
                wanted.update(_there(place, json.loads(data)["sets"]))
                break
    return wanted


def _there(place: Path, sets: Mapping[str, Any]) -> dict[str, str]:
    """File → SHA-256 of the sets that were installed: the common one, and any that has a folder."""
    found: dict[str, str] = {}
    for name, entry in sets.items():
        tops = {Path(file).parts[0] for file in entry["files"]}
        if name == bundles.COMMON or any((place / top).exists() for top in tops):
            found.update(entry["files"])
    return found


def _mend(folder: Path, path: Path, digest: str, wanted: Mapping[str, Mapping[str, str]]) -> bool:
    """Put the right bytes in place of damaged ones, if another slot has them."""
    for slot, hashes in wanted.items():
        for name, other in hashes.items():
            source = folder / slot / name
            if other == digest and source != path and _digest(source) == digest:
                with contextlib.suppress(OutputError):
                    _replace(path, source.read_bytes())
                    return True
    return False


def _replace(path: Path, data: bytes) -> None:
    """Also in the golden slot, whose folders are read-only: the bytes are what was installed."""
    mode, around = path.parent.stat().st_mode, path.parent
    around.chmod(mode | 0o200)
    try:
        files.write_bytes(path, data)
        path.chmod(0o444 if not mode & 0o200 else 0o644)
    finally:
        around.chmod(mode)


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


class Guard:
    """Watches over the loaded weights and the files while a service runs.

    The golden tile goes through the engine before and after each frame: where it comes out wrong
    afterwards, the frame is not kept, the engine is loaded again, and the frame is redone.

    Args:
        folder: the slots folder.
        running: gives the bundle, the engine and its name that are in use.
        tell: takes an event's name and its fields, for telemetry.
        frames: between two scrubs of the files; the first comes with the first frame.
    """

    def __init__(
        self,
        folder: Path,
        running: Callable[[], tuple[Bundle, Engine, str]],
        tell: Callable[..., None],
        frames: int = 20,
    ) -> None:
        self._folder, self._running, self._tell = folder, running, tell
        self._every, self._frames = frames, 0

    def check(self) -> None:
        """Run the golden tile.

        Raises:
            EngineError: it comes out wrong.
        """
        golden.check(*self._running())

    def before(self) -> None:
        """Before a frame: scrub the files when it is time, then the golden tile.

        Raises:
            EngineError: the golden tile comes out wrong.
        """
        if self._frames % self._every == 0:
            for path, mended in scrub(self._folder):
                self._tell("upset", file=str(path), mended=mended)
        self._frames += 1
        self.check()
