from __future__ import annotations

import keras
import numpy as np
import pytest

from benchmarks import unet, work
from benchmarks.throughput import StandIn, frame_of_cores
from benchmarks.unet import UNet
from benchmarks.unet_engines import RUNNERS
from onboard import uncertainty
from onboard.normalise import Normalisation
from onboard.segment import Segmenter, Thresholds

SMALL = UNet(bands=4, widths=(2, 3, 4, 5))
SIZE = 256


def engines() -> list[str]:
    return sorted(RUNNERS)


@pytest.fixture(scope="module")
def small() -> bytes:
    return unet.tflite(SMALL, SIZE, 1, seed=1)


def test_it_has_the_size_that_the_requirements_name() -> None:
    found = UNet()
    assert found.parameters == unet.logits_model(found, 64, 1, 0).count_params() == 7_783_619
    assert found.macs_per_pixel == 647_616


def test_the_graph_that_runs_does_the_multiply_adds_that_the_shape_says(small: bytes) -> None:
    layers = work.tflite_layers(small)
    assert len(layers) == len(SMALL.convolutions()) + 1
    # The 1×1 head may run on the core alone: the converter knows that the rest is cropped.
    assert sum(layer.macs for layer in layers[:-1]) == SIZE**2 * (
        SMALL.macs_per_pixel - SMALL.widths[0] * unet.CLASSES
    )


def test_the_receptive_radius_is_exact() -> None:
    model = unet.logits_model(SMALL, None, None, 0)
    # Without negative weights every ReLU is open and every maximum feels a bright pixel.
    model.set_weights([np.abs(w) + 0.1 for w in model.get_weights()])
    dark = np.zeros((1, SIZE, SIZE, 4), np.float32)
    base = np.asarray(model(dark))
    reach = 0
    for offset in range(SMALL.stride):
        place = SIZE // 2 + offset
        lit = dark.copy()
        lit[0, place, SIZE // 2] = 1e3
        rows = np.nonzero((np.asarray(model(lit)) != base).any(axis=(0, 2, 3)))[0]
        reach = max(reach, place - rows.min(), rows.max() - place)
    assert reach == SMALL.receptive_radius
    assert SMALL.halo % SMALL.stride == 0
    assert 0 <= SMALL.halo - SMALL.receptive_radius < SMALL.stride


@pytest.mark.parametrize("name", engines())
def test_engines_give_the_moments_of_its_logits(name: str, small: bytes) -> None:
    pytest.importorskip("openvino")
    tile = np.random.default_rng(0).normal(size=(SIZE, SIZE, 4)).astype(np.float32)
    found = RUNNERS[name](small, SIZE, 1).run(tile, {})
    inside = slice(SMALL.halo, SIZE - SMALL.halo)
    logits = np.asarray(unet.logits_model(SMALL, SIZE, 1, 1)(tile[None]))[0, inside, inside]
    p = 1 / (1 + np.exp(logits[..., 0] - logits[..., 1]))
    cloud = np.exp(logits[..., 2]) / np.exp(logits).sum(-1)
    expected = (p, cloud, uncertainty.bernoulli_entropy(p), p * p)
    for own, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(own, other, atol=1e-4)


@pytest.mark.parametrize("name", engines())
def test_a_batch_gives_the_moments_of_the_single_tile(name: str, small: bytes) -> None:
    pytest.importorskip("openvino")
    tile = np.random.default_rng(0).normal(size=(SIZE, SIZE, 4)).astype(np.float32)
    pair = RUNNERS[name](unet.tflite(SMALL, SIZE, 2, seed=1), SIZE, 2)
    single = RUNNERS[name](small, SIZE, 1)
    for own, other in zip(pair.run(tile, {}), single.run(tile, {}), strict=True):
        np.testing.assert_allclose(own, other, atol=1e-5)


def test_the_segmenter_runs_it_over_a_frame_without_a_seam(small: bytes) -> None:
    bundle = StandIn(SMALL, Normalisation((0.1,) * 4, (0.2,) * 4), Thresholds(0.5, 0.5))
    segmenter = Segmenter(bundle, RUNNERS["tflite"](small, SIZE, 1), 0, 0)  # type: ignore[arg-type]
    samples = np.random.default_rng(0).random((300, 300, 4), np.float32)
    frame = frame_of_cores(samples, segmenter, 2)
    found = segmenter.whole(frame)
    core = SIZE - 2 * SMALL.halo
    assert found.classes.shape == (2 * core, 2 * core)
    # Where tiles meet: the same pixels as the network gives for the frame in one piece.
    middle = slice(core - 8, core + 8)
    around = slice(core - 8 - SMALL.halo, core + 8 + SMALL.halo)
    piece = bundle.normalisation.apply(samples[around, around], np.ones((1, 1), bool))
    logits = np.asarray(unet.logits_model(SMALL, None, None, 1)(piece[None]))[0]
    inside = slice(SMALL.halo, SMALL.halo + 16)
    expected = 1 / (1 + np.exp(logits[..., 0] - logits[..., 1]))[inside, inside]
    np.testing.assert_allclose(found.maps.p_water[middle, middle], expected, atol=1e-4)


@pytest.fixture(autouse=True)
def forget() -> None:
    keras.backend.clear_session()
