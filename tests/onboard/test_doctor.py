"""The doctor: what it finds, and what it makes of machines that lack something."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from onboard import doctor
from onboard.cli import run
from onboard.doctor import State
from tests.onboard.bundles import spoil, varied
from tests.samples import BUNDLE


def test_the_default_engine_is_ready_here() -> None:
    found = doctor.engine("tflite", BUNDLE)
    assert found.state is State.READY
    assert "golden tile within" in found.text
    assert not found.cure


def test_a_damaged_bundle_is_broken_and_says_how(tmp_path: Path) -> None:
    bundle = varied(tmp_path / "bundle")
    spoil(bundle)
    found = doctor.engine("tflite", bundle)
    assert found.state is State.BROKEN
    assert "k1.tflite" in found.text


def test_an_engine_whose_process_dies_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.sys, "executable", "/bin/false")
    found = doctor.engine("tflite", BUNDLE)
    assert found.state is State.BROKEN
    assert "ended with 1" in found.text


def test_an_engine_that_never_answers_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "DEADLINE_S", 0.01)
    found = doctor.engine("reference", BUNDLE)
    assert found.state is State.BROKEN
    assert "no answer" in found.text


def test_a_stick_is_known_by_its_vendor(tmp_path: Path) -> None:
    for name, vendor in (("1-1", "8086"), ("1-2", "03e7")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "idVendor").write_text(vendor + "\n")
    assert doctor.stick(tmp_path).state is State.READY
    assert doctor.stick(tmp_path / "1-1").state is State.MISSING
    assert doctor.stick(tmp_path / "none").cure


def test_a_data_folder_with_a_part_of_the_sets_says_which(tmp_path: Path) -> None:
    assert doctor.data_folder(tmp_path / "none").state is State.MISSING
    (tmp_path / "dfc24").mkdir()
    assert "only dfc24" in doctor.data_folder(tmp_path).text
    for name in doctor.DATA_SETS:
        (tmp_path / name).mkdir(exist_ok=True)
    assert doctor.data_folder(tmp_path).state is State.READY


def test_an_extra_that_lacks_packages_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = doctor.Extra("moon", ("numpy", "no_such_package"), "landing", "make moon")
    monkeypatch.setattr(doctor, "EXTRAS", (extra,))
    (found,) = doctor.extras()
    assert found.state is State.MISSING
    assert "no_such_package" in found.text
    assert "numpy" not in found.text
    assert found.cure == "make moon"


def test_the_command_lists_all_and_writes_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor.engines, "LOADERS", {"tflite": ""})
    figures = tmp_path / "doctor.json"
    assert run(["doctor", "--bundle", str(BUNDLE), "--json", str(figures)]) == 0
    rows: list[dict[str, Any]] = json.loads(figures.read_text())
    shown = capsys.readouterr().out
    for row in rows:
        assert row["name"] in shown
        assert row["cure"] or row["state"] == "ready"


def test_something_broken_ends_with_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = doctor.Finding("engine x", State.BROKEN, "is broken", "mend it")
    monkeypatch.setattr(doctor, "examine", lambda bundle, data: [broken])
    with pytest.raises(SystemExit) as ended:
        run(["doctor", "--bundle", str(BUNDLE)])
    assert ended.value.code == 1
    assert "broken: engine x" in capsys.readouterr().err


def test_no_bundle_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--bundle", str(tmp_path / "none")]) == 2
    assert "--bundle" in capsys.readouterr().err
