from __future__ import annotations

import json
import socket

import pytest

from onboard.errors import ConfigError
from training import cluster
from training.cluster import Cluster

TWO = ("one:2222", "two:2222")


def said(cluster: object, task: object) -> dict[str, str]:
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}


def test_workers_are_read_and_written() -> None:
    mine = Cluster.of(said({"worker": list(TWO)}, {"type": "worker", "index": 1}))
    assert mine == Cluster(TWO, 1)
    assert not mine.chief
    assert Cluster.of({"TF_CONFIG": mine.variable(0)}) == Cluster(TWO, 0)
    assert Cluster(TWO, 0).chief


def test_a_chief_named_apart_is_the_first_worker() -> None:
    both = {"chief": ["one:2222"], "worker": ["two:2222"]}
    assert Cluster.of(said(both, {"type": "chief", "index": 0})) == Cluster(TWO, 0)
    assert Cluster.of(said(both, {"type": "worker", "index": 0})) == Cluster(TWO, 1)


@pytest.mark.parametrize("text", ["", " ", "{}", '{"cluster": {"worker": ["a:1"]}}'])
def test_one_worker_is_no_cluster(text: str) -> None:
    assert Cluster.of({"TF_CONFIG": text}) is None
    assert Cluster.of({}) is None


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "3",
        '{"cluster": 3}',
        '{"cluster": {"worker": ["a:1", "b:1"]}}',
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "ps", "index": 0}}',
        '{"cluster": {"worker": ["a:1", "b"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1", "b:0"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1", 3]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
    ],
)
def test_nonsense_is_one_line(text: str) -> None:
    with pytest.raises(ConfigError, match="TF_CONFIG: is no cluster of workers") as caught:
        Cluster.of({"TF_CONFIG": text})
    assert "\n" not in str(caught.value)


def test_an_address_is_named_once() -> None:
    with pytest.raises(ConfigError, match="names an address twice"):
        Cluster.of(said({"worker": ["a:1", "a:1"]}, {"type": "worker", "index": 1}))


def test_who_does_not_come_is_named() -> None:
    with socket.socket() as here:
        here.bind(("127.0.0.1", 0))
        port = here.getsockname()[1]
        address = f"127.0.0.1:{port}"
        lonely = Cluster(("127.0.0.1:1", address), 0)
        with pytest.raises(ConfigError, match=rf"worker 1 at {address} does not answer"):
            lonely.wait_for_others(0.1)
        here.listen()
        lonely.wait_for_others(60)


def test_local_ports_differ() -> None:
    found = cluster.local(5)
    assert found.chief
    assert len(set(found.addresses)) == 5
    assert all(cluster.split(address)[0] == "127.0.0.1" for address in found.addresses)
