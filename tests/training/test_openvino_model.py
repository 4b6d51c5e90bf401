from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from onboard.network import Network
from tests.onboard.test_engines import random_weights
from tests.samples import ROOT
from training import onnx_model, openvino_model

NETWORK = Network(bands=2, widths=(3, 4, 5))
SIZE = 2 * NETWORK.halo + 2 * NETWORK.stride


@pytest.fixture(scope="module")
def graph() -> bytes:
    weights = {k: v.astype(np.float32) for k, v in random_weights(NETWORK, 3).items()}
    return onnx_model.build(NETWORK, weights, 4, SIZE)


def test_the_weights_stay_float32(graph: bytes) -> None:
    xml, weights = openvino_model.build(graph)
    assert not re.search(rb"f16|fp16", xml, re.IGNORECASE)
    kernels = random_weights(NETWORK, 3)
    for name in ("enc1_conv1/kernel", "dec0_conv1/kernel"):
        # The batch norm's scale is folded in; the kernel stands there as the ONNX graph has it.
        scale = 1 / np.sqrt(1 + 1e-3)
        stored = (kernels[name].astype(np.float32).astype(np.float64) * scale).astype(np.float32)
        assert stored.transpose(3, 2, 0, 1).tobytes() in weights, name


def test_inputs_and_outputs_keep_their_names(graph: bytes) -> None:
    xml, _ = openvino_model.build(graph)
    named = set(re.findall(rb'names="([^"]*)"', xml))
    wanted = {b"tile", b"p_water", b"p_cloud", b"aleatoric", b"p_water_2"}
    assert wanted | {f"mask_{site.name}".encode() for site in NETWORK.sites} <= named


def test_the_shapes_are_constants(graph: bytes) -> None:
    xml, _ = openvino_model.build(graph)
    assert b'type="Convolution"' in xml
    assert b'type="ShapeOf"' not in xml


def test_the_same_bytes_twice_in_one_process(graph: bytes) -> None:
    assert openvino_model.build(graph) == openvino_model.build(graph)


def test_the_same_bytes_in_every_process_and_folder(graph: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(graph)
    code = (
        "import hashlib, sys, pathlib; from training import openvino_model; "
        "made = openvino_model.build(pathlib.Path(sys.argv[1]).read_bytes()); "
        "print(*(hashlib.sha256(part).hexdigest() for part in made))"
    )
    found = [hashlib.sha256(part).hexdigest() for part in openvino_model.build(graph)]
    for seed in ("1", "2"):
        folder = tmp_path / f"folder {seed}"
        folder.mkdir()
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}
        command = [sys.executable, "-c", code, str(tmp_path / "model.onnx")]
        said = subprocess.run(
            command, cwd=folder, env={**os.environ, **environment}, check=True, capture_output=True
        )
        assert said.stdout.decode().split() == found
        assert not list(folder.iterdir())


def test_nothing_tells_where_and_when_it_was_made(graph: bytes, tmp_path: Path) -> None:
    xml, _ = openvino_model.build(graph)
    assert b"<rt_info />" in xml
    assert str(ROOT).encode() not in xml
    assert b"tmp" not in xml
