"""Training on several workers: what comes out is what one worker gives, killed workers or not."""

from __future__ import annotations

import csv
import dataclasses
import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onboard.sensor import VNIR4
from tests.samples import CHIPS, ROOT
from training import clouds, crew, fit
from training.chips import ChipFolder
from training.config import TrainConfig

CONFIG = TrainConfig(
    epochs=2, batch_size=4, crop=64, widths=(2, 3, 3), per_chip=True, length_scale=1.0
)


@pytest.fixture(scope="module", autouse=True)
def few_skies() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clouds, "make_bank", partial(clouds.make_bank, skies=3))
        yield


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same training by one worker."""
    run = tmp_path_factory.mktemp("alone") / "run"
    fit.fit([ChipFolder.open(CHIPS)], VNIR4, CONFIG, run)
    return run


def weights(run: Path) -> dict[str, Any]:
    with np.load(run / "weights.npz") as arrays:
        return dict(arrays)


def history(run: Path) -> list[dict[str, float]]:
    with (run / "history.csv").open(encoding="utf-8", newline="") as lines:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(lines)]


def together(
    folder: Path, monkeypatch: pytest.MonkeyPatch, workers: int, doomed: int
) -> tuple[Path, list[str]]:
    """A training by several workers, one of which is killed; -1 spares all."""
    folder.mkdir(exist_ok=True)
    config, run, lines = folder / "c.toml", folder / "run", list[str]()
    config.write_text(dataclasses.replace(CONFIG, per_chip=False).to_toml(), "utf-8")
    script = (sys.executable, "-m", "tests.training.doomed", str(doomed), str(folder / "killed"))
    monkeypatch.setattr(crew, "PROGRAM", script)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    arguments = ["train", str(CHIPS), "--out", str(run), "--config", str(config)]
    crew.train(arguments, workers, run / "checkpoint.npz", lines.append)
    assert (folder / "killed").exists() == (doomed >= 0)
    return run, lines


def same(one: Path, other: Path, atol: float) -> None:
    first, second = weights(one), weights(other)
    assert set(first) == set(second)
    for name in first:
        np.testing.assert_allclose(first[name], second[name], rtol=0, atol=atol, err_msg=name)
    for row, like in zip(history(one), history(other), strict=True):
        assert row == pytest.approx(like, abs=1e-3 if atol else 0)
    records = [json.loads((run / "run.json").read_text("utf-8")) for run in (one, other)]
    for key in ("config", "data", "normalisation", "kept", "train_chips"):
        assert records[0][key] == records[1][key], key
    assert {p.name for p in one.iterdir()} == {p.name for p in other.iterdir()}


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_two_workers_learn_what_one_learns(
    alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whether one begins again, its port taken by then, makes no difference.
    run, _ = together(tmp_path / "two", monkeypatch, 2, doomed=-1)
    same(alone, run, atol=1e-4)
    # Each chip of a batch has draws of its own, or they could not share it.
    assert TrainConfig.read(run / "config.toml").per_chip


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_killed_worker_or_chief_changes_no_bit(
    alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = together(tmp_path / "whole", monkeypatch, 2, doomed=-1)
    same(alone, whole, atol=1e-4)
    for doomed in (0, 1):
        run, lines = together(tmp_path / str(doomed), monkeypatch, 2, doomed)
        assert any(f"worker {doomed} was lost (signal 9)" in line for line in lines)
        same(whole, run, atol=0)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_shares_of_unequal_size(
    alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three workers share batches of four chips."""
    run, _ = together(tmp_path / "three", monkeypatch, 3, doomed=2)
    same(alone, run, atol=1e-4)
