"""Housekeeping: one packet a pass that says how full the outbox is and how the runtime fares.

Version 1 had the first four figures only; the ground still reads it.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from onboard import formats
from onboard.errors import StreamError

VERSION = formats.HOUSEKEEPING.version
_BODY_1 = struct.Struct(">BIIIQ")
_BODY = struct.Struct(">BIIIQIIIB")
_STATUS = struct.Struct(">8sBBBbIHHHHIH5H")
SIZE_1 = _BODY_1.size
SIZE = _BODY.size + _STATUS.size

STAGES = ("read", "segment", "triage", "product", "store")
"""Where a frame's time goes, as housekeeping tells it; a stage of another name counts as read."""
ENGINES = (
    "unknown",
    "tflite",
    "tflite-f16",
    "tflite-int8",
    "openvino",
    "openvino-2021",
    "myriad",
    "reference",
)
"""Names of engines by their code; a code is never used for another one."""
_TEMPERATURES = range(-127, 128)
_NO_TEMPERATURE = -128
_STAGE_UNIT_S = 0.01
_MEBI = 2**20
_FLAGS = 0x0F


class State(enum.IntEnum):
    """What the runtime does; see docs/flight-software.md."""

    STARTING = 0
    IDLE = 1
    WORKING = 2
    HOLDING = 3
    BLOCKED = 4
    STOPPED = 5


class Flag(enum.IntFlag):
    """What a person should know of the runtime, since its start."""

    FALLBACK = 0x01
    REBUILT = 0x02
    CLOCK_BACK = 0x04
    STORAGE = 0x08


NOTHING = Flag(0)


@dataclass(frozen=True)
class Status:
    """How the runtime fares, since its start where it is a count.

    Attributes:
        model_id: first 8 bytes of the model's id.
        engine: one of `ENGINES`.
        state: what it does.
        flags: what happened.
        temperature_c: of the engine's chip, or None where it tells none.
        uptime_s: seconds since the start.
        starts: of the runtime, in all, modulo 65536.
        restarts: of the engine.
        errors: frames that were refused, and attempts that failed.
        memory_bytes: peak of the runtime and its engine together; steps of 1 MiB.
        free_bytes: of the storage; steps of 1 MiB.
        inbox: frames that wait.
        seconds: one of `STAGES` → of the last frame; steps of 10 ms.
    """

    model_id: bytes = bytes(8)
    engine: str = ENGINES[0]
    state: State = State.STARTING
    flags: Flag = NOTHING
    temperature_c: int | None = None
    uptime_s: int = 0
    starts: int = 0
    restarts: int = 0
    errors: int = 0
    memory_bytes: int = 0
    free_bytes: int = 0
    inbox: int = 0
    seconds: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))


@dataclass(frozen=True)
class Housekeeping:
    """The state of the outbox before the pass, and of the runtime when it last told it.

    Attributes:
        frames: frames processed so far.
        alerts, products: waiting to be sent.
        product_bytes: size of the waiting products together.
        chips: waiting to be sent.
        refused: frames refused so far.
        evicted: items evicted so far.
        runtime: how it fares; None where none has run yet.
    """

    frames: int
    alerts: int
    products: int
    product_bytes: int
    chips: int = 0
    refused: int = 0
    evicted: int = 0
    runtime: Status | None = None


def pack(state: Housekeeping) -> bytes:
    """The state as user data of a packet: ``SIZE`` bytes. Values beyond a field are cut to it."""
    counts = (state.frames, state.alerts, state.products)
    more = (state.chips, state.refused, state.evicted)
    body = _BODY.pack(
        VERSION,
        *(_cut(count, 4) for count in counts),
        _cut(state.product_bytes, 8),
        *(_cut(count, 4) for count in more),
        0 if state.runtime is None else 1,
    )
    return body + pack_status(state.runtime or Status())


def pack_status(status: Status) -> bytes:
    """The runtime's part of it; `unpack_status` is the inverse."""
    code = ENGINES.index(status.engine) if status.engine in ENGINES else 0
    heat = status.temperature_c
    return _STATUS.pack(
        status.model_id[:8],
        code,
        status.state,
        status.flags,
        _NO_TEMPERATURE if heat is None else min(max(heat, _TEMPERATURES[0]), _TEMPERATURES[-1]),
        _cut(status.uptime_s, 4),
        status.starts % 2**16,
        _cut(status.restarts, 2),
        _cut(status.errors, 2),
        _cut(-(-status.memory_bytes // _MEBI), 2),
        _cut(status.free_bytes // _MEBI, 4),
        _cut(status.inbox, 2),
        *(_cut(round(status.seconds.get(name, 0.0) / _STAGE_UNIT_S), 2) for name in STAGES),
    )


def unpack_status(data: bytes) -> Status:
    """Decode the runtime's part.

    Raises:
        StreamError: it has another size or an unknown state.
    """
    if len(data) != _STATUS.size:
        raise StreamError("a housekeeping packet is not one known here; update FloodSat")
    model, code, state, flags, heat, *counts = _STATUS.unpack(data)
    uptime, starts, restarts, errors, memory, free, inbox, *times = counts
    if state not in State._value2member_map_:
        raise StreamError("a housekeeping packet is not one known here; update FloodSat")
    return Status(
        model_id=model,
        engine=ENGINES[code] if code < len(ENGINES) else ENGINES[0],
        state=State(state),
        flags=Flag(flags & _FLAGS),
        temperature_c=None if heat == _NO_TEMPERATURE else heat,
        uptime_s=uptime,
        starts=starts,
        restarts=restarts,
        errors=errors,
        memory_bytes=memory * _MEBI,
        free_bytes=free * _MEBI,
        inbox=inbox,
        seconds={name: round(time * _STAGE_UNIT_S, 2) for name, time in zip(STAGES, times)},
    )


def unpack(data: bytes) -> Housekeeping:
    """Decode a housekeeping packet's user data, of version 1 or 2.

    Raises:
        StreamError: it is not housekeeping of a version that is known here.
    """
    found = int.from_bytes(data[:1], "big")
    formats.HOUSEKEEPING.check(found, "a housekeeping packet", StreamError, "it is damaged")
    if len(data) == SIZE_1 and data[0] == 1:
        return Housekeeping(*_BODY_1.unpack(data)[1:])
    if len(data) != SIZE or data[0] != VERSION:
        raise StreamError("a housekeeping packet is not one known here; update FloodSat")
    _, frames, alerts, products, size, chips, refused, evicted, told = _BODY.unpack(
        data[: _BODY.size]
    )
    if told > 1:
        raise StreamError("a housekeeping packet is not one known here; update FloodSat")
    status = unpack_status(data[_BODY.size :]) if told else None
    return Housekeeping(frames, alerts, products, size, chips, refused, evicted, status)


def to_json(state: Housekeeping) -> dict[str, Any]:
    """As plain JSON types."""
    row = asdict(state)
    if state.runtime is not None:
        row["runtime"]["model_id"] = state.runtime.model_id.hex()
        row["runtime"]["state"] = state.runtime.state.name.lower()
        row["runtime"]["flags"] = [
            name.lower() for name, one in Flag.__members__.items() if one & state.runtime.flags
        ]
    return row


def _cut(value: int, size: int) -> int:
    return min(max(value, 0), (1 << 8 * size) - 1)
