from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onboard import bundle, masks
from onboard.engines import openvino, reference
from onboard.engines.openvino import OpenVINOEngine
from onboard.engines.tflite import TFLiteEngine
from onboard.errors import EngineError
from onboard.network import Network
from onboard.normalise import Normalisation
from onboard.quiet import STDERR, STDOUT, quiet
from onboard.sensor import VNIR4
from onboard.uncertainty import Moments
from tests.training.test_half import weights_of
from training import (
    bounds,
    drift,
    mosaic,
    onnx_model,
    openvino_model,
    parity,
    quantise,
    tflite_model,
)
from training.kept import KeptChip
from training.targets import npz

NETWORK = Network(4, (8, 8, 8), 0.3)
CORE = 64
TILE = CORE + 2 * NETWORK.halo
PASSES = 5
FLOAT32 = ("tflite", "onnx", "openvino")
TFLITE = ("tflite", "tflite-f16", "tflite-int8")


@pytest.fixture(scope="module")
def weights() -> dict[str, Any]:
    return weights_of(NETWORK)


@pytest.fixture(scope="module")
def chips() -> list[KeptChip]:
    """Smooth chips of several sizes, with labels that the network has a chance to find."""
    found = []
    for i, (height, width) in enumerate([(64, 64), (64, 64), (50, 41)]):
        rng = np.random.default_rng(i)
        coarse = rng.normal(0, 1.5, (height // 8 + 2, width // 8 + 2, 4))
        tile = coarse.repeat(8, 0).repeat(8, 1)[:height, :width] + rng.normal(0, 0.3, 4)
        water = (tile[..., 3] < 0).astype(np.uint8)
        water[:4] = 255
        found.append(KeptChip(f"set/{i}", tile.astype(np.float32), water, water))
    return found


def files_of(target: str, weights: dict[str, Any], chips: list[KeptChip]) -> dict[str, bytes]:
    if target.startswith("tflite"):
        model = tflite_model.build(NETWORK, weights, PASSES, TILE)
        if target == "tflite-f16":
            return {"tflite-f16/k.tflite": quantise.float16(model)}
        if target == "tflite-int8":
            return {"tflite-int8/k.tflite": quantise.int8(model, NETWORK, chips[:2], TILE)}
        return {"tflite/k.tflite": tflite_model.convert(model)}
    graph = onnx_model.build(NETWORK, weights, PASSES, TILE)
    if target == "openvino":
        xml, data = openvino_model.build(graph)
        return {"openvino/k.xml": xml, "openvino/k.bin": data}
    return {f"{target}/k.onnx": graph}


def bundle_of(weights: dict[str, Any], files: dict[str, dict[str, bytes]]) -> bundle.Bundle:
    """A bundle that was never written; the first file of a target is its model."""
    points = ("balanced", "sensitive")
    sets = {t: {"tile": TILE, "models": {str(PASSES): next(iter(f))}} for t, f in files.items()}
    manifest = {
        "model_id": bundle.weights_id(weights).hex(),
        "sensor": VNIR4.to_json(),
        "network": NETWORK.to_json(),
        "normalisation": Normalisation((0.1,) * 4, (0.05,) * 4).to_json(),
        "chunk": PASSES,
        "thresholds": {point: {"water": 0.45, "cloud": 0.99} for point in points},
        "sets": {"reference": {}, bundle.COMMON: {}, **sets},
    }
    content = {bundle.WEIGHTS: npz(weights)}
    for own in files.values():
        content.update(own)
    return bundle.Bundle(Path("bundle"), manifest, "", content)


def engines_of(made: bundle.Bundle) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for target in made.sets:
        if target in TFLITE:
            found[target] = type("Engine", (TFLiteEngine,), {"target": target})(made)
        if target == "openvino":
            found[target] = OpenVINOEngine(made)
    return found


def measure(made: bundle.Bundle, chips: list[KeptChip]) -> parity.Report:
    found = parity.report(made, engines_of(made), chips)
    # It goes into the manifest: plain types, and no NaN, which JSON has not.
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found


@pytest.fixture(scope="module")
def files(weights: dict[str, Any], chips: list[KeptChip]) -> dict[str, dict[str, bytes]]:
    targets = ("tflite", "tflite-f16", "tflite-int8", "onnx", "openvino", "myriad")
    return {target: files_of(target, weights, chips) for target in targets}


@pytest.fixture(scope="module")
def good(weights: dict[str, Any], files: Any, chips: list[KeptChip]) -> parity.Report:
    return measure(bundle_of(weights, files), chips)


def test_a_sound_export_holds(good: parity.Report) -> None:
    for target in (*FLOAT32, "tflite-f16", "myriad"):
        for name, figure in good["targets"][target].items():
            assert figure["holds"] is not False, (target, name)
    for target in FLOAT32:
        for part in ("p_water", "p_cloud"):
            figure = good["targets"][target][f"{part}, largest difference"]
            # Not zero: float32 was really measured against float64.
            assert 0 < figure["value"] <= figure["bound"] == 1e-5
    assert good["chips"]["all"] == ["set/0", "set/1", "set/2"]
    assert good["passes"] == PASSES


def test_float16_and_the_vpus_arithmetic_are_measured(good: parity.Report) -> None:
    half = good["targets"]["tflite-f16"]
    assert half["mask agreement"]["value"] > bounds.AGREEMENT
    vpu = good["targets"]["myriad"]
    worst = [half["p_water, largest difference"]["value"]]
    for accumulation in ("float32", "float16"):
        assert vpu[f"mask agreement, {accumulation} accumulation"]["bound"] == bounds.AGREEMENT
        worst.append(vpu[f"p_water, largest difference, {accumulation} accumulation"]["value"])
    assert 1e-5 < worst[0] < worst[1] < worst[2] < 0.05
    largest = vpu["largest activation"]
    # The clipped frames reach further than any chip.
    assert largest["frame"] != "chips"
    assert largest["layers"]["tile"] == 10
    assert largest["layers"][largest["layer"]] == largest["value"] <= 65504


def test_integers_are_held_to_float32(good: parity.Report) -> None:
    figures = good["targets"]["tflite-int8"]
    wanted = {
        "water IoU, difference": bounds.IOU,
        "ECE, difference": bounds.ECE,
        "error AUROC, difference": bounds.AUROC,
        "MI, correlation": bounds.CORRELATION,
        "mask values, relative error": bounds.MASK_VALUE,
        "logits, bits": bounds.LOGIT_BITS,
        "p_water, largest difference": None,
    }
    assert {name: figure["bound"] for name, figure in figures.items()} == wanted
    assert figures["logits, bits"]["holds"]
    assert figures["mask values, relative error"]["holds"]
    assert 0.9 < figures["MI, correlation"]["value"] < 1
    assert figures["p_water, largest difference"]["value"] > 1e-3
    for name in ("water IoU", "ECE", "error AUROC"):
        figure = figures[f"{name}, difference"]
        assert figure["value"] == pytest.approx(abs(figure["here"] - figure["float32"]))


@pytest.mark.parametrize("target", [*FLOAT32, "tflite-f16", "tflite-int8"])
@pytest.mark.parametrize(
    ("kernel", "layer"),
    [
        ("enc0_conv0", "enc0_conv0"),
        ("enc1_conv1", "enc1_conv1"),
        ("dec1_conv0", "dec1_conv0"),
        ("correct_s4", "correct_s4"),
        ("head", "head_water"),
    ],
)
def test_a_spoilt_kernel_is_found(
    weights: dict[str, Any],
    files: dict[str, dict[str, bytes]],
    chips: list[KeptChip],
    target: str,
    kernel: str,
    layer: str,
) -> None:
    """The engine's file is made from other weights than the reference has."""
    spoilt = {**weights, f"{kernel}/kernel": weights[f"{kernel}/kernel"][..., ::-1].copy()}
    if kernel == "correct_s4":
        spoilt[f"{kernel}/kernel"] = -3 * weights[f"{kernel}/kernel"]
    made = {target: files_of(target, spoilt, chips)}
    if target == "tflite-int8":
        made["tflite"] = files["tflite"]
    found = measure(bundle_of(weights, made), chips)
    with pytest.raises(EngineError) as caught:
        parity.check(found)
    name, figure = next((n, f) for n, f in found["targets"][target].items() if f["holds"] is False)
    said = str(caught.value)
    assert said.startswith(f"target {target}: {name} is {figure['value']:.6g}, must be at ")
    assert f"{figure['bound']:g}" in said
    assert f"the layer that drifts is {layer}" in said
    assert "\n" not in said


def test_a_slightly_wrong_weight_is_enough(weights: dict[str, Any], chips: list[KeptChip]) -> None:
    spoilt = copy.deepcopy(weights)
    spoilt["dec0_conv1/kernel"][1, 1] *= 1.001
    made = bundle_of(weights, {"tflite": files_of("tflite", spoilt, chips)})
    with pytest.raises(EngineError, match="the layer that drifts is dec0_conv1"):
        parity.check(measure(made, chips))


def test_an_overflow_on_the_vpu_is_found(weights: dict[str, Any], chips: list[KeptChip]) -> None:
    """In float32 the network works: what one layer swells, those that read it take back."""
    grown = dict(weights)
    factor = np.float32(3e4)
    for part in ("gamma", "beta"):
        grown[f"dec1_bn1/{part}"] = weights[f"dec1_bn1/{part}"] * factor
    deep = grown["dec0_conv0/kernel"].copy()
    deep[:, :, :8] /= factor
    grown["dec0_conv0/kernel"] = deep
    grown["correct_s4/kernel"] = weights["correct_s4/kernel"] / factor
    made = bundle_of(grown, {t: files_of(t, grown, chips) for t in ("tflite", "myriad")})
    found = measure(made, chips)
    assert all(figure["holds"] for figure in found["targets"]["tflite"].values())
    vpu = found["targets"]["myriad"]
    assert vpu["ONNX in float32, p_water, largest difference"]["holds"]
    assert vpu["largest activation"]["holds"] is False
    assert vpu["largest activation"]["layer"] == "dec1_conv1"
    assert vpu["largest activation"]["value"] > 65504
    agreement = vpu["mask agreement, float32 accumulation"]
    assert agreement["holds"] is False
    assert agreement["layer"] == "dec1_conv1"
    with pytest.raises(EngineError, match=r"target myriad: mask agreement.*\(and 2 more\)"):
        parity.check(found)


class Broken:
    """An engine that gives no numbers."""

    name = "broken"
    tile_size = TILE

    def run(self, tile: Any, masks: Any) -> Moments:
        return Moments(*(np.full((CORE, CORE), np.nan, np.float32) for _ in Moments._fields))


@pytest.mark.parametrize("target", ["tflite", "tflite-f16", "tflite-int8"])
def test_nan_holds_nothing(
    weights: dict[str, Any], files: Any, chips: list[KeptChip], target: str
) -> None:
    made = bundle_of(weights, {target: files[target]})
    found = parity.report(made, {target: Broken()}, chips)
    json.dumps(found, allow_nan=False)
    with pytest.raises(EngineError, match=f"target {target}: "):
        parity.check(found)


def test_what_cannot_run_here_is_said_to_be_not_measured(
    weights: dict[str, Any], files: Any, chips: list[KeptChip], monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent() -> Any:
        raise EngineError("engine openvino: OpenVINO cannot be imported here")

    monkeypatch.setattr(openvino, "find_openvino", absent)
    made = bundle_of(weights, {t: files[t] for t in ("onnx", "openvino", "myriad")})
    found = parity.report(made, {}, chips)
    for target, name in (
        ("onnx", "parity"),
        ("openvino", "parity"),
        ("myriad", "ONNX in float32, parity"),
    ):
        figure = found["targets"][target][name]
        assert figure["value"] is None
        assert figure["holds"] is None
        assert figure["note"].startswith("not measured: ")
    assert found["targets"]["myriad"]["mask agreement, float32 accumulation"]["holds"]
    parity.check(found)


def test_a_target_without_bounds_is_said_to_be_not_measured(
    weights: dict[str, Any], files: Any, chips: list[KeptChip]
) -> None:
    made = bundle_of(weights, {"abacus": files["tflite"]})
    figure = parity.report(made, {}, chips)["targets"]["abacus"]["parity"]
    assert figure["note"] == "not measured: no bound is defined for this target"


def test_chips_are_needed(weights: dict[str, Any], files: Any) -> None:
    with pytest.raises(EngineError, match="no calibration chips"):
        parity.report(bundle_of(weights, {"tflite": files["tflite"]}), {}, [])


class Sized:
    """The reference with tiles of one size."""

    name = "sized"

    def __init__(self, weights: dict[str, Any], tile_size: int) -> None:
        self.tile_size = tile_size
        self.calls = 0
        self._weights = weights

    def run(self, tile: Any, masks: Any) -> Moments:
        self.calls += 1
        return reference.moments(NETWORK, self._weights, tile, masks)


def test_a_neighbour_in_the_mosaic_changes_nothing(
    weights: dict[str, Any], chips: list[KeptChip]
) -> None:
    drawn = masks.draw(NETWORK, 1, bytes(32), bytes(32), range(2))
    wide = {name: array.astype(np.float64) for name, array in weights.items()}
    windows = list(mosaic.cut(chips * 2, NETWORK, CORE))
    engine = Sized(wide, 2 * TILE + 40)
    together = mosaic.run(engine, NETWORK, windows, drawn)
    assert engine.calls == 2
    for window, found in zip(windows, together, strict=True):
        alone = reference.moments(NETWORK, wide, window.tile, drawn)
        for a, b in zip(found, alone, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


def test_a_window_is_the_chip_and_its_mirror_image(chips: list[KeptChip]) -> None:
    halo = NETWORK.halo
    (small,) = mosaic.cut(chips[2:], NETWORK, 128)
    # 50 × 41 pixels need a core of 56, on the stride.
    assert small.tile.shape == (56 + 2 * halo, 56 + 2 * halo, 4)
    inside = small.tile[halo:, halo:]
    np.testing.assert_array_equal(inside[:50, :41], chips[2].tile)
    np.testing.assert_array_equal(inside[50:56, :41], chips[2].tile[:-7:-1])
    (large,) = mosaic.cut(chips[:1], NETWORK, 36)
    assert large.water.shape == (32, 32)
    np.testing.assert_array_equal(large.tile[halo:-halo, halo:-halo], chips[0].tile[:32, :32])


@pytest.mark.parametrize(("largest", "exact"), [(1 / 0.7, True), (2.0, False)])
def test_coarse_masks_and_logits_are_seen(largest: float, exact: bool) -> None:
    """A file all in 8 bits, whose range of masks ends at 1/keep, or does not."""
    import keras
    import tensorflow as tf
    from keras import ops

    mask = keras.Input(batch_shape=(1, 4), name="mask_s2")
    out = {"p": ops.sigmoid(ops.multiply(mask, np.float32([[1, -2, 3, 0.5]])))}
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model([mask], out))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        {"mask_s2": np.float32([[0, largest, 0, largest]])} for _ in range(3)
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    with quiet(STDOUT, STDERR):
        content = converter.convert()
    error = drift.mask_error(content, {"s2": 0.7})
    assert (error <= bounds.MASK_VALUE) is exact
    assert drift.logit_bits(content) == 8


def test_a_figure_that_is_no_number_does_not_hold() -> None:
    for value in (float("nan"), float("inf")):
        assert bounds.at_most(value, 1.0) == {
            "value": None,
            "bound": 1.0,
            "rule": "at most",
            "holds": False,
        }
        assert bounds.at_least(value, 1.0)["holds"] is False
    assert bounds.at_most(1.0, 1.0)["holds"]
    assert not bounds.at_least(0.9, 1.0)["holds"]
