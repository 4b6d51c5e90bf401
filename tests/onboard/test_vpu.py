from __future__ import annotations

import importlib.util
import struct
from pathlib import Path
from typing import Any

import pytest

from onboard import vpu
from onboard.errors import BundleError, EngineError, FrameError

GRAPH = r"""
label="Graph floodsat\l resources = [\l numCMXSlices = 9\l numSHAVEs = 7\l    ]\l
    usedMemory = [\l
        BSS = 100\l        blob = 200\l    ]\l]\l"
label="[0 / 0] Stage a@FP16\ltype = Convert\lnumSHAVEs = 7\l"
label="[1 / 1] Stage enc0_conv0\ltype = MyriadXHwOp\l"
label="[2 / 2] Stage enc0_conv1\ltype = MyriadXHwOp\l"
""".replace("\n", "")


NAMES = [
    "magic",
    "size",
    "version",
    "x",
    "inputs",
    "outputs",
    "stages",
    "taken",
    "given",
    "y",
    "scratch",
    "slices",
    "shaves",
]


def blob(**changes: int) -> bytes:
    """A blob's head, and nothing in it; the fields are numbered but for magic and size."""
    fields = {name: i for i, name in enumerate(NAMES)}
    fields = {**fields, "magic": vpu.MAGIC, "size": 52 + 4 * len(NAMES) + 7, **changes}
    return b"\x7felf" + bytes(48) + struct.pack("<13I", *(fields[n] for n in NAMES)) + bytes(7)


def test_a_blob_says_what_it_holds() -> None:
    found = vpu.read_blob(blob())
    assert (found.size, found.version, found.inputs, found.outputs) == (111, 2, 4, 5)
    assert (found.stages, found.input_bytes, found.output_bytes) == (6, 7, 8)
    assert (found.scratch_bytes, found.slices, found.shaves) == (10, 11, 12)


@pytest.mark.parametrize("size", [0, 3, 52, 103, 110])
def test_a_blob_cut_short(size: int) -> None:
    with pytest.raises(BundleError, match=r"no Myriad blob|fetch it again"):
        vpu.read_blob(blob()[:size])


@pytest.mark.parametrize("changes", [{"magic": 1}, {"size": 5}])
def test_a_blob_with_a_wrong_head(changes: Any) -> None:
    with pytest.raises(BundleError):
        vpu.read_blob(blob(**changes))


def test_another_file_is_no_blob() -> None:
    with pytest.raises(BundleError, match="no Myriad blob"):
        vpu.read_blob(b"\x7fELF" + bytes(200))


def test_the_resource_report() -> None:
    assert vpu.resources(GRAPH) == {
        "memory": {"BSS": 100, "blob": 200},
        "shaves": 7,
        "cmx_slices": 9,
        "stages": {"Convert": 1, "MyriadXHwOp": 2},
    }


def test_a_missing_model(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="no such model"):
        vpu.main(tmp_path / "m.onnx", tmp_path)


@pytest.mark.skipif(
    importlib.util.find_spec("openvino") is not None, reason="this environment has the compiler"
)
def test_without_the_compiler_it_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="make flight-env"):
        vpu.compile_blob(tmp_path / "m.onnx", "ma2480")
