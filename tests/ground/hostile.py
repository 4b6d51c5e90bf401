"""Streams that mean harm, and what must hold of everything that reads them.

The fuzzers' shared ground: a stream as it was sent, ways to damage it at each layer with the
checksums of the layers below put right, and the check.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

from fastcrc import crc16

from ground.answers import report
from ground.memory import Memory
from ground.reassembly import Reassembly
from ground.receive import Reception, receive
from onboard.errors import StreamError
from onboard.link import alerts, cfdp, frames, housekeeping, packets, returns
from onboard.link.apid import Apid
from onboard.link.counters import Counters
from onboard.link.housekeeping import Housekeeping
from onboard.link.packets import Packet
from onboard.product import pack
from tests.products import make_product

LENGTH = 128
CADU = frames.cadu_length(LENGTH)
NOW = 1_700_000_000_000
PRODUCTS = [pack(make_product(seed, 12, 12)) for seed in (1, 2)]


def units() -> list[tuple[Apid, bytes]]:
    """User data of the packets of a pass: both classes, an alert, housekeeping."""
    told = b"\x02\x0f" + bytes(alerts.SIZE - 2)
    found = [(Apid.ALERT, told), (Apid.HOUSEKEEPING, housekeeping.pack(Housekeeping(1, 2, 3, 4)))]
    for number, data in enumerate(PRODUCTS):
        sent = cfdp.pdus(data, "f.fsp", number, 120, acknowledged=bool(number))
        found += [(Apid.CFDP, unit) for unit in sent]
    return [*found, (Apid.CFDP, cfdp.finished_ack(9, 0))]


def framed(sent: list[tuple[Apid, bytes]]) -> bytes:
    """A stream of them."""
    counters = Counters({"vc:0": 250, "apid:0x1f2": 16380})
    whole = [packets.pack(Packet(a, counters.packet(a), NOW, data)) for a, data in sent]
    return frames.cadus(whole, counters, LENGTH)


UNITS = units()
STREAM = framed(UNITS)


def mutate(data: bytes, rng: random.Random, most: int = 8) -> bytes:
    """Some of: flipped bits, noise, bytes lost, doubled or moved, an extreme number."""
    wrong = bytearray(data)
    for _ in range(rng.randint(1, most)):
        place, size = rng.randrange(len(wrong) + 1), rng.randint(1, 40)
        kind = rng.randrange(6)
        if kind == 0 and place < len(wrong):
            wrong[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            wrong[place : place + size] = rng.randbytes(size)
        elif kind == 2:
            del wrong[place : place + size]
        elif kind == 3:
            wrong[place:place] = wrong[place : place + size]
        elif kind == 4:
            piece = wrong[place : place + size]
            del wrong[place : place + size]
            other = rng.randrange(len(wrong) + 1)
            wrong[other:other] = piece
        else:
            value = rng.choice([0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF])
            wrong[place : place + 4] = struct.pack(">I", value)
    return bytes(wrong)


def damaged_stream(rng: random.Random) -> bytes:
    """Damage of the radio: nothing is put right."""
    return mutate(STREAM, rng)


def damaged_frames(rng: random.Random) -> bytes:
    """Damage within frames whose error control is right."""
    pieces = [STREAM[at : at + CADU] for at in range(0, len(STREAM), CADU)]
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(pieces))
        body = mutate(pieces[at][4:-2], rng, 3)[: LENGTH - 2].ljust(LENGTH - 2, b"\x55")
        pieces[at] = sealed_frame(body)
    rng.shuffle(pieces) if rng.random() < 0.1 else None
    return b"".join(pieces)


def damaged_packets(rng: random.Random) -> bytes:
    """Damage within packets whose CRC is right."""
    counters, whole = Counters(), []
    for apid, data in UNITS:
        packet = packets.pack(Packet(apid, counters.packet(apid), NOW, data))
        if rng.random() < 0.3:
            body = mutate(packet[:-2], rng, 2)
            packet = body + int(crc16.ibm_3740(body)).to_bytes(2, "big")
        whole.append(packet)
    return frames.cadus(whole, counters, LENGTH)


def damaged_units(rng: random.Random) -> bytes:
    """Damage within CFDP units, alerts and housekeeping, in packets that are right."""
    sent = [
        (apid, (mutate(data, rng, 2) or b"\0") if rng.random() < 0.3 else data)
        for apid, data in UNITS
    ]
    rng.shuffle(sent) if rng.random() < 0.3 else None
    return framed(sent)


DAMAGE: list[Callable[[random.Random], bytes]] = [
    damaged_stream,
    damaged_frames,
    damaged_packets,
    damaged_units,
]


def sealed_frame(body: bytes) -> bytes:
    """A CADU of these bytes with the right error control."""
    return frames.SYNC_MARKER + body + int(crc16.ibm_3740(body)).to_bytes(2, "big")


def check_stream(stream: bytes, own: bool = True, radio: bool = False) -> Reception | None:
    """Receive it: no error but the one that says what is wrong, and nothing damaged.

    Args:
        stream: of frames of `LENGTH` bytes.
        own: whether it was made of `STREAM`, so that only `PRODUCTS` can be in it.
        radio: whether only checksums stand between the damage and what is accepted.
    """
    memory = Memory()
    try:
        reception = receive(stream, memory=memory, frame_length=LENGTH)
    except StreamError:
        return None
    found = reception.report
    found.to_json()
    assert found.bytes == len(stream)
    assert found.frames * CADU + found.bytes_skipped <= found.bytes
    if own:
        assert {data for data, _ in reception.products} <= set(PRODUCTS)
    if radio:
        assert {alerts.pack(alert) for alert in reception.alerts} <= {UNITS[0][1]}
        assert set(reception.housekeeping) <= {Housekeeping(1, 2, 3, 4)}
        assert not found.units_bad
        assert not found.packets_unknown
    memory.keep(reception.files)
    check_answers(report(reception.files, NOW)[0], damaged=False)
    return reception


def check_answers(stream: bytes, damaged: bool = True) -> None:
    """Read a return stream; what our own ground wrote is read whole."""
    try:
        found = returns.unpack(stream)
    except StreamError:
        assert damaged
        return
    assert damaged or (found.bytes_skipped, found.units_bad) == (0, 0)


def check_units(data: bytes) -> None:
    """Length-prefixed units straight into the reassembly."""
    files = Reassembly(max_open=8, max_held=1 << 20)
    at = 0
    while at + 2 <= len(data):
        size = int.from_bytes(data[at : at + 2], "big")
        file = files.add(data[at + 2 : at + 2 + size], NOW)
        assert file is None or len(file.data) <= len(data)
        at += 2 + size
    files.unfinished()
    Memory().keep(files)
    check_answers(report(files, NOW)[0], damaged=False)


def check_frames(data: bytes) -> None:
    """Pieces as bodies of frames, each with a right error control."""
    step = LENGTH - 2
    pieces = [data[at : at + step].ljust(step, b"\x55") for at in range(0, len(data), step)]
    check_stream(b"".join(map(sealed_frame, pieces)), own=False)


def check_return_units(data: bytes) -> None:
    """One unit in a return packet with a right CRC."""
    if data:
        check_answers(returns.pack([data[: returns.MAX_PACKET]], NOW))


def check_input(data: bytes) -> None:
    """What the fuzzer made: the first byte chooses who reads the rest."""
    readers = [check_units, check_frames, check_return_units, check_answers]
    readers.append(lambda stream: check_stream(stream, own=False))
    if data:
        readers[data[0] % len(readers)](data[1:])


def corpus() -> list[bytes]:
    """Inputs to begin with: every reader gets something that is right."""
    sent = b"".join(len(unit).to_bytes(2, "big") + unit for _, unit in UNITS)
    bodies = b"".join(STREAM[at + 4 : at + CADU - 2] for at in range(0, len(STREAM), CADU))
    ground = Reassembly()
    for _, unit in UNITS[2:-3]:
        ground.add(unit, NOW)
    told = report(ground, NOW)[0]
    units = [bytes([2]) + packets.unpack(told, True).data] if told else []
    return [bytes([0]) + sent, bytes([1]) + bodies, *units, bytes([3]) + told, bytes([4]) + STREAM]
