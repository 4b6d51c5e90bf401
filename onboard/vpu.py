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
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from onboard import files
from onboard.errors import BundleError, EngineError, FrameError

CHIPS = {"ma2480": "VPU_MYRIAD_2480", "ma2450": "VPU_MYRIAD_2450"}
ELF = b"\x7felf"
MAGIC = 9709
_HEADER = struct.Struct("<13I")
_HEADER_AT = 52


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


def read_blob(data: bytes) -> BlobInfo:
    """Read a blob's header, 13 little-endian words behind the ELF head.

    Raises:
        BundleError: not a blob, or cut short.
    """
    if len(data) < _HEADER_AT + _HEADER.size or not data.startswith(ELF):
        raise BundleError("these bytes are no Myriad blob; export the bundle again")
    fields = _HEADER.unpack_from(data, _HEADER_AT)
    magic, size, version, _, inputs, outputs, stages, taken, given, _, scratch, cmx, shaves = fields
    if magic != MAGIC:
        raise BundleError("these bytes are no Myriad blob; export the bundle again")
    if size != len(data):
        raise BundleError(f"a Myriad blob says {size} bytes but has {len(data)}; fetch it again")
    return BlobInfo(size, version, inputs, outputs, stages, taken, given, scratch, cmx, shaves)


def compile_blob(model: Path, chip: str) -> tuple[bytes, dict[str, Any]]:
    """Compile an ONNX model.

    Args:
        model: the file.
        chip: a key of `CHIPS`.

    Returns:
        The blob, and the resources of the compiler's own stage graph: memory in bytes by kind,
        SHAVE processors, CMX slices, and the number of stages by type.

    Raises:
        EngineError: no Myriad compiler here, or the graph does not compile; names the layer.
    """
    try:
        from openvino.inference_engine import IECore
    except ImportError as error:
        raise EngineError(
            "no Myriad compiler here; 'make flight-env' makes the environment that has it"
        ) from error
    with tempfile.TemporaryDirectory() as name:
        cache, dump = Path(name) / "cache", Path(name) / "graph.dot"
        cache.mkdir()
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
            last = reason.split(".cpp:")[-1].strip()
            raise EngineError(f"{model}: does not compile for {chip}: {last}")
        cached = found[0].read_bytes()
        return cached[cached.index(ELF) :], resources(dump.read_text("utf-8", "replace"))


def resources(graph: str) -> dict[str, Any]:
    """The resource report out of the compiler's stage graph (DOT)."""
    memory = re.search(r"usedMemory = \[(.*?)\\l    \]", graph)
    limits = {
        name: int(value) for name, value in re.findall(r"(numSHAVEs|numCMXSlices) = (\d+)", graph)
    }
    stages = Counter(re.findall(r'Stage [^"]*?\\ltype = (\w+)', graph))
    return {
        "memory": {
            name: int(value)
            for name, value in re.findall(r"(\w+) = (\d+)", memory.group(1) if memory else "")
        },
        "shaves": limits.get("numSHAVEs"),
        "cmx_slices": limits.get("numCMXSlices"),
        "stages": dict(sorted(stages.items())),
    }


def main(model: Path, folder: Path) -> None:
    """Write ``<chip>.blob`` and ``<chip>.json`` for every chip."""
    if not model.is_file():
        raise FrameError(f"{model}: no such model; export it with --target onnx")
    for chip in CHIPS:
        blob, report = compile_blob(model, chip)
        read_blob(blob)
        files.write_bytes(folder / f"{chip}.blob", blob)
        files.write_text(folder / f"{chip}.json", json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
