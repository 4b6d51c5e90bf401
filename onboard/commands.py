"""Commands: what the ground may tell the satellite, signed, counted and limited in time.

One command is one small file (big-endian):

====== ==== =====================================================================
offset size field
====== ==== =====================================================================
0      4    ``FSTC``
4      1    format version, 1
5      1    code, see `Code`
6      2    spacecraft id
8      4    count, higher than that of every command accepted before
12     8    first millisecond at which it may be carried out, UTC since 1970
20     8    last one
28     8    id of the key that signed it: first 8 bytes of SHA-256 of its raw public half
36     2    length of the arguments, n
38     n    arguments, canonical CBOR (RFC 8949, 4.2.1), a map
38+n   64   Ed25519 signature (RFC 8032) over all before it
====== ==== =====================================================================

Nothing behind the header is parsed before the signature is verified. A signed manifest begins
with ``{`` and a patch with ``FSTP``, so no signature serves for another kind of file.
"""

from __future__ import annotations

import enum
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from onboard import formats, signing
from onboard.control import KEY_SLOTS
from onboard.errors import CommandError
from onboard.link.apid import SPACECRAFT_ID

MAGIC = b"FSTC"
VERSION = formats.COMMAND.version
SUFFIX = ".cmd"
_HEADER = struct.Struct(">4sBBHIqq8sH")
SIGNATURE = 64
MAX_BYTES = 1024
MAX_COUNT = 2**32 - 1
MAX_AHEAD = 1000
"""How far a count may jump. Commands get lost; but one with a count near the end of its range,
made by mistake, would lock every later one out."""
MAX_SIDE = 512
"""Side of a raw chip, pixels."""


class Code(enum.IntEnum):
    """What a command asks for. Codes are never reused."""

    SET_LIMIT = 1
    SET_AREA = 2
    CLEAR_AREA = 3
    ROLL_BACK = 4
    SEND_RAW = 5
    PAUSE = 6
    RESUME = 7
    DROP_QUEUE = 8
    ROTATE_KEY = 9
    REVOKE_KEY = 10
    ALLOW_OLDER = 11
    INSTALL = 12
    CLEAR_LIMITS = 13

    @property
    def text(self) -> str:
        """As the command line spells it."""
        return self.name.lower().replace("_", "-")


Check = Callable[[Any], bool]


def _number(low: float, high: float) -> Check:
    def check(value: Any) -> bool:
        plain = isinstance(value, (int, float)) and not isinstance(value, bool)
        return plain and math.isfinite(value) and low <= value <= high

    return check


def _integer(low: int, high: int) -> Check:
    number = _number(low, high)
    return lambda value: isinstance(value, int) and number(value)


def _text(longest: int) -> Check:
    return lambda value: isinstance(value, str) and 0 < len(value) <= longest


def _bytes(shortest: int, longest: int) -> Check:
    return lambda value: isinstance(value, bytes) and shortest <= len(value) <= longest


def _file_name(value: Any) -> bool:
    plain = _text(100)(value) and value.replace("-", "").replace("_", "").replace(".", "").isalnum()
    return bool(plain and not value.startswith("."))


_AREA: Mapping[str, Check] = {
    "west": _number(-180, 180),
    "south": _number(-90, 90),
    "east": _number(-180, 180),
    "north": _number(-90, 90),
}
ARGUMENTS: Mapping[Code, Mapping[str, Check]] = {
    Code.SET_LIMIT: {"name": _text(64), "value": _number(-1e12, 1e12)},
    Code.SET_AREA: _AREA,
    Code.CLEAR_AREA: {},
    Code.ROLL_BACK: {"slot": lambda value: value in ("other", "a", "b", "golden")},
    Code.SEND_RAW: {
        "scene": _bytes(6, 32),
        "row": _integer(0, 2**20),
        "col": _integer(0, 2**20),
        "side": _integer(1, MAX_SIDE),
    },
    Code.PAUSE: {},
    Code.RESUME: {},
    Code.DROP_QUEUE: _AREA,
    Code.ROTATE_KEY: {"slot": _integer(1, KEY_SLOTS), "key": _bytes(32, 32)},
    Code.REVOKE_KEY: {"slot": _integer(1, KEY_SLOTS)},
    Code.ALLOW_OLDER: {"manifest": _bytes(32, 32)},
    Code.INSTALL: {"name": _file_name},
    Code.CLEAR_LIMITS: {},
}


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        code: what it asks for.
        count: 1…2³²-1, higher than that of every command accepted before.
        start_ms, end_ms: when it may be carried out, UTC milliseconds since 1970.
        arguments: as `ARGUMENTS` has them.
        key: id of the key that signed it; set by `read`.
    """

    code: Code
    count: int
    start_ms: int
    end_ms: int
    arguments: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""


def check(command: Command) -> None:
    """Refuse a command that makes no sense.

    Raises:
        CommandError: an argument is missing, unknown or out of its range, and so on.
    """
    known = ARGUMENTS[command.code]
    for name in sorted(known.keys() | command.arguments.keys()):
        if name not in known:
            raise CommandError(f"command {command.code.text}: has no argument {name!r}")
        if name not in command.arguments:
            raise CommandError(f"command {command.code.text}: lacks the argument {name!r}")
        if not known[name](command.arguments[name]):
            raise CommandError(
                f"command {command.code.text}: its argument {name!r} is out of range "
                f"({command.arguments[name]!r})"
            )
    if known is _AREA and command.arguments["south"] >= command.arguments["north"]:
        raise CommandError(f"command {command.code.text}: its south is not south of its north")
    if not 1 <= command.count <= MAX_COUNT:
        raise CommandError(f"command {command.code.text}: its count {command.count} is no count")
    if not 0 <= command.start_ms <= command.end_ms < 2**63:
        raise CommandError(f"command {command.code.text}: its time ends before it begins")


def make(command: Command, key: Ed25519PrivateKey) -> bytes:
    """Sign a command; ``command.key`` is not looked at.

    Raises:
        CommandError: it makes no sense, or is too long.
    """
    check(command)
    arguments = cbor2.dumps(dict(command.arguments), canonical=True)
    if _HEADER.size + len(arguments) + SIGNATURE > MAX_BYTES:
        raise CommandError(f"command {command.code.text}: is longer than {MAX_BYTES} bytes")
    header = _HEADER.pack(
        MAGIC,
        VERSION,
        command.code,
        SPACECRAFT_ID,
        command.count,
        command.start_ms,
        command.end_ms,
        bytes.fromhex(signing.key_id(key.public_key())),
        len(arguments),
    )
    return header + arguments + signing.sign(header + arguments, key)


def read(data: bytes, keys: signing.PublicKeys) -> Command:
    """Verify the bytes of a command and decode them.

    Whether it is new and its time has come is for `accept` to say.

    Raises:
        CommandError: it is damaged, not for this satellite or software, or not signed by one of
            the keys.
    """
    name = _whole(data)[7].hex()
    if name not in keys:
        raise CommandError(f"is signed by the key {name}, which is not trusted here")
    if not signing.verify(data[:-SIGNATURE], data[-SIGNATURE:], keys[name]):
        raise CommandError("is damaged or its signature is forged")
    return decode(data)


def decode(data: bytes) -> Command:
    """Decode a command that was verified before.

    Raises:
        CommandError: it is not for this satellite or software, or makes no sense.
    """
    _, _, code, spacecraft, count, start, end, key, size = _whole(data)
    if code not in list(Code):
        raise CommandError(f"has the code {code}, which is not known here")
    if spacecraft != SPACECRAFT_ID:
        raise CommandError(f"is for spacecraft {spacecraft:#x}, this is {SPACECRAFT_ID:#x}")
    arguments = _arguments(data[_HEADER.size : _HEADER.size + size])
    command = Command(Code(code), count, start, end, arguments, key.hex())
    check(command)
    return command


def _whole(data: bytes) -> tuple[Any, ...]:
    """The fields of the header of what has the length that it promises."""
    if not _HEADER.size + SIGNATURE < len(data) <= MAX_BYTES or data[:4] != MAGIC:
        raise CommandError("is no command")
    fields = _HEADER.unpack_from(data)
    formats.COMMAND.check(fields[1], "", CommandError)
    if len(data) != _HEADER.size + fields[-1] + SIGNATURE:
        raise CommandError("is cut or too long")
    return fields


def _arguments(data: bytes) -> dict[str, Any]:
    """Signed, so from a friend; and yet nothing but a plain map is taken."""
    try:
        arguments = cbor2.loads(data)
    except (cbor2.CBORError, ValueError, RecursionError) as error:
        raise CommandError("has arguments that do not decode") from error
    if not isinstance(arguments, dict) or cbor2.dumps(arguments, canonical=True) != data:
        raise CommandError("has arguments that are not canonical CBOR")
    return arguments


def accept(command: Command, last: int, now_ms: int) -> None:
    """Refuse a command that is not new, or too late.

    Args:
        command: verified by `read`.
        last: count of the last command that was accepted.
        now_ms: UTC milliseconds since 1970.

    Raises:
        CommandError: it was accepted before or is overtaken, jumps too far ahead, or its time
            is over.
    """
    if command.count <= last:
        raise CommandError(f"has count {command.count}, and {last} was accepted: a replay")
    if command.count > last + MAX_AHEAD:
        raise CommandError(
            f"has count {command.count}, more than {MAX_AHEAD} beyond the last one, {last}"
        )
    if now_ms > command.end_ms:
        raise CommandError(f"was to be carried out until {command.end_ms} ms, now is {now_ms}")


def is_due(command: Command, now_ms: int) -> bool:
    """Whether its time has come; one that is too early waits."""
    return command.start_ms <= now_ms
