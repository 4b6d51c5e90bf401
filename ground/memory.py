"""Memory: what a receive folder keeps between contacts.

Files that are half there, how transfers ended, and where the running numbers stood. One file,
written in one step after everything else, so a reception that is cut short leaves the memory of
the one before it, and the same recording can be received again. It ends with its SHA-256.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cbor2
from spacepackets.cfdp.pdu import EofPdu, MetadataPdu

from ground.reassembly import MAX_DONE, MAX_HELD, Done, Key, Reassembly, Transaction, parse
from onboard import formats
from onboard.errors import OutputError, StreamError
from onboard.files import write_bytes

NAME = "transfers.state"
MAGIC = b"FSRX"
DIGEST = 32
MAX_SIZE = 2 * MAX_HELD
AGAIN = "move it away, and files that were half there come again"


@dataclass
class Memory:
    """What one reception leaves to the next.

    Attributes:
        open: transactions on their way.
        former: those that ended.
        heard_ms: time of the last telemetry heard, UTC milliseconds since 1970, or None.
        return_count: sequence count of the next packet of the return path.
        expected: APID → sequence count of the next packet that the satellite sends.
    """

    open: OrderedDict[Key, Transaction] = field(default_factory=OrderedDict)
    former: OrderedDict[Key, Done] = field(default_factory=OrderedDict)
    heard_ms: int | None = None
    return_count: int = 0
    expected: dict[int, int] = field(default_factory=dict)

    def keep(self, files: Reassembly) -> None:
        """Take over what a reception left, as far as a later one can use it."""
        self.former = OrderedDict(files.former)
        for key, done in files.done.items():
            # A class-1 file that was refused may come whole in its next sending.
            if done.seal is not None or done.owed:
                self.former[key] = done
        while len(self.former) > MAX_DONE:
            self.former.popitem(last=False)
        self.open = OrderedDict(
            (key, one) for key, one in files.open.items() if not _is_repeat(one, self.former, key)
        )


def _is_repeat(one: Transaction, former: OrderedDict[Key, Done], key: Key) -> bool:
    """Whether it is a part of what is whole: an EOF of its own would have told them apart."""
    return key in former and one.eof is not None


def load(folder: Path) -> Memory:
    """The memory of a folder; an empty one where there is none.

    Raises:
        OutputError: the file is damaged or of another version.
    """
    path = folder / NAME
    if not path.is_file():
        return Memory()
    try:
        if path.stat().st_size > MAX_SIZE:
            raise ValueError("too long")
        data = path.read_bytes()
        body, digest = data[:-DIGEST], data[-DIGEST:]
        if hashlib.sha256(body).digest() != digest or not body.startswith(MAGIC):
            raise ValueError("its checksum is wrong")
        formats.TRANSFERS.check(body[len(MAGIC)], f"{path}:", OutputError, AGAIN)
        return _decoded(cbor2.loads(body[len(MAGIC) + 1 :]))
    except OutputError:
        raise
    except (OSError, ValueError, TypeError, KeyError, StreamError, cbor2.CBORDecodeError) as error:
        raise OutputError(
            f"{path}: what is known of unfinished transfers cannot be read ({error}); {AGAIN}"
        ) from error


def save(memory: Memory, folder: Path) -> None:
    """Write the memory in one step."""
    body = MAGIC + bytes([formats.TRANSFERS.version]) + cbor2.dumps(_encoded(memory))
    write_bytes(folder / NAME, body + hashlib.sha256(body).digest())


def _encoded(memory: Memory) -> dict[str, Any]:
    return {
        "open": [
            [
                *key,
                one.acknowledged,
                None if one.metadata is None else bytes(one.metadata.pack()),
                None if one.eof is None else bytes(one.eof.pack()),
                one.segments.runs(),
            ]
            for key, one in memory.open.items()
        ],
        "former": [[*key, *done] for key, done in memory.former.items()],
        "heard_ms": memory.heard_ms,
        "return_count": memory.return_count,
        "expected": memory.expected,
    }


def _decoded(fields: dict[str, Any]) -> Memory:
    memory = Memory(
        heard_ms=fields["heard_ms"],
        return_count=fields["return_count"],
        expected=fields["expected"],
    )
    for source, sequence, acknowledged, metadata, eof, runs in fields["open"]:
        one = Transaction(acknowledged=acknowledged)
        one.metadata = None if metadata is None else _unit(metadata, MetadataPdu)
        one.eof = None if eof is None else _unit(eof, EofPdu)
        for offset, data in runs:
            one.segments.add(offset, data)
        memory.open[Key(source, sequence)] = one
    for source, sequence, seal, condition, heard_ms, owed in fields["former"]:
        memory.former[Key(source, sequence)] = Done(seal, condition, heard_ms, owed)
    return memory


def _unit(data: bytes, kind: type[Any]) -> Any:
    unit = parse(data)
    if not isinstance(unit, kind):
        raise ValueError(f"no {kind.__name__}")
    return unit
