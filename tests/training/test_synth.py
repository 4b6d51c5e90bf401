"""Generated frames: repeatable, plausible, and their truth consistent with itself."""

import csv
import hashlib
import json
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from onboard.classes import CLOUD, LAND, NODATA, WATER
from onboard.errors import ConfigError, FloodsatError, FrameError, OutputError
from training.cli.synth import command
from training.synth.biomes import BIOMES
from training.synth.camera import DN_PER_COUNT
from training.synth.canvas import canvas_for, distance, noise
from training.synth.drainage import route, streams
from training.synth.draws import stream
from training.synth.flood import reached
from training.synth.frame import BANDS, CRS, Recipe, random_recipe, synthesise
from training.synth.geotiff import read_recipe
from training.synth.meander import wander
from training.synth.parcels import cut_parcels

SAMPLES = Path(__file__).resolve().parents[2] / "data_samples"
EIGHT = np.ones((3, 3), bool)

SMALL = Recipe(seed=7, width=96, height=80, river_width_m=240.0, lake_fraction=0.04)
CLEAR = replace(SMALL, cloud_fraction=0.0, cirrus=0.0, haze=0.0, settlement=0.0)

#: SHA-256 of SMALL's arrays, samples rounded to 16 camera counts.
GOLDEN = "eff05446e4ec10d51287545688de7a0c5a2a8cf6e122b8114bd274c5583fcdb2"


def digest(frame):
    """Rounded so coarsely that another machine's last bit of a float does not show."""
    rounded = np.rint(frame.dn.astype(np.float64) / (16 * DN_PER_COUNT)).astype("<u2")
    parts = (rounded.tobytes(), frame.label.tobytes(), frame.permanent.tobytes())
    return hashlib.sha256(b"".join(parts)).hexdigest()


@pytest.fixture(scope="module")
def small():
    return synthesise(SMALL)


@pytest.fixture(scope="module")
def clear():
    return synthesise(CLEAR)


def test_same_recipe_same_arrays(small):
    again = synthesise(SMALL)
    for name in ("dn", "label", "permanent", "surface_water"):
        np.testing.assert_array_equal(getattr(again, name), getattr(small, name))


def test_golden_arrays(small):
    assert digest(small) == GOLDEN


def test_shapes_and_types(small):
    assert (small.dn.shape, small.dn.dtype) == ((80, 96, 4), np.uint16)
    for plane in (small.label, small.permanent, small.surface_water):
        assert (plane.shape, plane.dtype) == ((80, 96), np.uint8)


def test_another_seed_is_another_place_and_another_weather_is_not():
    place = synthesise(replace(CLEAR, seed=8))
    day = synthesise(replace(CLEAR, weather=8))
    here = synthesise(CLEAR)
    assert (place.permanent != here.permanent).any()
    np.testing.assert_array_equal(day.permanent, here.permanent)
    np.testing.assert_array_equal(day.label, here.label)
    assert (day.dn != here.dn).mean() > 0.5


def test_samples_are_camera_counts(small):
    assert not (small.dn % DN_PER_COUNT).any()
    assert small.dn.min() >= DN_PER_COUNT
    assert small.dn.max() <= 4095 * DN_PER_COUNT


@pytest.mark.parametrize("biome", sorted(BIOMES))
def test_water_is_darker_than_land_in_nir(biome):
    frame = synthesise(replace(CLEAR, biome=biome, season=0.7))
    nir = frame.dn[..., 3] / 10_000
    land, water = nir[frame.label == LAND], nir[frame.label == WATER]
    assert np.median(land) > np.median(water) + 0.06
    assert 0.0 < np.median(water) < 0.12


def test_turbid_water_is_bright_in_red():
    clear = synthesise(replace(CLEAR, turbidity=0.0))
    brown = synthesise(replace(CLEAR, turbidity=0.9))
    river = clear.permanent == 1
    red = 2
    assert np.median(brown.dn[..., red][river]) > np.median(clear.dn[..., red][river]) + 500


def test_clouds_are_bright_and_shadows_dark():
    recipe = replace(SMALL, cloud_fraction=0.25, flood_fraction=0.0)
    cloudy, bare = synthesise(recipe), synthesise(replace(recipe, cloud_fraction=0.0))
    under = cloudy.label == CLOUD
    for band in range(4):
        ratio = cloudy.dn[..., band].astype(float) / bare.dn[..., band]
        assert np.median(cloudy.dn[..., band][under]) > 2000
        assert np.percentile(ratio[~under], 2) < 0.75


@pytest.mark.parametrize("kind", ["cumulus", "stratus", "broken"])
@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_cloud_share_is_the_asked_one(kind, share):
    frame = synthesise(replace(SMALL, cloud_kind=kind, cloud_fraction=share))
    assert (frame.label == CLOUD).mean() == pytest.approx(share, abs=0.03)


def test_no_cloud_asked_no_cloud_made(clear):
    assert not (clear.label == CLOUD).any()


def test_cirrus_alone_stays_under_the_threshold():
    frame = synthesise(replace(CLEAR, cirrus=1.0))
    assert not (frame.label == CLOUD).any()


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_flood_share_is_the_asked_one(share):
    frame = synthesise(replace(CLEAR, biome="dry", flood_fraction=share))
    flood = (frame.surface_water == 1) & (frame.permanent == 0)
    assert flood.mean() == pytest.approx(share, abs=0.06)


def test_flood_hangs_together_with_permanent_water(clear):
    flood = (clear.surface_water == 1) & (clear.permanent == 0)
    assert flood.sum() > 100
    labels, count = ndimage.label(clear.surface_water, EIGHT)
    rim = np.zeros(labels.shape, bool)
    rim[[0, -1]] = rim[:, [0, -1]] = True
    # A flood sheet may reach the river outside of the frame; a canopy may part it from the rest.
    fed = np.isin(labels, np.unique(labels[(clear.permanent == 1) | (rim & flood)]))
    assert count >= 1
    assert (flood & fed).sum() > 0.97 * flood.sum()


def test_reached_leaves_isolated_pits_dry():
    height = np.full((9, 9), 5.0)
    height[1:3, 1:3] = 0.5
    height[6:8, 3:8] = 0.5
    source = np.zeros((9, 9), bool)
    source[7, 7] = True
    wet = reached(height, source, 1.0)
    assert wet[6:8, 3:8].all()
    assert wet.sum() == 10


def test_reference_knows_permanent_water_only():
    dry = synthesise(replace(CLEAR, flood_fraction=0.0))
    wet = synthesise(replace(CLEAR, flood_fraction=0.4))
    np.testing.assert_array_equal(dry.permanent, wet.permanent)
    np.testing.assert_array_equal(dry.surface_water, dry.permanent)
    assert wet.surface_water.sum() > dry.surface_water.sum() + 1000
    assert (wet.surface_water >= wet.permanent).all()


def test_lakes_cover_their_share():
    frame = synthesise(
        replace(CLEAR, river_width_m=0.0, lake_fraction=0.2, flood_fraction=0.0, relief_m=0.0)
    )
    assert frame.permanent.mean() == pytest.approx(0.2, abs=0.04)


def test_nodata_wedge():
    frame = synthesise(replace(SMALL, nodata_wedge=0.3))
    lost = frame.label == NODATA
    assert lost.mean() == pytest.approx(0.15, abs=0.02)
    assert not frame.dn[lost].any()
    assert (frame.dn[~lost] > 0).all()


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 131), (101, 37)])
def test_any_size(height, width):
    frame = synthesise(Recipe(seed=3, width=width, height=height))
    assert frame.label.shape == (height, width)
    assert (frame.dn > 0).all()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**40), gsd=st.sampled_from([4.75, 10.0, 30.0]))
def test_any_random_recipe_makes_a_valid_frame(seed, gsd):
    recipe = random_recipe(seed, 40, 48, gsd)
    frame = synthesise(recipe)
    assert recipe == random_recipe(seed, 40, 48, gsd)
    assert set(np.unique(frame.label)) <= {LAND, WATER, CLOUD, NODATA}
    assert set(np.unique(frame.permanent)) <= {0, 1}
    assert ((frame.dn == 0).all(axis=2) == (frame.label == NODATA)).all()


def test_random_recipes_vary():
    recipes = [random_recipe(seed) for seed in range(200)]
    assert {r.biome for r in recipes} == set(BIOMES)
    assert 0.2 < np.mean([r.cloud_fraction == 0 for r in recipes]) < 0.5
    assert 0.1 < np.mean([r.flood_fraction == 0 for r in recipes]) < 0.3
    assert {r.toa for r in recipes} == {True, False}


def test_recipe_survives_json():
    recipe = random_recipe(99)
    assert Recipe.from_json(recipe.to_json()) == recipe


@pytest.mark.parametrize(
    "text", ["", "[1]", '{"seed": 1, "colour": 2}', '{"width": 4}', '{"biome": 3}']
)
def test_damaged_recipes_are_refused(text):
    with pytest.raises(ConfigError):
        Recipe.from_json(text)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 15),
        ("height", 5000),
        ("cloud_fraction", 1.01),
        ("flood_fraction", -0.1),
        ("haze", float("nan")),
        ("gsd_m", 0.0),
        ("width", 64.5),
        ("biome", "moon"),
        ("cloud_kind", "round"),
        ("toa", 1),
    ],
)
def test_nonsense_in_a_recipe_is_refused(field, value):
    with pytest.raises(ConfigError, match=field):
        replace(SMALL, **{field: value})


def test_flood_needs_water_to_come_from():
    with pytest.raises(ConfigError, match="permanent water"):
        Recipe(river_width_m=0.0, lake_fraction=0.0, flood_fraction=0.1)


def test_spectrum_falls_as_asked():
    canvas = canvas_for(200, 200, 30.0)
    rough = noise(canvas, stream(1, "a"), 2000.0, 2.2)
    calm = noise(canvas, stream(1, "a"), 2000.0, 3.8)
    step = [np.diff(f, axis=0).std() / f.std() for f in (rough, calm)]
    assert step[0] > 2 * step[1]
    assert 0.3 < rough.std() < 2.0


def test_distance_to_nothing_is_far():
    assert (distance(np.zeros((20, 20), bool), 10.0) == 1e9).all()


def test_distance_is_in_metres():
    mask = np.zeros((41, 41), bool)
    mask[20, 20] = True
    away = distance(mask, 10.0, step=1)
    assert away[20, 30] == pytest.approx(100.0)


def test_a_river_wanders_and_stays_smooth():
    river = wander(stream(5, "river"), (0.0, 0.0), (30_000.0, 0.0), 300.0, 300)
    gaps = np.hypot(*np.diff(river.course, axis=0).T)
    assert gaps.sum() > 1.25 * 30_000
    still = wander(stream(5, "river"), (0.0, 0.0), (30_000.0, 0.0), 300.0, 0)
    np.testing.assert_allclose(river.course[[0, -1]], still.course[[0, -1]], atol=1e-3)
    assert gaps.max() < 2 * gaps.min() + 100
    np.testing.assert_allclose(river.course[[0, -1]], [[0, 0], [30_000, 0]], atol=900.0)


def test_water_runs_downhill_to_the_outlet():
    slope = np.add.outer(np.arange(30.0), np.abs(np.arange(31.0) - 15))
    outlet = np.zeros(slope.shape, bool)
    outlet[0, 15] = True
    receivers, upstream = route(slope, outlet)
    assert upstream[15] == slope.size
    inner = np.flatnonzero(receivers != np.arange(slope.size))
    assert (slope.ravel()[receivers[inner]] <= slope.ravel()[inner]).all()
    assert all(upstream[c[-1]] >= 60 for c in streams(receivers, upstream, 60))


def test_fields_are_patches_of_the_asked_size():
    canvas = canvas_for(200, 200, 30.0)
    parcels = cut_parcels(canvas, stream(2, "parcels"), BIOMES["temperate"])
    same = (parcels.ident[:, 1:] == parcels.ident[:, :-1]).mean()
    run_m = canvas.pitch_m / (1 - same)
    assert 0.3 * BIOMES["temperate"].field_m < run_m < 2.5 * BIOMES["temperate"].field_m


# The command and its files.


def invoke(*words):
    return CliRunner().invoke(command, [str(word) for word in words])


def test_frame_files(tmp_path):
    result = invoke("--out", tmp_path / "new", "--size", 48, "--seed", 5, "--gsd", 10)
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == [
        "frame.tif",
        "frame_permanent.tif",
        "frame_truth.tif",
    ]
    frame = synthesise(read_recipe(tmp_path / "new" / "frame.tif"))
    with rasterio.open(tmp_path / "new" / "frame.tif") as image:
        assert image.descriptions == BANDS
        assert image.crs.to_string() == CRS
        assert image.transform[:6] == frame.georef.transform
        assert image.res == (10.0, 10.0)
        assert image.nodata == 0
        assert "Not a picture of a real place" in image.tags()["NOTICE"]
        np.testing.assert_array_equal(np.moveaxis(image.read(), 0, 2), frame.dn)
    with rasterio.open(tmp_path / "new" / "frame_truth.tif") as truth:
        assert truth.nodata == NODATA
        np.testing.assert_array_equal(truth.read(1), frame.label)
    with rasterio.open(tmp_path / "new" / "frame_permanent.tif") as permanent:
        np.testing.assert_array_equal(permanent.read(1), frame.permanent)


def test_options_reach_the_recipe(tmp_path):
    extra = tmp_path / "extra.json"
    extra.write_text(json.dumps({"turbidity": 0.25, "cloud_fraction": 0.9}), "utf-8")
    result = invoke(
        "--out", tmp_path, "--count", 2, "--size", 32, "--seed", 40, "--clouds", 0.2,
        "--flood", 0.1, "--biome", "delta", "--recipe", extra,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    recipe = read_recipe(tmp_path / "frame_41.tif")
    assert (recipe.seed, recipe.biome, recipe.width) == (41, "delta", 32)
    assert (recipe.cloud_fraction, recipe.flood_fraction, recipe.turbidity) == (0.2, 0.1, 0.25)


def check_chip_folder(folder, count):
    meta = tomllib.loads((folder / "dataset.toml").read_text("utf-8"))
    assert meta["bands"] == list(BANDS)
    assert meta["scale"] == pytest.approx(1e-4)
    assert meta["classes"] == {"0": "land", "1": "water", "2": "cloud", "255": "ignore"}
    with (folder / "index.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == count
    for row in rows:
        frame = synthesise(read_recipe(folder / "images" / f"{row['id']}.tif"))
        with rasterio.open(folder / "images" / f"{row['id']}.tif") as image:
            np.testing.assert_array_equal(np.moveaxis(image.read(), 0, 2), frame.dn)
        with rasterio.open(folder / "labels" / f"{row['id']}.tif") as label:
            np.testing.assert_array_equal(label.read(1), frame.label)
        seen = frame.label != NODATA
        assert float(row["water_frac"]) == pytest.approx(
            (frame.label[seen] == WATER).mean(), abs=1e-4
        )
        assert float(row["cloud_frac"]) == pytest.approx(
            (frame.label[seen] == CLOUD).mean(), abs=1e-4
        )
        assert row["group"] == str(frame.recipe.seed)


def test_chip_folder(tmp_path):
    result = invoke("--out", tmp_path / "set", "--chips", "--count", 3, "--size", 32)
    assert result.exit_code == 0, result.output
    check_chip_folder(tmp_path / "set", 3)
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


def test_same_command_same_bytes(tmp_path):
    for name in ("a", "b"):
        invoke("--out", tmp_path / name, "--chips", "--count", 2, "--size", 24)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.*"))
    assert len(files) == 6
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--count", 0), "--count"),
        (("--size", 8), "width"),
        (("--clouds", 1.5), "cloud_fraction"),
        (("--flood", -0.5), "flood_fraction"),
        (("--seed", -1), "--seed"),
        (("--gsd", 0), "gsd_m"),
        (("--biome", "moon"), "biome"),
        (("--recipe", "no-such.json"), "no-such.json"),
    ],
)
def test_nonsense_is_refused_before_anything_is_written(tmp_path, words, said):
    result = invoke("--out", tmp_path / "out", *words)
    assert isinstance(result.exception, FloodsatError)
    assert said in str(result.exception)
    assert "\n" not in str(result.exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", ['{"colour": 1}', "[1, 2]", '{"haze": "thick"}', "{"])
def test_strange_recipe_files_are_refused(tmp_path, content):
    (tmp_path / "r.json").write_text(content, "utf-8")
    result = invoke("--out", tmp_path / "out", "--size", 32, "--recipe", tmp_path / "r.json")
    assert isinstance(result.exception, ConfigError)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("chips", [True, False])
def test_a_folder_that_cannot_be_written(tmp_path, chips):
    (tmp_path / "file").write_text("in the way", "utf-8")
    words = ["--out", tmp_path / "file" / "deeper", "--size", 32] + ["--chips"] * chips
    result = invoke(*words)
    assert isinstance(result.exception, OutputError)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_chips_do_not_replace_somebodys_folder(tmp_path):
    (tmp_path / "letter.txt").write_text("keep me", "utf-8")
    result = invoke("--out", tmp_path, "--chips", "--size", 32)
    assert isinstance(result.exception, OutputError)
    assert (tmp_path / "letter.txt").exists()


def test_one_fixed_seed_cannot_make_several(tmp_path):
    (tmp_path / "r.json").write_text('{"seed": 3}', "utf-8")
    result = invoke("--out", tmp_path / "out", "--count", 2, "--recipe", tmp_path / "r.json")
    assert isinstance(result.exception, ConfigError)
    assert not (tmp_path / "out").exists()


def test_a_frame_is_made_again_from_itself(tmp_path):
    first = invoke("--out", tmp_path / "a", "--size", 40, "--seed", 5, "--gsd", 12)
    again = invoke("--out", tmp_path / "b", "--recipe", tmp_path / "a" / "frame.tif")
    assert (first.exit_code, again.exit_code) == (0, 0)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "b").iterdir())
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_other_files_carry_no_recipe(tmp_path):
    path = tmp_path / "x.tif"
    path.write_bytes(b"II*\0 and then nothing")
    with pytest.raises(FrameError, match=r"x\.tif"):
        read_recipe(path)
    result = invoke("--out", tmp_path / "out", "--recipe", path)
    assert isinstance(result.exception, FrameError)
    assert not (tmp_path / "out").exists()


# The samples that the project ships.


def test_sample_chips_regenerate():
    check_chip_folder(SAMPLES / "chips", 12)


def test_sample_frame_regenerates_and_shows_what_it_should():
    recipe = read_recipe(SAMPLES / "frame.tif")
    frame = synthesise(recipe)
    with rasterio.open(SAMPLES / "frame.tif") as image:
        np.testing.assert_array_equal(np.moveaxis(image.read(), 0, 2), frame.dn)
    with rasterio.open(SAMPLES / "frame_truth.tif") as truth:
        np.testing.assert_array_equal(truth.read(1), frame.label)
    with rasterio.open(SAMPLES / "frame_permanent.tif") as permanent:
        np.testing.assert_array_equal(permanent.read(1), frame.permanent)
    assert frame.label.shape == (1024, 1024)
    assert 0.08 < (frame.label == CLOUD).mean() < 0.22
    assert 0.005 < (frame.label == NODATA).mean() < 0.1
    assert ((frame.label == WATER) & (frame.permanent == 0)).mean() > 0.08


def test_samples_are_small():
    """What was generated, and the bundle beside it, which is no sample."""
    files = [p for p in SAMPLES.rglob("*") if p.is_file()]
    size = dict.fromkeys((True, False), 0)
    for path in files:
        size[SAMPLES / "bundle" in path.parents] += path.stat().st_size
    assert all(0 < total < 6_000_000 for total in size.values())


def test_chips_of_a_camera_are_never_replaced(tmp_path):
    (tmp_path / "dataset.toml").write_text('name = "mine"\n')
    (tmp_path / "mine.tif").write_text("years of work")
    arguments = ["--out", str(tmp_path), "--chips", "--count", "1", "--size", "16"]
    result = CliRunner().invoke(command, arguments)
    assert isinstance(result.exception, ConfigError)
    assert "were not generated" in str(result.exception)
    assert (tmp_path / "mine.tif").exists()
