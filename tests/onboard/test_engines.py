from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import rasterio

from onboard import bundle, engines, golden, masks
from onboard.engines import reference
from onboard.errors import EngineError
from onboard.network import Network
from onboard.scene import ArrayFrame
from onboard.segment import Segmenter
from onboard.uncertainty import maps
from tests.samples import BUNDLE, crop


@pytest.fixture(scope="module")
def shipped() -> bundle.Bundle:
    return bundle.load(BUNDLE, ["tflite", "reference", bundle.COMMON])


@pytest.fixture(scope="module")
def tflite(shipped: bundle.Bundle) -> Any:
    return engines.load("tflite", shipped)


@pytest.fixture(scope="module")
def slow(shipped: bundle.Bundle) -> Any:
    return engines.load("reference", shipped)


def tile_of(shipped: bundle.Bundle, samples: Any, size: int) -> Any:
    """A normalised tile around ``(4, H, W)`` integer samples."""
    image = samples.transpose(1, 2, 0).astype(np.float32) * np.float32(1e-4)
    patch = ArrayFrame(image).read(0, 0, size, size)
    return shipped.normalisation.apply(patch.reflectance, patch.valid)


def agree(shipped: Any, tflite: Any, slow: Any, tile: Any, count: int) -> None:
    drawn = masks.draw(shipped.network, 3, shipped.model_id, b"s" * 32, range(count))
    fast, exact = tflite.run(tile, drawn), slow.run(tile, drawn)
    for name, a, b in zip(fast._fields, fast, exact):
        assert np.abs(a - b).max() <= 1e-5, name


@pytest.mark.parametrize("count", [1, 10, 13])
def test_tflite_agrees_with_the_reference(
    shipped: bundle.Bundle, tflite: Any, slow: Any, count: int
) -> None:
    agree(shipped, tflite, slow, tile_of(shipped, crop(300, 300), tflite.tile_size), count)


@pytest.mark.parametrize("name", ["phisat2_sim/images/7_3.tif", "dfc24/images/103.tif"])
def test_tflite_agrees_on_real_chips(
    shipped: bundle.Bundle, tflite: Any, slow: Any, data_folder: Any, name: str
) -> None:
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        chip = rasterio.open(str(data_folder / name))
    with chip:
        indexes = [chip.descriptions.index(b) + 1 for b in shipped.sensor.bands]
        samples = chip.read(indexes)
    agree(shipped, tflite, slow, tile_of(shipped, samples, tflite.tile_size), 10)


def test_equal_masks_leave_nothing_unknown(shipped: bundle.Bundle, tflite: Any, slow: Any) -> None:
    one = masks.draw(shipped.network, 1, shipped.model_id, b"s" * 32, [4])
    same = {name: np.repeat(mask, 10, axis=0) for name, mask in one.items()}
    tile = tile_of(shipped, crop(256, 256), tflite.tile_size)
    assert maps(slow.run(tile, same)).epistemic.max() <= 1e-6
    assert maps(tflite.run(tile, same)).epistemic.max() <= 1e-5


def test_different_masks_give_different_passes(
    shipped: bundle.Bundle, tflite: Any, slow: Any
) -> None:
    drawn = masks.draw(shipped.network, 1, shipped.model_id, b"s" * 32, range(10))
    tile = tile_of(shipped, crop(256, 256), tflite.tile_size)
    moments = tflite.run(tile, drawn)
    assert (moments.p_water_2 - moments.p_water**2).max() > 1e-4
    assert maps(moments).epistemic.max() > 1e-4


@pytest.mark.parametrize("name", ["tflite", "reference"])
def test_golden_tile_passes(shipped: bundle.Bundle, name: str) -> None:
    assert golden.check(shipped, engines.load(name, shipped), name) <= golden.TOLERANCE[name]


def test_golden_tile_finds_a_changed_weight(shipped: bundle.Bundle) -> None:
    engine = reference.ReferenceEngine(shipped)
    engine._weights["head/bias"] = engine._weights["head/bias"] + 0.01
    with pytest.raises(EngineError, match="golden tile differs"):
        golden.check(shipped, engine, "reference")


def test_golden_tile_refuses_nan(shipped: bundle.Bundle) -> None:
    engine = reference.ReferenceEngine(shipped)
    engine._weights["head/bias"] = engine._weights["head/bias"] * np.nan
    with pytest.raises(EngineError, match="golden tile differs by nan"):
        golden.check(shipped, engine, "reference")


def test_unknown_engine(shipped: bundle.Bundle) -> None:
    with pytest.raises(EngineError, match="choose one of tflite, tflite-f16, "):
        engines.load("abacus", shipped)


def random_weights(network: Network, seed: int) -> dict[str, Any]:
    """Weights under which every tap of every kernel matters."""
    rng = np.random.default_rng(seed)
    weights: dict[str, Any] = {}
    inputs = {"enc0": network.bands}
    for level in range(1, network.depth + 1):
        inputs[f"enc{level}"] = network.widths[level - 1]
    for level in range(network.depth):
        inputs[f"dec{level}"] = network.widths[level] + network.widths[level + 1]
    for name, count in inputs.items():
        width = network.widths[int(name[-1])]
        for i, fan in enumerate((count, width)):
            side = 6 if (name, i) == ("enc0", 0) else 3
            kernel = rng.uniform(0.1, 1, (side, side, fan, width))
            weights[f"{name}_conv{i}/kernel"] = kernel / fan / (side * side * 0.55)
            for part, value in (("gamma", 1), ("beta", 0), ("moving_mean", 0)):
                weights[f"{name}_bn{i}/{part}"] = np.full(width, float(value))
            weights[f"{name}_bn{i}/moving_variance"] = np.ones(width)
    weights["head/kernel"] = rng.uniform(0.1, 1, (1, 1, network.widths[0], 8))
    weights["head/bias"] = np.zeros(8)
    for site in network.sites:
        weights[f"correct_{site.name}/kernel"] = rng.uniform(0.1, 1, (1, 1, site.channels, 1))
    return weights


def test_the_receptive_radius_is_exact() -> None:
    """A pixel beyond it never matters, one just as far does."""
    network = Network(bands=1, widths=(2, 3, 3))
    weights = random_weights(network, 0)
    side = 2 * network.halo + 120
    furthest = 0
    for shift in range(network.stride):
        at = side // 2 + shift
        plain = np.ones((side, side, 1))
        poked = plain.copy()
        poked[at, at] += 50.0
        ones = masks.ones(network)
        a, b = (reference.moments(network, weights, x, ones).p_water for x in (plain, poked))
        rows, cols = np.nonzero(np.abs(a - b) > 0) + np.int64(network.halo)
        assert rows.size, "the poke must show"
        furthest = max(furthest, int(np.abs(rows - at).max()), int(np.abs(cols - at).max()))
    assert furthest == network.receptive_radius


@pytest.mark.parametrize(
    ("name", "height", "width"),
    [("tflite", 701, 211), ("tflite", 131, 717), ("reference", 301, 217)],
)
def test_no_seam_can_be_found(
    shipped: bundle.Bundle, slow: Any, name: str, height: int, width: int
) -> None:
    """Tiles equal the whole at sizes divisible by nothing, border included."""
    image = crop(height, width).transpose(1, 2, 0).astype(np.float32) * np.float32(1e-4)
    frame = ArrayFrame(image)
    segmenter = Segmenter(shipped, engines.load(name, shipped), 4, 9)
    assert len(segmenter.tiling(frame)) > 1
    found = segmenter.whole(frame)
    halo, stride = shipped.network.halo, shipped.network.stride
    rows, cols = (-(-n // stride) * stride + 2 * halo for n in (height, width))
    patch = frame.read(-halo, -halo, rows, cols)
    inputs = shipped.normalisation.apply(patch.reflectance, patch.valid)
    whole = maps(slow.run(inputs, segmenter.masks_for(frame.scene_id())))
    for part, a, b in zip(whole._fields, found.maps, whole):
        assert np.abs(a - b[:height, :width]).max() <= 1e-4, part


def test_nodata_stays_nodata(shipped: bundle.Bundle, tflite: Any) -> None:
    image = crop(150, 170).transpose(1, 2, 0).astype(np.float32) * np.float32(1e-4)
    valid = np.ones(image.shape[:2], bool)
    valid[40:90, 20:] = False
    image[~valid] = 0
    found = Segmenter(shipped, tflite, 3, 0).whole(ArrayFrame(image, valid))
    np.testing.assert_array_equal(found.classes == 255, ~valid)
    for array in found.maps:
        np.testing.assert_array_equal(np.isnan(array), ~valid)


def test_every_pass_of_a_segmenter_has_masks_of_its_own(
    shipped: bundle.Bundle, tflite: Any
) -> None:
    segmenter = Segmenter(shipped, tflite, 10, 0)
    drawn = segmenter.masks_for(b"s" * 32)
    table = np.concatenate([drawn[s.name] for s in shipped.network.sites], axis=1)
    assert len(np.unique(table, axis=0)) == 10
    frame = ArrayFrame(crop(90, 90).transpose(1, 2, 0).astype(np.float32) * np.float32(1e-4))
    assert segmenter.whole(frame).maps.epistemic.max() > 1e-4


def test_classes_follow_the_bundles_thresholds(shipped: bundle.Bundle, tflite: Any) -> None:
    frame = ArrayFrame(crop(400, 400).transpose(1, 2, 0).astype(np.float32) * np.float32(1e-4))
    found = Segmenter(shipped, tflite, 2, 0).whole(frame)
    cloud = found.maps.p_cloud >= shipped.balanced.cloud
    water = ~cloud & (found.maps.p_water >= shipped.balanced.water)
    np.testing.assert_array_equal(found.classes == 2, cloud)
    np.testing.assert_array_equal(found.classes == 1, water)
    for p, threshold in (
        (found.maps.p_cloud, shipped.balanced.cloud),
        (found.maps.p_water, shipped.balanced.water),
    ):
        # Pixels on both sides and near: another threshold would have been noticed.
        assert ((p >= threshold) & (p < threshold + 0.05)).any()
        assert ((p < threshold) & (p >= threshold - 0.05)).any()


@pytest.mark.parametrize("fill", [-9999.0, np.nan])
def test_what_fills_nodata_never_reaches_the_network(shipped: bundle.Bundle, fill: float) -> None:
    image = crop(50, 70).transpose(1, 2, 0).astype(np.float32) * np.float32(1e-4)
    valid = np.ones(image.shape[:2], bool)
    valid[20:30, 20:60] = False
    filled = np.where(valid[..., None], image, np.float32(fill))
    found = shipped.normalisation.apply(filled, valid)
    np.testing.assert_array_equal(found[~valid], 0)
    np.testing.assert_array_equal(found[valid], shipped.normalisation.apply(image, valid)[valid])


def test_a_result_outlives_the_next_call(shipped: bundle.Bundle, tflite: Any) -> None:
    drawn = masks.draw(shipped.network, 3, shipped.model_id, b"s" * 32, range(10))
    first = tflite.run(tile_of(shipped, crop(300, 300), tflite.tile_size), drawn)
    kept = [array.copy() for array in first]
    tflite.run(tile_of(shipped, crop(300, 300, 600, 500), tflite.tile_size), drawn)
    for before, after in zip(kept, first):
        np.testing.assert_array_equal(before, after)


def test_the_golden_tolerance_is_tight() -> None:
    assert golden.TOLERANCE["tflite"] <= 1e-5
    assert golden.TOLERANCE["reference"] <= 1e-6


def test_the_seed_fixes_a_map(shipped: bundle.Bundle, tflite: Any) -> None:
    frame = ArrayFrame(crop(60, 70).transpose(1, 2, 0).astype(np.float32) * np.float32(1e-4))
    first, again, other = (
        Segmenter(shipped, tflite, 5, seed).whole(frame).maps.p_water for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0


def test_the_deterministic_pass_has_no_epistemic_part(shipped: bundle.Bundle, tflite: Any) -> None:
    frame = ArrayFrame(crop(60, 70).transpose(1, 2, 0).astype(np.float32) * np.float32(1e-4))
    found = Segmenter(shipped, tflite, 0, 0).whole(frame).maps
    assert found.epistemic.max() <= 1e-6
    assert found.entropy.max() > 0.01
