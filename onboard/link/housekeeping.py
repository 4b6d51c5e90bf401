"""Housekeeping: one packet a pass that says how full the outbox is."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from onboard.errors import StreamError

VERSION = 1
_BODY = struct.Struct(">BIIIQ")
SIZE = _BODY.size


@dataclass(frozen=True)
class Housekeeping:
    """The state of the outbox before the pass.

    Attributes:
        frames: frames processed so far.
        alerts, products: waiting to be sent.
        product_bytes: size of the waiting products together.
    """

    frames: int
    alerts: int
    products: int
    product_bytes: int


def pack(state: Housekeeping) -> bytes:
    """The state as user data of a packet: ``SIZE`` bytes."""
    return _BODY.pack(VERSION, state.frames, state.alerts, state.products, state.product_bytes)


def unpack(data: bytes) -> Housekeeping:
    """Decode a housekeeping packet's user data.

    Raises:
        StreamError: it is not housekeeping of a version that is known here.
    """
    if len(data) != SIZE or data[0] != VERSION:
        raise StreamError("a housekeeping packet is not one known here; update FloodSat")
    _, frames, alerts, products, product_bytes = _BODY.unpack(data)
    return Housekeeping(frames, alerts, products, product_bytes)
