"""Published times of Myriads beside the static model: `python -m benchmarks.vpu_published`.

Prints the table of docs/vpu-time-model.md. The networks are written down layer by layer from
their papers; nothing of the model is changed for them. A published time that names no number of
SHAVEs, or no network that can be counted, is left out.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

from onboard import vpu_time
from onboard.vpu import ALLOCATION
from onboard.vpu_graph import HARDWARE, NCE, SHAVE, Stage

MODE_CYCLES = {1: 0, 2: 5, 4: 11, 8: 19, 16: 31}
"""Extra cycles of an NCE's tiling into so many blocks of input channels, as the compiler's costs
have them: 256 / blocks output channels at a time, each in ``inputs / blocks · window + extra``."""
CMX_BYTES = ALLOCATION["ma2480"][0] * 128 * 1024
"""Nine slices of 128 KiB."""
INCEPTION = (
    (192, 64, 96, 128, 16, 32, 32, 28),
    (256, 128, 128, 192, 32, 96, 64, 28),
    (480, 192, 96, 208, 16, 48, 64, 14),
    (512, 160, 112, 224, 24, 64, 64, 14),
    (512, 128, 128, 256, 24, 64, 64, 14),
    (512, 112, 144, 288, 32, 64, 64, 14),
    (528, 256, 160, 320, 32, 128, 128, 14),
    (832, 256, 160, 320, 32, 128, 128, 7),
    (832, 384, 192, 384, 48, 128, 128, 7),
)
"""GoogLeNet's modules 3a … 5b: inputs, 1×1, 3×3 reduced, 3×3, 5×5 reduced, 5×5, pool, side."""


class Layer(NamedTuple):
    """A convolution, or a maximum pool: channels, window and side of the output, pixels."""

    inputs: int
    outputs: int
    window: int
    side: int
    stride: int = 1
    pool: bool = False


class Point(NamedTuple):
    """A published time of one network on one chip, in seconds.

    ``times`` such networks make what was timed; ``streams`` inferences share the DRAM.
    """

    network: str
    layers: list[Layer]
    chip: str
    shaves: int
    seconds: float
    source: str
    times: float = 1.0
    streams: int = 1


def googlenet() -> list[Layer]:
    """Szegedy et al. 2015, table 1; 224 × 224."""
    layers = [Layer(3, 64, 7, 112, 2), Layer(64, 64, 3, 56, 2, pool=True)]
    layers += [Layer(64, 64, 1, 56), Layer(64, 192, 3, 56), Layer(192, 192, 3, 28, 2, pool=True)]
    side = 28
    for given, one, three_in, three, five_in, five, pooled, own in INCEPTION:
        if own != side:
            layers.append(Layer(given, given, 3, own, 2, pool=True))
            side = own
        layers += [Layer(given, one, 1, own), Layer(given, three_in, 1, own)]
        layers += [Layer(three_in, three, 3, own), Layer(given, five_in, 1, own)]
        layers += [Layer(five_in, five, 5, own), Layer(given, given, 3, own, pool=True)]
        layers.append(Layer(given, pooled, 1, own))
    return [*layers, Layer(1024, 1000, 1, 1)]


def resnet18() -> list[Layer]:
    """He et al. 2016, table 1; 224 × 224."""
    layers, given = _resnet_stem(), 64
    for width, side in ((64, 56), (128, 28), (256, 14), (512, 7)):
        stride = 1 if width == 64 else 2
        layers += [Layer(given, width, 3, side, stride), Layer(width, width, 3, side)]
        if stride == 2:
            layers.append(Layer(given, width, 1, side, 2))
        layers += [Layer(width, width, 3, side)] * 2
        given = width
    return [*layers, Layer(512, 1000, 1, 1)]


def resnet50() -> list[Layer]:
    """He et al. 2016, table 1, stride in the first 1×1; 224 × 224."""
    layers, given = _resnet_stem(), 64
    for width, blocks, side in ((64, 3, 56), (128, 4, 28), (256, 6, 14), (512, 3, 7)):
        for block in range(blocks):
            stride = 2 if width > 64 and not block else 1
            layers += [Layer(given, width, 1, side, stride), Layer(width, width, 3, side)]
            layers.append(Layer(width, 4 * width, 1, side))
            if not block:
                layers.append(Layer(given, 4 * width, 1, side, stride))
            given = 4 * width
    return [*layers, Layer(2048, 1000, 1, 1)]


def _resnet_stem() -> list[Layer]:
    return [Layer(3, 64, 7, 112, 2), Layer(64, 64, 3, 56, 2, pool=True)]


def worldfloods() -> list[Layer]:
    """The SimpleCNN of ml4floods on 13 bands, 256 × 256 pixels of it."""
    widths = [13, 64, 64, 128, 128]
    layers = [Layer(a, b, 3, 256) for a, b in itertools.pairwise(widths)]
    return [*layers, Layer(128, 3, 1, 256)]


def points() -> list[Point]:
    """What is published; the sources are in docs/vpu-time-model.md."""
    return [
        Point("GoogLeNet", googlenet(), "ma2450", 12, 88.66e-3, "NCSDK 1.08"),
        Point("WorldFloods SCNN, 12 MP", worldfloods(), "ma2450", 12, 60.0, "WorldFloods", 183.1),
        Point("ResNet-50", resnet50(), "ma2480", 7, 1 / 18.2716, "QuTiBench"),
        Point("ResNet-50, two at once", resnet50(), "ma2480", 8, 2 / 26.5, "Luxonis", 1, 2),
        Point("ResNet-18, two at once", resnet18(), "ma2480", 8, 2 / 94.8, "Luxonis", 1, 2),
    ]


def stages(point: Point) -> list[Stage]:
    """A network's layers as the stages of a blob.

    As the compiler places them: on Myriad 2 all features lie in DRAM, on Myriad X those of a
    layer that fit into a blob's half of the chip's own memory lie there.
    """
    return [_stage(layer, point) for layer in point.layers]


def _stage(layer: Layer, point: Point) -> Stage:
    hardware = point.chip == "ma2480"
    pixels, window = layer.side**2, layer.window**2
    weights = 0 if layer.pool else 2 * layer.inputs * layer.outputs * window
    moved = 2 * pixels * (layer.inputs * layer.stride**2 + layer.outputs)
    inside = hardware and moved <= CMX_BYTES
    taps = layer.outputs * window * (1 if layer.pool else 2 * layer.inputs)
    shape = f"{layer.side}x{layer.side}"
    return Stage(
        *("layer", 1, HARDWARE if hardware else "MaxPool" if layer.pool else "Conv"),
        *(NCE if hardware else SHAVE, point.shaves),
        *(f"1x{layer.inputs}x{shape}", f"1x{layer.outputs}x{shape}"),
        f"{layer.window}x{layer.window}",
        operations=taps * pixels,
        cycles=nce_cycles(layer) if hardware else 0,
        weights=weights,
        ddr=point.streams * (weights + (0 if inside else moved)),
        cmx=moved if inside else 0,
    )


def nce_cycles(layer: Layer) -> int:
    """Cycles of a layer on one NCE, in the tiling that takes the fewest."""
    window = layer.window**2
    if layer.pool:
        return layer.side**2 * window * -(-layer.outputs // 16)
    return layer.side**2 * min(
        -(-layer.outputs * blocks // 256) * (-(-layer.inputs // blocks) * window + extra)
        for blocks, extra in MODE_CYCLES.items()
    )


def table() -> list[str]:
    """Lines of Markdown; seconds as milliseconds, and the central one over the published."""
    lines = [
        "| network (source) | chip | GOP | published, ms | best, central, worst, ms "
        "| central ÷ published |",
        "|---|---|---|---|---|---|",
    ]
    for point in points():
        own = stages(point)
        work = sum(stage.operations for stage in own) * point.times / 1e9
        found = [1e3 * point.times * value for value in vpu_time.seconds(own, point.chip)]
        below = "< " if point.source == "WorldFloods" else ""
        lines.append(
            f"| {point.network} ({point.source}) | {vpu_time.CHIPS[point.chip].title} "
            f"| {work:.1f} | {below}{1e3 * point.seconds:.1f} "
            f"| {', '.join(f'{value:.1f}' for value in found)} "
            f"| {found[1] / 1e3 / point.seconds:.2f} |"
        )
    return lines


if __name__ == "__main__":
    print("\n".join(table()))
