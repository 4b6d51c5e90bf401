"""``floodsat train`` on several workers: what is refused, before anything is computed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onboard.cli import run
from onboard.errors import ConfigError
from onboard.network import Network
from onboard.normalise import Normalisation
from onboard.sensor import VNIR4
from tests.samples import CHIPS
from training import crew
from training.chips import ChipFolder
from training.config import TrainConfig
from training.stream import ChipRef, TrainingStream

CLUSTER = json.dumps(
    {"cluster": {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}, "task": {"type": "worker", "index": 0}}
)


@pytest.fixture(autouse=True)
def nobody_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)

    def fail(*given: Any) -> None:
        pytest.fail("workers were started")

    monkeypatch.setattr(crew, "train", fail)


def refused(capfd: Any, out: Path, *arguments: str) -> str:
    assert run(["train", str(CHIPS), "--out", str(out), *arguments]) == 2
    assert not out.exists()
    return str(capfd.readouterr().err)


def test_more_workers_than_chips_in_a_batch(tmp_path: Path, capfd: Any) -> None:
    said = refused(capfd, tmp_path / "run", "--workers", "13")
    assert said.splitlines() == [
        "floodsat: 13 workers cannot share a batch of 12 chips; take fewer, or a larger batch_size"
    ]


def test_workers_named_twice(tmp_path: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", CLUSTER)
    said = refused(capfd, tmp_path / "run", "--workers", "2")
    assert said.splitlines() == [
        "floodsat: --workers: TF_CONFIG names the workers already; give one of the two"
    ]


@pytest.mark.parametrize("by", ["option", "variable"])
def test_folds_are_not_shared(
    tmp_path: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    if by == "variable":
        monkeypatch.setenv("TF_CONFIG", CLUSTER)
    more = ["--workers", "2"] if by == "option" else []
    said = refused(capfd, tmp_path / "run", "--folds", "2", *more)
    assert "--folds trains in one process; leave --workers and TF_CONFIG out" in said


def test_a_broken_variable(tmp_path: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", "worker1:2222")
    said = refused(capfd, tmp_path / "run")
    assert said.startswith("floodsat: TF_CONFIG: is no cluster of workers")
    assert said.count("\n") == 1


def test_workers_get_the_command_without_their_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(crew, "train", lambda *given: asked.append(given[:3]))
    config, out = tmp_path / "c.toml", tmp_path / "run"
    config.write_text("batch_size = 3\n", "utf-8")
    arguments = ["train", str(CHIPS), "--out", str(out), "--config", str(config)]
    assert run([*arguments, "--workers", "3", "--wait", "9"]) == 0
    ((given, count, mark),) = asked
    assert (count, mark) == (3, out / "checkpoint.npz")
    assert sorted(given) == sorted([*arguments, "--sensor", "vnir4", "--wait", "9.0"])


def test_shares_are_together_the_batch_whatever_their_number() -> None:
    folder = ChipFolder.open(CHIPS)
    refs = [ChipRef(folder, chip) for chip in folder.ids[:7]]
    network = Network(widths=(2, 3, 3))
    plain = Normalisation((0.1,) * 4, (0.1,) * 4)
    config = TrainConfig(batch_size=5, crop=32, widths=(2, 3, 3), clouds=0.0, per_chip=True)

    def chips(count: int) -> list[str]:
        found = []
        for part in range(count):
            stream = TrainingStream(refs, VNIR4, network, plain, config, (part, count))
            stream.epoch = 3
            inputs, target = stream[1]
            for i in range(len(target)):
                arrays = [inputs[name][i] for name in sorted(inputs)] + [target[i]]
                found.append(hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest())
        return sorted(found)

    whole = chips(1)
    assert len(set(whole)) == 5
    for count in (2, 3, 5):
        assert chips(count) == whole
    with pytest.raises(ValueError, match="per_chip"):
        TrainingStream(refs, VNIR4, network, plain, TrainConfig(), (0, 2))


def test_who_has_other_chips_is_named() -> None:
    from training.cluster import Cluster
    from training.group import Group

    class Told(Group):
        """The second of three workers, without the others."""

        def __init__(self, others: list[bytes]) -> None:
            self.index, self.count = 1, 3
            self._cluster = Cluster(("a:1", "b:2", "c:3"), 1)
            self._others = others

        def sum(self, array: Any) -> Any:
            given = np.array([list(other) for other in self._others], array.dtype)
            return array + given * (np.arange(3) != self.index)[:, None]

    Told([b"same"] * 3).agree("chips", b"same")
    with pytest.raises(ConfigError, match="worker 2 at c:3 has other chips than the chief"):
        Told([b"same", b"same", b"othe"]).agree("chips", b"same")
    with pytest.raises(ConfigError, match="worker 1 at b:2 has other chips than the chief"):
        Told([b"othe", b"same", b"othe"]).agree("chips", b"same")
