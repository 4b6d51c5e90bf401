"""Live: the streams of a replay sent as datagrams, at the pace at which a station hears them.

What is played is what arrived in each contact, recorded by the replay, frame by frame at the
station's rate. Where nothing was left to send, idle frames follow until the loss of signal, as
from a radio at a fixed rate; between contacts there is silence. Two things are not as they were:
frames that were lost leave their silence behind those that arrived, not among them; and UDP has
no way to wait for a receiver, so one that is too slow for the speed loses frames.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ground.replay.result import Contact, Replay
from ground.sources import Address, address
from onboard.errors import ConfigError, OutputError
from onboard.link import frames
from onboard.link.counters import Counters

CADU = frames.cadu_length()
MAX_SPEED = 10_000.0
_TICK_S = 0.02
"""Real seconds of frames that go in one datagram, so that a fast link needs fewer."""
_MOST = 28
"""Frames in one datagram, at most: 31 kB."""


class Burst(NamedTuple):
    """Whole frames that go in one datagram.

    Attributes:
        at_s: simulated seconds from the start at which the last bit of them is there.
        data: the frames, with sync markers.
    """

    at_s: float
    data: bytes


@dataclass(frozen=True)
class Pass:
    """One contact as it is played.

    Attributes:
        contact: of the replay.
        recorded: frames that arrived.
        idle: idle frames behind them.
        bursts: all of them in order of time.
    """

    contact: Contact
    recorded: int
    idle: int
    bursts: tuple[Burst, ...]


def passes(replay: Replay, folder: Path, speed: float) -> Iterator[Pass]:
    """The contacts of a replay in which the satellite was on the air, in order of time.

    Args:
        replay: that was run.
        folder: which holds its streams.
        speed: simulated seconds in a real one; it decides how many frames go in a datagram.

    Raises:
        ConfigError: a recorded stream is not there.
    """
    rates = {one.name: one.down_bps for one in replay.stations}
    counters = Counters()
    for contact in replay.contacts:
        if contact.begin_ms is not None:
            stream = _recorded(contact, folder)
            yield _pass(contact, stream, rates[contact.station], replay, counters, speed)


def _recorded(contact: Contact, folder: Path) -> bytes:
    if contact.stream is None:
        return b""
    path = folder / contact.stream
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{path}: the stream of contact {contact.number} cannot be read "
            f"({error.strerror or error}); run the replay anew"
        ) from error


def _pass(
    contact: Contact, stream: bytes, bps: float, replay: Replay, counters: Counters, speed: float
) -> Pass:
    assert contact.begin_ms is not None
    begin = (contact.begin_ms - replay.span.start_ms) / 1000
    room = int((contact.los_ms - contact.begin_ms) / 1000 * bps // (8 * CADU))
    arrived = len(stream) // CADU
    sent = max(arrived, contact.frames_sent)
    idle = max(0, room - sent)
    frame_s = 8 * CADU / bps
    each = max(1, min(_MOST, int(_TICK_S * speed / frame_s)))
    bursts = [
        *_bursts(stream, begin, frame_s, each),
        *_bursts(frames.idle_cadus(idle, counters), begin + sent * frame_s, frame_s, each),
    ]
    return Pass(contact, arrived, idle, tuple(bursts))


def _bursts(stream: bytes, begin: float, frame_s: float, each: int) -> Iterator[Burst]:
    for start in range(0, len(stream), each * CADU):
        data = stream[start : start + each * CADU]
        yield Burst(begin + (start + len(data)) / CADU * frame_s, data)


def play(
    bursts: Iterable[Burst],
    send: Callable[[bytes], None],
    speed: float,
    longest_gap_s: float | None = None,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Send every burst when its time has come.

    Args:
        bursts: in order of time.
        send: takes what goes in one datagram.
        speed: simulated seconds in a real one.
        longest_gap_s: real seconds to which longer silences, before the first burst too, are cut;
            None cuts none.
        now: the real time, seconds.
        sleep: waits real seconds.
    """
    # The time at which the simulated one began; it moves back with every cut.
    began = now()
    for burst in bursts:
        wait = began + burst.at_s / speed - now()
        if longest_gap_s is not None and wait > longest_gap_s:
            began -= wait - longest_gap_s
            wait = longest_gap_s
        if wait > 0:
            sleep(wait)
        send(burst.data)


class Sender:
    """Sends datagrams to one address.

    Args:
        where: as ``udp://127.0.0.1:PORT``.
        anywhere: whether it may be another machine.

    Raises:
        ConfigError: the address makes no sense, or is another machine's.
    """

    def __init__(self, where: str, anywhere: bool = False) -> None:
        self._to: Address = address(where)
        if not anywhere and not _is_here(self._to.host):
            raise ConfigError(
                f"{where}: is not this machine; give udp://127.0.0.1:PORT, or --anywhere to send "
                "to another one"
            )
        self.where = where

    def play(self, bursts: Iterable[Burst], speed: float, longest_gap_s: float | None) -> None:
        """`play` to this address.

        Raises:
            OutputError: the network does not take the datagrams.
        """
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as link:

            def send(data: bytes) -> None:
                try:
                    link.sendto(data, self._to)
                except ConnectionRefusedError:
                    # Nobody listens yet, or no more. A satellite does not know either.
                    pass
                except OSError as error:
                    raise OutputError(
                        f"{self.where}: cannot be sent to ({error.strerror or error}); give an "
                        "address that this machine reaches"
                    ) from error

            play(bursts, send, speed, longest_gap_s)


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
