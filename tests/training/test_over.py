"""An evaluation by the workers of a cluster: its figures are those of one process, to the bit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from onboard import cli
from onboard.segment import Segmenter
from tests.samples import BUNDLE, CHIPS, crop, write_frame
from training.chips import ChipFolder
from training.over import Elsewhere, Here

LOCAL = ["--cluster", "local", "--workers", "2"]


def test_figures_are_the_same_to_the_bit(tmp_path: Path) -> None:
    chips, frame = few(tmp_path / "few"), write_frame(tmp_path / "frame.tif", crop(130, 140))
    options = ["--split", "all", "--passes", "1", "--odd", str(frame)]
    found = []
    for name, more in (("one", []), ("two", LOCAL)):
        file = tmp_path / f"{name}.json"
        given = [str(BUNDLE), str(chips), *options, "--json", str(file), *more]
        assert cli.run(["evaluate", *given]) == 0
        found.append(file.read_bytes())
    assert found[0] == found[1]
    assert b'"auroc"' in found[0]
    assert b'"score_max"' in found[0]


def few(folder: Path) -> Path:
    """A chip folder of the first two sample chips."""
    folder.mkdir()
    shutil.copy(CHIPS / "dataset.toml", folder)
    for part in ("images", "labels"):
        (folder / part).mkdir()
        for name in ChipFolder.open(CHIPS).ids[:2]:
            shutil.copy(CHIPS / part / f"{name}.tif", folder / part)
    return folder


@pytest.mark.soak
def test_figures_of_real_chips_are_the_same_to_the_bit(data_folder: Path, tmp_path: Path) -> None:
    found = []
    for name, more in (("one", []), ("two", LOCAL)):
        file = tmp_path / f"{name}.json"
        options = ["--split", "all", "--json", str(file), *more]
        assert cli.run(["evaluate", str(BUNDLE), str(data_folder / "dfc24"), *options]) == 0
        found.append(file.read_bytes())
    assert found[0] == found[1]


def test_workers_are_for_a_local_cluster(capfd: Any) -> None:
    assert cli.run(["evaluate", str(BUNDLE), str(CHIPS), "--workers", "2"]) == 2
    assert "--workers: counts the processes" in capfd.readouterr().err


def test_a_chip_travels_without_the_others() -> None:
    folder = ChipFolder.open(CHIPS)
    one = folder.only(folder.ids[2])
    assert (one.ids, one.groups) == (folder.ids[2:3], {one.ids[0]: folder.groups[one.ids[0]]})
    assert one.path.is_absolute()


def test_here_is_one_after_the_other() -> None:
    seen: list[int] = []

    def work(segmenter: Segmenter, number: int) -> int:
        seen.append(number)
        return 2 * number

    results = Here(None).each(work, [1, 2, 3])  # type: ignore[arg-type]
    assert next(results) == 2
    assert seen == [1]
    assert list(results) == [4, 6]


def test_an_engine_that_is_elsewhere_does_not_run_here() -> None:
    with pytest.raises(NotImplementedError, match="tflite runs on the workers"):
        Elsewhere("tflite").run(None, None)
