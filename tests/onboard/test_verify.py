from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from onboard import bundle, engines, tables, verify
from onboard.cli import run
from onboard.conditions import Condition
from onboard.errors import EngineError
from onboard.outbox import Kind, Outbox
from onboard.product import Product, TimeQuality, pack, summarise, unpack
from onboard.profile import load as load_profile
from onboard.recompute import Recomputation, distance, recompute
from onboard.reference_water import PermanentWater
from onboard.runtime import Runtime
from onboard.scene import Frame
from onboard.segment import Segmenter, Thresholds
from onboard.uncertainty import Maps
from onboard.verify import Verdict
from tests.onboard.bundles import varied
from tests.onboard.netting import random_tables
from tests.raw_frames import counts, write_profile, write_raw
from tests.samples import BUNDLE, ROOT, crop, write_frame

SEED, PASSES = 5, 3
TAGS = {"ACQUIRED": "2026-07-14T10:21:33Z", "GEOLOCATION_SIGMA_M": "40"}


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    loaded = bundle.load(BUNDLE, ["tflite", bundle.COMMON])
    return Segmenter(loaded, engines.load("tflite", loaded), PASSES, SEED)


@pytest.fixture(scope="module")
def wet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A piece of the committed frame with much water."""
    folder = tmp_path_factory.mktemp("frames")
    return write_frame(folder / "wet.tif", crop(100, 120, 740, 440), tags=TAGS)


@pytest.fixture(scope="module")
def sent(segmenter: Segmenter, wet: Path) -> Product:
    """The product of it, as received."""
    return unpack(flown(segmenter, wet))


def again(segmenter: Segmenter, wet: Path, product: Product) -> Recomputation:
    """What the flight code makes of the frame, with the passes and the seed that it names."""
    own = dataclasses.replace(segmenter, passes=product.passes, seed=product.seed)
    with Frame(wet, segmenter.bundle.sensor) as frame:
        return recompute(own, frame, product.scene_id, product)


@pytest.fixture(scope="module")
def honest(segmenter: Segmenter, wet: Path, sent: Product) -> Recomputation:
    return again(segmenter, wet, sent)


def flown(segmenter: Segmenter, frame: Path, **others: Any) -> bytes:
    """A product as the runtime sends it."""
    limits = segmenter.bundle.limits.with_value("min_confidence", 0).with_value("max_odd", 1)
    with Outbox(frame.with_suffix(".sqlite")) as box:
        Runtime(segmenter, limits, **others).fly(frame, box)
        (data,) = [item.data for item in box.waiting() if item.kind is Kind.PRODUCT]
    return data


def call(product: Path, frame: Path, *options: Any, **instead: Any) -> int:
    fixed = ["--scene", frame, "--bundle", instead.get("bundle", BUNDLE)]
    return run([str(a) for a in ("verify", product, *fixed, *options)])


def keep(folder: Path, product: Product) -> Path:
    """A product, whatever was done to it, as a file that is whole in itself."""
    path = folder / "product.fsp"
    path.write_bytes(pack(product))
    return path


# --- confirmed ------------------------------------------------------------------------------


def test_a_product_is_confirmed_bit_for_bit(
    tmp_path: Path, sent: Product, wet: Path, capsys: Any
) -> None:
    path = keep(tmp_path, sent)
    assert call(path, wet, "--exact", "--json", tmp_path / "f.json", "--out", tmp_path / "d") == 0
    told = capsys.readouterr().out
    assert "verdict  the same, bit for bit" in told
    assert f"seed {SEED}, {PASSES} passes" in told
    found = json.loads((tmp_path / "f.json").read_text())
    assert (found["verdict"], found["confirmed"], found["findings"]) == ("same", True, [])
    assert found["engine"]["product"] == found["engine"]["here"]
    assert found["mask"]["differ"] == 0
    assert not (tmp_path / "d").exists()


def test_a_raw_frame_with_its_calibration_and_with_another(
    tmp_path: Path, segmenter: Segmenter, capsys: Any
) -> None:
    raw = write_raw(tmp_path, counts(crop(100, 120, 740, 440) * 1e-4))
    camera = write_profile(tmp_path / "camera.toml")
    path = tmp_path / "sent.fsp"
    path.write_bytes(flown(segmenter, raw, profile=load_profile(camera)))
    assert call(path, raw, "--profile", camera, "--exact") == 0
    capsys.readouterr()
    assert call(path, raw) == 2
    assert "--profile" in capsys.readouterr().err
    text = camera.read_text("utf-8").replace("esun = 1039.0", "esun = 700.0")
    (tmp_path / "other.toml").write_text(text, "utf-8")
    assert call(path, raw, "--profile", tmp_path / "other.toml") == 1
    assert "another calibration (--profile)" in capsys.readouterr().out


def test_flood_is_confirmed_with_the_reference_that_flew(
    tmp_path: Path, segmenter: Segmenter, wet: Path, capsys: Any
) -> None:
    known = np.zeros((1, 100, 120), np.uint8)
    known[..., :60] = 1
    reference = PermanentWater(write_frame(tmp_path / "permanent.tif", known, bands=None))
    path = tmp_path / "sent.fsp"
    frame = write_frame(tmp_path / "wet.tif", crop(100, 120, 740, 440), tags=TAGS)
    path.write_bytes(flown(segmenter, frame, reference=reference))
    assert unpack(path.read_bytes()).subject == "flood"
    assert call(path, frame, "--reference", reference.path, "--exact") == 0
    capsys.readouterr()
    assert call(path, frame) == 2
    assert "--reference" in capsys.readouterr().err
    newer = write_frame(tmp_path / "newer.tif", 1 - known, bands=None)
    assert call(path, frame, "--reference", newer) == 2
    told = capsys.readouterr().err
    assert reference.version.hex() in told
    assert "give that one" in told


def test_a_product_coded_by_tables_against_the_reference_is_confirmed(
    tmp_path: Path, segmenter: Segmenter, capsys: Any
) -> None:
    known = np.zeros((1, 100, 120), np.uint8)
    known[..., :60] = 1
    reference = PermanentWater(write_frame(tmp_path / "permanent.tif", known, bands=None))
    frame = write_frame(tmp_path / "wet.tif", crop(100, 120, 740, 440), tags=TAGS)
    path = tmp_path / "sent.fsp"
    by = tables.learn(tables.pack(random_tables()))
    path.write_bytes(flown(segmenter, frame, reference=reference, tables=by))
    assert call(path, frame, "--reference", reference.path, "--exact") == 0
    capsys.readouterr()
    assert call(path, frame) == 2
    told = capsys.readouterr().err
    assert "--reference" in told
    assert told.count("\n") == 1


def test_other_bits_of_another_engine_are_told_from_changes(
    tmp_path: Path, segmenter: Segmenter, capsys: Any
) -> None:
    """The float64 reference rounds otherwise than any runtime."""
    small = write_frame(tmp_path / "small.tif", crop(48, 48, 760, 460), tags=TAGS)
    path = tmp_path / "sent.fsp"
    path.write_bytes(flown(dataclasses.replace(segmenter, passes=2), small))
    assert call(path, small, "--engine", "reference", "--exact") == 1
    told = capsys.readouterr().out
    assert "here reference float64" in told
    assert "the same within rounding" in told
    assert "differs  " not in told


def test_an_engine_that_is_not_here_is_stood_in_for(
    tmp_path: Path, sent: Product, wet: Path, capsys: Any
) -> None:
    unknown = dataclasses.replace(sent, engine="abacus 1")
    assert call(keep(tmp_path, unknown), wet) == 0
    assert "abacus 1 is not known here" in capsys.readouterr().out
    stick = dataclasses.replace(sent, engine="myriad (2021.4.2, MYRIAD ma2480)")
    assert call(keep(tmp_path, stick), wet) == 0
    assert "note     myriad, the product's engine, is not at hand" in capsys.readouterr().out


def test_what_the_service_sends_is_confirmed(tmp_path: Path, capsys: Any) -> None:
    """Its engine runs in a process of its own, and its frames come out of an inbox."""
    inbox, slots, outbox = tmp_path / "in", tmp_path / "slots", tmp_path / "out.sqlite"
    inbox.mkdir()
    frame = write_frame(inbox / "f.tif", crop(100, 120, 740, 440), tags=TAGS)
    kept = write_frame(tmp_path / "f.tif", crop(100, 120, 740, 440), tags=TAGS)
    how = ["--once", "--outbox", outbox, "--seed", 9, "--passes", 3]
    for words in (["flash", BUNDLE], ["fly", "--watch", inbox, *how]):
        subprocess.run(
            [sys.executable, "-m", "onboard", *map(str, [*words, "--slots", slots])],
            cwd=str(ROOT),
            check=True,
            timeout=240,
            stdout=subprocess.DEVNULL,
        )
    assert not frame.exists()
    with Outbox(outbox) as box:
        (data,) = [item.data for item in box.waiting() if item.kind is Kind.PRODUCT]
    path = tmp_path / "sent.fsp"
    path.write_bytes(data)
    assert call(path, kept, "--exact") == 0
    assert "seed 9, 3 passes" in capsys.readouterr().out


# --- denied, and why --------------------------------------------------------------------------


def flip(product: Product, row: int, col: int) -> Product:
    """One pixel of the mask says the other of land and water; its figures follow suit."""
    mask = product.mask.copy()
    mask[row, col] = 1 - mask[row, col]
    figures = summarise(mask, *(np.zeros(mask.shape, np.float32),) * 3, product.georef)
    own = product.statistics
    kept = {n: getattr(own, n) for n in ("mean_entropy", "mean_epistemic", "mean_p_water")}
    return dataclasses.replace(product, mask=mask, statistics=dataclasses.replace(figures, **kept))


def sure_pixel(product: Product) -> tuple[int, int]:
    """A pixel of water in the middle of the surest block of it."""
    rows, cols = (side // 8 for side in product.mask.shape)
    whole = product.mask[: rows * 8, : cols * 8].reshape(rows, 8, cols, 8)
    wet = (whole == 1).all(axis=(1, 3))
    doubt = np.where(wet, product.entropy[:rows, :cols].astype(int), 999)
    row, col = np.unravel_index(int(doubt.argmin()), doubt.shape)
    return int(row) * 8 + 4, int(col) * 8 + 4


def test_one_changed_pixel_is_found(tmp_path: Path, sent: Product, wet: Path, capsys: Any) -> None:
    row, col = sure_pixel(sent)
    forged = keep(tmp_path, flip(sent, row, col))
    assert call(forged, wet, "--json", tmp_path / "f.json", "--out", tmp_path / "d") == 1
    told = capsys.readouterr().out
    assert "does not match" in told
    assert "1 of 12000 pixels" in told
    assert "changed after it was made" in told
    assert f"rows {row} to {row}, columns {col} to {col}" in told
    found = json.loads((tmp_path / "f.json").read_text())
    assert found["mask"]["box"] == [row, col, row, col]
    assert found["mask"]["furthest_from_threshold"] > 0.1
    assert found["blocks_that_differ"] == {"entropy": 0, "epistemic": 0}
    with rasterio.open(found["map"]) as drawn:
        values = drawn.read(1)
        assert drawn.crs.to_epsg() == 32645
        assert drawn.colormap(1)[2] == (213, 94, 0, 255)
    assert values[row, col] == 2
    assert values.sum() == 2


def changed(product: Product, name: str, value: Any) -> Product:
    if "." in name:
        figures = dataclasses.replace(product.statistics, **{name.split(".")[1]: value})
        return dataclasses.replace(product, statistics=figures)
    return dataclasses.replace(product, **{name: value})


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("statistics.water_area_m2", 1e6, "the figure was changed"),
        ("statistics.mean_entropy", 0.01, "the figure was changed"),
        ("statistics.mean_p_water", 0.9, "the figure was changed"),
        ("acquired_ms", 1_700_000_000_000, "its tags or its sidecar were changed"),
        ("acquired_quality", TimeQuality.GNSS, "its tags or its sidecar were changed"),
        ("geolocation_sigma_m", 4.0, "its tags or its sidecar were changed"),
        ("conditions", Condition.CORRECTED, "--profile"),
        ("operating_point", "sensitive", "same weights, other manifest"),
    ],
)
def test_each_changed_field_is_named(
    sent: Product, honest: Recomputation, name: str, value: Any, word: str
) -> None:
    result = verify.verify(changed(sent, name, value), honest)
    assert result.verdict is Verdict.DIFFERS
    (found,) = result.findings
    assert found.what == name
    assert found.sent != found.here
    assert word in found.cure


@pytest.mark.parametrize("name", ["entropy", "epistemic"])
def test_a_changed_block_of_uncertainty_is_found(
    sent: Product, honest: Recomputation, name: str
) -> None:
    codes = getattr(sent, name).copy()
    codes[3, 5] = (int(codes[3, 5]) + 20) % 64
    result = verify.verify(changed(sent, name, codes), honest)
    assert result.verdict is Verdict.DIFFERS
    assert result.findings[0].what == name
    assert "1 of 195 blocks" in result.findings[0].sent
    assert result.blocks[name] == 1


@pytest.mark.parametrize(("name", "value"), [("seed", 77), ("passes", 1)])
def test_other_passes_than_the_product_says(
    segmenter: Segmenter, sent: Product, wet: Path, name: str, value: int
) -> None:
    forged = changed(sent, name, value)
    result = verify.verify(forged, again(segmenter, wet, forged))
    assert result.verdict is Verdict.DIFFERS
    assert any("try --seed" in found.cure for found in result.findings)


def test_a_seed_that_was_changed_can_be_found_again(
    tmp_path: Path, sent: Product, wet: Path, capsys: Any
) -> None:
    forged = keep(tmp_path, dataclasses.replace(sent, seed=77))
    assert call(forged, wet, "--seed", SEED) == 1
    told = capsys.readouterr().out
    # All but the seed is right.
    assert told.count("differs  ") == 1
    assert "differs  seed: product 77; here 5" in told


def test_another_frame_and_another_model_are_told_apart(
    tmp_path: Path, sent: Product, wet: Path, capsys: Any
) -> None:
    other = write_frame(tmp_path / "other.tif", crop(100, 120, 600, 400), tags=TAGS)
    assert call(keep(tmp_path, sent), other, "--json", tmp_path / "f.json") == 1
    told = capsys.readouterr().out
    assert "another frame" in told
    assert "nothing was recomputed" in told
    assert json.loads((tmp_path / "f.json").read_text())["findings"][0]["what"] == "scene_id"
    found = verify.foreign(sent, sent.scene_id, b"\1" * 32, "other")
    assert found is not None
    assert [one.what for one in found.findings] == ["model_id", "sensor"]
    assert verify.foreign(sent, sent.scene_id, sent.model_id, sent.sensor) is None


def test_another_version_of_the_bundle_is_named_and_the_mask_still_checked(
    tmp_path: Path, sent: Product, wet: Path, capsys: Any
) -> None:
    points = json.loads((BUNDLE / "manifest.json").read_text("utf-8"))["thresholds"]
    points["balanced"]["water"] = 0.9
    newer = varied(tmp_path / "newer", thresholds=points)
    assert call(keep(tmp_path, sent), wet, bundle=newer) == 1
    told = capsys.readouterr().out
    assert told.count("differs  ") == 1
    assert "differs  water_threshold" in told
    assert "here 0.9" in told


def test_what_cannot_be_read_ends_with_2(tmp_path: Path, wet: Path, capsys: Any) -> None:
    (tmp_path / "junk.fsp").write_bytes(b"junk" * 20)
    for path, word in ((tmp_path / "junk.fsp", "no FloodSat product"), (tmp_path, "cannot be")):
        assert call(path, wet) == 2
        told = capsys.readouterr().err
        assert str(path) in told
        assert word in told
        assert told.count("\n") == 1


# --- parts ----------------------------------------------------------------------------------


def maps_of(p_water: Any, p_cloud: Any) -> Maps:
    return Maps(*(np.array(a, np.float32) for a in (p_water, p_cloud, p_water, p_water, p_water)))


def test_distance_is_what_a_probability_must_move() -> None:
    point = Thresholds(0.5, 0.4)
    found = maps_of([0.75, 0.25, 0.75, 0.25, 0.75, np.nan], [0.1, 0.1, 0.9, 0.9, 0.1, 0.1])
    sent = np.array([0, 1, 1, 0, 2, 0], np.uint8)
    needed = distance(found, sent, point)
    np.testing.assert_allclose(needed, [0.25, 0.25, 0.5, 0.5, 0.3, np.inf], atol=1e-6)
    assert np.isinf(distance(found, np.full(6, 255, np.uint8), point)).all()


def test_a_pixel_at_its_threshold_is_rounding_and_many_are_not(
    sent: Product, honest: Recomputation
) -> None:
    assert verify.verify(sent, honest).verdict is Verdict.SAME
    few = moved_by(honest, sent, 12, 5e-6)
    assert verify.verify(*few).verdict is Verdict.WITHIN
    assert verify.verify(*few).differ == 12
    # One in a thousand of 12,000 pixels is 12.
    assert verify.verify(*moved_by(honest, sent, 13, 5e-6)).verdict is Verdict.DIFFERS
    assert verify.verify(*moved_by(honest, sent, 1, 1e-3)).verdict is Verdict.DIFFERS


def moved_by(
    honest: Recomputation, sent: Product, count: int, distance: float
) -> tuple[Product, Recomputation]:
    """As if so many pixels had come out otherwise, so near to their thresholds."""
    moved = np.zeros_like(honest.moved)
    moved.ravel()[:count] = distance
    return sent, dataclasses.replace(honest, moved=moved)


def test_slack_follows_the_engines() -> None:
    float32 = verify.slack("tflite (a)", "openvino (b)")
    assert float32.probability == pytest.approx(2e-5)
    assert verify.slack("tflite (a)", "tflite (a)").probability == pytest.approx(1e-5)
    assert verify.slack("abacus", "tflite (a)").probability == pytest.approx(2e-5)
    assert verify.slack("myriad (x)", "tflite (a)").probability == pytest.approx(0.02001)
    assert 1e-4 < float32.nats < 3e-4
    assert verify.engine_key("openvino-2021 (2021.4.2, CPU)") == "openvino-2021"


def test_the_page_says_what_the_code_does() -> None:
    page = (ROOT / "docs" / "verify.md").read_text("utf-8")
    assert all(f"`{name}`" in page for name in verify.CURES if name != "statistics")
    assert f"at most {verify.SHARE:.1%} of the mask".replace("%", " %") in page
    for names, words in (
        (("tflite (a)", "openvino (b)"), "2·10⁻⁵ between two float32 engines"),
        (("myriad (x)", "tflite (a)"), "0.02 for a Myriad\nstick against a CPU"),
        (("tflite-int8 (a)",) * 2, "0.05 for INT8 alone"),
    ):
        value = verify.slack(*names).probability
        assert words.startswith(f"{value:.2g}".replace("2e-05", "2·10⁻⁵"))
        assert words in page


# --- every engine ----------------------------------------------------------------------------


def opened(name: str) -> tuple[Any, Any]:
    """The bundle and an engine; skips where it does not run in this environment."""
    try:
        loaded = bundle.load(BUNDLE, [engines.set_of(name), bundle.COMMON])
        return loaded, engines.load(name, loaded)
    except EngineError as error:
        pytest.skip(f"{name} does not run in this environment: {error}")


def check_engine(folder: Path, name: str, side: int, rounds: int) -> None:
    """Products of one engine verify on it bit for bit; changed ones never do."""
    loaded, engine = opened(name)
    rng = np.random.default_rng(11)
    for turn in range(rounds):
        row, col = (int(n) for n in rng.integers((650, 350), (760, 460)))
        frame = write_frame(folder / f"{turn}.tif", crop(side, side, row, col), tags=TAGS)
        own = Segmenter(loaded, engine, int(rng.integers(1, 5)), int(rng.integers(0, 2**32)))
        product = unpack(flown(own, frame))
        forged = dataclasses.replace(product, mask=np.roll(product.mask, 3, axis=0))
        for one, verdict in ((product, Verdict.SAME), (forged, Verdict.DIFFERS)):
            found = verify.verify(one, again(own, frame, one))
            assert found.verdict is verdict, (name, turn, found)


@pytest.mark.parametrize("name", ["tflite-int8", "openvino", "openvino-2021"])
def test_products_of_every_engine_verify_on_it(tmp_path: Path, name: str) -> None:
    check_engine(tmp_path, name, 64, 1)


@pytest.mark.soak
@pytest.mark.parametrize("name", [name for name in engines.LOADERS if name != "myriad"])
def test_many_products_of_every_engine_verify_on_it(tmp_path: Path, name: str) -> None:
    check_engine(tmp_path, name, 128, 5 if name == "reference" else 50)
