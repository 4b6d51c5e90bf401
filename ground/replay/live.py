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
        stream: frames that arrived.
        idle: idle frames behind them.
        begin_s: simulated seconds from the start at which the first bit is sent.
        idle_s: at which the first idle one is.
        frame_s: that a frame takes.
    """

    contact: Contact
    stream: bytes
    idle: int
    begin_s: float
    idle_s: float
    frame_s: float

    @property
    def recorded(self) -> int:
        """Frames that arrived."""
        return len(self.stream) // CADU

    def bursts(self, counters: Counters, speed: float) -> Iterator[Burst]:
        """Everything in order of time.

        Args:
            counters: of idle frames, kept from one pass to the next; they move on.
            speed: simulated seconds in a real one; a faster link puts more frames into a datagram.
        """
        each = max(1, min(_MOST, int(_TICK_S * speed / self.frame_s)))
        for first in range(0, self.recorded, each):
            data = self.stream[first * CADU : (first + each) * CADU]
            yield Burst(self.begin_s + (first * CADU + len(data)) / CADU * self.frame_s, data)
        for first in range(0, self.idle, each):
            data = frames.idle_cadus(min(each, self.idle - first), counters)
            yield Burst(self.idle_s + (first * CADU + len(data)) / CADU * self.frame_s, data)


def passes(replay: Replay, folder: Path) -> Iterator[Pass]:
    """The contacts of a replay in which the satellite was on the air, in order of time.

    Args:
        replay: that was run.
        folder: which holds its streams.

    Raises:
        ConfigError: a recorded stream is not there.
    """
    rates = {one.name: one.down_bps for one in replay.stations}
    for contact in replay.contacts:
        if contact.begin_ms is None:
            continue
        stream = _recorded(contact, folder)
        frame_s = 8 * CADU / rates[contact.station]
        begin = (contact.begin_ms - replay.span.start_ms) / 1000
        sent = max(len(stream) // CADU, contact.frames_sent)
        # Not until the loss of signal where power went before.
        room = contact.capacity_bytes // CADU
        yield Pass(contact, stream, max(0, room - sent), begin, begin + sent * frame_s, frame_s)


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


class Pace:
    """Real time beside the simulated one.

    Args:
        speed: simulated seconds in a real one.
        longest_gap_s: real seconds to which longer silences, before the first burst too, are cut;
            None cuts none.
        now: the real time, seconds.
        sleep: waits real seconds.
    """

    def __init__(
        self,
        speed: float,
        longest_gap_s: float | None = None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._speed, self._longest, self._now, self._sleep = speed, longest_gap_s, now, sleep
        # The real time at which the simulated one began; with every cut it moves back.
        self._began = now()

    def wait(self, at_s: float) -> None:
        """Wait until a simulated time, seconds from the start, has come."""
        left = self._began + at_s / self._speed - self._now()
        if self._longest is not None and left > self._longest:
            self._began -= left - self._longest
            left = self._longest
        if left > 0:
            self._sleep(left)


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

    def send(self, bursts: Iterable[Burst], pace: Pace) -> None:
        """Send every burst when its time has come.

        Raises:
            OutputError: the network does not take the datagrams.
        """
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as link:
            for burst in bursts:
                pace.wait(burst.at_s)
                try:
                    link.sendto(burst.data, self._to)
                except ConnectionRefusedError:
                    # Nobody listens yet, or no more. A satellite does not know either.
                    continue
                except OSError as error:
                    raise OutputError(
                        f"{self.where}: cannot be sent to ({error.strerror or error}); give an "
                        "address that this machine reaches"
                    ) from error


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
