from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks import upsets
from benchmarks.upsets import Flip


def test_a_flip_changes_one_bit_of_one_weight() -> None:
    weights = {"a": np.ones((2, 3), np.float32), "b": np.ones(2, np.float32)}
    found = upsets.flipped(weights, "a", 4, 31)
    assert found["a"].ravel().tolist() == [1, 1, 1, 1, -1, 1]
    assert found["b"].tolist() == [1, 1]
    assert weights["a"].min() == 1


def test_few_flips_of_the_shipped_weights() -> None:
    found = upsets.measure(4, seed=3)
    assert len(found) == 4
    assert found == upsets.measure(4, seed=3) or any(np.isnan(flip.mask) for flip in found)


def test_the_table_counts_by_tolerance() -> None:
    flips = [
        Flip("a", 30, float("inf"), float("nan")),
        Flip("a", 20, 1e-3, 0.01),
        Flip("a", 1, 1e-9, 0.0),
        Flip("a", 2, 4e-2, 0.002),
    ]
    text = upsets.table(flips, 7)
    assert "| tflite, 1e-05 | 75.0% | 1 | 0 | 0.000% of the pixels |" in text
    assert "| tflite-int8, 0.05 | 25.0% | 3 | 2 | 1.000% of the pixels |" in text
    assert "seed 7" in text


def test_the_table_goes_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- upsets -->\nold\n<!-- end of upsets -->\nafter\n", "utf-8")
    upsets.write("new", page)
    assert page.read_text("utf-8") == (
        "before\n<!-- upsets -->\nnew\n<!-- end of upsets -->\nafter\n"
    )


def test_the_docs_have_the_table() -> None:
    text = upsets.PAGE.read_text("utf-8")
    between = text.split(upsets.MARKS[0])[1].split(upsets.MARKS[1])[0]
    assert f"{upsets.FLIPS} single bits" in between
    assert f"seed {upsets.SEED}" in between
