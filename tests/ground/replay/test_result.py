"""The file of a replay: the same bytes for the same replay, and nothing else is taken for one."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from ground.replay import result
from onboard.errors import ConfigError
from tests.replays import example


def changed(folder: Path, **fields: Any) -> Path:
    """The example's file with other top-level fields."""
    path = folder / result.NAME
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **fields}), "utf-8")
    return path


def test_a_replay_comes_back_as_it_was(tmp_path: Path) -> None:
    replay = example(tmp_path)
    assert result.read(tmp_path / result.NAME) == replay
    assert result.read(result.write(replay, tmp_path)).to_json() == replay.to_json()


def test_pictures_that_the_example_names_are_there(tmp_path: Path) -> None:
    replay = example(tmp_path)
    names = [getattr(p, n) for p in replay.products for n in ("mask", "entropy", "polygons")]
    named = [*names, *(frame.rgb for frame in replay.frames)]
    assert all((tmp_path / name).is_file() for name in named if name)


def test_a_number_that_is_none_is_not_written() -> None:
    replay = dataclasses.replace(example(), flood_limit_km2=float("nan"))
    with pytest.raises(ValueError, match="nan"):
        replay.to_json()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"format": "something else"}, "is no replay"),
        ({"version": 99}, "version 99"),
        ({"stations": {}}, "is no list"),
        ({"shown": 3}, "is no str"),
        ({"shown": None}, "is no str"),
        ({"more": 1}, "has no more"),
        ({"span": {"name": "x"}}, "does not hold"),
        ({"photographed": [[1]]}, "does not hold"),
        ({"flood_limit_km2": True}, "is no float"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    example(tmp_path)
    with pytest.raises(ConfigError, match=message):
        result.read(changed(tmp_path, **fields))


@pytest.mark.parametrize("text", ["", "[]", "{", "{}"])
def test_what_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / result.NAME).write_text(text)
    with pytest.raises(ConfigError, match=r"replay\.json: is no"):
        result.read(tmp_path / result.NAME)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no readable replay"):
        result.read(tmp_path / "none.json")
