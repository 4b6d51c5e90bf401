"""Reading TOML: the standard library's reader, or its twin for Python 3.9 (the package tomli)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from onboard.errors import FloodsatError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def parse_toml(path: Path, text: bytes, kind: type[FloodsatError]) -> dict[str, Any]:
    """The table in ``text``.

    Args:
        path: the name for errors.
        text: the file's bytes.
        kind: the error to raise.

    Raises:
        FloodsatError: of ``kind``; no UTF-8 or no TOML.
    """
    try:
        return tomllib.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        # TOMLDecodeError is a ValueError, and so is what decode raises.
        why = str(error).splitlines()[0]
        raise kind(f"{path}: is not TOML ({why}); mend the line or write the file anew") from error


def read_bytes(path: Path, what: str, kind: type[FloodsatError], limit: int) -> bytes:
    """All bytes of a small file.

    Args:
        path: the file.
        what: what it should be, for errors.
        kind: the error to raise.
        limit: the most bytes that such a file can sensibly have.

    Raises:
        FloodsatError: of ``kind``; missing, unreadable or too large.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        why = error.strerror or error
        raise kind(f"{path}: cannot be read ({why}); name {what}") from error
    if len(data) > limit:
        raise kind(f"{path}: has more than {limit} bytes; name {what}")
    return data
