from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onboard import bundle, commands, control, golden, rawchip, signing, slots
from onboard.acks import Acks
from onboard.cli import run
from onboard.commands import Code, Command
from onboard.errors import ProductError
from onboard.link import acks
from onboard.outbox import Cause, Item, Kind, Outbox
from onboard.uplink import Folders, Satellite, Uplink
from tests.onboard.bundles import varied
from tests.onboard.test_commands import KEY
from tests.samples import BUNDLE, DEMO_KEY, crop, write_frame

NOW = 5_000


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    found = Folders(*(tmp_path / name for name in ("slots", "inbox", "commands", "bundles")))
    for folder in (found.inbox / "done", found.commands, found.bundles):
        folder.mkdir(parents=True)
    return found


class Ground:
    """Sends commands to a satellite and reads what it tells."""

    def __init__(self, folders: Folders, box: Outbox) -> None:
        self.folders, self.box, self.count = folders, box, 0
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.changes = 0
        self.uplink = Uplink(
            folders,
            Satellite(folders, "tflite", lambda: box),
            lambda event, **given: self.told.append((event, given)),
            self._changed,
            lambda: NOW,
        )

    def _changed(self) -> None:
        self.changes += 1

    def send(self, code: Code, **given: Any) -> str:
        self.count += 1
        data = commands.make(Command(code, self.count, 0, 10_000, given), KEY)
        (self.folders.commands / f"{self.count}.cmd").write_bytes(data)
        self.uplink.turn()
        due = Acks(self.box).due()[-1]
        assert due.number == self.count
        ack = acks.unpack(due.data)
        return f"{ack.status.name}: {ack.text}"


@pytest.fixture
def ground(folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(golden, "check", lambda *_: 0.0)
    slots.install(BUNDLE, folders.slots, "tflite")
    with Outbox(tmp_path / "outbox.sqlite") as box:
        yield Ground(folders, box)


def test_rolling_back_and_installing(ground: Ground, folders: Folders) -> None:
    assert ground.send(Code.ROLL_BACK, slot="other").startswith("FAILED: ")
    varied(folders.bundles / "next", version=2)
    assert ground.send(Code.INSTALL, name="next") == "DONE: installed in slot b"
    assert slots.load_active(folders.slots, "tflite").version == 2
    assert ground.send(Code.ROLL_BACK, slot="other") == "DONE: slot a is active"
    assert ground.send(Code.INSTALL, name="nothing") == "FAILED: nothing: did not come up"
    assert ground.changes == 4
    assert [event for event, _ in ground.told] == ["command"] * 4


def test_an_older_bundle_by_command(ground: Ground, folders: Folders) -> None:
    old = varied(folders.bundles / "old", version=1)
    varied(folders.bundles / "new", version=3)
    ground.send(Code.INSTALL, name="new")
    assert "allow-older" not in ground.send(Code.INSTALL, name="new")
    assert ground.send(Code.INSTALL, name="old").startswith("FAILED: ")
    digest = bytes.fromhex(bundle.manifest_id((old / bundle.MANIFEST).read_bytes()))
    assert ground.send(Code.ALLOW_OLDER, manifest=digest) == "DONE: allow-older"
    assert ground.send(Code.INSTALL, name="old").startswith("DONE: installed")


def test_a_pause(ground: Ground) -> None:
    assert not ground.uplink.paused()
    ground.send(Code.PAUSE)
    assert ground.uplink.paused()
    ground.send(Code.RESUME)
    assert not ground.uplink.paused()


def test_a_forged_command_is_told_and_changes_nothing(ground: Ground, folders: Folders) -> None:
    data = bytearray(commands.make(Command(Code.PAUSE, 1, 0, 10_000), KEY))
    data[-1] ^= 1
    (folders.commands / "x.cmd").write_bytes(bytes(data))
    ground.uplink.turn()
    reason = "is damaged or its signature is forged"
    assert ground.told == [("command refused", {"name": "x.cmd", "reason": reason})]
    assert (ground.changes, Acks(ground.box).due()) == (0, [])
    assert not control.read(folders.slots).control.paused


def test_the_queue_of_a_place_is_dropped(ground: Ground) -> None:
    places = {b"a": (22.0, 92.0), b"b": (22.0, 10.0), b"c": None}
    for name, place in places.items():
        ground.box.queue(Kind.ALERT, Item(name, 1.0, place), (bytes(32), bytes(32)))
    area = {"west": 90.0, "south": 20.0, "east": 95.0, "north": 25.0}
    assert ground.send(Code.DROP_QUEUE, **area) == "DONE: 1 items dropped"
    assert [one.data for one in ground.box.waiting()] == [b"b", b"c"]
    (left,) = ground.box.left()
    assert (left.cause, left.rule) == (Cause.DROPPED, "command 1")


def test_raw_samples_of_a_frame_that_is_kept(ground: Ground, folders: Folders) -> None:
    samples = crop(40, 50)
    frame = write_frame(folders.inbox / "frame.tif", samples)
    from onboard.scene import Frame

    with Frame(frame, bundle.load(BUNDLE, []).sensor) as opened:
        scene = opened.scene_id()
    shutil.move(str(frame), str(folders.inbox / "done" / f"{scene.hex()[:12]}-frame.tif"))
    said = ground.send(Code.SEND_RAW, scene=scene[:6], row=30, col=8, side=16)
    assert said.startswith("DONE: 10x16 pixels")
    (item,) = ground.box.waiting()
    chip = rawchip.unpack(item.data)
    assert (chip.scene_id, chip.row, chip.col) == (scene, 30, 8)
    assert chip.bands == ("blue", "green", "red", "nir")
    np.testing.assert_array_equal(chip.samples, samples.transpose(1, 2, 0)[30:, 8:24])
    # Asked for again, the same bytes are queued once.
    ground.send(Code.SEND_RAW, scene=scene[:6], row=30, col=8, side=16)
    assert len(ground.box.waiting()) == 1
    assert "rows and 50 columns" in ground.send(
        Code.SEND_RAW, scene=scene[:6], row=40, col=0, side=16
    )
    absent = ground.send(Code.SEND_RAW, scene=b"absent", row=0, col=0, side=16)
    assert absent == "FAILED: no frame 616273656e74 is kept any more"


def test_a_damaged_raw_chip_is_refused() -> None:
    samples = np.arange(24, dtype="<u2").reshape(2, 3, 4)
    data = rawchip.pack(rawchip.RawChip(bytes(32), 0, 0, ("a", "b", "c", "d"), samples))
    assert rawchip.unpack(data).samples.tolist() == samples.tolist()
    for at in range(len(data)):
        bad = bytearray(data)
        bad[at] ^= 1
        with pytest.raises(ProductError, match="raw chip"):
            rawchip.unpack(bytes(bad))


# --- the command line ---


def made(tmp_path: Path, *arguments: str) -> Command:
    out = tmp_path / "x.cmd"
    key = tmp_path / "k.key"
    if not key.exists():
        shutil.copy(str(DEMO_KEY), str(key))
    assert run(["command", *arguments, "--key", str(key), "--out", str(out)]) == 0
    return commands.read(out.read_bytes(), signing.trusted(None))


@pytest.mark.parametrize(
    ("arguments", "code", "given"),
    [
        (("set-limit", "min_wet", "0.01"), Code.SET_LIMIT, {"name": "min_wet", "value": 0.01}),
        (("clear-limits",), Code.CLEAR_LIMITS, {}),
        (
            ("set-area", "-10", "-5.5", "10", "5"),
            Code.SET_AREA,
            {"west": -10.0, "south": -5.5, "east": 10.0, "north": 5.0},
        ),
        (("clear-area",), Code.CLEAR_AREA, {}),
        (
            ("drop-queue", "-10", "-5", "10", "5"),
            Code.DROP_QUEUE,
            {"west": -10.0, "south": -5.0, "east": 10.0, "north": 5.0},
        ),
        (("roll-back",), Code.ROLL_BACK, {"slot": "other"}),
        (
            ("send-raw", "616263646566", "--row", "4", "--side", "8"),
            Code.SEND_RAW,
            {"scene": b"abcdef", "row": 4, "col": 0, "side": 8},
        ),
        (("pause",), Code.PAUSE, {}),
        (("resume",), Code.RESUME, {}),
        (("revoke-key", "2"), Code.REVOKE_KEY, {"slot": 2}),
        (("install", "v2.fspatch"), Code.INSTALL, {"name": "v2.fspatch"}),
    ],
)
def test_the_command_line_makes_every_command(
    tmp_path: Path, arguments: tuple[str, ...], code: Code, given: dict[str, Any]
) -> None:
    command = made(tmp_path, *arguments)
    assert (command.code, command.arguments, command.count) == (code, given, 1)
    assert command.end_ms - command.start_ms == 24 * 3_600_000


def test_commands_that_name_files(tmp_path: Path) -> None:
    _, public = signing.generate(tmp_path / "new")
    (key,) = signing.read_public([public]).values()
    rotated = made(tmp_path, "rotate-key", "2", str(public))
    assert rotated.arguments == {"slot": 2, "key": bytes.fromhex(signing.raw(key))}
    allowed = made(tmp_path, "allow-older", str(BUNDLE))
    digest = bundle.manifest_id((BUNDLE / bundle.MANIFEST).read_bytes())
    assert allowed.arguments == {"manifest": bytes.fromhex(digest)}
    assert allowed.count == 2, "the count goes up by itself"
    assert made(tmp_path, "pause", "--count", "40").count == 40
    later = made(tmp_path, "pause", "--from", "2027-01-01T00:00Z", "--hours", "1.5")
    assert (later.count, later.start_ms) == (41, 1_798_761_600_000)
    assert later.end_ms - later.start_ms == 5_400_000


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("set-limit", "colour", "1"), "no limit 'colour'"),
        (("set-limit", "min_wet", "7"), "min_wet cannot be 7"),
        (("set-area", "0", "5", "10", "-5"), "south is not south"),
        (("send-raw", "xyz"), "no hexadecimal number"),
        (("pause", "--from", "tomorrow"), "no ISO 8601 time"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], complaint: str
) -> None:
    out = tmp_path / "x.cmd"
    assert run(["command", *arguments, "--key", str(DEMO_KEY), "--out", str(out)]) == 2
    assert complaint in capsys.readouterr().err
    assert not out.exists()


def test_flash_takes_a_command_that_allows_an_older_bundle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, order, key = tmp_path / "slots", tmp_path / "x.cmd", tmp_path / "k.key"
    old, new = (varied(tmp_path / str(version), version=version) for version in (1, 2))
    shutil.copy(str(DEMO_KEY), str(key))
    assert run(["flash", str(new), "--slots", str(folder)]) == 0
    assert run(["flash", str(old), "--slots", str(folder)]) == 2
    assert "allow-older" in capsys.readouterr().err
    arguments = ["command", "allow-older", str(old), "--key", str(key), "--out", str(order)]
    assert run(arguments) == 0
    flash = ["flash", str(old), "--slots", str(folder), "--command", str(order)]
    assert run(flash) == 0
    assert "version 1" in capsys.readouterr().out
    assert run(flash) == 2
    assert "a replay" in capsys.readouterr().err
    assert run(["slots", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "key slot 1" in shown
    assert "the demo key" in shown
    assert "commands: 1 was the last count" in shown
