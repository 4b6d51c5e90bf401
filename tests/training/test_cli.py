"""The training commands as their users meet them, bad input first."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onboard import bundle
from onboard.cli import run
from tests.refusals import refused
from tests.samples import BUNDLE, CHIPS, DEMO_KEY
from tests.training.chipsets import copied_samples, small_folder, write_chip
from tests.training.runs import finished_run
from training import export, targets
from training.config import TrainConfig

FINISHED = ["held.npz", "representative.npz", "run.json", "weights.npz"]
TINY = "epochs = 1\nbatch_size = 6\ncrop = 32\nwidths = [2, 3, 3]\n"


@pytest.fixture(scope="module", autouse=True)
def quick(few_skies: None) -> Iterator[None]:
    """Few skies and small tiles: neither changes what the commands do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(targets, "TILE", 160)
        patch.setattr(export, "CHUNK", 3)
        patch.setattr(targets, "CHUNK", 3)
        yield


@pytest.fixture
def chips(tmp_path: Path) -> Path:
    return copied_samples(tmp_path / "chips")


def test_the_settings_that_it_prints_read_back(tmp_path: Path, capfd: Any) -> None:
    assert run(["train", "--dump-config"]) == 0
    path = tmp_path / "c.toml"
    path.write_text(capfd.readouterr().out, "utf-8")
    assert TrainConfig.read(path) == TrainConfig()
    path.write_text(TINY, "utf-8")
    assert run(["train", "--config", str(path), "--dump-config"]) == 0
    path.write_text(capfd.readouterr().out, "utf-8")
    assert TrainConfig.read(path) == TrainConfig(epochs=1, batch_size=6, crop=32, widths=(2, 3, 3))


def test_from_chips_to_figures(tmp_path: Path, capfd: Any) -> None:
    """train, export and evaluate, one after the other."""
    config, trained, out = tmp_path / "c.toml", tmp_path / "run", tmp_path / "bundle"
    config.write_text(TINY, "utf-8")
    assert run(["train", str(CHIPS), "--out", str(trained), "--config", str(config)]) == 0
    shown = capfd.readouterr()
    assert "epoch 1/1  loss" in shown.out
    assert shown.err == ""
    arguments = ["--key", str(DEMO_KEY), "--name", "tiny", "--bundle-version", "7"]
    arguments += ["--target", "tflite", "--target", "reference"]
    assert run(["export", str(trained), "--out", str(out), *arguments]) == 0
    shown = capfd.readouterr()
    assert "making tflite" in shown.out
    assert shown.err.count("\n") == 1
    assert "left out: no oddity score: the run keeps" in shown.err
    # The demo's key has no public half beside it: it is trusted anyway.
    assert f"'floodsat inspect {out}' shows it" in shown.out
    found = bundle.load(out, ["tflite", "reference", bundle.COMMON])
    assert (found.name, found.version) == ("tiny", 7)
    report = tmp_path / "r.json"
    arguments = ["--passes", "2", "--seed", "5", "--json", str(report)]
    assert run(["evaluate", str(out), str(CHIPS), *arguments]) == 0
    assert "synth, test places" in capfd.readouterr().out
    figures = json.loads(report.read_text("utf-8"))
    assert figures["model_id"] == found.model_id.hex()
    assert (figures["passes"], figures["seed"], figures["split"]) == (2, 5, "test")
    assert figures["results"]["synth"]["chips"] == 2
    assert figures["odd"] == {"synth": None}
    bad = ["evaluate", out, CHIPS, "--odd", CHIPS]
    refused(capfd, bad, "carries no oddity score", "leave --odd out")


def test_two_folders_of_one_name_are_both_scored(tmp_path: Path, capfd: Any) -> None:
    one, two = (small_folder(tmp_path / name) for name in ("one", "two"))
    report = tmp_path / "r.json"
    arguments = ["--split", "all", "--passes", "1", "--json", str(report)]
    assert run(["evaluate", str(BUNDLE), str(one), str(two), *arguments]) == 0
    assert list(json.loads(report.read_text("utf-8"))["results"]) == ["small", str(two)]


@pytest.mark.parametrize("arguments", [[], ["--out", "x"], [str(CHIPS)]])
def test_train_without_chips_or_out(capfd: Any, arguments: list[str]) -> None:
    assert run(["train", *arguments]) == 2
    error = capfd.readouterr().err
    assert "Usage: floodsat train" in error
    assert "name one chip folder at least, and --out" in error


@pytest.mark.parametrize(
    "arguments", [["evaluate"], ["evaluate", "b"], ["export"], ["export", "r"]]
)
def test_a_missing_argument(capfd: Any, arguments: list[str]) -> None:
    assert run(arguments) == 2
    assert "Missing" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epochs = ", "cannot be read as TOML"),
        ("epoch = 1", "unknown setting 'epoch'"),
        ("epochs = 'x'", "should be a whole number"),
        ("seed = -1", "is out of range"),
    ],
)
def test_train_with_bad_settings(tmp_path: Path, capfd: Any, text: str, words: str) -> None:
    config = tmp_path / "c.toml"
    config.write_text(text, "utf-8")
    out = tmp_path / "run"
    refused(capfd, ["train", CHIPS, "--out", out, "--config", config], str(config), words)
    refused(capfd, ["train", CHIPS, "--out", out, "--config", tmp_path / "no.toml"], "no.toml")
    assert not out.exists()


def no_description(chips: Path) -> None:
    (chips / "dataset.toml").unlink()


def bad_description(chips: Path) -> None:
    (chips / "dataset.toml").write_text("bands = [", "utf-8")


def missing_band(chips: Path) -> None:
    text = (chips / "dataset.toml").read_text("utf-8")
    (chips / "dataset.toml").write_text(text.replace('"nir"', '"swir1"'), "utf-8")


def missing_label(chips: Path) -> None:
    (chips / "labels" / "00005.tif").unlink()


def truncated_image(chips: Path) -> None:
    path = chips / "images" / "00005.tif"
    path.write_bytes(path.read_bytes()[:2000])


def strange_label(chips: Path) -> None:
    write_chip(chips, "00005", np.ones((4, 8, 8), np.uint16), np.full((8, 8), 9, np.uint8))


def not_finite(chips: Path) -> None:
    write_chip(chips, "00005", np.full((4, 8, 8), np.nan, np.float32), np.zeros((8, 8), np.uint8))


def other_shape(chips: Path) -> None:
    write_chip(chips, "00005", np.ones((4, 8, 8), np.uint16), np.zeros((8, 6), np.uint8))


def no_chips(chips: Path) -> None:
    shutil.rmtree(chips / "images")


def bad_splits(chips: Path) -> None:
    (chips / "splits.toml").write_text("[synth]\ntrain = ['200']\n", "utf-8")


def bad_index(chips: Path) -> None:
    (chips / "index.csv").write_bytes(b"id,group\n\xff,1\n")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (shutil.rmtree, "is no chip folder"),
        (no_description, "is no chip folder"),
        (bad_description, "is not valid TOML"),
        (missing_band, "lacks the band 'nir'"),
        (missing_label, "00005.tif: is missing"),
        (truncated_image, "00005.tif: cannot be read as a TIFF"),
        (strange_label, "00005.tif: holds the value 9"),
        (not_finite, "00005.tif: holds NaN or infinity"),
        (other_shape, "is 6×8 pixels, its image 8×8; cut them alike"),
        (no_chips, "holds no chips"),
        (bad_splits, "splits.toml of 'synth'; add it there"),
        (bad_index, "index.csv: cannot be read as UTF-8"),
    ],
)
def test_bad_chips(chips: Path, tmp_path: Path, capfd: Any, spoil: Any, words: str) -> None:
    """Chip 00005 is the first that trains."""
    spoil(chips)
    out, report = tmp_path / "run", tmp_path / "r.json"
    refused(capfd, ["train", chips, "--out", out], str(chips), words)
    assert not list(out.glob("*"))
    small = ["--split", "train", "--passes", "1", "--json", report]
    refused(capfd, ["evaluate", BUNDLE, chips, *small], str(chips), words)
    assert not report.exists()


def test_train_into_a_file(tmp_path: Path, capfd: Any) -> None:
    (tmp_path / "run").write_text("mine", "utf-8")
    refused(capfd, ["train", CHIPS, "--out", tmp_path / "run"], "cannot write there")
    assert (tmp_path / "run").read_text("utf-8") == "mine"


def test_evaluate_with_a_bad_bundle(tmp_path: Path, capfd: Any) -> None:
    refused(capfd, ["evaluate", tmp_path, CHIPS], str(tmp_path), "name the folder of a bundle")
    bad = Path(shutil.copytree(BUNDLE, tmp_path / "bad"))
    data = bytearray((bad / "tflite" / "k10.tflite").read_bytes())
    data[1000] ^= 1
    (bad / "tflite" / "k10.tflite").write_bytes(bytes(data))
    refused(capfd, ["evaluate", bad, CHIPS], "k10.tflite: is damaged")


def test_evaluate_a_split_that_is_empty(tmp_path: Path, capfd: Any) -> None:
    folder = small_folder(tmp_path / "chips")
    refused(capfd, ["evaluate", BUNDLE, folder], "no chip falls into the split", "--split all")


def test_evaluate_into_a_folder(tmp_path: Path, capfd: Any) -> None:
    folder = small_folder(tmp_path / "chips")
    arguments = ["evaluate", BUNDLE, folder, "--split", "all", "--passes", "1", "--json", tmp_path]
    refused(capfd, arguments, str(tmp_path), "name a file")


def test_export_of_bad_input(tmp_path: Path, capfd: Any) -> None:
    good, out, key = finished_run(tmp_path / "run"), tmp_path / "b", ["--key", DEMO_KEY]
    refused(capfd, ["export", tmp_path, "--out", out, *key], "is no finished run")
    none = tmp_path / "no.key"
    refused(capfd, ["export", good, "--out", out, "--key", none], "is no readable private key")
    card = ["--card", tmp_path / "no.md"]
    refused(capfd, ["export", good, "--out", out, *key, *card], "cannot be read as a model card")
    refused(capfd, ["export", good, "--out", good, *key], "holds other files")
    refused(capfd, ["export", good, "--out", good / "run.json", *key], "is a file; name a folder")
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
    assert sorted(p.name for p in good.iterdir()) == FINISHED
