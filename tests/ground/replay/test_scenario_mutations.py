"""Whatever is done to a scenario's text, it is read and planned, or refused in one line."""

from __future__ import annotations

import random

import pytest

from ground.replay.checks import plan
from onboard.errors import ConfigError
from tests.ground.replay.example import TEXT, scenario

VALUES = ["-1", "0", "1e308", "nan", "inf", '""', '"x"', "[]", "[[]]", "{}", "true", "99999999999"]
VALUES += ["2021-03-15", "2021-03-15T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"]
VALUES += ["12:00:00", "[1, 2]", "[[1, 2]]", '["a", "b"]', "1e-300", "-0.0", '"\\u0000"', "36500"]


def mutated(rng):
    """The example with a value, a line or some characters changed."""
    lines = TEXT.splitlines()
    for _ in range(rng.choice([1, 1, 2, 4])):
        at = rng.randrange(len(lines))
        key, equals, _ = lines[at].partition("=")
        kind = rng.randrange(5)
        if kind <= 2 and equals:
            lines[at] = f"{key}= {rng.choice(VALUES)}"
        elif kind == 3:
            lines.insert(rng.randrange(len(lines)), lines.pop(at))
        elif lines[at]:
            where = rng.randrange(len(lines[at]))
            lines[at] = lines[at][:where] + chr(rng.randrange(32, 127)) + lines[at][where + 1 :]
    return "\n".join(lines) + "\n"


def refusal(folder, text):
    """Why a text is refused; empty if it is not."""
    try:
        plan(scenario(folder, text))
    except ConfigError as error:
        return str(error)
    return ""


def run(folder, count):
    refused = 0
    for seed in range(count):
        text = mutated(random.Random(seed))
        if why := refusal(folder, text):
            refused += 1
            assert "\n" not in why, text
            assert why.startswith(str(folder)), text
    return refused


def test_mutated_scenarios(tmp_path):
    assert 50 < run(tmp_path, 150) < 150


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_many_mutated_scenarios(tmp_path):
    assert 2_000 < run(tmp_path, 4_000) < 4_000
