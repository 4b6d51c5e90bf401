from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onboard.cli import run
from onboard.errors import ConfigError, DatasetError
from tests.training.chipsets import small_folder, write_chip
from training.chips import ChipFolder
from training.data.divide import Shares, divide, summarise, to_toml, weigh
from training.splits import SPLITS, read_tables, split_ids

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)


def folder_of(groups: list[str], name: str = "anything") -> ChipFolder:
    ids = tuple(str(i) for i in range(len(groups)))
    where = dict(zip(ids, groups, strict=True))
    return ChipFolder(Path("x"), name, ("blue",), 1.0, 0.0, 30.0, {}, False, ids, where)


def weights_of(groups: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, group in enumerate(groups):
        counts = np.array([1.0, 90 + number % 7, 10 + number % 3, 0, 0])
        found[group] = found.get(group, np.zeros(5)) + counts
    return found


@settings(max_examples=25)
@given(st.lists(NAMES, min_size=3, max_size=40), st.integers(0, 9))
def test_each_place_is_in_one_part_and_no_part_is_empty(groups: list[str], seed: int) -> None:
    if len(set(groups)) < 3:
        return
    table = divide(folder_of(groups), weights_of(groups), seed, Shares())
    assert set(table) == set(groups)
    assert set(table.values()) == set(SPLITS)
    shuffled = dict(reversed(list(weights_of(groups).items())))
    assert divide(folder_of(groups), shuffled, seed, Shares()) == table


def test_the_parts_are_of_about_the_wanted_size_and_alike() -> None:
    groups = [f"g{i % 40}" for i in range(200)]
    weights = weights_of(groups)
    parts = summarise(weights, divide(folder_of(groups), weights, 1, Shares.of(0.2, 0.3)))
    assert [parts[s].chips for s in SPLITS] == pytest.approx([100, 40, 60], abs=10)
    for split in SPLITS:
        assert parts[split].shares["water"] == pytest.approx(0.105, abs=0.01)


def test_a_seed_gives_one_division_and_another_seed_another() -> None:
    groups = [f"g{i}" for i in range(30)]
    weights = weights_of(groups)
    first, same, other = (divide(folder_of(groups), weights, s, Shares()) for s in (0, 0, 1))
    assert first == same
    assert first != other


def test_a_place_that_is_nearly_all_trains() -> None:
    groups = ["big"] * 50 + ["a", "b", "c"]
    assert divide(folder_of(groups), weights_of(groups), 0, Shares())["big"] == "train"


@pytest.mark.parametrize(
    ("groups", "words"), [(["a"] * 5, "chips of 1 place, "), (["a", "b"], "chips of 2 places, ")]
)
def test_too_few_places(groups: list[str], words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        divide(folder_of(groups), weights_of(groups), 0, Shares())


def test_a_set_of_the_committed_file() -> None:
    with pytest.raises(DatasetError, match="fixes the splits of 'dfc24' already"):
        divide(folder_of(["a", "b", "c"], "dfc24"), weights_of(["a", "b", "c"]), 0, Shares())


@pytest.mark.parametrize("pair", [(0.0, 0.2), (0.5, 0.5), (-0.1, 0.2), (0.2, float("nan"))])
def test_shares_that_leave_nothing(pair: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match="together below 1"):
        Shares.of(*pair)


@given(st.dictionaries(NAMES, st.sampled_from(SPLITS), max_size=12), NAMES)
def test_the_file_reads_back(table: dict[str, Any], name: str) -> None:
    text = to_toml({name: table})
    assert read_tables(text.encode("utf-8"), Path("f")) == {name: table}


def test_labels_are_counted(tmp_path: Path) -> None:
    folder = small_folder(tmp_path / "c", count=3)
    label = np.zeros((8, 8), np.uint8)
    label[0], label[1:3], label[3] = 1, 2, 255
    write_chip(folder, "0", np.ones((4, 8, 8), np.uint16), label)
    assert weigh(ChipFolder.open(folder))["place0"].tolist() == [1, 32, 8, 16, 0]


def test_the_command_writes_what_training_reads(tmp_path: Path, capfd: Any) -> None:
    path, report = small_folder(tmp_path / "c", count=9), tmp_path / "s.json"
    assert run(["data", "split", str(path), "--seed", "3", "--json", str(report)]) == 0
    shown = capfd.readouterr()
    assert "calibration" in shown.out
    assert shown.err == ""
    folder = ChipFolder.open(path)
    found = json.loads(report.read_text("utf-8"))
    for split in SPLITS:
        ids = split_ids(folder, split)
        assert found["sets"]["small"][split]["chips"] == len(ids) > 0
        assert {found["splits"]["small"][folder.groups[chip]] for chip in ids} == {split}
    assert sorted(chain(*(split_ids(folder, s) for s in SPLITS))) == sorted(folder.ids)
    before = (path / "splits.toml").read_bytes()
    assert run(["data", "split", str(path), "--seed", "3"]) == 0
    assert run(["data", "split", str(path), "--seed", "4"]) == 2
    assert "holds another division" in capfd.readouterr().err
    assert (path / "splits.toml").read_bytes() == before


def test_one_file_for_two_folders(tmp_path: Path, capfd: Any) -> None:
    one, two = (small_folder(tmp_path / n, count=4) for n in ("one", "two"))
    out = tmp_path / "all.toml"
    assert run(["data", "split", str(one), str(two), "--out", str(out)]) == 2
    assert "bears the name 'small'" in capfd.readouterr().err
    text = (two / "dataset.toml").read_text("utf-8").replace('"small"', '"other"')
    (two / "dataset.toml").write_text(text, "utf-8")
    assert run(["data", "split", str(one), str(two), "--out", str(out)]) == 0
    assert set(read_tables(out.read_bytes(), out)) == {"small", "other"}
    assert not (one / "splits.toml").exists()


def test_the_command_refuses_one_place(tmp_path: Path, capfd: Any) -> None:
    path = small_folder(tmp_path / "c", count=3)
    (path / "index.csv").write_text("id,group\n0,a\n1,a\n2,a\n", "utf-8")
    assert run(["data", "split", str(path)]) == 2
    lines = capfd.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert "chips of 1 place" in lines[0]
    assert not (path / "splits.toml").exists()


def test_the_hash_of_the_content_knows_the_splits(tmp_path: Path) -> None:
    path = small_folder(tmp_path / "c", count=4)
    before = ChipFolder.open(path).content_hash()
    assert run(["data", "split", str(path)]) == 0
    assert ChipFolder.open(path).content_hash() != before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[small", "is no file of splits"),
        ("small = 3", "is no file of splits"),
        ("[other]\ntrain = []", "does not name the set 'small'"),
        ("[small]\ntrain = ['place0']", "the group 'place1' is not in"),
        ("[small]\ntrain = ['place0', 'place1']\ntest = ['place1']", "is in two splits"),
    ],
)
def test_a_bad_file_of_splits(tmp_path: Path, text: str, words: str) -> None:
    path = small_folder(tmp_path / "c")
    (path / "splits.toml").write_text(text, "utf-8")
    with pytest.raises(DatasetError) as caught:
        split_ids(ChipFolder.open(path), "train")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "splits.toml" in str(caught.value)
