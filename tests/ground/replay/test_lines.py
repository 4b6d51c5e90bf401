"""The line of every key of a TOML text."""

from __future__ import annotations

import tomllib

from ground.replay.lines import lines_of
from tests.ground.replay.example import TEXT

SAMPLE = """\
# a comment = 1
name = "a = b # no comment"

[one]
key = 1
"quoted key" = 2
dotted.key = 3

[[many]]
first = [
  1, # [ a bracket
  "]", { x = 5 },
]
second = { inside = 1 }
[many.sub]
deep = 1
[[many.list]]
item = 1
[[many.list]]
item = 2

[[many]]
first = 4
[many.sub]
deep = 2
[[many.list]]
item = 3
"""


def test_every_key_of_a_sample():
    assert lines_of(SAMPLE) == {
        "name": 2,
        "one": 4,
        "one.key": 5,
        "one.quoted key": 6,
        "one.dotted.key": 7,
        "many.0": 9,
        "many.0.first": 10,
        "many.0.second": 14,
        "many.0.sub": 15,
        "many.0.sub.deep": 16,
        "many.0.list.0": 17,
        "many.0.list.0.item": 18,
        "many.0.list.1": 19,
        "many.0.list.1.item": 20,
        "many.1": 22,
        "many.1.first": 23,
        "many.1.sub": 24,
        "many.1.sub.deep": 25,
        "many.1.list.0": 26,
        "many.1.list.0.item": 27,
    }


def keys(value, path=""):
    """Every key of a table as `lines_of` names it."""
    if isinstance(value, dict):
        for name, inside in value.items():
            yield f"{path}.{name}".strip(".")
            yield from keys(inside, f"{path}.{name}".strip("."))
    elif isinstance(value, list) and all(isinstance(one, dict) for one in value):
        for index, inside in enumerate(value):
            yield f"{path}.{index}"
            yield from keys(inside, f"{path}.{index}")


def test_every_key_of_a_scenario_has_the_line_on_which_it_stands():
    found, lines = lines_of(TEXT), TEXT.splitlines()
    inline = ("uplink.0.arguments.name", "uplink.0.arguments.value")
    lists = ("station", "target", "uplink", "safe_mode")
    for key in keys(tomllib.loads(TEXT)):
        if key not in inline + lists:
            assert key.split(".")[-1].strip("0123456789") in lines[found[key] - 1]
    assert set(inline).isdisjoint(found)
