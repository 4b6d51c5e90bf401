from __future__ import annotations

import functools
import json
import struct
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from onboard import vpu, vpu_graph
from onboard.errors import BundleError, EngineError, FrameError, UnavailableError

SAMPLES = Path(__file__).parent / "vpu"
TINY = SAMPLES / "tiny.onnx"

NAMES = [
    *("magic", "size", "version", "x", "inputs", "outputs", "stages", "taken", "given", "y"),
    *("scratch", "slices", "shaves", "hardware", "software", "dma", "in", "out", "at", "constants"),
]
HEAD = 52 + 4 * len(NAMES)


def blob(content: bytes = bytes(7), **changes: int) -> bytes:
    """A blob's head before ``content``; the fields are numbered but for magic and size."""
    fields = {name: i for i, name in enumerate(NAMES)}
    fields = {**fields, "magic": vpu.MAGIC, "size": HEAD + len(content), **changes}
    return b"\x7felf" + bytes(48) + struct.pack("<20I", *(fields[n] for n in NAMES)) + content


@functools.cache
def compiled(model: Path, chip: str) -> Any:
    """Compiled once: the compiler takes seconds to load."""
    try:
        return vpu.compile_blob(model, chip)
    except UnavailableError as error:
        pytest.skip(str(error))


def report(chip: str, content: bytes = b"") -> Any:
    dot = (SAMPLES / f"{chip}.dot").read_text("utf-8")
    return vpu.resources(dot, content)


def test_a_blob_says_what_it_holds() -> None:
    found = vpu.read_blob(blob())
    assert (found.size, found.version, found.inputs, found.outputs) == (HEAD + 7, 2, 4, 5)
    assert (found.stages, found.input_bytes, found.output_bytes) == (6, 7, 8)
    assert (found.scratch_bytes, found.slices, found.shaves) == (10, 11, 12)
    assert found.hardware
    assert found.constants_at == 19


@pytest.mark.parametrize("size", [0, 3, 52, 103, HEAD - 1, HEAD, HEAD + 6])
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


@pytest.mark.parametrize(
    ("hardware", "allocation", "chip"),
    [
        (1, (9, 7), "ma2480"),
        (1, (19, 16), "ma2480"),
        (0, (9, 7), "ma2480"),
        (0, (12, 12), "ma2450"),
    ],
)
def test_the_head_tells_the_chip(hardware: int, allocation: Any, chip: str) -> None:
    slices, shaves = allocation
    data = blob(hardware=hardware, slices=slices, shaves=shaves)
    assert vpu.check_blob(data, chip).chip == chip
    (other,) = set(vpu.CHIPS) - {chip}
    with pytest.raises(BundleError, match=rf"^b\.blob: is compiled for {chip}, not for {other}"):
        vpu.check_blob(data, other, "b.blob")


def test_a_head_of_no_chip_known() -> None:
    with pytest.raises(BundleError, match=r"^b\.blob: .*5 slices and 4 SHAVEs"):
        vpu.check_blob(blob(hardware=0, slices=5, shaves=4), "ma2480", "b.blob")


def test_the_resource_report() -> None:
    found = report("ma2480")
    assert found["memory"] == {
        "BSS": 2112,
        "CMX": 3328,
        "blob": 1336,
        "input": 4160,
        "output": 512,
    }
    assert (found["shaves"], found["cmx_slices"]) == (7, 9)
    assert found["stages"]["MyriadXHwOp"] == 3
    assert report("ma2450")["stages"]["Conv"] == 3


def test_weights_that_stand_twice_are_counted() -> None:
    # Constants of 16 + 576 + 128 + 128 bytes: two passes have the same corrections.
    own = bytes(range(128))
    section = bytes(range(16)) + bytes(48) + bytes(576) + own
    for last, repeated in ((own, 128), (own[::-1], 0)):
        data = blob(section + last, constants=HEAD)
        assert report("ma2480", data)["weights"] == {"bytes": 848, "repeated": repeated}


def sound(chip: str = "ma2480") -> Any:
    return {**report(chip), "bytes": 10**6, "weights": {"bytes": 100, "repeated": 25}}


def test_a_sound_blob_passes() -> None:
    vpu.check_resources(sound(), "ma2480")
    vpu.check_resources(sound("ma2450"), "ma2450")


def test_a_convolution_beside_the_nce_is_named() -> None:
    with pytest.raises(EngineError, match=r"^ma2480: .*not on the NCE: conv \(Conv\), correct "):
        vpu.check_resources(sound("ma2450"), "ma2480")


@pytest.mark.parametrize("kind", ["Permute", "Tile"])
def test_a_stage_that_moves_data_is_named(kind: str) -> None:
    faulty = sound()
    (line,) = [line for line in faulty["table"] if line.startswith("p ") and "Sigmoid" in line]
    faulty["table"].append(line.replace("Sigmoid", kind).replace("p ", "turned ", 1))
    with pytest.raises(EngineError, match=rf"moving data: turned \({kind}\)"):
        vpu.check_resources(faulty, "ma2480")


def test_a_blob_too_large_or_unrolled() -> None:
    with pytest.raises(EngineError, match="1000001 bytes"):
        vpu.check_resources({**sound(), "bytes": 10**6 + 1}, "ma2450")
    weights = {"bytes": 100, "repeated": 26}
    with pytest.raises(EngineError, match="26 of 100 bytes of weights"):
        vpu.check_resources({**sound("ma2450"), "weights": weights}, "ma2450")


def test_what_the_compiler_says_is_understood() -> None:
    place = "[ GENERAL_ERROR ] \n/home/a/frontend.cpp:441 Failed to compile layer "
    lacks = vpu.why_not(place + '"out": unsupported layer type "Abs"', "ma2480")
    assert lacks == "ma2480 has no operation 'Abs' (layer 'out'); write it with others"
    unknown = "nGraph does not support the following ONNX operations: Conv\n"
    layers = vpu.why_not(unknown, "ma2450", TINY.read_bytes())
    assert "'Conv' (layer 'conv', 'correct_0', 'correct_1')" in layers
    assert "layer not named" in vpu.why_not(unknown, "ma2450", b"\xff\x07no model")
    other = vpu.why_not("at src/x.cpp:12 Too\nlarge", "ma2480")
    assert other == "does not compile for ma2480 (Too large); change the ONNX graph"


def test_a_missing_model(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="no such model"):
        vpu.main(tmp_path / "m.onnx", tmp_path)


def test_without_the_compiler_it_says_where_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino.inference_engine", None)
    with pytest.raises(UnavailableError, match="make flight-env"):
        vpu.compile_blob(TINY, "ma2480")


def test_without_libusb_it_says_where_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Core:
        def set_config(self, *_: Any) -> None: ...

        def read_network(self, _: str) -> None: ...

        def load_network(self, *_: Any) -> None:
            raise RuntimeError("Cannot load library: libusb-1.0.so.0: no such file")

    module = types.ModuleType("openvino.inference_engine")
    module.IECore = Core  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "openvino", types.ModuleType("openvino"))
    monkeypatch.setitem(sys.modules, "openvino.inference_engine", module)
    with pytest.raises(UnavailableError, match="apt-get install libusb"):
        vpu.compile_blob(TINY, "ma2480")


@pytest.mark.parametrize("chip", list(vpu.CHIPS))
def test_a_real_compile(chip: str) -> None:
    """What the compiler says today is what the kept graphs say."""
    data, found = compiled(TINY, chip)
    assert vpu.check_blob(data, chip).outputs == 1
    vpu.check_resources(found, chip)
    kept = report(chip, data)
    assert {**found, "bytes": 0} == {**kept, "bytes": 0}


@pytest.mark.parametrize(
    ("old", "new", "layer"), [(b"Relu", b"Asin", "relu"), (b"Sigmoid", b"Sigmoix", "p")]
)
def test_an_operation_that_the_vpu_lacks(
    tmp_path: Path, old: bytes, new: bytes, layer: str
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(TINY.read_bytes().replace(old, new))
    named = f"m.onnx: ma2480 has no operation '{new.decode()}' .layer '{layer}'"
    with pytest.raises(EngineError, match=named):
        compiled(path, "ma2480")


def test_a_model_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(EngineError, match=r"m\.onnx"):
        compiled(path, "ma2480")


def test_blobs_for_both_chips_are_written(tmp_path: Path) -> None:
    compiled(TINY, "ma2480")
    vpu.main(TINY, tmp_path)
    for chip in vpu.CHIPS:
        data = (tmp_path / f"{chip}.blob").read_bytes()
        assert data == compiled(TINY, chip)[0], "the same model gives the same bytes"
        found = json.loads((tmp_path / f"{chip}.json").read_text("utf-8"))
        assert vpu_graph.from_table(found["table"])
