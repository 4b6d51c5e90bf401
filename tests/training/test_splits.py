from __future__ import annotations

import tomllib
from collections import Counter
from importlib.resources import files
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onboard.errors import DatasetError
from tests.samples import CHIPS
from training.chips import ChipFolder
from training.splits import LARGE_GROUP, SPLITS, hashed_split, propose, split_ids

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)


def folder_of(groups: list[str], name: str = "anything") -> ChipFolder:
    """Chip ``i`` shows the place ``groups[i]``."""
    ids = tuple(str(i) for i in range(len(groups)))
    where = dict(zip(ids, groups, strict=True))
    return ChipFolder(Path("x"), name, ("blue",), 1.0, 0.0, 30.0, {}, False, ids, where)


def reordered(folder: ChipFolder, order: list[int]) -> ChipFolder:
    ids = tuple(folder.ids[i] for i in order)
    where = {chip: folder.groups[chip] for chip in ids}
    return ChipFolder(Path("y"), folder.name, ("blue",), 1.0, 0.0, 30.0, {}, False, ids, where)


@given(st.lists(NAMES, min_size=1, max_size=60), NAMES)
def test_every_chip_is_in_one_split_and_no_place_in_two(groups: list[str], name: str) -> None:
    folder = folder_of(groups, f"set {name}")
    parts = {split: split_ids(folder, split) for split in SPLITS}
    assert sorted(chain(*parts.values())) == sorted(folder.ids)
    places = [{folder.groups[chip] for chip in part} for part in parts.values()]
    assert sum(map(len, places)) == len(set(groups))


@given(
    st.lists(NAMES, min_size=1, max_size=40).flatmap(
        lambda groups: st.tuples(st.just(groups), st.permutations(range(len(groups))))
    )
)
def test_the_order_of_chips_does_not_matter(drawn: tuple[list[str], list[int]]) -> None:
    groups, order = drawn
    folder = folder_of(groups)
    turned = reordered(folder, order)
    for split in SPLITS:
        assert set(split_ids(folder, split)) == set(split_ids(turned, split))


def test_the_hash_never_changes() -> None:
    found = {g: hashed_split("synth", g) for g in ("200", "202", "205")}
    assert found == {"200": "test", "202": "calibration", "205": "train"}


def test_the_shares_are_as_stated() -> None:
    counts = Counter(hashed_split("set", str(i)) for i in range(4000))
    shares = {split: count / 4000 for split, count in counts.items()}
    assert shares == pytest.approx({"train": 0.6, "calibration": 0.15, "test": 0.25}, abs=0.02)


def test_a_large_place_trains() -> None:
    small = [str(i) for i in range(40)]
    held = next(g for g in small if hashed_split("anything", g) == "test")
    assert propose(folder_of(small))[held] == "test"
    many = [*small, *[held] * round(2 * LARGE_GROUP * len(small))]
    assert propose(folder_of(many))[held] == "train"


def test_the_samples_fall_into_all_splits() -> None:
    assert all(split_ids(ChipFolder.open(CHIPS), split) for split in SPLITS)


def test_a_place_that_the_committed_file_does_not_know() -> None:
    with pytest.raises(DatasetError, match="group 'nowhere' is not in the committed splits"):
        split_ids(folder_of(["0", "nowhere"], "dfc24"), "train")


def test_the_committed_file_names_no_place_twice() -> None:
    for table in committed().values():
        groups = [group for split in SPLITS for group in table[split]]
        assert len(set(groups)) == len(groups)
        assert set(table) == set(SPLITS)


def committed() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads(files("training").joinpath("splits.toml").read_text("utf-8"))


@pytest.mark.parametrize("name", ["dfc24", "clouds"])
def test_the_committed_file_covers_each_place_once(data_folder: Path, name: str) -> None:
    folder = ChipFolder.open(data_folder / name)
    listed = [group for split in SPLITS for group in committed()[name][split]]
    assert sorted(listed) == sorted(set(folder.groups.values()))
    chips = [chip for split in SPLITS for chip in split_ids(folder, split)]
    assert sorted(chips) == sorted(folder.ids)


def test_the_committed_dfc24_is_what_the_rule_proposes(data_folder: Path) -> None:
    folder = ChipFolder.open(data_folder / "dfc24")
    listed = {group: split for split in SPLITS for group in committed()["dfc24"][split]}
    assert listed == propose(folder)
