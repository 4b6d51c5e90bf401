"""What a second worker brings: how it is reckoned, with the measuring itself left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import scaling
from benchmarks.scaling import Scaling
from onboard.errors import MissingPackageError
from tests.samples import BUNDLE


def found(two: float, load: float = 0.0) -> Scaling:
    return Scaling([4.0, 9.0, 4.0], [two, two, 9.0], [4.0] * 3, [4.4] * 3, 6, load)


def test_efficiency_is_of_the_medians() -> None:
    assert found(2.0).efficiency == 100.0
    assert found(2.5).efficiency == 80.0
    assert found(2.0).work == pytest.approx(1.1)


@pytest.mark.parametrize(("two", "holds"), [(2.0, True), (2.35, True), (2.4, False)])
def test_the_bound_is_held(two: float, holds: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "measure", lambda *_: found(two))
    monkeypatch.setattr(scaling.os, "cpu_count", lambda: 2)
    first, work, rate = scaling.figures(BUNDLE, "tflite", [], 0)
    assert first.holds is holds
    assert "load" not in first.note
    assert (work.bound, rate.bound) == (None, None)
    assert rate.value == pytest.approx(6 * 1024**2 / 1e6 / 4.0)


def test_a_machine_at_other_work_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "measure", lambda *_: found(2.0, load=7.25))
    monkeypatch.setattr(scaling.os, "cpu_count", lambda: 2)
    note = scaling.figures(BUNDLE, "tflite", [], 0)[0].note
    assert note.endswith("the machine was at other work, of load 7.2")


def test_one_core_measures_nothing_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling.os, "cpu_count", lambda: 1)
    (only,) = scaling.figures(BUNDLE, "tflite", [], 0)
    assert only.value is None
    assert only.note == "not measured: this machine has one core"


def test_without_dask_nothing_is_measured_and_the_cure_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(*_: object) -> Scaling:
        raise MissingPackageError("--cluster: needs the package 'distributed'")

    monkeypatch.setattr(scaling, "measure", missing)
    monkeypatch.setattr(scaling.os, "cpu_count", lambda: 2)
    (only,) = scaling.figures(BUNDLE, "tflite", [], 0)
    assert only.value is None
    assert only.note == "not measured: --cluster: needs the package 'distributed'"


def test_the_load_is_what_linux_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loadavg").write_text("0.52 0.58 0.59 1/467 12345\n")
    monkeypatch.setattr(scaling, "LOAD", tmp_path / "loadavg")
    assert scaling.load_of_a_minute() == 0.52
    monkeypatch.setattr(scaling, "LOAD", tmp_path / "none")
    assert scaling.load_of_a_minute() == 0.0
