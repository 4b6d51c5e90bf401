from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onboard import bundle, control, copies, engines, golden, keyring, signing, slots
from onboard.errors import BundleError, ConfigError, EngineError, UnavailableError
from tests.onboard.bundles import resign, spoil, varied
from tests.onboard.power import Cut, power_cut
from tests.samples import BUNDLE, ROOT


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
    assert not list((tmp_path / "slots").glob(".part-*"))
    assert not (tmp_path / "slots" / "b").exists()


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


# --- what is refused ---


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "slots"


def test_a_bundle_for_another_sensor(folder: Path, tmp_path: Path) -> None:
    slots.install(BUNDLE, folder, "tflite")
    sensor = {**bundle.load(BUNDLE, []).manifest["sensor"], "name": "other-camera"}
    other = varied(tmp_path / "other", sensor=sensor)
    for install in (slots.install, slots.install_golden):
        with pytest.raises(BundleError, match="for the sensor other-camera, this satellite has"):
            install(other, folder, "tflite")
    assert slots.active(folder) == "a"


def test_an_older_version_needs_a_signed_command(folder: Path, tmp_path: Path) -> None:
    old = varied(tmp_path / "old", version=1)
    slots.install(varied(tmp_path / "new", version=2), folder, "tflite")
    with pytest.raises(BundleError, match=r"version 1, and 2 was installed.*allow-older"):
        slots.install(old, folder, "tflite")
    manifest = bundle.manifest_id((old / bundle.MANIFEST).read_bytes())
    state = control.read(folder).control
    control.write(folder, dataclasses.replace(state, allowed="00" * 32))
    with pytest.raises(BundleError, match="allow-older"):
        slots.install(old, folder, "tflite")
    control.write(folder, dataclasses.replace(state, allowed=manifest))
    assert slots.install(old, folder, "tflite") == "b"
    # It was allowed once.
    with pytest.raises(BundleError, match="allow-older"):
        slots.install(old, folder, "tflite")


def test_rolling_back_to_an_older_version_is_always_allowed(folder: Path, tmp_path: Path) -> None:
    slots.install(varied(tmp_path / "old", version=1), folder, "tflite")
    slots.install(varied(tmp_path / "new", version=2), folder, "tflite")
    assert slots.rollback(folder, "tflite") == "a"
    assert slots.load_active(folder, "tflite").version == 1


def test_what_flies_stays_good_when_its_key_is_revoked(folder: Path, tmp_path: Path) -> None:
    one, two = (signing.generate(tmp_path / "keys", name) for name in ("one", "two"))
    mine = varied(tmp_path / "mine", key=two[0])
    slots.install(mine, folder, "tflite", [one[1], two[1]])
    state = control.read(folder).control
    held = keyring.slots_of(folder, state)
    signer = next(iter(signing.read_public([one[1]])))
    control.write(folder, keyring.with_keys(state, keyring.changed(held, 2, "", signer)))
    assert slots.start(folder, "tflite").slot == "a"
    with pytest.raises(BundleError, match="not signed by a trusted key"):
        slots.install(mine, folder, "tflite")


def test_the_first_flash_fills_the_key_slots(folder: Path, tmp_path: Path) -> None:
    private, public = signing.generate(tmp_path / "keys")
    _, stranger = signing.generate(tmp_path / "strange")
    slots.install(varied(tmp_path / "mine", key=private), folder, "tflite", [public])
    assert slots.load_active(folder, "tflite").name
    assert slots.load_active(folder, "tflite", [public]).name
    with pytest.raises(ConfigError, match="in no key slot"):
        slots.load_active(folder, "tflite", [stranger])
    with pytest.raises(BundleError, match="not signed by a trusted key"):
        slots.install(BUNDLE, folder, "tflite")
    (name,) = signing.read_public([public])
    state = control.read(folder).control
    assert [name] == list(keyring.trusted(folder, state))


def test_a_refused_first_flash_fills_no_key_slot(folder: Path, tmp_path: Path) -> None:
    _, public = signing.generate(tmp_path / "keys")
    with pytest.raises(BundleError, match="not signed by a trusted key"):
        slots.install(BUNDLE, folder, "tflite", [public])
    assert not folder.exists()


# --- starting ---


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The golden tile is taken as passed, for tests of what stands around it."""
    monkeypatch.setattr(golden, "check", lambda *_: 0.0)


def test_a_smooth_start(folder: Path) -> None:
    slots.install(BUNDLE, folder, "tflite")
    started = slots.start(folder, "tflite")
    assert (started.slot, started.notes) == ("a", ())
    assert slots.failed_starts(folder)["a"] == 1, "counted before it is known to be good"
    slots.good(folder, "a")
    assert slots.failed_starts(folder)["a"] == 0


@pytest.mark.usefixtures("quick")
def test_a_bundle_that_brings_the_software_down_is_left_after_three_starts(folder: Path) -> None:
    """Each start passes the golden tile, and then the process dies before the first frame."""
    for _ in range(2):
        slots.install(BUNDLE, folder, "tflite")
    assert [slots.start(folder, "tflite").slot for _ in range(4)] == ["b", "b", "b", "a"]
    assert slots.active(folder) == "a"
    assert slots.start(folder, "tflite").slot == "a"
    slots.rollback(folder, "tflite")
    assert slots.start(folder, "tflite").slot == "b", "a command gives it another chance"


@pytest.mark.usefixtures("quick")
def test_good_starts_are_no_failed_ones(folder: Path) -> None:
    for _ in range(2):
        slots.install(BUNDLE, folder, "tflite")
    for _ in range(5):
        started = slots.start(folder, "tflite")
        assert started.slot == "b"
        slots.good(folder, started.slot)


@pytest.fixture
def guarded(folder: Path) -> Path:
    """A golden bundle and both slots."""
    slots.install_golden(BUNDLE, folder, "tflite")
    for _ in range(2):
        slots.install(BUNDLE, folder, "tflite")
    return folder


def test_the_other_slot_and_then_the_golden_bundle_starts(guarded: Path) -> None:
    spoil(guarded / "b")
    started = slots.start(guarded, "tflite")
    assert (started.slot, slots.active(guarded)) == ("a", "a")
    assert "is damaged" in started.notes[0]
    spoil(guarded / "a")
    assert slots.start(guarded, "tflite").slot == slots.GOLDEN
    assert slots.active(guarded) == slots.GOLDEN
    assert slots.install(BUNDLE, guarded, "tflite") == "a", "and a new bundle ends it"
    assert slots.start(guarded, "tflite").slot == "a"


def test_a_golden_tile_that_fails_is_a_failed_start(
    guarded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = golden.check, []

    def check(loaded: bundle.Bundle, *others: Any) -> float:
        seen.append(loaded.path.name)
        if loaded.path.name == "b":
            raise EngineError("the golden tile differs")
        return real(loaded, *others)

    monkeypatch.setattr(golden, "check", check)
    assert slots.start(guarded, "tflite").slot == "a"
    assert seen == ["b", "b", "b", "a"]


def test_with_nothing_that_starts_all_are_tried_again_next_time(guarded: Path) -> None:
    for slot in slots.ALL:
        spoil(guarded / slot)
    for _ in range(2):
        with pytest.raises(BundleError, match=r"no slot starts: slot b: .*slot golden: "):
            slots.start(guarded, "tflite")
    copies.write(guarded, slots.STARTS, dict.fromkeys(slots.ALL, 99))
    with pytest.raises(BundleError, match="no slot starts: slot b"):
        slots.start(guarded, "tflite")


def test_an_engine_that_is_not_here_is_not_the_bundles_fault(folder: Path) -> None:
    slots.install(BUNDLE, folder, "tflite")

    def load(name: str, _: bundle.Bundle) -> engines.Engine:
        raise UnavailableError(f"--engine {name}: is not here")

    for _ in range(5):
        with pytest.raises(UnavailableError):
            slots.start(folder, "tflite", None, load)
    assert slots.start(folder, "tflite").slot == "a"


@pytest.mark.parametrize("text", ["", "c", "b\xff"])
def test_a_damaged_marker_is_no_reason_not_to_start(guarded: Path, text: str) -> None:
    (guarded / slots.ACTIVE).write_text(text, "latin-1")
    assert slots.start(guarded, "tflite").slot == "a"
    assert slots.active(guarded) == "a"


def test_an_empty_folder_does_not_start(folder: Path) -> None:
    with pytest.raises(BundleError, match="holds no bundle"):
        slots.start(folder, "tflite")


def test_nothing_overwrites_the_golden_bundle(guarded: Path, tmp_path: Path) -> None:
    def content() -> dict[str, bytes]:
        found = sorted(p for p in (guarded / slots.GOLDEN).rglob("*") if p.is_file())
        return {str(p): p.read_bytes() for p in found}

    before, new = content(), varied(tmp_path / "new", version=99)
    with pytest.raises(BundleError, match="never again"):
        slots.install_golden(new, guarded, "tflite")
    for _ in range(2):
        slots.install(new, guarded, "tflite")
    slots.rollback(guarded, "tflite", to=slots.GOLDEN)
    slots.install(new, guarded, "tflite")
    slots.start(guarded, "tflite")
    assert content() == before
    modes = {p.stat().st_mode & 0o222 for p in (guarded / slots.GOLDEN).rglob("*")}
    assert modes == {0}


# --- power ---


def test_power_cut_at_every_step_of_an_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Simulated, so that no step is left out; the golden tile is taken as passed."""
    monkeypatch.setattr(golden, "check", lambda *_: 0.0)
    monkeypatch.setattr(engines, "load", lambda *_: object())
    old, new = (varied(tmp_path / name, name=name) for name in ("old", "new"))
    moment, was_cut, names = 0, True, []
    while was_cut:
        folder = tmp_path / f"slots-{moment}"
        slots.install(old, folder, "tflite")
        with power_cut(monkeypatch, moment) as power, contextlib.suppress(Cut):
            slots.install(new, folder, "tflite")
        was_cut = power.was_cut
        started = slots.start(folder, "tflite", None, lambda *_: object())  # type: ignore[arg-type,return-value]
        names.append(started.bundle.name)
        assert not list(folder.glob(".part-*"))
        assert slots.install(new, folder, "tflite") in slots.SLOTS
        moment += 1
    assert moment > 20
    assert names == sorted(names, reverse=True), "the old one up to one step, then the new one"
    assert set(names) == {"old", "new"}


INSTALLER = """
import itertools, sys
from pathlib import Path
from onboard import slots
slots.start(Path(sys.argv[1]), "tflite")
print("ready", flush=True)
for path in itertools.cycle(sys.argv[2:]):
    slots.install(Path(path), Path(sys.argv[1]), "tflite")
"""


def kill_installs(tmp_path: Path, kills: int, seed: int) -> None:
    """Kill a process that installs, at random moments; what it leaves must start."""
    dice, folder = random.Random(seed), tmp_path / "slots"
    names = {"one", "two"}
    paths = [str(varied(tmp_path / name, name=name)) for name in sorted(names)]
    start = time.perf_counter()
    for path in paths:
        slots.install(Path(path), folder, "tflite")
    span = time.perf_counter() - start
    seen = []
    for _ in range(kills):
        command = [sys.executable, "-c", INSTALLER, str(folder), *paths]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            time.sleep(dice.uniform(0, span))
            child.kill()
        started = slots.start(folder, "tflite")
        slots.good(folder, started.slot)
        assert started.bundle.name in names
        assert not [p.name for p in folder.iterdir() if p.name.startswith(".")]
        seen.append(started.slot)
    assert len(seen) == kills


@pytest.mark.slow
def test_kill_9_at_random_moments_of_an_install(tmp_path: Path) -> None:
    kill_installs(tmp_path, kills=4, seed=1)


@pytest.mark.soak
def test_kill_9_at_random_moments_of_an_install_soak(tmp_path: Path) -> None:
    kill_installs(tmp_path, kills=100, seed=2)


def test_a_golden_tile_in_coarse_steps_is_held_to_the_same_tolerance() -> None:
    """As bundles for INT8 carry it; half a step is far below what is tolerated."""
    found = bundle.load(BUNDLE, ["tflite", bundle.COMMON])
    engine = engines.load("tflite", found)
    moments = found.golden()
    stored = {
        name.replace("tflite/", "tflite-int8/"): golden.coarse(value)
        for name, value in moments.items()
        if name.startswith("tflite/")
    }
    assert all(value.dtype == np.uint8 for value in stored.values())
    given = {"image": moments["image"], "passes": moments["passes"], **stored}
    content = {**found.content, bundle.GOLDEN: npz(given)}
    coarse = dataclasses.replace(found, content=content)
    assert golden.check(coarse, engine, "tflite-int8") <= 0.6 / golden.STEPS
    off = {name: value + np.uint8(20) * (value < 200) for name, value in stored.items()}
    bad = dataclasses.replace(coarse, content={**content, bundle.GOLDEN: npz({**given, **off})})
    with pytest.raises(EngineError, match="golden tile differs"):
        golden.check(bad, engine, "tflite-int8")


def npz(arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()
