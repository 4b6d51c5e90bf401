from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onboard import commands, signing
from onboard.commands import Code, Command
from onboard.errors import CommandError
from tests.samples import DEMO_KEY

KEY = signing.read_private(DEMO_KEY)
KEYS = signing.trusted(None)
AREA = {"west": 90.0, "south": 20.0, "east": 95.0, "north": 25.0}
GIVEN: dict[Code, dict[str, Any]] = {
    Code.SET_LIMIT: {"name": "min_wet", "value": 0.01},
    Code.SET_AREA: AREA,
    Code.CLEAR_AREA: {},
    Code.ROLL_BACK: {"slot": "other"},
    Code.SEND_RAW: {"scene": b"abcdef", "row": 0, "col": 128, "side": 64},
    Code.PAUSE: {},
    Code.RESUME: {},
    Code.DROP_QUEUE: AREA,
    Code.ROTATE_KEY: {"slot": 2, "key": bytes(range(32))},
    Code.REVOKE_KEY: {"slot": 2},
    Code.ALLOW_OLDER: {"manifest": bytes(32)},
    Code.INSTALL: {"name": "v2.fspatch"},
    Code.CLEAR_LIMITS: {},
}
PAUSE = Command(Code.PAUSE, 1, 0, 10_000)


@pytest.mark.parametrize("code", list(Code))
def test_every_command_comes_back(code: Code) -> None:
    command = Command(code, 7, 1000, 2000, GIVEN[code])
    found = commands.read(commands.make(command, KEY), KEYS)
    assert found == dataclasses.replace(command, key=next(iter(KEYS)))


def test_the_bytes_of_one_command_are_as_documented() -> None:
    data = commands.make(Command(Code.PAUSE, 7, 1000, 2000), KEY)
    assert data[:38].hex() == (
        "46535443010602a50000000700000000000003e800000000000007d0" + next(iter(KEYS)) + "0001"
    )
    assert data[38:39] == cbor2.dumps({})
    assert len(data) == 39 + 64


@pytest.mark.parametrize(
    ("code", "changed", "complaint"),
    [
        (Code.SET_LIMIT, {"value": float("nan")}, "'value' is out of range"),
        (Code.SET_LIMIT, {"value": "0.1"}, "'value' is out of range"),
        (Code.SET_LIMIT, {"value": True}, "'value' is out of range"),
        (Code.SET_LIMIT, {"more": 1}, "no argument 'more'"),
        (Code.SET_AREA, {"north": 91.0}, "'north' is out of range"),
        (Code.SET_AREA, {"north": 19.0}, "south is not south"),
        (Code.ROLL_BACK, {"slot": "c"}, "'slot' is out of range"),
        (Code.ROLL_BACK, {"slot": ["a"]}, "'slot' is out of range"),
        (Code.SEND_RAW, {"row": 1.5}, "'row' is out of range"),
        (Code.SEND_RAW, {"side": 513}, "'side' is out of range"),
        (Code.SEND_RAW, {"scene": b"short"}, "'scene' is out of range"),
        (Code.REVOKE_KEY, {"slot": 3}, "'slot' is out of range"),
        (Code.INSTALL, {"name": "../../etc/passwd"}, "'name' is out of range"),
        (Code.INSTALL, {"name": ".hidden"}, "'name' is out of range"),
    ],
)
def test_a_command_that_makes_no_sense(code: Code, changed: Any, complaint: str) -> None:
    command = Command(code, 1, 0, 1, {**GIVEN[code], **changed})
    with pytest.raises(CommandError, match=complaint):
        commands.make(command, KEY)


def test_a_missing_argument_and_wrong_times() -> None:
    with pytest.raises(CommandError, match="lacks the argument 'slot'"):
        commands.make(Command(Code.ROLL_BACK, 1, 0, 1), KEY)
    with pytest.raises(CommandError, match="ends before it begins"):
        commands.make(dataclasses.replace(PAUSE, start_ms=10_001), KEY)
    with pytest.raises(CommandError, match="is no count"):
        commands.make(dataclasses.replace(PAUSE, count=0), KEY)


def test_what_a_stranger_signed_is_refused(tmp_path: Path) -> None:
    private, _ = signing.generate(tmp_path)
    data = commands.make(PAUSE, signing.read_private(private))
    with pytest.raises(CommandError, match="not trusted here"):
        commands.read(data, KEYS)
    # Under a trusted key's name, the signature does not fit.
    forged = data[:28] + bytes.fromhex(next(iter(KEYS))) + data[36:]
    with pytest.raises(CommandError, match="forged"):
        commands.read(forged, KEYS)


def sealed(data: bytes) -> bytes:
    return data + signing.sign(data, KEY)


def test_signed_but_not_for_this_software_or_satellite() -> None:
    body = bytearray(commands.make(PAUSE, KEY)[:-64])
    for at, value, complaint in [(4, 2, "version 2"), (5, 99, "code 99"), (7, 0, "for spacecraft")]:
        other = bytearray(body)
        other[at] = value
        with pytest.raises(CommandError, match=complaint):
            commands.read(sealed(bytes(other)), KEYS)


@pytest.mark.parametrize(
    "arguments", [b"\xff", b"\x01", b"\xbf\xff", b"\x9f" * 50, b"\xa1\x00\x00"]
)
def test_signed_arguments_that_are_no_canonical_map(arguments: bytes) -> None:
    body = commands.make(PAUSE, KEY)[:36] + len(arguments).to_bytes(2, "big") + arguments
    with pytest.raises(CommandError, match="argument"):
        commands.read(sealed(body), KEYS)


@pytest.mark.parametrize(
    ("count", "last", "now", "complaint"),
    [
        (5, 5, 0, "a replay"),
        (4, 5, 0, "a replay"),
        (1006, 5, 0, "beyond the last one"),
        (6, 5, 10_001, "to be carried out until"),
    ],
)
def test_old_counts_and_late_commands_are_not_accepted(
    count: int, last: int, now: int, complaint: str
) -> None:
    with pytest.raises(CommandError, match=complaint):
        commands.accept(dataclasses.replace(PAUSE, count=count), last, now)


def test_what_is_new_and_in_time_is_accepted() -> None:
    commands.accept(dataclasses.replace(PAUSE, count=6), 5, 10_000)
    commands.accept(dataclasses.replace(PAUSE, count=1005), 5, 0)


def mutated(data: bytes, dice: random.Random) -> bytes:
    """Bits flipped, bytes replaced, cut, doubled, inserted, or two commands mixed."""
    out = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 8))):
        at, how = dice.randrange(max(1, len(out))), dice.randrange(6)
        if how == 0 and out:
            out[at] ^= 1 << dice.randrange(8)
        elif how == 1 and out:
            out[at] = dice.randrange(256)
        elif how == 2:
            del out[at:]
        elif how == 3:
            out[at:at] = dice.randbytes(dice.randrange(1, 9))
        elif how == 4:
            del out[at : at + dice.randrange(1, 9)]
        else:
            out[at:] = out[: len(out) - at]
    return bytes(out)


def none_is_accepted(count: int, seed: int) -> None:
    dice = random.Random(seed)
    originals = [commands.make(Command(c, 7, 1000, 2000, GIVEN[c]), KEY) for c in Code]
    tried = 0
    while tried < count:
        data = mutated(dice.choice(originals), dice)
        if data in originals:
            continue
        tried += 1
        with pytest.raises(CommandError):
            commands.read(data, KEYS)


def test_no_mutated_command_is_accepted_and_none_crashes() -> None:
    none_is_accepted(2_000, seed=1)


@pytest.mark.soak
def test_no_mutated_command_is_accepted_and_none_crashes_soak() -> None:
    none_is_accepted(100_000, seed=2)


@given(st.binary(max_size=1200))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(CommandError):
        commands.read(data, KEYS)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_as_signed_arguments_never_crash(arguments: bytes) -> None:
    """Whoever has the key may still write nonsense: an error, nothing else."""
    for code in Code:
        header = bytearray(commands.make(PAUSE, KEY)[:36])
        header[5] = code
        try:
            commands.read(
                sealed(bytes(header) + len(arguments).to_bytes(2, "big") + arguments), KEYS
            )
        except CommandError:
            continue
        assert cbor2.loads(arguments) is not None
