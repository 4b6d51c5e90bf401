from __future__ import annotations

import io
import socket
import threading

import pytest

from ground import sources
from ground.sources import Address
from onboard.errors import ConfigError, StreamError


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((sources.LOOPBACK, 0))
        return probe.getsockname()[1]


def sending(port, datagrams, stop):
    """Send until the listener has what it needs: it may not be there yet."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        while not stop.wait(0.02):
            for one in datagrams:
                sender.sendto(one, (sources.LOOPBACK, port))


def test_a_file(tmp_path):
    (tmp_path / "pass.bin").write_bytes(b"abc")
    assert list(sources.chunks(str(tmp_path / "pass.bin"))) == [b"abc"]


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(StreamError, match=r"none\.bin: cannot be read .* name the file"):
        list(sources.chunks(str(tmp_path / "none.bin")))


def test_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"abc")))
    assert b"".join(sources.chunks("-")) == b"abc"


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("udp://127.0.0.1:4711", Address("127.0.0.1", 4711)),
        ("udp://:4711", Address("127.0.0.1", 4711)),
        ("udp://0.0.0.0:1", Address("0.0.0.0", 1)),
    ],
)
def test_addresses(name, where):
    assert sources.address(name) == where


@pytest.mark.parametrize(
    "name",
    [
        "udp://",
        "udp://host",
        "udp://:0",
        "udp://:99999",
        "udp://:x",
        "udp://h:1/path",
        "udp://u@h:1",
    ],
)
def test_addresses_that_make_no_sense(name):
    with pytest.raises(ConfigError, match=r"give it as udp://127\.0\.0\.1:PORT"):
        list(sources.chunks(name))


def test_datagrams_are_the_chunks_and_silence_ends_them():
    port, stop = free_port(), threading.Event()
    thread = threading.Thread(target=sending, args=(port, [b"one", b"two"], stop))
    thread.start()
    try:
        found = []
        for chunk in sources.listen(Address(sources.LOOPBACK, port), 60, 0.5):
            found.append(chunk)
            if len(found) == 6:
                stop.set()
    finally:
        stop.set()
        thread.join()
    assert len(found) >= 6
    assert set(found) == {b"one", b"two"}


def test_the_time_is_bounded_where_nothing_comes():
    assert list(sources.listen(Address(sources.LOOPBACK, free_port()), 0.05, 60)) == []


def test_the_count_is_bounded(monkeypatch):
    monkeypatch.setattr(sources, "MAX_DATAGRAMS", 3)
    port, stop = free_port(), threading.Event()
    thread = threading.Thread(target=sending, args=(port, [b"x"], stop))
    thread.start()
    try:
        assert len(list(sources.listen(Address(sources.LOOPBACK, port), 60, 60))) == 3
    finally:
        stop.set()
        thread.join()


def test_a_port_that_is_taken():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((sources.LOOPBACK, 0))
        port = other.getsockname()[1]
        with pytest.raises(StreamError, match=f"udp://127.0.0.1:{port}: cannot listen there"):
            list(sources.listen(Address(sources.LOOPBACK, port), 1, 1))
