from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onboard import bundle, control, golden, signing, slots
from onboard.cli import run
from onboard.commands import Code, Command, make
from onboard.errors import EngineError
from onboard.outbox import Outbox
from onboard.scrub import Finding, Guard, scrub
from tests.onboard.bundles import spoil, varied
from tests.onboard.test_commands import KEY
from tests.samples import BUNDLE, crop, write_frame


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keys, a golden bundle, the same in slot a, another in slot b, and counts."""
    monkeypatch.setattr(golden, "check", lambda *_: 0.0)
    private, public = signing.generate(tmp_path / "keys")
    found = tmp_path / "slots"
    one = varied(tmp_path / "one", key=private)
    slots.install_golden(one, found, "tflite", [public])
    slots.install(one, found, "tflite")
    slots.install(varied(tmp_path / "two", key=private, version=2), found, "tflite")
    slots.start(found, "tflite")
    return found


def everything(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_all_is_well(folder: Path) -> None:
    assert scrub(folder) == []
    assert len(everything(folder)) > 20


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.chmod(0o644)
    path.write_bytes(bytes(data))


def flip_and_find(folder: Path, flips: int, seed: int) -> int:
    """Flip single bits, each byte as likely as another; returns how many were mended."""
    dice = random.Random(seed)
    paths = everything(folder)
    whole = {path: path.read_bytes() for path in paths}
    weights = [len(data) for data in whole.values()]
    # Every file once, then as upsets fall.
    picks = [*paths, *dice.choices(paths, weights, k=flips)][:flips]
    mended = 0
    for path in picks:
        flip(path, dice.randrange(8 * len(whole[path])))
        found = scrub(folder)
        assert [finding.path for finding in found] == [path]
        mended += found[0].mended
        if not found[0].mended:
            path.write_bytes(whole[path])
        assert scrub(folder) == []
        if path.parent != folder and "provisioned" not in path.name:
            assert path.read_bytes() == whole[path]
    return mended


def test_every_flipped_bit_in_a_file_is_found(folder: Path) -> None:
    assert flip_and_find(folder, 60, seed=1) > 30


@pytest.mark.soak
def test_every_flipped_bit_in_a_file_is_found_soak(folder: Path) -> None:
    flip_and_find(folder, 1000, seed=2)


def test_a_lost_file_is_found_and_mended(folder: Path) -> None:
    lost = folder / "a" / "tflite" / "k1.tflite"
    lost.unlink()
    assert scrub(folder) == [Finding(lost, True)]
    assert slots.load(folder, "a", "tflite").version == bundle.load(BUNDLE, []).version


def test_what_no_other_slot_has_is_told_and_left(folder: Path) -> None:
    for slot in slots.ALL:
        spoil(folder / slot)
    found = scrub(folder)
    assert [(f.path.parent.parent.name, f.mended) for f in found] == [
        (slot, False) for slot in slots.ALL
    ]


def test_the_guard_scrubs_now_and_then_and_checks_around_every_frame(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, Any]] = []
    checks: list[Any] = []
    running: Any = ("bundle", "engine", "tflite")
    monkeypatch.setattr(golden, "check", lambda *given: checks.append(given))
    guard = Guard(folder, lambda: running, lambda event, **given: told.append((event, given)), 2)
    lost = folder / "a" / bundle.CARD
    for _ in range(3):
        lost.unlink()
        guard.before()
        guard.check()
        if not lost.exists():
            assert len(told) == 1, "the scrub of the first frame mended it, the second had none"
            lost.write_bytes((folder / "golden" / bundle.CARD).read_bytes())
    assert told == [("upset", {"file": str(lost), "mended": True})] * 2
    assert checks == [running] * 6


@pytest.fixture
def satellite(tmp_path: Path) -> Path:
    """A slots folder with the demo's keys and a frame in the inbox."""
    assert run(["flash", str(BUNDLE), "--slots", str(tmp_path / "slots")]) == 0
    (tmp_path / "in").mkdir()
    (tmp_path / "commands").mkdir()
    write_frame(tmp_path / "in" / "frame.tif", crop(64, 64))
    return tmp_path


def serve(folder: Path) -> Callable[[str], list[dict[str, Any]]]:
    """Run the service until the inbox is empty; its telemetry, by event."""
    outbox = folder / "state" / "o.sqlite"
    arguments = ["--slots", str(folder / "slots"), "--outbox", str(outbox)]
    assert run(["fly", "--watch", str(folder / "in"), *arguments, "--once"]) == 0
    text = outbox.with_name(outbox.name + ".telemetry.jsonl").read_text("utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    return lambda event: [row for row in rows if row["event"] == event]


def command(folder: Path, code: Code, count: int, **given: Any) -> None:
    data = make(Command(code, count, 0, 2**62, given), KEY)
    (folder / "commands" / f"{count}.cmd").write_bytes(data)


def test_the_service_carries_commands_out_before_frames(satellite: Path) -> None:
    command(satellite, Code.PAUSE, 1)
    command(satellite, Code.SET_LIMIT, 2, name="min_pixels", value=100_000)
    assert [row["status"] for row in serve(satellite)("command")] == ["DONE", "DONE"]
    assert (satellite / "in" / "frame.tif").exists(), "it is paused"
    command(satellite, Code.RESUME, 3)
    told = serve(satellite)
    assert not (satellite / "in" / "frame.tif").exists()
    (frame,) = told("frame")
    assert "100000" in frame["reason"], "the limit that the command set"
    with Outbox(satellite / "state" / "o.sqlite") as box:
        assert box.processed == 1


def test_a_frame_beyond_the_area_of_interest_is_passed_over(satellite: Path) -> None:
    command(satellite, Code.SET_AREA, 1, west=-10.0, south=0.0, east=0.0, north=10.0)
    (frame,) = serve(satellite)("frame")
    assert "beyond the area of interest" in frame["reason"]
    assert frame["outcome"] == "nothing"


def test_a_frame_between_a_pass_and_a_fail_of_the_golden_tile_is_redone(
    satellite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Start, before and after the frame; then the reload, before and after it once more."""
    real, calls = golden.check, []

    def check(*given: Any) -> float:
        calls.append(1)
        if len(calls) == 3:
            raise EngineError("the golden tile differs by 0.3")
        return real(*given)

    monkeypatch.setattr(golden, "check", check)
    (restart,) = serve(satellite)("engine restart")
    assert "the golden tile differs" in restart["reason"]
    assert len(calls) == 6
    with Outbox(satellite / "state" / "o.sqlite") as box:
        assert box.processed == 1
        ids = [item.data[-16:] for item in box.waiting() if item.sequence is not None]
        assert len(ids) == len(set(ids))


def test_an_upset_file_is_mended_by_the_service(satellite: Path) -> None:
    for _ in range(2):
        slots.install(BUNDLE, satellite / "slots", "tflite")
    shutil.rmtree(str(satellite / "slots" / "a" / "tflite"))
    (satellite / "slots" / "a" / "tflite").mkdir()
    assert [row["mended"] for row in serve(satellite)("upset")] == [True, True]
    assert control.read(satellite / "slots").notes == ()
