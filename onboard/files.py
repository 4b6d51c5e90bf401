"""Writing so that a reader never sees half a file: write beside, then rename.

What is written is on the disk before it takes its place, and so is the new name before the call
returns: power may go at any moment. What a kill leaves lying begins with `PART`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from onboard.errors import FloodsatError, OutputError
from onboard.remote import Remote

PART = ".part-"


def make_folder(folder: Path) -> Path:
    """Create ``folder`` and its parents, and prove that it can be written.

    Raises:
        OutputError: a parent is a file, or the folder is not writable.
        StoreError: in an object store: there is no such bucket, or it is not for us.
    """
    if isinstance(folder, Remote):
        folder.check_bucket()
        return folder
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


def sync(path: Path) -> None:
    """Have the disk keep a file, or the names in a folder, before anything that follows."""
    handle = os.open(str(path), os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{path}: cannot be written ({error.strerror or error}); free space or choose another place"
    )


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success rename it over ``path``.

    On any error the temporary file is removed and ``path`` is left as it was. The suffix is
    kept, so that GDAL and others still recognise the format. An object of a store is written here
    and put there whole.

    Raises:
        OutputError: the folder cannot be written, the disk is full, or ``path`` is a folder, a
            device or a pipe.
        StoreError: an object store does not take it.
    """
    if isinstance(path, Remote):
        with _uploading(path) as part:
            yield part
        return
    if path.exists() and not path.is_file():
        raise OutputError(f"{path}: is no regular file; name a file")
    make_folder(path.parent)
    handle, name = tempfile.mkstemp(prefix=PART, suffix=path.suffix, dir=str(path.parent))
    os.close(handle)
    # mkstemp makes private files; a product is for others to read.
    os.chmod(name, 0o644)
    part = Path(name)
    try:
        yield part
        sync(part)
        os.replace(name, str(path))
        sync(path.parent)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise _unwritable(path, error) from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()


@contextlib.contextmanager
def _uploading(address: Remote) -> Iterator[Path]:
    try:
        with tempfile.TemporaryDirectory(prefix=PART) as folder:
            part = Path(folder) / address.name
            yield part
            address.upload(part)
    except OSError as error:
        if isinstance(error, FloodsatError):
            raise
        raise _unwritable(address, error) from error


def remove_parts(folder: Path) -> None:
    """Remove what `replacing` left there when it was killed; nobody else may write there now."""
    for part in folder.glob(".part-*"):
        with contextlib.suppress(OSError):
            part.unlink()


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` in one step, durably."""
    with replacing(path) as part:
        part.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path`` in one step, durably."""
    write_bytes(path, text.encode("utf-8"))


def ours_to_replace(folder: Path, mark: str) -> None:
    """Refuse to replace a folder that holds anything but an earlier result of ours.

    Args:
        folder: what would be replaced.
        mark: a file that every such result holds.

    Raises:
        OutputError: it is a file, the current folder, or has files but not ``mark``.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputError(f"{folder}: is a file; name a folder")
    if folder.resolve() == Path.cwd() or folder.resolve() in Path.cwd().parents:
        raise OutputError(f"{folder}: is the current folder; name another one")
    if any(folder.iterdir()) and not (folder / mark).is_file():
        raise OutputError(f"{folder}: holds other files; choose an empty or a new folder")


def tidy(folder: Path) -> list[str]:
    """Remove what a kill left half-written in ``folder``; nobody else may be writing there.

    Returns:
        The names.
    """
    left = sorted(folder.glob(PART + "*"))
    for path in left:
        if path.is_dir():
            shutil.rmtree(str(path), ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink()
    return [path.name for path in left]


@contextlib.contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``folder``; on success put it in ``folder``'s place.

    What ``folder`` held is gone then: see `ours_to_replace`.

    Raises:
        OutputError: the parent cannot be written, or the disk is full.
    """
    folder = folder.resolve()
    make_folder(folder.parent)
    part = Path(tempfile.mkdtemp(prefix=PART, dir=str(folder.parent)))
    os.chmod(str(part), 0o755)
    old = part.with_name(part.name + "-old")
    try:
        yield part
        for written in (*part.rglob("*"), part):
            sync(written)
        if folder.exists():
            os.replace(str(folder), str(old))
        os.replace(str(part), str(folder))
        sync(folder.parent)
    except OSError as error:
        if old.exists() and not folder.exists():
            os.replace(str(old), str(folder))
        if isinstance(error, OutputError):
            raise
        raise _unwritable(folder, error) from error
    finally:
        for rest in (part, old):
            shutil.rmtree(str(rest), ignore_errors=True)
