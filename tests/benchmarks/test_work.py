from __future__ import annotations

import pytest

from benchmarks import unet, work
from benchmarks.unet import UNet
from benchmarks.work import Layer, halo_share


def test_without_a_halo_nothing_is_spent_on_it() -> None:
    layers = [Layer(64, 100), Layer(32, 100), Layer(8, 100)]
    assert halo_share(layers, tile=64, halo=0, stride=8) == 0.0


def test_a_layer_pays_for_what_it_computes_beyond_the_core() -> None:
    # A tile of 64 with a core of 48: the whole tile at full resolution, at half resolution
    # already cut to the core, and at a quarter with one pixel around it.
    assert halo_share([Layer(64, 100)], 64, 8, 4) == pytest.approx(1 - (48 / 64) ** 2)
    assert halo_share([Layer(24, 100)], 64, 8, 4) == 0.0
    assert halo_share([Layer(14, 100)], 64, 8, 4) == pytest.approx(1 - (12 / 14) ** 2)
    both = halo_share([Layer(64, 300), Layer(24, 100)], 64, 8, 4)
    assert both == pytest.approx(0.75 * (1 - (48 / 64) ** 2))


def test_a_product_that_is_not_over_pixels_is_needed_whole() -> None:
    assert halo_share([Layer(1, 100)], 64, 8, 4) == 0.0


def test_a_halo_too_wide_to_tell_strides_apart_is_refused() -> None:
    with pytest.raises(ValueError, match="halo of 16"):
        halo_share([Layer(64, 100)], 64, 16, 4)


def test_both_readers_count_alike(tmp_path: object) -> None:
    openvino = pytest.importorskip("openvino")
    from pathlib import Path

    content = unet.tflite(UNet(widths=(2, 3, 4, 5)), 256, 1, seed=0)
    path = Path(str(tmp_path)) / "unet.tflite"
    path.write_bytes(content)
    other = work.openvino_layers(openvino.Core().read_model(path))
    assert sorted(other) == sorted(work.tflite_layers(content))
