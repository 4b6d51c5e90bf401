from __future__ import annotations

import dataclasses
import hashlib
import json
import sqlite3
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import numpy as np
import pytest
import rasterio
import shapely

from onboard import chip, files
from onboard.classes import CLOUD, NODATA, WATER
from onboard.cli import run
from onboard.errors import DatasetError
from onboard.georef import Georef
from onboard.sensor import VNIR4
from tests.chips import make_chip
from tests.samples import CHIPS
from training.chips import UNKNOWN, ChipFolder
from training.data import labelling, layers
from training.data.describe import describe

geopandas = pytest.importorskip("geopandas")
UTM = "EPSG:32606"


def grid(x: float = 0.0, y: float = 0.0, crs: str = UTM) -> Georef:
    return Georef(33, 24, crs, (10.0, 0.0, 500_000.0 + x, 0.0, -10.0, 7_000_000.0 + y))


def deliver(folder: Path, *chips: chip.Chip) -> list[str]:
    """Chips as a reception leaves them; their names."""
    folder = files.make_folder(folder / "chips")
    found = [chip.unpack(chip.pack(one)) for one in chips]
    for one in found:
        (folder / f"{one.stem}.fsc").write_bytes(chip.pack(one))
    return [one.stem for one in found]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "river"


@pytest.fixture
def names(tmp_path: Path, folder: Path) -> list[str]:
    """Three chips, two of one frame and one far away, in a new labelling folder."""
    chips = (
        make_chip(1, georef=grid()),
        make_chip(1, georef=grid(330.0), col=384),
        make_chip(2, georef=grid(200_000.0)),
    )
    listed = deliver(tmp_path / "rx", *chips)
    assert labels(folder, tmp_path / "rx") == 0
    return listed


def labels(folder: Path, *words: Any) -> int:
    return run(["labels", str(folder), *(str(word) for word in words)])


def mark(folder: Path, name: str, status: str) -> None:
    """What QGIS does when a person sets a status."""
    with sqlite3.connect(folder / layers.FILE) as base:
        base.execute("UPDATE chips SET status = ? WHERE id = ?", (status, name))
    base.close()


def draw(folder: Path, name: str, kind: str, *box: float) -> None:
    """What QGIS does when a person draws a polygon: a box of shares of a chip's outline."""
    chips = geopandas.read_file(folder / layers.FILE, layer="chips")
    west, south, east, north = chips[chips.id == name].geometry.iloc[0].bounds
    part = shapely.box(
        west + box[0] * (east - west),
        south + box[1] * (north - south),
        west + box[2] * (east - west),
        south + box[3] * (north - south),
    )
    drawn = geopandas.GeoDataFrame({"class": [kind]}, geometry=[part], crs="EPSG:4326")
    drawn.to_file(folder / layers.FILE, layer="corrections", mode="a")


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as tif:
        return np.asarray(tif.read(1))


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# --- the way of a chip ------------------------------------------------------------------------


def test_chips_become_images_with_a_first_guess_and_no_label(
    folder: Path, names: list[str]
) -> None:
    first = make_chip(1, georef=grid())
    with rasterio.open(folder / "images" / f"{names[0]}.tif") as tif:
        np.testing.assert_allclose(tif.read().transpose(1, 2, 0), first.reflectance)
        assert tif.descriptions == VNIR4.bands
        assert [one.name for one in tif.colorinterp] == ["blue", "green", "red", "undefined"]
        assert tif.crs.to_epsg() == 32606
    np.testing.assert_array_equal(read(folder / "guesses" / f"{names[0]}.tif"), first.mask)
    assert list((folder / "labels").iterdir()) == []
    assert layers.statuses(folder / layers.FILE) == dict.fromkeys(names, "open")


def test_what_nobody_accepted_is_not_trained_on(
    tmp_path: Path, folder: Path, names: list[str], capsys: Any
) -> None:
    assert run(["train", str(folder), "--out", str(tmp_path / "run")]) == 2
    told = capsys.readouterr().err
    assert "none of its 3 chips is labelled yet" in told
    assert "docs/labelling.md" in told
    mark(folder, names[1], "done")
    assert labels(folder) == 0
    found = ChipFolder.open(folder)
    assert found.ids == (names[1],)
    assert sorted(found.waiting) == sorted([names[0], names[2]])
    assert "2 chips wait for a label" in " ".join(describe(found).notes)


def test_corrections_are_burned_over_the_guess_of_a_chip_that_is_done(
    folder: Path, names: list[str]
) -> None:
    draw(folder, names[0], "cloud", 0.0, 0.5, 1.0, 1.0)
    draw(folder, names[0], "water", 0.0, 0.75, 0.5, 1.0)
    draw(folder, names[0], "unlabelled", 0.75, 0.0, 1.0, 0.25)
    mark(folder, names[0], "Done ")
    assert labels(folder) == 0
    label, guess = (read(folder / part / f"{names[0]}.tif") for part in ("labels", "guesses"))
    assert (label[1:5, 1:16] == WATER).all()
    assert (label[1:11, 18:32] == CLOUD).all()
    assert (label[7:11, 1:32] == CLOUD).all()
    assert (label[19:23, 26:32] == NODATA).all()
    np.testing.assert_array_equal(label[13:17], guess[13:17])
    taken = ChipFolder.open(folder).read(names[0], VNIR4)
    assert taken.reflectance.shape == (24, 33, 4)
    assert (taken.water[1:5, 1:16] == 1).all()
    assert (taken.water[19:23, 26:32] == UNKNOWN).all()
    # A later polygon changes the label that was made here.
    draw(folder, names[0], "land", 0.0, 0.0, 1.0, 1.0)
    assert labels(folder) == 0
    assert not read(folder / "labels" / f"{names[0]}.tif").any()


def test_doing_it_twice_changes_nothing(tmp_path: Path, folder: Path, names: list[str]) -> None:
    draw(folder, names[0], "cloud", 0.0, 0.5, 1.0, 1.0)
    mark(folder, names[0], "done")
    assert labels(folder, tmp_path / "rx") == 0
    before = contents(folder)
    assert labels(folder, tmp_path / "rx", "--json", tmp_path / "f.json") == 0
    assert contents(folder) == before
    found = json.loads((tmp_path / "f.json").read_text())
    assert (found["added"], sorted(found["known"])) == ([], sorted(names))
    assert found["states"] == {"done": 1, "open": 2}
    assert (found["labels"], found["notes"]) == (1, [])


def test_a_later_delivery_is_added_and_leaves_a_persons_work_alone(
    tmp_path: Path, folder: Path, names: list[str]
) -> None:
    draw(folder, names[0], "cloud", 0.0, 0.5, 1.0, 1.0)
    mark(folder, names[0], "done")
    mark(folder, names[1], "skip")
    assert labels(folder) == 0
    label = (folder / "labels" / f"{names[0]}.tif").read_bytes()
    (new,) = deliver(tmp_path / "later", make_chip(3, georef=grid(y=-240.0)))
    assert labels(folder, tmp_path / "later" / "chips" / f"{new}.fsc") == 0
    states = layers.statuses(folder / layers.FILE)
    assert [states[name] for name in (*names, new)] == ["done", "skip", "open", "open"]
    assert (folder / "labels" / f"{names[0]}.tif").read_bytes() == label
    groups = labelling._read_index(folder)
    assert groups[new]["group"] == groups[names[0]]["group"] == groups[names[1]]["group"]
    assert groups[names[2]]["group"] != groups[new]["group"]
    assert f"guess-{new}" in (folder / "labelling.qgs").read_text("utf-8")


def test_a_label_made_by_hand_is_never_overwritten(
    folder: Path, names: list[str], capsys: Any
) -> None:
    """Painted over the label that was made here, or put there without any polygon."""
    mark(folder, names[0], "done")
    assert labels(folder) == 0
    for name in names[:2]:
        path = folder / "labels" / f"{name}.tif"
        with rasterio.open(folder / "guesses" / f"{name}.tif") as guess:
            profile = guess.profile
        with rasterio.open(path, "w", **profile) as tif:
            tif.write(np.ones((1, 24, 33), np.uint8))
    draw(folder, names[0], "cloud", 0.0, 0.0, 1.0, 1.0)
    capsys.readouterr()
    assert labels(folder, "--guesses") == 0
    told = capsys.readouterr().out
    assert told.count("made or changed by hand; it stays as it is") == 2
    for name in names[:2]:
        assert (read(folder / "labels" / f"{name}.tif") == 1).all()
    assert labels(folder) == 0
    assert "by hand" not in capsys.readouterr().out
    assert set(ChipFolder.open(folder).ids) == set(names[:2])


def test_what_is_taken_back_is_not_trained_on_any_more(folder: Path, names: list[str]) -> None:
    for name in names:
        mark(folder, name, "done")
    assert labels(folder) == 0
    mark(folder, names[0], "open")
    mark(folder, names[1], "skip")
    assert labels(folder) == 0
    assert ChipFolder.open(folder).ids == (names[2],)


def test_guesses_are_labels_only_if_asked_and_the_index_says_so(
    folder: Path, names: list[str]
) -> None:
    mark(folder, names[0], "skip")
    mark(folder, names[1], "done")
    assert labels(folder, "--guesses") == 0
    assert sorted(ChipFolder.open(folder).ids) == sorted(names[1:])
    rows = labelling._read_index(folder)
    assert [rows[name]["by"] for name in names] == ["", "corrections", "guess"]
    assert labels(folder) == 0
    assert ChipFolder.open(folder).ids == (names[1],)


@pytest.mark.parametrize("started", [0, 1])
def test_a_kill_on_the_way_leaves_what_a_second_run_completes(
    tmp_path: Path, folder: Path, monkeypatch: Any, started: int
) -> None:
    listed = deliver(tmp_path / "rx", make_chip(1, georef=grid()), make_chip(2, georef=grid(9e4)))
    whole = tmp_path / "whole"
    assert labels(whole, tmp_path / "rx") == 0
    real = labelling._write_chip
    left = [1] * started

    def write(folder: Path, one: chip.Chip) -> None:
        if not left:
            raise KeyboardInterrupt
        left.pop()
        real(folder, one)

    monkeypatch.setattr(labelling, "_write_chip", write)
    assert labels(folder, tmp_path / "rx") == 130
    monkeypatch.undo()
    files.make_folder(folder / "images").joinpath(".part-x.tif").write_bytes(b"half")
    assert labels(folder, tmp_path / "rx") == 0
    assert layers.statuses(folder / layers.FILE) == dict.fromkeys(sorted(listed), "open")
    left_out = ("dataset.toml", "labelling.gpkg", "labelling.qgs")
    ours, theirs = (contents(one) for one in (folder, whole))
    assert {k: v for k, v in ours.items() if k not in left_out} == {
        k: v for k, v in theirs.items() if k not in left_out
    }


def test_one_tile_of_one_frame_is_one_chip(tmp_path: Path, folder: Path) -> None:
    """Two models may have chosen it."""
    one = make_chip(1, georef=grid())
    other = dataclasses.replace(one, model_id=b"\7" * 32, worth=0.5)
    deliver(tmp_path / "rx", one, other)
    assert labels(folder, tmp_path / "rx") == 0
    assert len(list((folder / "images").iterdir())) == 1


def test_chips_without_a_place_and_samples_that_are_no_number(tmp_path: Path, folder: Path) -> None:
    lost = make_chip(5, georef=Georef(33, 24), dtype=np.float32)
    lost.samples[3, 4] = np.nan
    lost.samples[5, 6] = 0
    (name,) = deliver(tmp_path / "rx", lost)
    assert labels(folder, tmp_path / "rx", "--guesses") == 0
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        label = read(folder / "labels" / f"{name}.tif")
    assert (label[3, 4], label[5, 6]) == (NODATA, NODATA)
    taken = ChipFolder.open(folder).read(name, VNIR4)
    assert np.isfinite(taken.reflectance).all()
    assert taken.group == f"scene-{lost.scene_id.hex()[:12]}"


@pytest.mark.soak
def test_a_training_takes_the_folder_as_it_is(tmp_path: Path, folder: Path) -> None:
    """A small network for one epoch, on chips of twelve places, two of which nobody accepted."""
    places = [(10.0, 0.0, 3e5 + 4e4 * number, 0.0, -10.0, 7e6) for number in range(12)]
    made = [
        make_chip(seed, 64, 64, georef=Georef(64, 64, UTM, place))
        for seed, place in enumerate(places)
    ]
    listed = deliver(tmp_path / "rx", *made)
    assert labels(folder, tmp_path / "rx") == 0
    for name in listed[:10]:
        mark(folder, name, "done")
    assert labels(folder) == 0
    config = tmp_path / "c.toml"
    config.write_text("epochs = 1\nbatch_size = 6\ncrop = 32\nwidths = [2, 3, 3]\n")
    words = ["--out", tmp_path / "run", "--config", config]
    assert run(["train", str(folder), *map(str, words)]) == 0
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["data"][0]["chips"] == 10
    assert record["data"][0]["name"] == "river"


# --- read by others ---------------------------------------------------------------------------


def test_the_layers_are_a_geopackage_that_others_read(folder: Path, names: list[str]) -> None:
    chips = geopandas.read_file(folder / layers.FILE, layer="chips")
    assert chips.crs.to_epsg() == 4326
    assert list(chips.id) == sorted(names, key=list(chips.id).index)
    assert set(chips.status) == {"open"}
    assert chips.geometry.is_valid.all()
    drawn = geopandas.read_file(folder / layers.FILE, layer="corrections")
    assert len(drawn) == 0
    assert "class" in drawn.columns


def test_the_project_names_every_layer_and_only_files_that_are_there(
    folder: Path, names: list[str]
) -> None:
    root = Xml.parse(folder / "labelling.qgs").getroot()
    sources = [node.text or "" for node in root.iterfind("projectlayers/maplayer/datasource")]
    assert len(sources) == 2 + 2 * len(names)
    assert all((folder / source.split("|")[0]).is_file() for source in sources)
    ids = {node.text for node in root.iterfind("projectlayers/maplayer/id")}
    assert ids == {node.get("id") for node in root.iter("layer-tree-layer")}
    assert [node.text for node in root.iterfind("projectCrs/spatialrefsys/authid")] == [UTM]


# --- refused ----------------------------------------------------------------------------------


def test_what_does_not_fit_is_refused_before_anything_is_written(
    tmp_path: Path, folder: Path, names: list[str], capsys: Any
) -> None:
    before = contents(folder)
    other = make_chip(7, bands=("a", "b", "c", "d"), georef=grid())
    coarse = make_chip(8, georef=Georef(33, 24, UTM, (30.0, 0.0, 5e5, 0.0, -30.0, 7e6)))
    (tmp_path / "empty").mkdir()
    deliver(tmp_path / "damaged", make_chip(9, georef=grid()))
    (file,) = (tmp_path / "damaged" / "chips").iterdir()
    file.write_bytes(file.read_bytes()[:-3])
    for name, one in (("bands", other), ("coarse", coarse)):
        deliver(tmp_path / name, one)
    for name, word in (
        ("bands", "holds the bands blue, green, red, nir"),
        ("coarse", "its pixels are 10 m wide"),
        ("empty", "holds no chips for labelling"),
        ("damaged", "receive it again"),
        ("nowhere", "holds no chips for labelling"),
    ):
        capsys.readouterr()
        assert labels(folder, tmp_path / name) == 2
        told = capsys.readouterr().err
        assert word in told
        assert told.count("\n") == 1
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ("UPDATE chips SET status = 'finished'", "the status 'finished'; write one of open"),
        ("INSERT INTO corrections (class) VALUES ('wet')", "has the class 'wet'; write one of"),
        ("INSERT INTO corrections (class) VALUES (NULL)", "has the class ''"),
        ("INSERT INTO corrections (class, geom) VALUES ('land', x'00')", "polygon is damaged"),
        ("DROP TABLE chips", "cannot be used (no such table: chips)"),
    ],
)
def test_a_layer_that_makes_no_sense_is_refused(
    folder: Path, names: list[str], capsys: Any, statement: str, word: str
) -> None:
    with sqlite3.connect(folder / layers.FILE) as base:
        base.execute(statement)
    base.close()
    before = contents(folder)
    capsys.readouterr()
    assert labels(folder) == 2
    assert word in capsys.readouterr().err
    assert contents(folder) == before


def test_a_folder_that_is_none_is_not_touched(tmp_path: Path, folder: Path, capsys: Any) -> None:
    assert labels(folder) == 2
    assert "no labelling folder yet" in capsys.readouterr().err
    deliver(tmp_path / "rx", make_chip(1, georef=grid()))
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    assert labels(folder, tmp_path / "rx") == 2
    assert "holds other files" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]
    with pytest.raises(DatasetError, match="a chip folder of its own"):
        labelling.update(CHIPS, [make_chip(1)])


def test_places_across_the_antimeridian_are_near() -> None:
    one, two = layers.Place(0.0, 179.95), layers.Place(0.0, -179.95)
    assert one.km_to(two) == pytest.approx(11.12, abs=0.01)
    assert layers.Place(0, 0).km_to(layers.Place(0, 180)) == pytest.approx(20015, abs=1)
