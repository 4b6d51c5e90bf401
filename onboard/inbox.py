"""Inbox: the folder where frames arrive, and where they go when they are done with.

The rule for whoever delivers: write the frame under a name that begins with a dot, or in another
folder of the same file system, and rename it into the inbox when it is complete. A rename is one
step, so what has a frame's name is a whole frame. Nothing else is ever read: hidden files, files
with another suffix, folders, links, pipes and devices stay where they are.

A frame may have companions, files with its stem and another suffix, as the sidecar ``a.json`` of
the raw samples ``a.raw``.
They are renamed in before the frame itself, and leave with it.

A frame that is done with goes to ``done/``, one that cannot be used to ``refused/`` with its reason
beside it. Both folders have a bound; what is oldest goes first.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from onboard import files
from onboard.errors import FrameError, OutputError

SUFFIXES = (".tif", ".tiff", ".raw")
DONE, REFUSED = "done", "refused"
REASON = ".reason.txt"
MAX_NAME = 200
MAX_REASON = 500
"""Characters of a reason that are kept."""


class Inbox:
    """The inbox in ``folder``, which is made if it is missing.

    Args:
        folder: where frames arrive.
        keep_done: bytes that ``done/`` may hold.
        keep_refused: bytes that ``refused/`` may hold.
        suffixes: of frames, in small letters.

    Raises:
        OutputError: the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        keep_done: int,
        keep_refused: int,
        suffixes: Sequence[str] = SUFFIXES,
    ) -> None:
        self.folder = folder
        self._suffixes = tuple(suffixes)
        self._bounds = {DONE: keep_done, REFUSED: keep_refused}
        for name in self._bounds:
            files.remove_parts(files.make_folder(folder / name))

    def waiting(self) -> list[Path]:
        """Complete frames, the oldest first.

        Raises:
            OutputError: the folder cannot be read.
        """
        found = []
        try:
            for entry in os.scandir(self.folder):
                if self._is_frame(entry):
                    with contextlib.suppress(FileNotFoundError):
                        age = entry.stat(follow_symlinks=False).st_mtime_ns
                        found.append((age, entry.name))
        except OSError as error:
            raise OutputError(
                f"{self.folder}: cannot be read ({error.strerror}); make it readable again"
            ) from error
        return [self.folder / name for _, name in sorted(found)]

    def file_id(self, path: Path) -> bytes:
        """What tells this file from any other: SHA-256 over name, size and time of writing.

        Raises:
            FrameError: the file is gone.
        """
        try:
            state = path.stat()
        except OSError as error:
            raise FrameError(f"{path}: is gone ({error.strerror}); deliver it again") from error
        text = f"{path.name}\0{state.st_size}\0{state.st_mtime_ns}"
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()

    def done(self, path: Path, scene_id: bytes) -> None:
        """Put a frame away; its new name begins with its scene id.

        Raises:
            OutputError: it cannot be moved.
        """
        self._move(path, DONE, f"{scene_id.hex()[:12]}-{path.name}")

    def refuse(self, path: Path, reason: str) -> None:
        """Put a frame aside that cannot be used, its reason beside it.

        Raises:
            OutputError: it cannot be moved.
        """
        name = _bounded(path.name)
        # The reason first: a power cut in between leaves the frame where it is refused again.
        text = " ".join(reason.split())[:MAX_REASON]
        files.write_text(self.folder / REFUSED / (name + REASON), text + "\n")
        self._move(path, REFUSED, name)

    def tidy(self) -> int:
        """Remove the oldest frames beyond the bounds; how many bytes became free."""
        return sum(_prune(self.folder / name, bound) for name, bound in self._bounds.items())

    def empty_done(self) -> int:
        """Remove every frame that is done with; how many bytes became free."""
        return _prune(self.folder / DONE, 0)

    def _is_frame(self, entry: os.DirEntry[str]) -> bool:
        hidden = entry.name.startswith(".")
        suffix = os.path.splitext(entry.name)[1].lower()
        return not hidden and suffix in self._suffixes and entry.is_file(follow_symlinks=False)

    def _companions(self, path: Path) -> Iterator[Path]:
        for entry in os.scandir(self.folder):
            stem, suffix = os.path.splitext(entry.name)
            frame = suffix.lower() in self._suffixes
            if stem == path.stem and not frame and entry.is_file(follow_symlinks=False):
                yield self.folder / entry.name

    def _move(self, path: Path, where: str, name: str) -> None:
        try:
            # The frame first: companions without a frame are nothing, a frame without them is bad.
            companions = list(self._companions(path))
            os.replace(path, self.folder / where / _bounded(name))
            for companion in companions:
                target = name[: len(name) - len(path.name)] + companion.name
                os.replace(companion, self.folder / where / _bounded(target))
        except FileNotFoundError:
            # Somebody took it away: it is out of the inbox, which is what was wanted.
            return
        except OSError as error:
            raise OutputError(
                f"{path}: cannot be moved to {where} ({error.strerror}); "
                "make the inbox writable again"
            ) from error


def _bounded(name: str) -> str:
    """A name that stays within what file systems take, its end kept."""
    raw = os.fsencode(name)
    return name if len(raw) <= MAX_NAME else os.fsdecode(raw[-MAX_NAME:])


def _prune(folder: Path, bound: int) -> int:
    """Remove files, the longest there first, until ``folder`` holds at most ``bound`` bytes.

    A reason never goes before its frame.
    """
    found: list[tuple[str, int]] = []
    since: dict[str, int] = {}
    for entry in os.scandir(folder):
        with contextlib.suppress(FileNotFoundError):
            state = entry.stat(follow_symlinks=False)
            if stat.S_ISREG(state.st_mode):
                found.append((entry.path, state.st_size))
                # A rename sets the time of change, not that of writing.
                own = _frame_of(entry.path)
                since[own] = max(since.get(own, 0), state.st_ctime_ns)
    held = sum(size for _, size in found)
    freed = 0
    for path, size in sorted(found, key=lambda one: (since[_frame_of(one[0])], one[0])):
        if held - freed <= bound:
            break
        with contextlib.suppress(OSError):
            os.unlink(path)
            freed += size
    return freed


def _frame_of(path: str) -> str:
    """The frame that a file is about: itself, or the one that it gives the reason of."""
    return path[: -len(REASON)] if path.endswith(REASON) else path
