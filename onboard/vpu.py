"""Blobs: a network compiled for an Intel Myriad VPU, with no stick at hand.

Only the flight environment's OpenVINO 2021.4.2 holds the Myriad compiler. It writes the compiled
blob into its cache before it looks for a device, so the error that no device is there comes too
late to matter. ``python -m onboard.vpu MODEL.onnx FOLDER`` writes a blob per chip and what the
compiler says of its resources.

MA2480 is the Myriad X of the NCS2 stick. MA2450 is the Myriad 2 of ΦSat-1: its blob is evidence
that the network fits, not something to flash; that hardware wants OpenVINO 2020.3 and our ONNX.
"""

from __future__ import annotations

import json
import re
import struct
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from onboard import files, libusb, vpu_graph
from onboard.errors import BundleError, EngineError, FrameError, UnavailableError

CHIPS = {"ma2480": "VPU_MYRIAD_2480", "ma2450": "VPU_MYRIAD_2450"}
ALLOCATION = {"ma2480": (9, 7), "ma2450": (12, 12)}
"""CMX slices and SHAVEs that the compiler gives a blob: of a Myriad X it gives half the chip, so
that two inferences run side by side; of a Myriad 2 it gives all."""
MAX_BLOB_BYTES = 10**6
MAX_REPEATED = 0.25
"""Share of the weights' bytes that may stand a second time. The compiler lays a constant beside
every stage that reads it, so each pass holds its 1×1 corrections anew, a few hundred bytes; a
network unrolled for two passes would already hold half of its weights again."""
ELF = b"\x7felf"
MAGIC = 9709
_HEADER = struct.Struct("<20I")
_HEADER_AT = 52
_MOVES = ("Permute", "Tile")


class BlobInfo(NamedTuple):
    """What a blob's header says; sizes in bytes."""

    size: int
    version: int
    inputs: int
    outputs: int
    stages: int
    input_bytes: int
    output_bytes: int
    scratch_bytes: int
    slices: int
    shaves: int
    hardware: bool
    constants_at: int

    @property
    def chip(self) -> str:
        """The chip it is compiled for, a key of `CHIPS`.

        The ELF head is the same for both. Stages on the neural compute engine (`hardware`) are
        there on Myriad X alone; without any, the compiler's allocation tells.

        Raises:
            BundleError: neither tells.
        """
        if self.hardware:
            return "ma2480"
        for chip, allocation in ALLOCATION.items():
            if (self.slices, self.shaves) == allocation:
                return chip
        raise BundleError(
            f"a Myriad blob with {self.slices} slices and {self.shaves} SHAVEs is for no chip "
            f"known here ({', '.join(CHIPS)}); export the bundle again"
        )


def read_blob(data: bytes) -> BlobInfo:
    """Read a blob's header, 20 little-endian words behind the ELF head.

    Raises:
        BundleError: not a blob, or cut short.
    """
    if not data.startswith(ELF):
        raise BundleError("these bytes are no Myriad blob; export the bundle again")
    if len(data) < _HEADER_AT + _HEADER.size:
        raise BundleError(f"a Myriad blob of {len(data)} bytes is cut short; fetch it again")
    words = _HEADER.unpack_from(data, _HEADER_AT)
    magic, size, version, _, inputs, outputs, stages, taken, given, _, scratch, cmx, shaves = words[
        :13
    ]
    if magic != MAGIC:
        raise BundleError("these bytes are no Myriad blob; export the bundle again")
    if size != len(data):
        raise BundleError(f"a Myriad blob says {size} bytes but has {len(data)}; fetch it again")
    return BlobInfo(
        *(size, version, inputs, outputs, stages, taken, given, scratch, cmx, shaves),
        hardware=bool(words[13]),
        constants_at=words[19],
    )


def check_blob(data: bytes, chip: str, name: str = "the blob") -> BlobInfo:
    """Read a blob's header and refuse it for any chip but one.

    Args:
        data: the blob.
        chip: a key of `CHIPS`.
        name: of the file, for the error.

    Raises:
        BundleError: no blob, cut short, or for the other chip.
    """
    try:
        info = read_blob(data)
        found = info.chip
    except BundleError as error:
        raise BundleError(f"{name}: {error}") from error
    if found != chip:
        raise BundleError(f"{name}: is compiled for {found}, not for {chip}; take {chip}.blob")
    return info


def compile_blob(model: Path, chip: str) -> tuple[bytes, dict[str, Any]]:
    """Compile an ONNX model.

    Args:
        model: the file.
        chip: a key of `CHIPS`.

    Returns:
        The blob and its resources, see `resources`.

    Raises:
        UnavailableError: no Myriad compiler here.
        EngineError: the graph does not compile; names operation and layer.
    """
    try:
        from openvino.inference_engine import IECore
    except ImportError as error:
        raise UnavailableError(
            "no Myriad compiler here; 'make flight-env' makes the environment that has it"
        ) from error
    with tempfile.TemporaryDirectory() as name:
        cache, dump = Path(name) / "cache", Path(name) / "graph.dot"
        cache.mkdir()
        libusb.preload()
        core = IECore()
        core.set_config({"CACHE_DIR": str(cache)}, "")
        settings = {
            "VPU_MYRIAD_PLATFORM": CHIPS[chip],
            "MYRIAD_DUMP_INTERNAL_GRAPH_FILE_NAME": str(dump),
        }
        reason = ""
        try:
            core.load_network(core.read_network(str(model)), "MYRIAD", settings)
        except RuntimeError as error:
            reason = str(error)
        found = list(cache.iterdir())
        if not found:
            if "libusb" in reason:
                raise UnavailableError(
                    "no Myriad compiler here: it wants libusb-1.0.so.0; "
                    "'apt-get install libusb-1.0-0'"
                )
            raise EngineError(f"{model}: {why_not(reason, chip, model.read_bytes())}")
        cached = found[0].read_bytes()
        blob = cached[cached.index(ELF) :]
        return blob, resources(dump.read_text("utf-8", "replace"), blob)


def why_not(reason: str, chip: str, model: bytes = b"") -> str:
    """What the compiler's complaint means, in one line with the cure.

    Args:
        reason: as it came.
        chip: a key of `CHIPS`.
        model: the ONNX file, where layers are looked up that the complaint leaves out.
    """
    lacks = re.search(r'layer "([^"]*)": unsupported layer type "([^"]*)"', reason)
    if lacks:
        layer, operation = lacks.groups()
        return f"{chip} has no operation {operation!r} (layer {layer!r}); write it with others"
    unknown = re.search(r"does not support the following ONNX operations: (\w+)", reason)
    if unknown:
        operation = unknown.group(1)
        layers = ", ".join(repr(layer) for layer in layers_of(model, operation)) or "not named"
        return f"{chip} has no operation {operation!r} (layer {layers}); write it with others"
    last = re.sub(r"^\d+\s*", "", reason.split(".cpp:")[-1].strip())
    return f"does not compile for {chip} ({' '.join(last.split())}); change the ONNX graph"


def layers_of(model: bytes, operation: str) -> list[str]:
    """Names of an ONNX graph's nodes of one operation, by their outputs where they have none.

    Read off the protocol buffer itself (ModelProto.graph 7, GraphProto.node 1, NodeProto.output 2,
    name 3, op_type 4): the flight environment has no package for it.
    """
    names = []
    for graph in _fields(model, 7):
        for node in _fields(graph, 1):
            if operation.encode() in _fields(node, 4):
                named = [*_fields(node, 3), *_fields(node, 2)]
                names.append(named[0].decode("utf-8", "replace") if named else "")
    return names


def _fields(message: bytes, wanted: int) -> list[bytes]:
    """The length-delimited fields of one number; nothing of a message that is none."""
    found: list[bytes] = []
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        length = {1: 8, 5: 4}.get(kind, 0)
        if kind in (0, 2):
            value, at = _varint(message, at)
            length = value if kind == 2 else 0
        elif not length:
            return found
        if kind == 2 and tag >> 3 == wanted:
            found.append(message[at : at + length])
        at += length
    return found


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message):
        value |= (message[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if message[at - 1] < 128:
            break
    return value, at


def resources(dot: str, blob: bytes = b"") -> dict[str, Any]:
    """The resource report out of the compiler's stage graph.

    Args:
        dot: the graph, as `onboard.vpu_graph` reads it.
        blob: the blob itself; without it nothing is said of it and of its weights.

    Returns:
        ``memory`` in bytes by kind, ``shaves`` and ``cmx_slices``, the number of ``stages`` by
        type, ``table``, see `onboard.vpu_graph.to_table`; with the blob its ``bytes`` and
        ``weights``: their ``bytes``, and how many of these are ``repeated``.
    """
    graph = vpu_graph.parse(dot)
    report: dict[str, Any] = {
        "memory": graph.memory,
        "shaves": graph.shaves,
        "cmx_slices": graph.slices,
        "stages": graph.kinds,
        "table": vpu_graph.to_table(graph.stages),
    }
    if blob:
        report["bytes"] = len(blob)
        report["weights"] = _weights(graph.constants, blob)
    return report


def _weights(constants: list[vpu_graph.Constant], blob: bytes) -> dict[str, int]:
    start = read_blob(blob).constants_at
    places = {c.offset: c.size for c in constants}
    seen: set[bytes] = set()
    repeated = 0
    for offset, size in places.items():
        content = blob[start + offset : start + offset + size]
        repeated += size if content in seen else 0
        seen.add(content)
    return {"bytes": sum(places.values()), "repeated": repeated}


def check_resources(report: Mapping[str, Any], chip: str) -> None:
    """Hold a compiled blob to what a flight needs of it.

    Any blob is 1 MB at most and holds its weights once. On MA2480 every convolution runs on the
    neural compute engine and nothing is permuted or tiled.

    Args:
        report: of `resources`, with the blob.
        chip: a key of `CHIPS`.

    Raises:
        EngineError: it does not hold; names the stages.
    """
    faults = []
    if report["bytes"] > MAX_BLOB_BYTES:
        faults.append(f"the blob has {report['bytes']} bytes, {MAX_BLOB_BYTES} at most")
    weights = report["weights"]
    if weights["repeated"] > MAX_REPEATED * weights["bytes"]:
        faults.append(f"{weights['repeated']} of {weights['bytes']} bytes of weights stand again")
    if chip == "ma2480":
        stages = vpu_graph.from_table(report["table"])
        for what, kinds in (("not on the NCE", vpu_graph.CONVOLUTIONS), ("moving data", _MOVES)):
            found = [f"{stage.name} ({stage.kind})" for stage in stages if stage.kind in kinds]
            if found:
                faults.append(f"stages {what}: {', '.join(found)}")
    if faults:
        raise EngineError(f"{chip}: {'; '.join(faults)}; change the ONNX graph")


def main(model: Path, folder: Path) -> None:
    """Write ``<chip>.blob`` and ``<chip>.json`` for every chip."""
    if not model.is_file():
        raise FrameError(f"{model}: no such model; export it with --target onnx")
    for chip in CHIPS:
        blob, report = compile_blob(model, chip)
        check_blob(blob, chip, f"{chip}.blob")
        check_resources(report, chip)
        files.write_bytes(folder / f"{chip}.blob", blob)
        files.write_text(folder / f"{chip}.json", json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
