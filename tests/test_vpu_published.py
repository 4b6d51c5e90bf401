"""The static time model beside what is published: the doc shows what the model says today."""

from __future__ import annotations

import pytest

from benchmarks import vpu_published
from onboard import vpu_time
from tests.samples import ROOT

DOC = ROOT / "docs" / "vpu-time-model.md"


def test_the_doc_shows_the_table() -> None:
    shown = DOC.read_text("utf-8")
    for line in vpu_published.table():
        assert line in shown, "run 'python -m benchmarks.vpu_published'"


def test_the_doc_shows_the_constants() -> None:
    shown = DOC.read_text("utf-8")
    for given in vpu_time.BOUNDS.values():
        assert f"{given.link / 1e6:.0f}" in shown
    for chip in vpu_time.CHIPS.values():
        assert f"{chip.ddr / 1e9:.2f}" in shown
        assert f"{chip.cmx / 1e9:.0f}" in shown


@pytest.mark.parametrize(
    ("make", "millions", "gops"),
    [
        # What the papers and QuTiBench's table of topologies say of them.
        (vpu_published.googlenet, 7.0, 3.2),
        (vpu_published.resnet18, 11.7, 3.6),
        (vpu_published.resnet50, 25.5, 7.7),
    ],
)
def test_the_networks_are_those_of_their_papers(make: object, millions: float, gops: float) -> None:
    layers = [layer for layer in make() if not layer.pool]  # type: ignore[operator]
    weights = [layer.inputs * layer.outputs * layer.window**2 for layer in layers]
    assert sum(weights) / 1e6 == pytest.approx(millions, rel=0.01)
    work = sum(2 * w * layer.side**2 for w, layer in zip(weights, layers, strict=True))
    assert work / 1e9 == pytest.approx(gops, rel=0.02)


@pytest.mark.parametrize(
    ("inputs", "outputs", "window", "cycles"),
    # Costs that OpenVINO 2021.4.2 wrote into its stage graphs, for one output pixel.
    [(8, 16, 3, 28), (48, 16, 3, 58), (48, 48, 3, 119), (80, 32, 3, 109), (8, 8, 1, 8)],
)
def test_the_cycles_are_the_compilers(inputs: int, outputs: int, window: int, cycles: int) -> None:
    assert vpu_published.nce_cycles(vpu_published.Layer(inputs, outputs, window, 1)) == cycles


def test_no_published_time_is_below_the_peak() -> None:
    for point in vpu_published.points():
        found = vpu_time.seconds(vpu_published.stages(point), point.chip)
        assert found.best * point.times < point.seconds, point.network
