"""A cluster: the addresses of the processes that train one network together, and which one this is.

Said by ``TF_CONFIG``, the variable that TensorFlow, Kubernetes and the training services of the
clouds use: ``{"cluster": {"worker": ["host:port", …]}, "task": {"type": "worker", "index": 0}}``.
The first worker is the *chief*: it alone writes.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from onboard.errors import ConfigError

VARIABLE = "TF_CONFIG"
CHIEF = 0
TRY_S = 2.0
PAUSE_S = 0.25


class Cluster(NamedTuple):
    """Who trains together.

    Attributes:
        addresses: ``host:port`` of every worker, the chief's first.
        task: number of this one among them, from 0.
    """

    addresses: tuple[str, ...]
    task: int

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Cluster | None:
        """What ``TF_CONFIG`` says; None where it names one worker or none.

        Raises:
            ConfigError: it is no such description.
        """
        text = environment.get(VARIABLE, "")
        if not text.strip():
            return None
        try:
            said: dict[str, Any] = json.loads(text)
            listed: dict[str, list[str]] = dict(said.get("cluster", {}))
            addresses = (*listed.pop("chief", []), *listed.pop("worker", []))
            if len(addresses) < 2 and not listed:
                return None
            index = _index(said)
            if listed or not 0 <= index < len(addresses):
                raise ValueError(f"task {said['task']} of {said['cluster']}")
            for address in addresses:
                split(address)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{VARIABLE}: is no cluster of workers ({error!r}); write "
                '{"cluster": {"worker": ["host:port", …]}, "task": {"type": "worker", "index": 0}}'
            ) from error
        if len(set(addresses)) < len(addresses):
            raise ConfigError(f"{VARIABLE}: names an address twice; give every worker its own")
        return cls(addresses, index)

    @property
    def chief(self) -> bool:
        """Whether this is the worker that writes."""
        return self.task == CHIEF

    def variable(self, index: int) -> str:
        """``TF_CONFIG`` for one of its workers."""
        task = {"type": "worker", "index": index}
        return json.dumps({"cluster": {"worker": list(self.addresses)}, "task": task})

    def wait_for_others(self, seconds: float) -> None:
        """Return once every other worker listens.

        Raises:
            ConfigError: one does not within ``seconds``.
        """
        end = time.monotonic() + seconds
        for index, address in enumerate(self.addresses):
            while index != self.task and not _listens(address):
                if time.monotonic() > end:
                    raise ConfigError(
                        f"worker {index} at {address} does not answer within {seconds:g} s; start "
                        "the same command there too, and let its port through"
                    )
                time.sleep(PAUSE_S)


def _index(said: dict[str, Any]) -> int:
    task = said["task"]
    before = {"chief": 0, "worker": len(said["cluster"].get("chief", []))}
    return before[task["type"]] + int(task["index"])


def split(address: str) -> tuple[str, int]:
    """Host and port of ``host:port``.

    Raises:
        ValueError: it is nothing of that kind.
    """
    host, _, port = address.rpartition(":")
    if not host or not 0 < int(port) < 65536:
        raise ValueError(f"{address!r} is no host:port")
    return host, int(port)


def _listens(address: str) -> bool:
    try:
        with socket.create_connection(split(address), TRY_S):
            return True
    except OSError:
        return False


def local(workers: int) -> Cluster:
    """A cluster of this machine alone, on ports that are free at the moment."""
    sockets = [socket.socket() for _ in range(workers)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return Cluster(tuple(f"127.0.0.1:{each.getsockname()[1]}" for each in sockets), CHIEF)
    finally:
        for each in sockets:
            each.close()
