"""Chip folders in an object store: read as those on a disk are, and no more often than needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onboard.cli import run
from onboard.network import Network
from onboard.normalise import Normalisation
from onboard.remote import Remote, place
from onboard.sensor import VNIR4
from tests.onboard.test_cli import leftovers, refused
from tests.s3 import Store
from tests.samples import BUNDLE, CHIPS
from training.chips import ChipFolder
from training.config import TrainConfig
from training.splits import table_of
from training.stream import ChipRef, TrainingStream

CHUNK = 16_384
CONFIG = "widths = [2, 3, 3]\nepochs = 1\nbatch_size = 4\ncrop = 32\nclouds = 0.0\nseed = 3\n"


def put_folder(local: Path, address: str) -> Remote:
    folder = place(address)
    assert isinstance(folder, Remote)
    for path in sorted(local.rglob("*")):
        if path.is_file():
            (folder / path.relative_to(local)).upload(path)  # type: ignore[attr-defined]
    return folder


@pytest.fixture(scope="module")
def far(running: Store) -> Remote:
    return put_folder(CHIPS, "s3://frames/sets/chips")


def test_a_folder_is_what_it_is_on_a_disk(store: Store, far: Remote) -> None:
    here, there = ChipFolder.open(CHIPS), ChipFolder.open(far)
    # Its description and its listing: no chip yet.
    assert not store.sent(".tif")
    assert (there.ids, there.groups, there.bands) == (here.ids, here.groups, here.bands)
    assert table_of(there) == table_of(here)
    assert there.content_hash() == here.content_hash()


def test_a_chip_is_read_once_and_alone(store: Store, far: Remote) -> None:
    here, there = ChipFolder.open(CHIPS), ChipFolder.open(far)
    store.forget()
    chip = there.read(there.ids[3], VNIR4)
    np.testing.assert_array_equal(chip.reflectance, here.read(here.ids[3], VNIR4).reflectance)
    size = sum(path.stat().st_size for path in here.files(here.ids[3]))
    assert store.sent(".tif") <= size + 2 * CHUNK
    assert {Path(one.path).stem for one in store.log} == {there.ids[3]}


def test_describe_and_evaluate_give_the_same_figures(
    store: Store, far: Remote, tmp_path: Path
) -> None:
    found: dict[str, list[Any]] = {"describe": [], "evaluate": []}
    for number, folder in enumerate((str(CHIPS), str(far))):
        out = tmp_path / f"{number}.json"
        assert run(["data", "describe", folder, "--json", str(out)]) == 0
        described = json.loads(out.read_text("utf-8"))["folders"][0]
        assert described.pop("path") == folder
        found["describe"].append(described)
        scored = ["evaluate", str(BUNDLE), folder, "--split", "all", "--no-odd", "--passes", "1"]
        assert run([*scored, "--json", str(out)]) == 0
        found["evaluate"].append(json.loads(out.read_text("utf-8"))["results"])
    for pair in found.values():
        assert pair[0] == pair[1]


def test_training_sees_the_same_batches(store: Store, far: Remote) -> None:
    config = TrainConfig(widths=(2, 3, 3), batch_size=6, crop=32, clouds=0.0)
    network = Network(4, config.widths, config.dropout)
    plain = Normalisation((0.0,) * 4, (1.0,) * 4)
    streams = []
    for folder in (ChipFolder.open(CHIPS), ChipFolder.open(far)):
        refs = [ChipRef(folder, chip) for chip in folder.ids]
        streams.append(TrainingStream(refs, VNIR4, network, plain, config))
    store.forget()
    for index in range(len(streams[0])):
        (inputs, targets), (far_inputs, far_targets) = (stream[index] for stream in streams)
        np.testing.assert_array_equal(far_targets, targets)
        np.testing.assert_array_equal(far_inputs["tile"], inputs["tile"])
    # An epoch reads every chip once.
    size = sum(path.stat().st_size for path in CHIPS.rglob("*.tif"))
    assert size * 0.9 <= store.sent(".tif") <= size + 24 * CHUNK


@pytest.mark.soak
def test_training_gives_the_same_weights(store: Store, far: Remote, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(CONFIG, "utf-8")
    records = []
    for number, folder in enumerate((str(CHIPS), str(far))):
        out = tmp_path / str(number)
        assert run(["train", folder, "--out", str(out), "--config", str(tmp_path / "c.toml")]) == 0
        with np.load(out / "weights.npz") as arrays:
            weights = {name: arrays[name] for name in arrays.files}
        records.append((json.loads((out / "run.json").read_text("utf-8"))["data"], weights))
    (here, first), (there, second) = records
    assert here == there
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])


def test_splits_are_put_beside_the_chips(store: Store, tmp_path: Path) -> None:
    folder = put_folder(CHIPS, "s3://frames/sets/divided")
    toml = folder / "dataset.toml"
    toml.write_bytes(toml.read_bytes().replace(b'name = "synth"', b'name = "mine"'))
    assert run(["data", "split", str(folder)]) == 0
    assert (folder / "splits.toml").is_file()
    assert '["mine"]' in (folder / "splits.toml").read_text("utf-8")


def test_folders_that_are_not_there(store: Store, tmp_path: Path, capfd: Any) -> None:
    for folder, words in (
        ("s3://frames/sets/none", ("is no chip folder", "no such object")),
        ("s3://nowhere/chips", ("s3://nowhere/chips", "bucket does not exist")),
    ):
        refused(capfd, ["data", "describe", folder], folder, *words)
        refused(capfd, ["train", folder, "--out", tmp_path / "o"], folder, *words)
        refused(capfd, ["evaluate", BUNDLE, folder], folder, *words)
    assert leftovers(tmp_path) == []


def test_a_label_that_is_missing_is_named(store: Store, tmp_path: Path, capfd: Any) -> None:
    folder = put_folder(CHIPS, "s3://frames/sets/holes")
    gone = ChipFolder.open(folder).files(ChipFolder.open(folder).ids[0])[1]
    gone.unlink()
    refused(capfd, ["evaluate", BUNDLE, folder, "--split", "all"], str(gone), "cannot be read")


def test_a_store_that_goes_away_ends_a_training(
    store: Store, far: Remote, tmp_path: Path, capfd: Any
) -> None:
    ChipFolder.open(far)
    opening = len(store.log)
    store.forget()
    store.broken_after = opening + 6
    refused(capfd, ["evaluate", BUNDLE, far, "--split", "all", "--no-odd"], str(far))
    # Asked for again, but not for ever.
    assert len(store.log) <= opening + 6 + 20
