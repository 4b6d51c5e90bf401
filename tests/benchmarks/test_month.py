"""The month of replay in ``floodsat bench``, on the shipped minute."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import month
from tests.samples import ROOT


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_without_a_cache_it_says_how_to_measure() -> None:
    found = month.figure(None)
    assert found.value is None
    assert "--replay" in found.note
    assert found.verdict == "≤ 60 s: not measured"


def test_it_plays_the_scenario_and_fills_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(month, "SCENARIO", ROOT / "data_samples" / "scenarios" / "minute.toml")
    found = month.figure(tmp_path / "cache")
    assert found.value is not None
    assert list((tmp_path / "cache" / "maps").glob("*.npz"))


def test_a_replay_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(month, "SCENARIO", tmp_path / "none.toml")
    with pytest.raises(month.ReplayError, match=r"none\.toml: .*none\.toml"):
        month.seconds(tmp_path / "cache")
