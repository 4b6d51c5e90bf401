from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from onboard import control
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


def test_what_was_written_is_read(tmp_path: Path) -> None:
    assert control.read(tmp_path) == (Control(), ())
    written = control.write(tmp_path, FULL)
    assert written.edition == 1
    assert control.read(tmp_path) == (written, ())
    one, two = ((tmp_path / name).read_bytes() for name in control.COPIES)
    assert one == two


@pytest.mark.parametrize("name", control.COPIES)
def test_any_flipped_bit_in_one_copy_is_found_and_mended(tmp_path: Path, name: str) -> None:
    written = control.write(tmp_path, FULL)
    path = tmp_path / name
    whole = path.read_bytes()
    for bit in range(0, 8 * len(whole), 5):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bytes(data))
        found = control.read(tmp_path)
        assert found.control == written
        # The line end behind the checksum is the one part that says nothing.
        assert found.notes or bit // 8 == len(whole) - 1
    assert control.repair(tmp_path)
    assert control.read(tmp_path).control.count == FULL.count
    assert control.read(tmp_path).notes == ()


def test_a_missing_copy_is_found_and_mended(tmp_path: Path) -> None:
    control.write(tmp_path, FULL)
    (tmp_path / control.COPIES[0]).unlink()
    (note,) = control.repair(tmp_path)
    assert "is missing" in note
    assert control.read(tmp_path).notes == ()


def test_with_both_copies_gone_it_starts_anew_and_says_so(tmp_path: Path) -> None:
    for name in control.COPIES:
        (tmp_path / name).write_bytes(b"\0\xff{}")
    found = control.read(tmp_path)
    assert found.control == Control()
    assert len(found.notes) == 2


def test_a_power_cut_at_any_moment_leaves_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = control.write(tmp_path, FULL)
    seen = set()
    for moment in range(20):
        with power_cut(monkeypatch, moment) as power, contextlib.suppress(Cut):
            control.write(tmp_path, Control(count=100 + moment))
        found = control.read(tmp_path).control
        assert found.count in (old.count, 100 + moment)
        seen.add((found.count == old.count, power.was_cut))
        control.repair(tmp_path)
        old = control.read(tmp_path).control
    assert seen == {(True, True), (False, True), (False, False)}
