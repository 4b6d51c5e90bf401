from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from onboard import commands, control, keyring, signing
from onboard.area import Area
from onboard.commander import Commander, Refused
from onboard.commands import Code, Command
from onboard.errors import BundleError, CommandError
from onboard.link.acks import Ack, Status
from tests.onboard.power import Cut, Power, power_cut
from tests.onboard.test_commands import AREA, GIVEN, KEY
from tests.samples import DEMO_KEY

NOW = 5_000


class World:
    """Effects whose traces outlive a power cut, as an outbox and a slots folder do."""

    def __init__(self) -> None:
        self.active, self.queue = "a", {"x": (92.0, 22.0), "y": (10.0, 50.0)}
        self.dropped: list[str] = []
        self.acks: dict[int, Ack] = {}
        self.raw: set[bytes] = set()
        self.installed: list[str] = []
        self.power: Power | None = None

    def _step(self) -> None:
        if self.power is not None:
            self.power.step()

    def plan_roll_back(self, slot: str) -> str:
        return {"a": "b", "b": "a"}[self.active] if slot == "other" else slot

    def roll_back(self, slot: str) -> str:
        self._step()
        if slot == "golden":
            raise BundleError("slots: there is no golden bundle")
        self.active = slot
        return f"slot {slot} is active"

    def send_raw(self, scene: bytes, row: int, col: int, side: int) -> str:
        self._step()
        self.raw.add(scene)
        return "queued"

    def drop_queue(self, area: Area, command: str) -> str:
        self._step()
        west, south, east, north = area
        for name, (lon, lat) in list(self.queue.items()):
            if west <= lon <= east and south <= lat <= north:
                del self.queue[name]
                self.dropped.append(name)
        return "dropped"

    def install(self, name: str) -> str:
        self._step()
        if name not in self.installed:
            self.installed.append(name)
        return "installed"

    def acknowledge(self, ack: Ack) -> None:
        self._step()
        self.acks.setdefault(ack.count, ack)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def commander(tmp_path: Path, world: World) -> Commander:
    return Commander(tmp_path, world, lambda: NOW)


def signed(code: Code, count: int = 1, signer: Any = KEY, **given: Any) -> bytes:
    return commands.make(Command(code, count, 0, 10_000, given or GIVEN[code]), signer)


def keys(tmp_path: Path) -> tuple[Any, Any, signing.PublicKeys]:
    """A recovery and an operations key, and their public halves."""
    pairs = [signing.generate(tmp_path / "ground", name) for name in ("recovery", "operations")]
    recovery, operations = (signing.read_private(private) for private, _ in pairs)
    return recovery, operations, signing.read_public([public for _, public in pairs])


def test_settings_are_kept_and_taken_back(commander: Commander, world: World) -> None:
    commander.execute(signed(Code.SET_LIMIT, 1))
    commander.execute(signed(Code.SET_AREA, 2))
    commander.execute(signed(Code.PAUSE, 3))
    now = commander.control
    assert (now.count, now.limits, now.paused) == (3, {"min_wet": 0.01}, True)
    assert now.area == tuple(AREA.values())
    commander.execute(signed(Code.CLEAR_AREA, 4))
    commander.execute(signed(Code.RESUME, 5))
    commander.execute(signed(Code.CLEAR_LIMITS, 6))
    now = commander.control
    assert (now.area, now.paused, now.limits) == (None, False, {})
    assert [ack.status for ack in world.acks.values()] == [Status.DONE] * 6


@pytest.mark.parametrize(("name", "value"), [("colour", 1.0), ("min_wet", 1.1)])
def test_a_limit_that_cannot_be_is_acknowledged_as_failed(
    commander: Commander, world: World, name: str, value: float
) -> None:
    ack = commander.execute(signed(Code.SET_LIMIT, name=name, value=value))
    assert ack.status is Status.FAILED
    assert name in ack.text
    assert world.acks == {1: ack}
    assert commander.control.limits == {}
    assert commander.control.count == 1, "it was accepted, and is no command for a replay"


def test_what_reaches_beyond_the_control(commander: Commander, world: World) -> None:
    commander.execute(signed(Code.ROLL_BACK, 1))
    commander.execute(signed(Code.DROP_QUEUE, 2))
    commander.execute(signed(Code.SEND_RAW, 3))
    commander.execute(signed(Code.INSTALL, 4))
    assert (world.active, world.queue.keys(), world.raw) == ("b", {"y"}, {b"abcdef"})
    assert world.installed == ["v2.fspatch"]
    failed = commander.execute(signed(Code.ROLL_BACK, 5, slot="golden"))
    assert (failed.status, failed.text) == (Status.FAILED, "slots: there is no golden bundle")


def test_a_replay_is_refused_even_by_another_commander(
    commander: Commander, world: World, tmp_path: Path
) -> None:
    data = signed(Code.ROLL_BACK)
    commander.execute(data)
    with pytest.raises(CommandError, match="a replay"):
        Commander(tmp_path, world, lambda: NOW).execute(data)
    assert world.active == "b"


def test_one_that_is_too_early_or_too_late(tmp_path: Path, world: World) -> None:
    data = commands.make(Command(Code.PAUSE, 1, 4_000, 6_000), KEY)
    with pytest.raises(CommandError, match="too early"):
        Commander(tmp_path, world, lambda: 3_999).execute(data)
    with pytest.raises(CommandError, match="until 6000 ms"):
        Commander(tmp_path, world, lambda: 6_001).execute(data)
    assert Commander(tmp_path, world, lambda: NOW).execute(data).status is Status.DONE


def test_a_folder_is_worked_off_by_count(
    commander: Commander, world: World, tmp_path: Path
) -> None:
    folder = tmp_path / "commands"
    folder.mkdir()
    (folder / "1.cmd").write_bytes(signed(Code.RESUME, 2))
    (folder / "2.cmd").write_bytes(signed(Code.PAUSE, 1))
    (folder / "3.cmd").write_bytes(b"noise" * 1000)
    (folder / "late.cmd").write_bytes(commands.make(Command(Code.PAUSE, 3, 9_000, 9_500), KEY))
    (folder / ".part.cmd").write_bytes(b"half")
    (folder / "note.txt").write_bytes(b"mine")
    done = commander.run_folder(folder)
    assert done[0] == Refused("3.cmd", "is no command")
    assert [ack.count for ack in done[1:] if isinstance(ack, Ack)] == [1, 2]
    assert not commander.control.paused
    assert sorted(p.name for p in folder.iterdir()) == [".part.cmd", "late.cmd", "note.txt"]
    assert Commander(tmp_path, world, lambda: 9_100).run_folder(folder)[0] == world.acks[3]
    assert commander.run_folder(tmp_path / "absent") == []


def test_a_replayed_file_is_refused_and_taken_away(commander: Commander, tmp_path: Path) -> None:
    commander.execute(signed(Code.PAUSE, 1))
    commander.execute(signed(Code.RESUME, 2))
    (tmp_path / "old.cmd").write_bytes(signed(Code.PAUSE, 1))
    (refused,) = commander.run_folder(tmp_path)
    assert isinstance(refused, Refused)
    assert "a replay" in refused.reason
    assert not (tmp_path / "old.cmd").exists()
    assert not commander.control.paused


@pytest.mark.parametrize("code", list(Code))
def test_every_command_works_exactly_once_across_power_cuts(
    code: Code, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Power goes at every step in turn, and once more while what is pending is finished."""
    smooth = run_with_cuts(tmp_path / "smooth", code, (), monkeypatch)
    moment, was_cut = 0, True
    while was_cut:
        folder = tmp_path / str(moment)
        found, was_cut = run_with_cuts(folder, code, (moment, moment % 7), monkeypatch)
        assert found == smooth[0], f"cut at step {moment}"
        moment += 1
    assert moment > 8, "a sync and a rename for each of two writings of two copies"


def run_with_cuts(
    folder: Path, code: Code, cuts: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> tuple[Any, bool]:
    """What the world and the control are in the end, and whether power was cut at all."""
    world, uplink, was_cut = World(), folder / "commands", False
    uplink.mkdir(parents=True)
    (uplink / "x.cmd").write_bytes(signed(code))
    for moment in cuts:
        with power_cut(monkeypatch, moment) as power:
            world.power = power
            try:
                Commander(folder, world, lambda: NOW).run_folder(uplink)
            except Cut:
                was_cut = True
    world.power = None
    Commander(folder, world, lambda: NOW).run_folder(uplink)
    assert not list(uplink.glob("*.cmd"))
    end = control.read(folder).control
    beyond = (world.active, world.queue, world.dropped, world.raw, world.installed, world.acks)
    return (end, *beyond), was_cut


def test_a_key_is_rotated_and_the_old_one_is_worth_nothing(
    commander: Commander, tmp_path: Path
) -> None:
    recovery, operations, public = keys(tmp_path)
    keyring.provision(tmp_path, public)
    new, _ = signing.generate(tmp_path / "new")
    raw = bytes.fromhex(signing.raw(signing.read_private(new).public_key()))
    done = commander.execute(signed(Code.ROTATE_KEY, 1, operations, slot=2, key=raw))
    assert done.status is Status.DONE
    with pytest.raises(CommandError, match="not trusted here"):
        commander.execute(signed(Code.PAUSE, 2, operations))
    assert commander.execute(signed(Code.PAUSE, 2, signing.read_private(new))).count == 2
    assert commander.execute(signed(Code.RESUME, 3, recovery)).count == 3
    with pytest.raises(CommandError, match="not trusted here"):
        commander.execute(signed(Code.PAUSE, 4, signing.read_private(DEMO_KEY)))


def test_who_has_the_operations_key_cannot_take_the_recovery_key_away(
    commander: Commander, tmp_path: Path
) -> None:
    recovery, thief, public = keys(tmp_path)
    keyring.provision(tmp_path, public)
    for count, given in enumerate(({"slot": 1}, {"slot": 1, "key": bytes(32)}), start=1):
        code = Code.ROTATE_KEY if "key" in given else Code.REVOKE_KEY
        ack = commander.execute(signed(code, count, thief, **given))
        assert (ack.status, ack.text) == (
            Status.FAILED,
            "key slot 1 is changed by its own key alone",
        )
    assert commander.execute(signed(Code.REVOKE_KEY, 3, recovery, slot=2)).status is Status.DONE
    with pytest.raises(CommandError, match="not trusted here"):
        commander.execute(signed(Code.PAUSE, 4, thief))


def test_the_last_key_stays(commander: Commander, tmp_path: Path) -> None:
    recovery, operations, public = keys(tmp_path)
    keyring.provision(tmp_path, public)
    commander.execute(signed(Code.REVOKE_KEY, 1, recovery, slot=1))
    again = commander.execute(signed(Code.REVOKE_KEY, 2, operations, slot=1))
    assert "is empty" in again.text
    last = commander.execute(signed(Code.REVOKE_KEY, 3, operations, slot=2))
    assert (last.status, last.text) == (Status.FAILED, "the last key cannot be revoked")
    assert commander.execute(signed(Code.PAUSE, 4, operations)).status is Status.DONE


def test_a_key_that_is_no_fit_is_not_taken(commander: Commander, tmp_path: Path) -> None:
    _, operations, public = keys(tmp_path)
    keyring.provision(tmp_path, public)
    demo = bytes.fromhex(signing.raw(KEY.public_key()))
    own = bytes.fromhex(signing.raw(operations.public_key()))
    for count, (key, complaint) in enumerate(((demo, "demo key"), (own, "on board")), start=1):
        ack = commander.execute(signed(Code.ROTATE_KEY, count, operations, slot=2, key=key))
        assert ack.status is Status.FAILED
        assert complaint in ack.text
