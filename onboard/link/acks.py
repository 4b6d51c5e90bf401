"""Acknowledgement: one packet that says what became of a command.

User data of APID 0x1F3 (big-endian): version (1 byte, 1), status (1), code (1), count (4), when,
UTC milliseconds since 1970 (8), and a line in ASCII of up to 80 bytes.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import Any

from onboard import formats
from onboard.errors import StreamError

VERSION = formats.ACK.version
MAX_TEXT = 80
_HEAD = struct.Struct(">BBBIQ")


class Status(enum.IntEnum):
    """What became of a command."""

    DONE = 0
    FAILED = 1


@dataclass(frozen=True)
class Ack:
    """What became of one command that was accepted.

    Attributes:
        count: the command's.
        code: the command's, a number of `onboard.commands.Code`.
        status: carried out, or why not in ``text``.
        when_ms: UTC milliseconds since 1970.
        text: one line, ASCII, at most `MAX_TEXT` characters.
    """

    count: int
    code: int
    status: Status
    when_ms: int
    text: str


def pack(ack: Ack) -> bytes:
    """The user data of a packet; a longer text is cut."""
    text = ack.text.encode("ascii", "replace")[:MAX_TEXT]
    return _HEAD.pack(VERSION, ack.status, ack.code, ack.count, ack.when_ms) + text


def unpack(data: bytes) -> Ack:
    """Decode the user data of a packet.

    Raises:
        StreamError: it is no acknowledgement of a version that is known here.
    """
    formats.ACK.check(
        int.from_bytes(data[:1], "big"), "an acknowledgement", StreamError, "it is damaged"
    )
    text = data[_HEAD.size :]
    if len(data) < _HEAD.size or len(text) > MAX_TEXT or not text.isascii():
        raise StreamError("an acknowledgement's length or text is wrong")
    _, status, code, count, when = _HEAD.unpack_from(data)
    if status not in list(Status):
        raise StreamError("an acknowledgement is not one known here; update FloodSat")
    return Ack(count, code, Status(status), when, text.decode("ascii"))


def to_json(ack: Ack) -> dict[str, Any]:
    """As plain JSON types."""
    return {
        "count": ack.count,
        "code": ack.code,
        "status": ack.status.name.lower(),
        "when_ms": ack.when_ms,
        "text": ack.text,
    }
