"""``floodsat bench`` as its users meet it, with the measuring itself left out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks import bench
from benchmarks.figures import Bound, Figure, Report
from benchmarks.machine import processor
from onboard import cli
from tests import refusals
from tests.samples import BUNDLE, ROOT

STAGES = ("read", "engine, core", "engine, halo", "maps", "write")


def report(ratio: float) -> Report:
    figures = [
        Figure("passes_ratio", "tflite", "T = 10 over one", ratio, "×", Bound(1.5)),
        Figure("speed_ratio", "tflite", "speed", 40.0, "×", Bound(30.0, at_most=False), "a | b"),
        Figure("floodsat_rate", "tflite", "FloodSat", 4.0, "MP/s"),
        Figure("unet_rate", "tflite", "U-Net", 0.1, "MP/s"),
        Figure("peak_memory", "tflite", "memory", None, "MB", Bound(512.0), "not measured: why"),
    ]
    budget = dict.fromkeys(STAGES, 0.5)
    return Report(figures, {"tflite": budget}, {"processor": "a processor"}, {"halo": "this"})


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[bench.Job]:
    """What the command asked to have measured; the ratio found is the seed, in hundredths."""
    jobs: list[bench.Job] = []

    def run(job: bench.Job, tell: Any, start: float) -> Report:
        jobs.append(job)
        for step in range(bench.steps(job)):
            tell(f"step {step}")
        return report(job.seed / 100)

    monkeypatch.setattr(bench, "run", run)
    return jobs


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_it_writes_what_it_found_and_ends_with_0(
    measured: list[bench.Job], tmp_path: Path, capfd: Any
) -> None:
    out = tmp_path / "out"
    assert cli.run(["bench", "--out", str(out), "--seed", "120"]) == 0
    assert measured[0].bundle.resolve() == ROOT / "data_samples" / "bundle"
    assert json.loads((out / "bench.json").read_text("utf-8")) == report(1.2).to_json()
    assert (out / "bench.png").read_bytes().startswith(b"\x89PNG")
    page = (out / "bench.md").read_text("utf-8")
    assert "](bench.png)" in page
    assert "| T = 10 over one | tflite | 1.20 × | ≤ 1.5 ×: holds |" in page
    assert "a \\| b" in page
    shown = capfd.readouterr().out
    assert shown.index("T = 10 over one") < shown.index("MP/s")
    assert "not measured" in shown


def test_a_bound_that_does_not_hold_ends_with_1_and_is_named(
    measured: list[bench.Job], capfd: Any
) -> None:
    assert cli.run(["bench", "--seed", "160"]) == 1
    found = capfd.readouterr()
    assert "DOES NOT" in found.out
    assert "does not hold: T = 10 over one, tflite: 1.60 ×" in found.err


def test_the_page_finds_a_picture_that_lies_elsewhere(
    measured: list[bench.Job], tmp_path: Path
) -> None:
    (tmp_path / "docs" / "images").mkdir(parents=True)
    page, plot = tmp_path / "docs" / "b.md", tmp_path / "docs" / "images" / "b.svg"
    assert cli.run(["bench", "--markdown", str(page), "--plot", str(plot)]) == 0
    assert "](images/b.svg)" in page.read_text("utf-8")
    assert "<svg" in plot.read_text("utf-8")


@pytest.mark.parametrize("option", ["--json", "--plot", "--markdown"])
def test_a_missing_folder_is_refused_before_the_work(
    option: str, measured: list[bench.Job], tmp_path: Path, capfd: Any
) -> None:
    refused(capfd, [option, str(tmp_path / "none" / "f.png")], "its folder is not there")
    assert measured == []


def test_a_picture_of_no_known_kind_is_refused(
    measured: list[bench.Job], tmp_path: Path, capfd: Any
) -> None:
    refused(capfd, ["--plot", str(tmp_path / "f.txt")], "f.txt", ".png")
    refused(capfd, ["--json", str(tmp_path)], "is a folder")
    assert measured == []


def test_a_bundle_without_the_engines_files_is_refused(
    measured: list[bench.Job], tmp_path: Path, capfd: Any
) -> None:
    whole = json.loads((BUNDLE / "manifest.json").read_text("utf-8"))
    if "openvino" not in whole["sets"]:
        refused(capfd, [str(BUNDLE), "--engine", "openvino"], "has no files for 'openvino'")
    shutil.copytree(BUNDLE, tmp_path / "bundle")
    shutil.rmtree(tmp_path / "bundle" / "tflite")
    refused(capfd, [str(tmp_path / "bundle")], "tflite", "cannot be read")
    refused(capfd, [str(tmp_path / "none")], "name the folder of a bundle")
    assert measured == []


def refused(capfd: Any, arguments: list[str], *words: str) -> None:
    refusals.refused(capfd, ["bench", *arguments], *words)


def test_the_processor_is_named_as_linux_names_it() -> None:
    text = "processor\t: 0\nmodel name\t: A Processor 9000\nflags\t: fpu\n"
    assert processor(text) == "A Processor 9000"
    assert processor("processor : 0\n")
