from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from onboard import bundle, golden, slots
from onboard.errors import BundleError, EngineError
from tests.onboard.test_bundle import resign
from tests.samples import BUNDLE


def test_install_alternates_and_rolls_back(tmp_path: Path) -> None:
    assert slots.active(tmp_path) is None
    assert [slots.install(BUNDLE, tmp_path, "tflite", None) for _ in range(3)] == ["a", "b", "a"]
    assert slots.active(tmp_path) == "a"
    assert slots.rollback(tmp_path, "tflite", None) == "b"
    assert slots.active(tmp_path) == "b"
    assert slots.load_active(tmp_path, "tflite", None).path == tmp_path / "b"


def test_only_what_the_engine_needs_is_copied(tmp_path: Path) -> None:
    slots.install(BUNDLE, tmp_path, "tflite", None)
    assert not (tmp_path / "a" / "reference").exists()


def test_a_damaged_bundle_leaves_the_old_one_active(tmp_path: Path) -> None:
    slots.install(BUNDLE, tmp_path / "slots", "tflite", None)
    bad = Path(shutil.copytree(str(BUNDLE), str(tmp_path / "bad")))
    model = bad / "tflite" / "k1.tflite"
    model.write_bytes(model.read_bytes()[:-1] + b"\xff")
    with pytest.raises(BundleError, match="damaged"):
        slots.install(bad, tmp_path / "slots", "tflite", None)
    assert slots.active(tmp_path / "slots") == "a"
    assert sorted(p.name for p in (tmp_path / "slots").iterdir()) == ["a", "active"]


def test_a_bundle_that_computes_something_else_is_not_activated(tmp_path: Path) -> None:
    """Rightly signed, but its golden tile does not come out: another model id, other masks."""
    bad = Path(shutil.copytree(str(BUNDLE), str(tmp_path / "bad")))
    manifest = json.loads((bad / bundle.MANIFEST).read_text("utf-8"))
    resign(bad, {**manifest, "model_id": "00" * 32})
    with pytest.raises(EngineError, match="golden tile differs"):
        slots.install(bad, tmp_path / "slots", "tflite", None)
    assert list((tmp_path / "slots").iterdir()) == []


def test_nothing_installed(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="holds no bundle"):
        slots.load_active(tmp_path, "tflite", None)
    slots.install(BUNDLE, tmp_path, "tflite", None)
    with pytest.raises(BundleError, match="no earlier bundle"):
        slots.rollback(tmp_path, "tflite", None)


def test_a_damaged_slot_is_not_rolled_back_to(tmp_path: Path) -> None:
    for _ in range(2):
        slots.install(BUNDLE, tmp_path, "tflite", None)
    model = tmp_path / "a" / "tflite" / "k1.tflite"
    model.write_bytes(model.read_bytes()[:-1] + b"\xff")
    with pytest.raises(BundleError, match="damaged"):
        slots.rollback(tmp_path, "tflite", None)
    assert slots.active(tmp_path) == "b"


def test_the_golden_tile_runs_on_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tested = []

    def check(loaded: bundle.Bundle, *_: object) -> float:
        tested.append(loaded.path)
        return 0.0

    monkeypatch.setattr(golden, "check", check)
    slots.install(BUNDLE, tmp_path, "tflite", None)
    assert [path.parent for path in tested] == [tmp_path]


@pytest.mark.parametrize("text", ["c\n", "", "ab"])
def test_a_damaged_marker(tmp_path: Path, text: str) -> None:
    (tmp_path / slots.ACTIVE).write_text(text, "ascii")
    with pytest.raises(BundleError, match="names no slot"):
        slots.active(tmp_path)
