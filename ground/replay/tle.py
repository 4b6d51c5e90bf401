"""TLE: an orbit as two lines of 69 characters, the two-line element set of NORAD.

The format: F. R. Hoots and R. L. Roehrich, *Spacetrack Report No. 3* (1980), and D. A. Vallado et
al., *Revisiting Spacetrack Report #3*, AIAA 2006-6753, appendix B. A checksum of one digit ends
each line; the propagator would take a damaged line as it comes, so everything is checked here.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sgp4.api import SGP4_ERRORS, Satrec

from onboard.errors import ConfigError

LENGTH = 69
STALE_DAYS = 45.0
"""Beyond this a set says too little of when the satellite comes: it loses 1 to 3 km a day along the
track (AIAA 2006-6753, section V), and faster as the air's drag changes."""

_JULIAN_1970 = 2_440_587.5
_DAY_S = 86_400.0
_FIRST = re.compile(
    r"1 [ \dA-Z]\d{4}[UCS] .{8} \d\d[ \d]{3}\.\d{8} [ +-]\.\d{8} [ +-][ \d]{5}[+-]\d "
    r"[ +-][ \d]{5}[+-]\d [ \d] [ \d]{4}\d"
)
_SECOND = re.compile(
    r"2 [ \dA-Z]\d{4} [ \d]{3}\.\d{4} [ \d]{3}\.\d{4} [ \d]{7} [ \d]{3}\.\d{4} "
    r"[ \d]{3}\.\d{4} [ \d]{2}\.\d{8}[ \d]{5}\d"
)


class Tle(NamedTuple):
    """Two lines that were checked by `read_tle`.

    Attributes:
        first: line 1.
        second: line 2.
    """

    first: str
    second: str

    @property
    def number(self) -> int:
        """The satellite's catalogue number."""
        return int(self.satrec.satnum)

    @property
    def satrec(self) -> Satrec:
        """For the propagator."""
        return Satrec.twoline2rv(self.first, self.second)

    @property
    def epoch(self) -> datetime:
        """The time for which the elements hold, UTC."""
        found = self.satrec
        days = found.jdsatepoch - _JULIAN_1970 + found.jdsatepochF
        return datetime.fromtimestamp(0, UTC) + timedelta(seconds=round(days * _DAY_S, 3))


def read_tle(first: str, second: str, where: str) -> Tle:
    """Check two lines.

    Args:
        first: line 1; space at its ends is no fault.
        second: line 2.
        where: file and line, for errors.

    Raises:
        ConfigError: a line is no such line, its checksum is wrong, or they are of two satellites.
    """
    lines = (first.strip(), second.strip())
    for number, (line, form) in enumerate(zip(lines, (_FIRST, _SECOND), strict=True), 1):
        _check_line(number, line, form, where)
    if lines[0][2:7] != lines[1][2:7]:
        raise ConfigError(
            f"{where}: line 1 of the TLE is of satellite {lines[0][2:7]}, line 2 of "
            f"{lines[1][2:7]}; take both from one set"
        )
    tle = Tle(*lines)
    if error := tle.satrec.error:
        raise ConfigError(f"{where}: the TLE is no orbit ({SGP4_ERRORS[error]}); take a newer one")
    return tle


def _check_line(number: int, line: str, form: re.Pattern[str], where: str) -> None:
    if len(line) != LENGTH:
        raise ConfigError(
            f"{where}: line {number} of the TLE has {len(line)} characters, not {LENGTH}; copy it "
            "whole, its spaces too"
        )
    if not form.fullmatch(line):
        raise ConfigError(
            f"{where}: line {number} of the TLE is not laid out as one; copy it whole, its spaces "
            "too"
        )
    right = checksum(line)
    if right != int(line[-1]):
        raise ConfigError(
            f"{where}: line {number} of the TLE ends with checksum {line[-1]}, its characters give "
            f"{right}; copy it anew"
        )


def checksum(line: str) -> int:
    """The last digit that a line should have: its digits' sum, 1 for each minus, modulo 10."""
    body = line[: LENGTH - 1]
    return (sum(int(one) for one in body if one.isdigit()) + body.count("-")) % 10
