from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from onboard import control, copies
from onboard.control import Control
from tests.onboard.power import Cut, power_cut

FULL = Control(
    count=7,
    last="ab",
    keys=("cd", ""),
    limits={"min_wet": 0.01},
    area=(1.0, 2.0, 3.0, 4.0),
    paused=True,
    newest=3,
    installed={"a": "ef"},
    allowed="01",
    pending="02",
    plan="b",
)


COPIES = [path.name for path in copies.paths(Path(), control.NAME)]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    assert control.read(tmp_path) == (Control(), ())
    control.write(tmp_path, FULL)
    assert control.read(tmp_path) == (FULL, ())
    one, two = ((tmp_path / name).read_bytes() for name in COPIES)
    assert one == two


@pytest.mark.parametrize("name", COPIES)
def test_any_flipped_bit_in_one_copy_is_found_and_mended(tmp_path: Path, name: str) -> None:
    control.write(tmp_path, FULL)
    path = tmp_path / name
    whole = path.read_bytes()
    for bit in range(0, 8 * len(whole), 5):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bytes(data))
        assert control.read(tmp_path) == (FULL, (f"{path}: is damaged",))
    assert control.repair(tmp_path) == (f"{path}: is damaged",)
    assert control.read(tmp_path) == (FULL, ())


def test_a_missing_copy_is_found_and_mended(tmp_path: Path) -> None:
    control.write(tmp_path, FULL)
    (tmp_path / COPIES[0]).unlink()
    (note,) = control.repair(tmp_path)
    assert "is missing" in note
    assert control.read(tmp_path) == (FULL, ())


def test_of_two_whole_copies_the_newer_is_read(tmp_path: Path) -> None:
    control.write(tmp_path, Control(count=1))
    old = (tmp_path / COPIES[0]).read_bytes()
    control.write(tmp_path, Control(count=2))
    (tmp_path / COPIES[0]).write_bytes(old)
    found = control.read(tmp_path)
    assert (found.control.count, len(found.notes)) == (2, 1)


def test_with_both_copies_gone_it_starts_anew_and_says_so(tmp_path: Path) -> None:
    for name in COPIES:
        (tmp_path / name).write_bytes(b"\0\xff{}")
    found = control.read(tmp_path)
    assert found.control == Control()
    assert len(found.notes) == 2
    control.write(tmp_path, FULL)
    assert control.read(tmp_path) == (FULL, ())


def test_a_power_cut_at_any_moment_leaves_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, moment, was_cut = set(), 0, True
    control.write(tmp_path, Control(count=0))
    while was_cut:
        moment += 1
        with power_cut(monkeypatch, moment - 1) as power, contextlib.suppress(Cut):
            control.write(tmp_path, Control(count=moment))
        found, was_cut = control.read(tmp_path).control.count, power.was_cut
        assert found in (moment, moment - 1)
        seen.add((found == moment, was_cut))
        control.write(tmp_path, Control(count=moment))
    assert seen == {(False, True), (True, True), (True, False)}
