from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from benchmarks import clock, frames, passes, stages, throughput
from benchmarks.bench import of_budget, split
from benchmarks.unet import UNet
from onboard import bundle, engines
from onboard.cli import segment
from onboard.segment import Segmenter
from onboard.sensor import VNIR4
from tests.samples import BUNDLE


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    loaded = bundle.load(BUNDLE, ["tflite"])
    return Segmenter(loaded, engines.load("tflite", loaded), passes.PASSES, 3)


@pytest.fixture
def frame(tmp_path: Path) -> Path:
    samples = np.random.default_rng(0).integers(1, 9000, (64, 64, 4)).astype(np.uint16)
    frames.write(tmp_path / "frame.tif", frames.spread(samples, 700, 900, 4), VNIR4)
    return tmp_path / "frame.tif"


def test_what_is_timed_writes_the_maps_that_the_command_writes(
    segmenter: Segmenter, frame: Path, tmp_path: Path
) -> None:
    found = stages.budget(segmenter, frame, tmp_path / "timed.tif")
    assert tuple(found) == stages.STAGES
    assert all(found[name] > 0 for name in (stages.READ, stages.ENGINE, stages.MAPS))
    assert found[stages.WRITE] >= 0
    segment.write_maps(segmenter, frame, tmp_path / "maps.tif")
    with rasterio.open(tmp_path / "timed.tif") as own, rasterio.open(tmp_path / "maps.tif") as maps:
        # As text, for NaN equals nothing.
        assert str(own.profile) == str(maps.profile)
        np.testing.assert_array_equal(own.read(), maps.read())


def test_every_stage_is_put_down_to_its_own_part(
    segmenter: Segmenter, frame: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered: list[str] = []
    stage = clock.Stopwatch.stage

    def noted(self: clock.Stopwatch, name: str) -> Any:
        entered.append(name)
        return stage(self, name)

    monkeypatch.setattr(clock.Stopwatch, "stage", noted)
    stages.budget(segmenter, frame, tmp_path / "maps.tif")
    tiles = -(-700 // core(segmenter)) * -(-900 // core(segmenter))
    counted = {name: entered.count(name) for name in stages.STAGES}
    # Read: opened, hashed, tile by tile, and the end found.
    assert counted == {"read": tiles + 3, "engine": tiles, "maps": 0, "write": 0}


def core(segmenter: Segmenter) -> int:
    size = segmenter.engine.tile_size
    assert size is not None
    return size - 2 * segmenter.bundle.network.halo


def test_the_shares_are_of_the_whole_and_only_halo_and_files_count() -> None:
    seconds = {"read": 2.0, "engine": 10.0, "maps": 4.0, "write": 4.0}
    overhead, total, written = of_budget("tflite", seconds, halo=0.1)
    assert (total.value, written.value) == (20.0, 20.0)
    # 2 s of reading and a tenth of the engine's 10 s, of 16 s up to the maps.
    assert overhead.value == pytest.approx(18.75)
    assert overhead.holds is False
    parts = split(seconds, 0.1)
    assert sum(parts.values()) == pytest.approx(20.0)
    assert parts["engine, halo"] == pytest.approx(1.0)


def test_pixels_that_count_are_those_of_whole_cores(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throughput, "UNet", lambda bands: UNet(bands, (2, 2, 2, 2)))
    monkeypatch.setattr(throughput, "SIZES", (256,))
    monkeypatch.setattr(throughput, "ROUNDS", clock.Limits(1, 1, 0.0))
    samples = np.random.default_rng(0).random((64, 64, 4), np.float32)
    found = throughput.measure(segmenter, "tflite", samples, seed=0)
    own = throughput.CORES_A_SIDE * core(segmenter)
    small = 256 - 2 * UNet().halo
    assert found.megapixels["floodsat"] == pytest.approx(own**2 / 1e6)
    assert found.megapixels["unet"] == pytest.approx(small**2 * found.batch / 1e6)
    assert found.tile_gain == pytest.approx((256 / small) ** 2)
    assert found.rate("unet") == found.megapixels["unet"] / found.seconds["unet"]


def test_ten_passes_and_one_are_both_timed(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    run = segmenter.engine.run

    class Counting:
        name, tile_size = "counting", segmenter.engine.tile_size

        def run(self, tile: Any, masks: Any) -> Any:
            asked.append(len(next(iter(masks.values()))))
            return run(tile, masks)

    monkeypatch.setattr(passes, "ROUNDS", clock.Limits(2, 2, 0.0))
    found = passes.seconds(segmenter.bundle, Counting(), seed=0)
    assert set(found) == {"deterministic", "stochastic"}
    # Once to warm up, then in turn.
    assert asked == [1, 10] * 3
