"""An archive once more, by another bundle."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ground.archive import job as jobs
from ground.catalogue import Catalogue
from onboard import bundle as bundles
from onboard import cli
from tests.ground.archive.frames import frames_in, maps_of
from tests.ground.catalogues import checked
from tests.ground.test_catalogue import item
from tests.samples import BUNDLE, DEMO_KEY


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three frames, of the 14th, of the 15th, and without a time."""
    folder = tmp_path_factory.mktemp("archive")
    frames = [str(frame) for frame in frames_in(folder / "in", 3)]
    out = ["--out", str(folder / "maps"), "--catalogue", "--passes", "2"]
    assert cli.run(["segment", str(BUNDLE), *frames, *out]) == 0
    return folder / "maps"


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample bundle with weights of another name, which draws other masks."""
    loaded = bundles.load(BUNDLE, ["tflite"])
    manifest = {**loaded.manifest, "model_id": "ab" * 32}
    path = tmp_path_factory.mktemp("newer") / "bundle"
    sets = {"tflite": {name: loaded.content[name] for name in loaded.sets["tflite"]["files"]}}
    details = {"tflite": dict(loaded.sets["tflite"])}
    bundles.write(path, {**manifest, "sets": details}, sets, DEMO_KEY)
    return path


def run(*arguments: Any) -> int:
    return cli.run(["reprocess", *map(str, arguments)])


def test_all_frames_again_and_then_none(
    archive: Path, newer: Path, tmp_path: Path, capfd: Any
) -> None:
    out = tmp_path / "out"
    assert run(newer, archive, "--out", out, "--passes", 2) == 0
    assert "3 segmented, 0 done before" in capfd.readouterr().out
    assert sorted(maps_of(out)) == ["f0.tif", "f1.tif", "f2.tif"]
    assert maps_of(out) != maps_of(archive)
    assert {one.properties["floodsat:model_id"] for one in checked(out)} == {"ab" * 32}
    assert run(newer, archive, "--out", out, "--passes", 2) == 0
    assert "0 segmented, 3 done before" in capfd.readouterr().out


def test_only_what_is_asked_for(archive: Path, newer: Path, tmp_path: Path, capfd: Any) -> None:
    out = tmp_path / "out"
    span = ["--since", "2026-07-14", "--until", "2026-07-15", "--passes", 2]
    assert run(newer, archive, "--out", out, *span) == 0
    assert sorted(maps_of(out)) == ["f0.tif"]
    assert run(newer, archive, "--out", out, "--area", "-10,-10,-9,-9") == 2
    assert "has no frame of that time and place" in capfd.readouterr().err
    (west, south, *_) = Catalogue(archive).entry("f0").box or ()  # type: ignore[union-attr]
    near = f"{west - 1},{south - 1},{west + 1},{south + 1}"
    assert run(newer, archive, "--out", out, "--area", near, "--passes", 2) == 0
    assert sorted(maps_of(out)) == ["f0.tif", "f1.tif", "f2.tif"]


def test_stopped_in_its_own_place_it_goes_on(
    archive: Path, newer: Path, tmp_path: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Path(shutil.copytree(archive, tmp_path / "maps"))
    work, asked = jobs.segment, 0

    def stopped(recipe: Any, job: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == 3:
            raise KeyboardInterrupt
        return work(recipe, job)

    monkeypatch.setattr(jobs, "segment", stopped)
    assert run(newer, archive, "--out", archive, "--passes", 2) == 130
    monkeypatch.setattr(jobs, "segment", work)
    capfd.readouterr()
    assert run(newer, archive, "--out", archive, "--passes", 2) == 0
    assert "1 segmented, 2 done before" in capfd.readouterr().out
    assert {one.properties["floodsat:model_id"] for one in checked(archive)} == {"ab" * 32}


def test_what_is_no_archive_is_refused(newer: Path, tmp_path: Path, capfd: Any) -> None:
    assert run(newer, tmp_path, "--out", tmp_path / "o") == 2
    assert "has no collection.json" in capfd.readouterr().err
    received = item(0)
    Catalogue(tmp_path / "maps").add([received])
    assert run(newer, tmp_path / "maps", "--out", tmp_path / "o") == 2
    assert f"{received['id']}.json: names no frame" in capfd.readouterr().err
    for area in ("1,2,3", "0,9,1,8"):
        assert run(newer, tmp_path / "maps", "--out", tmp_path / "o", "--area", area) == 2
    damaged = tmp_path / "maps" / "collection.json"
    damaged.write_text(json.dumps([]), "utf-8")
    assert run(newer, tmp_path / "maps", "--out", tmp_path / "o") == 2
    assert "the catalogue is damaged" in capfd.readouterr().err
