from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onboard.cli import run
from tests.samples import CHIPS
from tests.training.chipsets import small_folder, write_chip
from training.chips import UNKNOWN, ChipFolder
from training.data.describe import Description, describe


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return small_folder(tmp_path / "small", count=4)


def described(path: Path) -> Description:
    return describe(ChipFolder.open(path))


def test_counts_shares_and_values(small: Path) -> None:
    image = np.full((4, 6, 10), 2000, np.uint16)
    image[1, 0, 0], image[1, 0, 1] = 100, 9000
    label = np.zeros((6, 10), np.uint8)
    label[:3] = 1
    label[5] = UNKNOWN
    for chip in range(4):
        write_chip(small, str(chip), image, label)
    (small / "index.csv").write_text("id,group\n0,a\n1,a\n2,a\n3,b\n", "utf-8")
    found = described(small)
    assert (found.name, found.chips, found.places) == ("small", 4, 2)
    assert found.largest_place == ("a", 3)
    assert found.sizes == {"10×6": 4}
    assert found.shares == {"land": pytest.approx(1 / 3), "water": 0.5, "ignore": 1 / 6}
    assert (found.ranges["green"].low, found.ranges["green"].high) == (0.01, 0.9)
    assert found.ranges["green"].mean == pytest.approx((58 * 2000 + 9100) / 60 * 1e-4, abs=1e-6)
    assert found.problems == ()


def test_every_chip_is_told(small: Path) -> None:
    told: list[int] = []
    describe(ChipFolder.open(small), lambda: told.append(1))
    assert len(told) == 4


def test_all_problems_are_listed_and_none_ends_it(small: Path) -> None:
    good = np.ones((4, 8, 8), np.uint16)
    nan = np.ones((4, 8, 8), np.float32)
    nan[3, 2, 2] = np.nan
    write_chip(small, "0", good, np.zeros((8, 6), np.uint8))
    write_chip(small, "1", good, np.full((8, 8), 9, np.uint8))
    write_chip(small, "2", nan, np.zeros((8, 8), np.uint8))
    (small / "labels" / "3.tif").unlink()
    found = described(small)
    for problem, words in zip(
        found.problems,
        ("cut them alike", "the value 9", "infinity in the band 'nir'", "3.tif: is missing"),
        strict=True,
    ):
        assert words in problem
        assert "\n" not in problem
    assert found.ranges["nir"].high == pytest.approx(1e-4)


def test_what_is_odd_is_noted(small: Path) -> None:
    write_chip(small, "0", np.zeros((4, 8, 8), np.uint16), np.zeros((8, 8), np.uint8))
    write_chip(small, "1", np.ones((4, 8, 8), np.uint16), np.full((8, 8), UNKNOWN, np.uint8))
    (small / "labels" / "x.tif").write_bytes((small / "labels" / "1.tif").read_bytes())
    rows = "".join(f"{chip},here\n" for chip in ("0", "1", "2", "3", "gone"))
    (small / "index.csv").write_text("id,group\n" + rows, "utf-8")
    toml = (small / "dataset.toml").read_text("utf-8").replace("0.0001", "0.1")
    (small / "dataset.toml").write_text(toml, "utf-8")
    found = described(small)
    notes = "\n".join(found.notes)
    assert found.problems == ()
    for words in (
        "0.tif: 100% of it is 0 in every band and labelled all the same",
        "0.tif: the band 'blue' has one value throughout",
        "1.tif: has no labelled pixel",
        "x.tif: has no image beside it",
        "names 1 chips that are not there, 'gone' first",
        "all chips are of one place",
        "look at scale and offset in dataset.toml",
    ):
        assert words in notes


def test_no_water_is_noted(small: Path) -> None:
    for chip in range(4):
        image = np.arange(4 * 64, dtype=np.uint16).reshape(4, 8, 8) + 1
        write_chip(small, str(chip), image, np.zeros((8, 8), np.uint8))
    assert any("no pixel is labelled water" in note for note in described(small).notes)


def test_the_command(small: Path, tmp_path: Path, capfd: Any) -> None:
    out = tmp_path / "d.json"
    assert run(["data", "describe", str(CHIPS), str(small), "--json", str(out)]) == 0
    shown = capfd.readouterr()
    assert "synth, generated" in shown.out
    assert "12 (128×128 px: 12)" in shown.out
    assert shown.err == ""
    found = json.loads(out.read_text("utf-8"))["folders"]
    assert [each["chips"] for each in found] == [12, 4]
    assert set(found[0]["ranges"]["nir"]) == {"low", "mean", "high"}
    (small / "labels" / "3.tif").unlink()
    assert run(["data", "describe", str(small)]) == 1
    assert "problem: " in capfd.readouterr().out


def test_the_command_refuses_what_is_no_chip_folder(tmp_path: Path, capfd: Any) -> None:
    assert run(["data", "describe", str(tmp_path)]) == 2
    assert "is no chip folder" in capfd.readouterr().err


def test_real_chips(data_folder: Path) -> None:
    found = described(data_folder / "dfc24")
    assert (found.chips, found.places, found.largest_place[1]) == (237, 75, 32)
    assert found.problems == ()
    assert found.shares["water"] == pytest.approx(0.289, abs=0.001)
    assert found.ranges["fmask_qa"].high <= 255
