from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from benchmarks import patches
from benchmarks.patches import BOUNDS, Sized


@pytest.fixture(scope="module")
def figures() -> Any:
    return json.loads(patches.FIGURES.read_text("utf-8"))


def example(**changes: Any) -> dict[str, Any]:
    data = [{"name": "here", "sha256": "0", "chips": 12}]
    fields = {
        "model_id": "abcdef0123456789",
        "shipped": False,
        "trained_on": data,
        "first_epochs": 9,
        "tuned_on": data,
        "epochs": 2,
        "learning_rate": 3e-4,
        "seed": 5,
        "int8_bytes": {"k1": 900, "k10": 1000},
        "patches": {
            "whole": Sized(311, 0.311, 0.5, True)._asdict(),
            "head": Sized(27, 0.027, 0.004, True)._asdict(),
        },
    }
    return {**fields, **changes}


def test_the_page_shows_the_figures(figures: Any) -> None:
    text = patches.PAGE.read_text("utf-8")
    between = text.split(patches.MARKS[0])[1].split(patches.MARKS[1])[0]
    assert between.strip() == patches.table(figures)


def test_the_figures_hold_the_bounds_and_agree_with_each_other(figures: Any) -> None:
    assert figures["patches"].keys() == BOUNDS.keys()
    for name, one in figures["patches"].items():
        assert one["installed"] is True
        assert one["share"] == round(one["bytes"] / max(figures["int8_bytes"].values()), 4)
        assert 0 < one["share"] <= BOUNDS[name]
    assert figures["patches"]["head"]["changed"] < figures["patches"]["whole"]["changed"]


def test_the_table_says_what_was_trained_on_what() -> None:
    text = patches.table(example())
    assert "a short run of the shipped shape (model abcdef012345, trained for 9 epochs" in text
    assert "2 epochs on here (12 chips in all), learning rate 0.0003, seed 5" in text
    assert "| the whole network | 50.0% | 311 bytes | 31.1% | 40% |" in text
    assert "| the last layers alone | 0.4% | 27 bytes | 2.7% | 5% |" in text
    assert "of the 1000 bytes" in text
    assert "\nBoth were installed" in text
    assert "the shipped model" in patches.table(example(shipped=True))


def test_a_patch_that_was_not_installed_is_told() -> None:
    sized = {name: Sized(1, 0.1, 0.1, name == "head")._asdict() for name in BOUNDS}
    assert "NOT both were installed" in patches.table(example(patches=sized))


def test_figures_and_table_are_written(tmp_path: Path) -> None:
    page, figures = tmp_path / "page.md", tmp_path / "figures.json"
    page.write_text("before\n<!-- patches -->\nold\n<!-- end of patches -->\nafter\n", "utf-8")
    patches.write(example(), page, figures)
    assert json.loads(figures.read_text("utf-8")) == example()
    text = page.read_text("utf-8")
    assert text.startswith("before\n<!-- patches -->\n`python -m benchmarks.patches")
    assert text.endswith("verified.\n<!-- end of patches -->\nafter\n")
    assert "\nold\n" not in text


def test_what_is_no_run_is_refused_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["patches", "--run", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        patches.main()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{tmp_path}: is no finished run")


@pytest.mark.soak
def test_patches_of_a_model_trained_further_are_small_and_install_soak(tmp_path: Path) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    run = patches.first_run(tmp_path)
    found = patches.measure(run, [patches.CHIPS], patches.SAMPLE_EPOCHS, tmp_path)
    for name, one in found["patches"].items():
        assert one["installed"] is True
        assert one["bytes"] == (tmp_path / f"{name}.fspatch").stat().st_size
        assert one["changed"] > 0
        assert one["bytes"] <= BOUNDS[name] * max(found["int8_bytes"].values()), (name, one)
