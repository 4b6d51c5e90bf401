"""The search for the U-Net's best tile and batch, on machines whose speed is made up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks import clock, throughput
from benchmarks.throughput import Search
from benchmarks.unet import UNet
from onboard.arrays import Array
from onboard.masks import Masks

Speed = Callable[[int, int], float]


class Engine:
    name = "made up"

    def __init__(self, size: int, batch: int) -> None:
        self.tile_size, self.batch = size, batch

    def run(self, tile: Array, masks: Masks) -> Any:
        return self.tile_size, self.batch


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch) -> Callable[[Speed], Search]:
    """A search on a machine that computes so many megapixels a second at a size and batch."""

    def make(speed: Speed) -> Search:
        def timed(case: Callable[[], tuple[int, int]]) -> float:
            size, batch = case()
            return size**2 * batch / 1e6 / speed(size, batch)

        monkeypatch.setattr(clock, "timed", timed)
        monkeypatch.setattr(throughput, "free_bytes", lambda: 1e12)
        return Search(UNet(), Engine)  # type: ignore[arg-type]

    return make


def settings(found: Search) -> list[tuple[int, int, bool]]:
    return [(t.size, t.batch, t.rate is not None) for t in found.tried]


def test_at_one_speed_the_largest_tile_wins_for_its_halo(search: Any) -> None:
    found = search(lambda size, batch: 1.0)
    best = found.run()
    assert (best.tile_size, best.batch) == (1024, 1)
    assert settings(found) == [(256, 1, True), (256, 2, True), (512, 1, True), (1024, 1, True)]


def test_a_tile_that_falls_out_of_the_cache_loses(search: Any) -> None:
    best = search(lambda size, batch: 0.2 if size == 1024 else 1.0).run()
    assert best.tile_size == 512


def test_a_batch_is_taken_where_it_helps(search: Any) -> None:
    best = search(lambda size, batch: float(batch)).run()
    assert (best.tile_size, best.batch) == (1024, 2)


def test_what_takes_too_long_is_left_out_and_said(search: Any) -> None:
    found = search(lambda size, batch: 0.04)
    assert found.run().tile_size == 512
    assert settings(found)[-1] == (1024, 1, False)
    assert str(found.tried[-1]) == "1024 px × 1: not tried, one run would take about 26 s"


def test_where_a_batch_takes_too_long_the_single_tile_is_tried(search: Any) -> None:
    found = search(lambda size, batch: 0.1 * batch**0.5)
    found.run()
    assert settings(found)[-2:] == [(512, 2, True), (1024, 1, True)]


def test_what_does_not_fit_into_memory_is_left_out(
    search: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = search(lambda size, batch: 1.0)
    monkeypatch.setattr(throughput, "free_bytes", lambda: 1e9)
    assert found.run().tile_size == 512
    assert "memory" in found.tried[-1].why
