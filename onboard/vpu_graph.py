"""The Myriad compiler's own account of a blob: the stage graph that it dumps as DOT.

Read here into stages with what a time model needs: which unit runs each, how much it computes and
how many bytes it moves where. A manifest keeps them as a table of plain lines (`to_table`), equal
stages on one line: a few kilobytes a chip, where the graph itself has several hundred.

Words of the graph (OpenVINO 2021.4.2): *data* nodes lie in ``Blob``, ``BSS``, ``Input`` or
``Output``, all of them DRAM, or in ``CMX``, the memory on the chip. A stage whose order is -1 is
never run: it only says how buffers lie in each other.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

SIZES = {"FP32": 4, "S32": 4, "FP16": 2, "U8": 1, "I8": 1}
ORDER = "NDCHW"
NCE = "NCE"
SHAVE = "SHAVE"
DMA = "DMA"
HARDWARE = "MyriadXHwOp"
CONVOLUTIONS = frozenset(
    {
        "Conv",
        "Im2ColConvolution",
        "DepthConv",
        "GroupConv",
        "Deconvolution",
        "DepthDeconv",
        "GroupDeconv",
    }
)
"""Types of convolution stages that the SHAVEs run; one on the hardware is a `HARDWARE`."""
OPERATIONS = {
    "Sigmoid": 20,
    "Log": 20,
    "Exp": 20,
    "Tanh": 20,
    "Interp": 11,
    "BiasRelu": 2,
    "Power": 2,
    **dict.fromkeys(("Copy", "Permute", "Reshape", "Pad", "Crop", "Tile"), 0),
}
"""Arithmetic per output element by stage type; 1 where not named. A transcendental function is a
polynomial of some ten terms; a bilinear sample is three interpolations and its coordinates."""

_NODE = re.compile(r'^\s*((?:data|stage)_\w+) \[\n(?:(?!^\s*\];).*\n)*?\s*label="([^"]*)"', re.M)
_EDGE = re.compile(
    r"^\s*(\w+) -> (\w+) \[\n(?:\s*style=\w+\n)?"
    r'\s*label="(StageInput|StageOutput|Injected Stage)\\l',
    re.M,
)
_COLUMNS = "name repeats kind unit shaves input output kernel operations cycles weights ddr cmx"


class Stage(NamedTuple):
    """One stage, or several equal ones.

    Attributes:
        name: of its layer, without the number of the pass or the part.
        repeats: how many equal stages the line stands for; the other figures are of one.
        kind: the compiler's type of stage.
        unit: `NCE`, `SHAVE` or `DMA`.
        shaves: SHAVE processors given to it; 0 on other units.
        input: shape of the first input, ``NxCxHxW``.
        output: shape of the first output.
        kernel: ``WxH``; ``-`` where it has none.
        operations: arithmetic operations; a multiply-add counts two.
        cycles: of the NCE, by the compiler's own cost: cycles for an output pixel and a
            descriptor, times descriptors and pixels; 0 on other units.
        weights: bytes of constants read.
        ddr: bytes read from and written to DRAM, weights among them.
        cmx: bytes read from and written to the chip's own memory.
    """

    name: str
    repeats: int
    kind: str
    unit: str
    shaves: int
    input: str
    output: str
    kernel: str
    operations: int
    cycles: int
    weights: int
    ddr: int
    cmx: int


class Constant(NamedTuple):
    """A constant of the blob: its place in the section of constants, bytes."""

    name: str
    offset: int
    size: int


class Graph(NamedTuple):
    """What a dump says: the stages that run, in their order, and the constants."""

    stages: list[Stage]
    kinds: dict[str, int]
    constants: list[Constant]
    memory: dict[str, int]
    shaves: int | None
    slices: int | None


class _Data(NamedTuple):
    name: str
    usage: str
    place: str
    offset: int
    dims: dict[str, int]
    size: int

    @property
    def shape(self) -> str:
        return "x".join(str(self.dims[axis]) for axis in ORDER if axis in self.dims)

    def side(self) -> int:
        return self.dims.get("W", 1) * self.dims.get("H", 1)

    def elements(self) -> int:
        count = 1
        for length in self.dims.values():
            count *= length
        return count


def parse(dot: str) -> Graph:
    """Read a dump of the compiled graph.

    Args:
        dot: what ``MYRIAD_DUMP_INTERNAL_GRAPH_FILE_NAME`` wrote.
    """
    nodes = dict(_NODE.findall(dot))
    data = {k: _data(v) for k, v in nodes.items() if k.startswith("data_")}
    ends = _ends(dot, data)
    found = [
        (order, _stage(label, ends.get((k, "StageInput"), []), ends.get((k, "StageOutput"), [])))
        for k, label in nodes.items()
        if k.startswith("stage_")
        for order in [int(_first(r"^\[(-?\d+) /", label, "0"))]
    ]
    memory = re.search(r"usedMemory = \[(.*?)\]", dot)
    shaves, slices = (_first(rf"{name} = (\d+)", dot) for name in ("numSHAVEs", "numCMXSlices"))
    return Graph(
        _grouped([stage for order, stage in sorted(found, key=lambda f: f[0]) if order >= 0]),
        dict(sorted(Counter(stage.kind for _, stage in found).items())),
        _constants(data.values()),
        {k: int(v) for k, v in re.findall(r"(\w+) = (\d+)", memory.group(1) if memory else "")},
        int(shaves) if shaves else None,
        int(slices) if slices else None,
    )


def _ends(dot: str, data: dict[str, _Data]) -> dict[tuple[str, str], list[_Data]]:
    """Stage and side → what it reads or writes there.

    A stage that the compiler injects beside one on the hardware lends it its ends, behind the
    host's own; they are counted once, with the injected stage.
    """
    ends: dict[tuple[str, str], list[_Data]] = {}
    hosts = []
    for source, sink, kind in _EDGE.findall(dot):
        if kind == "Injected Stage":
            hosts.append((source, sink))
        elif kind == "StageInput":
            ends.setdefault((sink, kind), []).append(data[source])
        else:
            ends.setdefault((source, kind), []).append(data[sink])
    for host, guest in hosts:
        for kind in ("StageInput", "StageOutput"):
            lent = len(ends.get((guest, kind), []))
            if lent:
                del ends.get((host, kind), [])[-lent:]
    return {k: [d for d in own if d.usage != "Fake"] for k, own in ends.items()}


def to_table(stages: list[Stage]) -> list[str]:
    """Stages as lines of words, the first names the columns."""
    return [_COLUMNS, *(" ".join(str(value) for value in stage) for stage in stages)]


def from_table(lines: list[str]) -> list[Stage]:
    """The inverse of `to_table`.

    Raises:
        ValueError: another table.
    """
    if not lines or lines[0] != _COLUMNS:
        raise ValueError("the table of stages has other columns")
    return [_from_line(line.split()) for line in lines[1:]]


def _from_line(words: list[str]) -> Stage:
    name, repeats, kind, unit, shaves, first, last, kernel, *figures = words
    operations, cycles, weights, ddr, cmx = (int(figure) for figure in figures)
    return Stage(
        *(name, int(repeats), kind, unit, int(shaves), first, last, kernel),
        *(operations, cycles, weights, ddr, cmx),
    )


def _first(pattern: str, text: str, default: str = "") -> str:
    found = re.search(pattern, text)
    return found.group(1) if found else default


def _data(label: str) -> _Data:
    dims = _first(r"dims = \[([^\]]*)\]", label)
    return _Data(
        _first(r"^Data ([^\\]*)", label),
        _first(r"usage = (\w+)", label),
        _first(r"dataLocation = (\w+)", label),
        int(_first(r"dataOffset = (\d+)", label, "0")),
        {axis: int(length) for axis, length in re.findall(r"(\w) : (\d+)", dims)},
        SIZES.get(_first(r"desc = \[\\l\s*type = (\w+)", label), 2),
    )


def _stage(label: str, inputs: list[_Data], outputs: list[_Data]) -> Stage:
    kind = _first(r"Stage [^\\]*\\ltype = (\w+)", label)
    own = label.partition("extraAttrs = [")[2]
    attributes = {k: int(v) for k, v in re.findall(r"(\w+) = (\d+)\\l", own)}
    shaves = int(_first(r"\\lnumSHAVEs = (\d+)", label, "0"))
    weights = [d for d in inputs if d.usage == "Const"]
    moved = {id(d): d for d in [*inputs, *outputs]}.values()
    sizes = {
        place: sum(d.elements() * d.size for d in moved if (d.place == "CMX") == (place == "CMX"))
        for place in ("CMX", "DDR")
    }
    x = next((d for d in inputs if d.usage != "Const"), None)
    y = outputs[0] if outputs else None
    kernel = "x".join(str(attributes[f"kernelSize{a}"]) for a in "XY" if f"kernelSize{a}" in own)
    return Stage(
        _stem(_first(r"Stage ([^\\]*)\\l", label)),
        1,
        kind,
        NCE if kind == HARDWARE else SHAVE if shaves else DMA,
        0 if kind == HARDWARE else shaves,
        x.shape if x else "-",
        y.shape if y else "-",
        kernel or "-",
        _operations(kind, own, attributes, x, y, weights),
        _cycles(attributes, y) if kind == HARDWARE and y else 0,
        sum(d.elements() * d.size for d in weights),
        sizes["DDR"],
        sizes["CMX"],
    )


def _stem(name: str) -> str:
    """A layer's name without ``@…`` (it may hold an address) and the number of the pass."""
    plain = name.partition("@")[0].replace(" ", "_")
    return re.sub(r"_\d+$", "", plain) or plain or "-"


def _operations(
    kind: str,
    own: str,
    attributes: dict[str, int],
    x: _Data | None,
    y: _Data | None,
    weights: list[_Data],
) -> int:
    if x is None or y is None:
        return 0
    window = attributes.get("kernelSizeX", 1) * attributes.get("kernelSizeY", 1)
    if kind == HARDWARE and "hwOpType = POOL" not in own:
        return 2 * y.elements() * _pooled(attributes) * x.dims.get("C", 1) * window
    if kind in CONVOLUTIONS:
        taps = max((d.elements() for d in weights), default=0)
        return 2 * taps * (x if "econv" in kind else y).side()
    return y.elements() * window * OPERATIONS.get(kind, 1)


def _cycles(attributes: dict[str, int], y: _Data) -> int:
    """By the compiler's cost of its own tiling; a pool has none, it takes a window's elements."""
    window = attributes.get("kernelSizeX", 1) * attributes.get("kernelSizeY", 1)
    pixels = y.side() * _pooled(attributes)
    return pixels * attributes.get("numDescr", 1) * attributes.get("cost", window)


def _pooled(attributes: dict[str, int]) -> int:
    """Pixels of a convolution for one that the pool fused behind it lets through."""
    return attributes.get("poolKernelSizeX", 1) * attributes.get("poolKernelSizeY", 1)


def _grouped(stages: list[Stage]) -> list[Stage]:
    counts = Counter(stages)  # keeps the order of first appearance
    return [stage._replace(repeats=count) for stage, count in counts.items()]


def _constants(data: Iterable[_Data]) -> list[Constant]:
    found = {Constant(d.name, d.offset, d.elements() * d.size) for d in data if d.usage == "Const"}
    return sorted(found, key=lambda constant: constant.offset)
