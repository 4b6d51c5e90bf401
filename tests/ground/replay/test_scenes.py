"""Frames of a replay, their truth and reference, and the maps that are kept of them."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from ground.place import pixel_to_lonlat
from ground.replay.atlas import Atlas
from ground.replay.captures import Capture
from ground.replay.kept import KeptSegmenter
from ground.replay.pictures import footprint
from ground.replay.scenes import Scene, grid_at, grid_of, scenes, truth_of
from onboard.classes import CLOUD, WATER
from onboard.errors import ConfigError, FrameError
from onboard.frames import open_frame
from onboard.reference_water import PermanentWater
from onboard.runtime import observe
from onboard.sensor import VNIR4
from tests.onboard.flights import LOADED, QuickEngine
from tests.samples import SAMPLES

PART = Capture(
    name="part",
    target="part",
    time=datetime(2021, 3, 16, 5, 35, tzinfo=UTC),
    latitude=23.5,
    longitude=78.0,
    off_nadir_deg=3.0,
    sun_elevation_deg=40.0,
    file=SAMPLES / "frame.tif",
    truth=SAMPLES / "frame_truth.tif",
    permanent=SAMPLES / "frame_permanent.tif",
    window=(320, 480, 96, 64),
    turn=0,
    recipe={},
)
RECIPE = {"seed": 5, "width": 64, "height": 48, "flood_fraction": 0.3, "weather": 9}
MADE = dataclasses.replace(
    PART, name="made", file=None, truth=None, permanent=None, window=None, recipe=RECIPE
)


def one(capture: Capture, cache: Path) -> Scene:
    (found,) = scenes([capture], VNIR4, cache)
    return found


def samples(scene: Scene) -> Any:
    with rasterio.open(scene.frame) as source:
        return source.read()


def whole(path: Path) -> Any:
    with rasterio.open(path) as source:
        return source.read()


def test_a_window_of_a_file_lies_where_the_scenario_says(tmp_path: Path) -> None:
    scene = one(PART, tmp_path)
    wanted = whole(SAMPLES / "frame.tif")[:, 320:416, 480:544]
    np.testing.assert_array_equal(samples(scene), wanted)
    assert scene.shape == (96, 64)
    assert scene.sample_bytes == wanted.nbytes > scene.lossless_bytes
    grid = grid_of(scene)
    (lon,), (lat,) = pixel_to_lonlat(grid, np.array([32.0]), np.array([48.0]))
    assert (lon, lat) == pytest.approx((78.0, 23.5), abs=3e-4)
    with open_frame(scene.frame, VNIR4) as frame:
        assert frame.capture.time == PART.time
    truth = truth_of(scene)
    assert truth is not None
    label = whole(SAMPLES / "frame_truth.tif")[0, 320:416, 480:544]
    permanent = whole(SAMPLES / "frame_permanent.tif")[0, 320:416, 480:544]
    np.testing.assert_array_equal(truth.flood, (label == WATER) & (permanent == 0))
    assert truth.flood_km2 == pytest.approx(truth.flood.sum() * 9e-4)


@pytest.mark.parametrize("turn", range(8))
def test_a_turn_turns_all_files_alike(tmp_path: Path, turn: int) -> None:
    scene = one(dataclasses.replace(PART, turn=turn), tmp_path)
    truth = truth_of(scene)
    assert truth is not None
    plain = whole(SAMPLES / "frame.tif")[:, 320:416, 480:544]
    turned = np.rot90(plain, turn % 4, (1, 2))
    turned = turned[:, :, ::-1] if turn >= 4 else turned
    np.testing.assert_array_equal(samples(scene), turned)
    assert truth.classes.shape == scene.shape
    dark = turned[3] < 900
    assert truth.classes[dark & (truth.classes != CLOUD)].mean() > 0.8, "water where it is dark"


@pytest.mark.parametrize(
    ("latitude", "longitude", "crs"),
    [(23.5, 78.0, "EPSG:32644"), (-33.0, -179.9, "EPSG:32701"), (60.0, 179.5, "EPSG:32660")],
)
def test_a_grid_lies_in_the_zone_of_its_place(latitude: float, longitude: float, crs: str) -> None:
    grid = grid_at(latitude, longitude, 100, 200, 30.0)
    assert grid.crs == crs
    assert grid.transform[2] % 30 == grid.transform[5] % 30 == 0
    corners = footprint(grid)
    assert corners[0] == corners[-1]
    assert corners[0][1] < corners[3][1], "the lower left comes first"
    assert corners[0][0] < corners[1][0], "counter-clockwise"


def test_frames_are_made_once_and_kept(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    first = scenes([MADE, PART], VNIR4, tmp_path, tell=lambda *given: told.append(given))
    stamps = [scene.frame.stat().st_mtime_ns for scene in first]
    again = scenes([MADE, PART], VNIR4, tmp_path, tell=lambda *given: told.append(given))
    assert again == first
    assert [scene.frame.stat().st_mtime_ns for scene in again] == stamps
    assert told == [(1, 2), (2, 2)]
    later = dataclasses.replace(MADE, time=datetime(2021, 3, 17, tzinfo=UTC))
    assert one(later, tmp_path).folder != first[0].folder


def test_a_recipe_gives_the_same_frame_and_its_flood(tmp_path: Path) -> None:
    first, second = one(MADE, tmp_path / "a"), one(MADE, tmp_path / "b")
    assert first.frame.read_bytes() == second.frame.read_bytes()
    truth = truth_of(first)
    assert truth is not None
    assert first.shape == (48, 64)
    assert first.flood_all_km2 == pytest.approx(0.3 * 48 * 64 * 9e-4, rel=0.2)
    assert truth.flood_km2 <= first.flood_all_km2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window": (900, 0, 200, 64)}, "reaches beyond"),
        ({"truth": SAMPLES / "chips" / "labels" / "00000.tif", "window": None}, "cut it alike"),
        ({"file": SAMPLES / "none.tif"}, "cannot be read"),
        ({"file": SAMPLES / "frame_recipe.json"}, "cannot be read as a raster"),
        ({"file": SAMPLES / "frame_truth.tif"}, "has 1 bands"),
    ],
)
def test_unusable_files_are_told_in_a_line(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(FrameError, match=message):
        one(dataclasses.replace(PART, **changes), tmp_path)
    assert not list((tmp_path / "frames").glob("*"))


@pytest.mark.parametrize("recipe", [{"biome": "moon"}, {"colour": 3}, {"flood_fraction": 2}])
def test_a_recipe_that_makes_no_sense_is_refused_before_any_is_made(
    tmp_path: Path, recipe: dict[str, Any]
) -> None:
    bad = dataclasses.replace(MADE, recipe=recipe)
    with pytest.raises(ConfigError, match="frame 'made': its recipe makes no sense"):
        scenes([MADE, bad], VNIR4, tmp_path)
    assert not (tmp_path / "frames").exists()


def test_another_sensor_has_no_recipes(tmp_path: Path) -> None:
    other = dataclasses.replace(VNIR4, bands=("red", "nir"))
    with pytest.raises(ConfigError, match="name files instead"):
        scenes([MADE], other, tmp_path)


def test_an_atlas_answers_as_the_reference_of_each_place(tmp_path: Path) -> None:
    there = dataclasses.replace(PART, latitude=-20.0, turn=1)
    pair = scenes([PART, there], VNIR4, tmp_path)
    places = [(grid_of(scene), scene.permanent) for scene in pair]
    atlas = Atlas((grid, path) for grid, path in places if path)
    for grid, path in places:
        assert path is not None
        alone = PermanentWater(path)
        np.testing.assert_array_equal(atlas.on(grid), alone.on(grid))
        beyond = atlas.beyond(grid)
        assert beyond is not None
        np.testing.assert_array_equal(beyond, alone.beyond(grid))
    elsewhere = grid_at(1.0, 2.0, 10, 10, 30.0)
    assert atlas.beyond(elsewhere) is None
    assert len(atlas.version) == 16
    assert atlas.version != Atlas([(grid_of(pair[0]), pair[0].permanent or Path())]).version


def test_two_waters_at_one_place_are_refused(tmp_path: Path) -> None:
    turned = dataclasses.replace(PART, window=(320, 480, 64, 64))
    pair = scenes([turned, dataclasses.replace(turned, turn=2)], VNIR4, tmp_path)
    with pytest.raises(ConfigError, match="one permanent water"):
        Atlas((grid_of(scene), scene.permanent or Path()) for scene in pair)


def test_kept_maps_are_those_of_the_network_to_the_bit(tmp_path: Path) -> None:
    scene, engine = one(PART, tmp_path), QuickEngine()
    kept = KeptSegmenter(LOADED, engine, 1, 0, folder=tmp_path)
    with open_frame(scene.frame, VNIR4) as frame:
        scene_id = frame.scene_id()
        assert kept.classes(scene_id) is None
        plain = observe(super_of(kept), frame, scene_id)
        runs = engine.runs
        first = observe(kept, frame, scene_id)
        assert engine.runs == 2 * runs
        second = observe(kept, frame, scene_id)
        assert engine.runs == 2 * runs, "the second look is for free"
    for seen in (first, second):
        for name in ("classes", "possible", "entropy", "epistemic"):
            np.testing.assert_array_equal(getattr(seen, name), getattr(plain, name))
        assert (seen.mean_p_water, seen.odd) == (plain.mean_p_water, plain.odd)
    np.testing.assert_array_equal(kept.classes(scene_id), plain.classes)


def super_of(kept: KeptSegmenter) -> Any:
    """The segmenter that keeps nothing."""
    from onboard.segment import Segmenter

    return Segmenter(kept.bundle, kept.engine, kept.passes, kept.seed)


def test_another_model_pass_or_seed_has_maps_of_its_own() -> None:
    kept = KeptSegmenter(LOADED, QuickEngine(), 1, 0, folder=Path("x"))
    scene = bytes(32)
    others = [
        dataclasses.replace(kept, passes=2),
        dataclasses.replace(kept, seed=1),
        dataclasses.replace(kept, engine=QuickEngine("another (2)")),
        dataclasses.replace(
            kept,
            bundle=dataclasses.replace(LOADED, manifest={**LOADED.manifest, "model_id": "00" * 32}),
        ),
    ]
    assert len({one.path_of(scene) for one in [kept, *others]}) == 5
    assert kept.path_of(scene) != kept.path_of(bytes(31) + b"1")


def test_a_kept_file_that_is_damaged_is_made_anew(tmp_path: Path) -> None:
    scene, engine = one(PART, tmp_path), QuickEngine()
    kept = KeptSegmenter(LOADED, engine, 1, 0, folder=tmp_path)
    with open_frame(scene.frame, VNIR4) as frame:
        plain = observe(kept, frame, frame.scene_id())
        path = kept.path_of(frame.scene_id())
        for damage in (b"", b"PK\x03\x04", path.read_bytes()[:-100]):
            path.write_bytes(damage)
            again = observe(kept, frame, frame.scene_id())
            np.testing.assert_array_equal(again.classes, plain.classes)
