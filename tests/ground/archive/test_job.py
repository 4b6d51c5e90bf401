"""An archive in one process: what is done, what is done again, and what is refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from ground.archive import job as jobs
from ground.archive.job import process, run
from ground.archive.recipe import Recipe
from ground.catalogue import Catalogue
from onboard import cli
from onboard.errors import ConfigError, FrameError, OutputError
from tests.ground.archive.frames import counted, frames_in, make, maps_of
from tests.ground.catalogues import checked
from tests.samples import BUNDLE, crop, write_frame


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return Recipe.of(BUNDLE, "tflite", passes=2)


@pytest.fixture
def frames(tmp_path: Path) -> list[Path]:
    return frames_in(tmp_path / "in", 3)


def test_the_maps_are_those_of_segment_and_the_catalogue_is_valid(
    frames: list[Path], tmp_path: Path
) -> None:
    named = [str(BUNDLE), *map(str, frames), "--passes", "2"]
    assert cli.run(["segment", *named, "--out", str(tmp_path / "plain")]) == 0
    assert cli.run(["segment", *named, "--out", str(tmp_path / "archive"), "--catalogue"]) == 0
    assert maps_of(tmp_path / "archive") == maps_of(tmp_path / "plain")
    items = checked(tmp_path / "archive")
    assert sorted(item.id for item in items) == ["f0", "f1", "f2"]
    first = next(item for item in items if item.id == "f0")
    assert first.properties["datetime"] == "2026-07-14T10:00:00Z"
    assert first.properties["proj:code"] == "EPSG:32645"
    assert first.assets["frame"].href == str(frames[0])
    assert first.assets["maps"].extra_fields["file:size"] == len(
        (tmp_path / "archive" / "f0.tif").read_bytes()
    )
    assert 0 <= first.properties["floodsat:share"] <= 1


def test_what_is_done_is_not_done_again(
    recipe: Recipe, frames: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    asked: list[Path] = []

    def counting(recipe: Recipe, job: Any) -> Any:
        asked.append(job.frame)
        return work(recipe, job)

    work = jobs.segment
    monkeypatch.setattr(jobs, "segment", counting)
    first = run(recipe, frames, make(out))
    next(first)
    # Stopped after one frame, as by Ctrl-C.
    first.close()
    assert asked == frames[:1]
    assert counted(process(recipe, frames, out)) == (2, 1, 0)
    assert asked == frames
    before = maps_of(out)
    assert counted(process(recipe, frames, out)) == (0, 3, 0)
    assert asked == frames
    assert maps_of(out) == before


def test_other_settings_and_damage_are_done_again(
    recipe: Recipe, frames: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process(recipe, frames, out)
    before = maps_of(out)
    (out / "f1.tif").write_bytes(before["f1.tif"][:-100])
    (out / "f2.tif").unlink()
    assert counted(process(recipe, frames, out)) == (2, 1, 0)
    assert maps_of(out) == before
    other = Recipe.of(BUNDLE, "tflite", passes=2, seed=7)
    assert counted(process(other, frames, out)) == (3, 0, 0)
    entry = Catalogue(out).entry("f0")
    assert entry is not None
    assert entry.item()["properties"]["floodsat:seed"] == "7"
    assert len(checked(out)) == 3


def test_a_frame_that_was_moved_or_touched_is_known_by_its_samples(
    recipe: Recipe, frames: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process(recipe, frames, out)
    before = maps_of(out)
    os.utime(frames[0], (1, 1))
    moved = [shutil.copy2(frame, make(tmp_path / "moved") / frame.name) for frame in frames]
    assert counted(process(recipe, frames, out)) == (0, 3, 0)
    assert counted(process(recipe, [Path(m) for m in moved], out)) == (0, 3, 0)
    assert maps_of(out) == before
    entry = Catalogue(out).entry("f2")
    assert entry is not None
    assert entry.item()["assets"]["frame"]["href"] == str(moved[2])


def test_another_frame_of_the_same_name_is_refused_and_a_newer_one_replaces(
    recipe: Recipe, frames: list[Path], tmp_path: Path, capfd: Any
) -> None:
    out = tmp_path / "out"
    process(recipe, frames, out)
    before = maps_of(out)
    other = write_frame(make(tmp_path / "other") / "f0.tif", crop(40, 50, 5, 5))
    capfd.readouterr()
    with pytest.raises(FrameError, match="1 of 1 frames"):
        process(recipe, [other], out)
    assert f"is of another frame of that name, {frames[0]}" in capfd.readouterr().err
    assert maps_of(out) == before
    shutil.copy(other, frames[0])
    assert counted(process(recipe, frames, out)) == (1, 2, 0)
    assert maps_of(out)["f0.tif"] != before["f0.tif"]


def test_bad_frames_are_named_and_the_others_done(
    frames: list[Path], tmp_path: Path, capfd: Any
) -> None:
    frames[1].write_bytes(b"nonsense")
    gone = tmp_path / "in" / "gone.tif"
    out = tmp_path / "out"
    named = [str(frames[0]), str(frames[1]), str(gone), str(frames[2])]
    code = cli.run(["segment", str(BUNDLE), *named, "--out", str(out), "--catalogue"])
    lines = [line for line in capfd.readouterr().err.splitlines() if not line.startswith("note")]
    assert code == 2
    assert len(lines) == 3
    assert f"failed: {frames[1]}:" in lines[0]
    assert f"failed: {gone}:" in lines[1]
    assert lines[2].startswith("floodsat: 2 of 4 frames have no maps")
    assert sorted(maps_of(out)) == ["f0.tif", "f2.tif"]


def test_two_jobs_do_not_share_a_folder(recipe: Recipe, frames: list[Path], tmp_path: Path) -> None:
    out = make(tmp_path / "out")
    with jobs._alone(out), pytest.raises(OutputError, match="another job is at work"):
        process(recipe, frames, out)
    assert counted(process(recipe, frames[:1], out)) == (1, 0, 0)


def test_what_a_kill_left_half_written_goes(
    recipe: Recipe, frames: list[Path], tmp_path: Path
) -> None:
    out = make(tmp_path / "out")
    (out / ".part-abc.tif").write_bytes(b"half")
    process(recipe, frames[:1], out)
    assert sorted(maps_of(out)) == ["f0.tif"]


def test_a_full_disk_ends_the_job_and_keeps_what_is_done(
    recipe: Recipe, frames: list[Path], tmp_path: Path
) -> None:
    out = make(tmp_path / "out")
    # A folder in the place of a map cannot be written.
    (out / "f1.tif").mkdir()
    with pytest.raises(OutputError, match=r"f1\.tif"):
        process(recipe, frames, out)
    (out / "f1.tif").rmdir()
    assert counted(process(recipe, frames, out)) == (2, 1, 0)


def test_a_worker_that_sees_other_things_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    out = make(tmp_path / "out")
    with jobs._alone(out) as token:
        jobs.fit(recipe, out, token)
        with pytest.raises(Exception, match="is not the same folder there"):
            jobs.fit(recipe, tmp_path, token)
        old = Recipe(**{**vars(recipe), "version": "0.0.1"})
        with pytest.raises(ConfigError, match=r"the job was started by 0\.0\.1"):
            jobs.fit(old, out, token)
        other = Recipe(**{**vars(recipe), "manifest": "0" * 64})
        with pytest.raises(Exception, match="is another bundle there"):
            jobs.fit(other, out, token)
