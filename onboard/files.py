"""Writing so that a reader never sees half a file: write beside, then rename."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from onboard.errors import OutputError


def make_folder(folder: Path) -> Path:
    """Create ``folder`` and its parents, and prove that it can be written.

    Raises:
        OutputError: a parent is a file, or the folder is not writable.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot write there ({error.strerror or error}); "
            "choose a folder that you may write to"
        ) from error
    return folder


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success rename it over ``path``.

    On any error the temporary file is removed and ``path`` is left as it was. The suffix is
    kept, so that GDAL and others still recognise the format.

    Raises:
        OutputError: the folder cannot be written.
    """
    make_folder(path.parent)
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file")
    handle, name = tempfile.mkstemp(prefix=".part-", suffix=path.suffix, dir=str(path.parent))
    os.close(handle)
    # mkstemp makes private files; a product is for others to read.
    os.chmod(name, 0o644)
    part = Path(name)
    try:
        yield part
        with open(name, "rb") as written:
            os.fsync(written.fileno())
        os.replace(name, str(path))
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
        raise


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` in one step, durably."""
    with replacing(path) as part:
        part.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path`` in one step, durably."""
    write_bytes(path, text.encode("utf-8"))


@contextlib.contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``folder``; on success put it in ``folder``'s place.

    Raises:
        OutputError: the parent cannot be written.
    """
    make_folder(folder.parent)
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file; name a folder")
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=str(folder.parent)))
    os.chmod(str(part), 0o755)
    try:
        yield part
        old = None
        if folder.exists():
            old = part.with_name(part.name + "-old")
            os.replace(str(folder), str(old))
        os.replace(str(part), str(folder))
        if old is not None:
            shutil.rmtree(str(old))
    except BaseException:
        shutil.rmtree(str(part), ignore_errors=True)
        raise
