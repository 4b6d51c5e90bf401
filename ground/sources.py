"""Sources: where a stream of frames is read from: a file, standard input or UDP datagrams."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

import click

from onboard.errors import ConfigError, StreamError

CHUNK = 1 << 20
DATAGRAM = 1 << 16
MAX_DATAGRAMS = 1 << 20
LOOPBACK = "127.0.0.1"
SCHEME = "udp"
BUFFER = 4 << 20
"""Bytes that the system is asked to hold while we are busy; it may grant less."""


class Address(NamedTuple):
    """Where to listen for datagrams."""

    host: str
    port: int


def chunks(name: str, seconds: float = 900.0, idle_seconds: float = 10.0) -> Iterator[bytes]:
    """The bytes of a stream, in order.

    Args:
        name: a path, ``-`` for standard input, or ``udp://[ADDRESS]:PORT``.
        seconds: how long to listen to UDP at most.
        idle_seconds: the silence that ends listening, once something was heard.

    Raises:
        StreamError: it cannot be read.
        ConfigError: the address makes no sense.
    """
    if name.startswith(f"{SCHEME}://"):
        return listen(address(name), seconds, idle_seconds)
    return _read(name)


def address(name: str) -> Address:
    """Where ``udp://[ADDRESS]:PORT`` says to listen; loopback where it gives no address.

    Raises:
        ConfigError: there is no port in it, or more than address and port.
    """
    parts = urlsplit(name)
    try:
        host, port = parts.hostname or LOOPBACK, parts.port
    except ValueError:
        host, port = "", None
    if parts.scheme != SCHEME or not port or parts.path or parts.query or parts.username:
        raise ConfigError(f"{name}: give it as udp://127.0.0.1:PORT")
    return Address(host, port)


def _read(name: str) -> Iterator[bytes]:
    try:
        with click.open_file(name, "rb") as source:
            while chunk := source.read(CHUNK):
                yield chunk
    except OSError as error:
        raise StreamError(
            f"{name}: cannot be read ({error.strerror}); name the file of a recorded pass"
        ) from error


def listen(where: Address, seconds: float, idle_seconds: float) -> Iterator[bytes]:
    """Datagrams in order of arrival, until silence, the time or `MAX_DATAGRAMS` ends it.

    Each should hold whole frames with their sync markers; one that is lost is then a gap.
    """
    with contextlib.closing(_bound(where)) as receiver:
        end = time.monotonic() + seconds
        for count in range(MAX_DATAGRAMS):
            left = end - time.monotonic()
            if left <= 0:
                return
            receiver.settimeout(left if count == 0 else min(left, idle_seconds))
            try:
                yield receiver.recv(DATAGRAM)
            except TimeoutError:
                return
            except OSError as error:
                raise _unusable(where, error) from error


def _bound(where: Address) -> socket.socket:
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    try:
        receiver.bind(where)
    except OSError as error:
        receiver.close()
        raise _unusable(where, error) from error
    return receiver


def _unusable(where: Address, error: OSError) -> StreamError:
    return StreamError(
        f"udp://{where.host}:{where.port}: cannot listen there ({error.strerror or error}); "
        "choose a free port of this machine"
    )
