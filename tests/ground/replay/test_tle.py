"""Two-line elements against the set with which Vallado et al. (2006) verify SGP4."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import sgp4
from hypothesis import given
from hypothesis import strategies as st

from ground.replay.tle import LENGTH, read_tle
from onboard.errors import ConfigError
from tests.ground.replay.example import TLE


def verification():
    """The pairs of lines of ``SGP4-VER.TLE``, without what stands behind them."""
    text = (Path(sgp4.__file__).parent / "SGP4-VER.TLE").read_text("ascii")
    lines = [line[:LENGTH] for line in text.splitlines() if line[:2] in ("1 ", "2 ")]
    return list(zip(lines[::2], lines[1::2], strict=True))


def test_the_verification_set_is_read_but_for_three_wrong_checksums():
    refused = []
    for first, second in verification():
        try:
            assert read_tle(first, second, "here").number == int(first[2:7])
        except ConfigError as error:
            assert "checksum" in str(error)  # noqa: PT017
            refused.append(first[2:7])
    # These three were made up for the errors of SGP4; their digits were never summed anew.
    assert refused == ["33333", "33334", "33335"]


def test_the_epoch():
    assert read_tle(*TLE, "here").epoch == datetime(2021, 3, 14, 3, 36, 30, 810_000, UTC)


def elements(tle):
    """What decides where the satellite is."""
    found = tle.satrec
    names = ("inclo", "nodeo", "ecco", "argpo", "mo", "no_kozai", "bstar")
    return tle.epoch, *(getattr(found, name) for name in names)


@given(
    line=st.integers(0, 1),
    at=st.integers(0, LENGTH - 1),
    character=st.characters(min_codepoint=32, max_codepoint=126),
)
def test_one_wrong_character_is_refused_or_changes_no_element(line, at, character):
    lines = list(TLE)
    lines[line] = lines[line][:at] + character + lines[line][at + 1 :]
    try:
        read = read_tle(*lines, "here")
    except ConfigError as error:
        assert str(error).startswith("here: ")  # noqa: PT017
        return
    # The checksum does not see a nought that is gone, nor letters: of the name they may differ.
    assert elements(read) == elements(read_tle(*TLE, "here"))
