"""Alone: one process at a time in a folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING

from onboard import files
from onboard.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def alone(folder: Path, who: str) -> Iterator[None]:
    """Keep others of a kind out of a folder while a block runs.

    The lock is on the folder itself: it leaves no file, and goes with the process however that
    ends. Folders that were made for it go again where the block fails and leaves nothing.

    Args:
        folder: made where it is not there.
        who: what they are, as "reception", for the message.

    Raises:
        OutputError: another one is at work there, or the folder cannot be made.
    """
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    files.make_folder(folder)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(
                f"{folder}: another {who} is at work there; wait for it, or name another folder"
            ) from error
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            for one in made:
                one.rmdir()
        raise
    finally:
        os.close(handle)
