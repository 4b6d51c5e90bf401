from __future__ import annotations

import importlib
import io
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from onboard import bundle, masks
from onboard.engines import openvino as engine_module
from onboard.engines import threads
from onboard.engines.chunks import in_chunks
from onboard.engines.openvino import OpenVINOEngine
from onboard.engines.reference import ReferenceEngine
from onboard.errors import BundleError, EngineError
from onboard.network import Network
from onboard.uncertainty import Moments
from tests.onboard.test_engines import random_weights
from tests.samples import ROOT

CHUNK = 10
NETWORK = Network(bands=2, widths=(3, 4, 5))
SIZE = 2 * NETWORK.halo + 4 * NETWORK.stride
XML = f"openvino/k{CHUNK}.xml"
BIN = f"openvino/k{CHUNK}.bin"


def weights() -> Any:
    """Weights whose logits lie around zero and differ from pass to pass: a difference shows."""
    made = {k: v.astype(np.float32) for k, v in random_weights(NETWORK, 3).items()}
    made["head/bias"] -= np.float32(0.5)
    for site in NETWORK.sites:
        made[f"correct_{site.name}/kernel"] = 4 * (made[f"correct_{site.name}/kernel"] - 0.55)
    return made


@pytest.fixture(scope="module")
def made() -> bundle.Bundle:
    """A small bundle in memory for this engine and the reference."""
    if sys.version_info < (3, 10):
        pytest.skip("a current OpenVINO wants Python 3.10")
    from training import onnx_model, openvino_model

    content = {}
    for passes in (CHUNK, 1):
        graph = onnx_model.build(NETWORK, weights(), passes, SIZE)
        xml, binary = openvino_model.build(graph)
        content[f"openvino/k{passes}.xml"], content[f"openvino/k{passes}.bin"] = xml, binary
    buffer = io.BytesIO()
    np.savez(buffer, **weights())
    content[bundle.WEIGHTS] = buffer.getvalue()
    models = {str(passes): f"openvino/k{passes}.xml" for passes in (CHUNK, 1)}
    manifest = {
        "network": NETWORK.to_json(),
        "sets": {"openvino": {"tile": SIZE, "models": models}, "reference": {}},
    }
    return bundle.Bundle(Path("a-bundle"), manifest, "", content)


@pytest.fixture(scope="module")
def engine(made: bundle.Bundle) -> OpenVINOEngine:
    return OpenVINOEngine(made)


def tile(seed: int = 1) -> Any:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(SIZE, SIZE, NETWORK.bands)).astype(np.float32)


def drawn(count: int) -> masks.Masks:
    return masks.draw(NETWORK, 5, bytes(32), bytes(32), range(count))


@pytest.mark.parametrize("count", [1, 10, 23])
def test_it_agrees_with_the_reference(
    made: bundle.Bundle, engine: OpenVINOEngine, count: int
) -> None:
    fast, exact = engine.run(tile(), drawn(count)), ReferenceEngine(made).run(tile(), drawn(count))
    core = SIZE - 2 * NETWORK.halo
    for name, a, b in zip(Moments._fields, fast, exact):
        assert a.shape == (core, core), name
        assert np.abs(a - b).max() <= 1e-5, name
    # Nothing is saturated: a wrong mask or weight would have shown.
    assert exact.aleatoric.max() > 0.1
    if count > 1:
        assert (exact.p_water_2 - exact.p_water**2).max() > 5e-4


def test_a_tile_that_lies_otherwise_in_memory(engine: OpenVINOEngine) -> None:
    across = np.asfortranarray(tile()).astype(np.float64)
    for a, b in zip(engine.run(tile(), drawn(3)), engine.run(across, drawn(3))):
        np.testing.assert_array_equal(a, b)


def test_a_result_outlives_the_next_call(engine: OpenVINOEngine) -> None:
    first = engine.run(tile(), drawn(CHUNK))
    kept = [array.copy() for array in first]
    engine.run(tile(2), drawn(CHUNK))
    for before, after in zip(kept, first):
        np.testing.assert_array_equal(before, after)


def test_it_computes_in_float32_on_any_cpu(
    made: bundle.Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CPU with bfloat16 units would take them unasked, with errors of 1e-3."""
    monkeypatch.setenv(threads.VARIABLE, "1")
    engine = OpenVINOEngine(made)
    for request in engine._requests.values():
        compiled = request.get_compiled_model()
        precision = compiled.get_property("INFERENCE_PRECISION_HINT")
        assert precision.get_type_name() == "f32"
        assert compiled.get_property("INFERENCE_NUM_THREADS") == 1
        assert compiled.get_property("ENABLE_CPU_PINNING") is False


def test_name_and_tile_size(engine: OpenVINOEngine) -> None:
    assert re.fullmatch(r"openvino \(20\d\d\.\d+\.\d+\)", engine.name)
    assert engine.tile_size == SIZE


def broken(made: bundle.Bundle, **content: Any) -> bundle.Bundle:
    return replace(made, content={**made.content, **content})


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        (XML, lambda data: data[: len(data) // 2]),
        (XML, lambda data: b""),
        (XML, lambda data: b"<?xml version='1.0'?><net/>"),
        (BIN, lambda data: data[:-100]),
        (BIN, lambda data: b""),
    ],
)
def test_damaged_files_are_refused(made: bundle.Bundle, name: str, damage: Any) -> None:
    with pytest.raises(BundleError, match=r"k10\.xml: is no OpenVINO IR.*export") as caught:
        OpenVINOEngine(broken(made, **{name: damage(made.content[name])}))
    assert "\n" not in str(caught.value)


def test_weights_that_are_not_there(made: bundle.Bundle) -> None:
    content = {name: data for name, data in made.content.items() if name != BIN}
    with pytest.raises(BundleError, match=f"has {XML} but no {BIN}"):
        OpenVINOEngine(replace(made, content=content))


def test_a_model_of_another_network_is_refused(made: bundle.Bundle) -> None:
    other = {"network": replace(NETWORK, bands=4).to_json(), "sets": made.sets}
    with pytest.raises(BundleError, match="does not compute this bundle's network"):
        OpenVINOEngine(replace(made, manifest=other))


def test_a_model_of_another_number_of_passes_is_refused(made: bundle.Bundle) -> None:
    one = {XML: made.content["openvino/k1.xml"], BIN: made.content["openvino/k1.bin"]}
    with pytest.raises(BundleError, match="does not compute this bundle's network"):
        OpenVINOEngine(broken(made, **one))


def test_the_import_reports_to_nobody(made: bundle.Bundle, tmp_path: Path) -> None:
    """OpenVINO's package would note an identifier in the home and call its maker."""
    code = (
        "import sys; from onboard.engines.openvino import find_openvino; find_openvino().Core(); "
        "print([m for m in sys.modules if m.startswith('openvino_telemetry')])"
    )
    # In CI that package keeps still of its own accord.
    kept = {k: v for k, v in os.environ.items() if k not in ("CI", "TF_BUILD", "JENKINS_URL")}
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, "HOME": str(tmp_path)},
        cwd=str(ROOT),
        check=True,
        stdout=subprocess.PIPE,
    )
    assert found.stdout.decode().strip() == "[]"
    assert not list(tmp_path.iterdir())


def imports(monkeypatch: pytest.MonkeyPatch, found: Any) -> None:
    """Make ``import openvino`` give ``found``, or raise it."""

    def import_module(name: str) -> Any:
        assert name == "openvino"
        if isinstance(found, ImportError):
            raise found
        return found

    monkeypatch.setattr(importlib, "import_module", import_module)


def test_without_openvino_the_cure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    # Another test of this process may have brought it.
    monkeypatch.delitem(sys.modules, engine_module.TELEMETRY, raising=False)
    imports(monkeypatch, ModuleNotFoundError("No module named 'openvino'"))
    with pytest.raises(EngineError, match=r"No module named 'openvino'.*floodsat\[openvino\]"):
        engine_module.find_openvino()
    assert engine_module.TELEMETRY not in sys.modules


def test_the_openvino_of_the_stick_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    imports(monkeypatch, ModuleType("openvino"))
    with pytest.raises(EngineError, match=r"current OpenVINO.*cannot share an environment"):
        engine_module.find_openvino()


@pytest.mark.parametrize(
    ("count", "calls"), [(1, [1]), (9, [1] * 9), (10, [10]), (23, [10, 10, 1, 1, 1])]
)
def test_every_pass_is_computed_once(count: int, calls: list[int]) -> None:
    seen: list[int] = []
    rows: list[float] = []

    def call(passes: int, part: masks.Masks) -> Moments:
        assert all(len(mask) == passes for mask in part.values())
        seen.append(passes)
        rows.extend(part["s2"][:, 0])
        return Moments(*(np.full((1, 1), part["s2"].mean()) for _ in Moments._fields))

    table = np.arange(count, dtype=np.float32)[:, None]
    found = in_chunks({"s8": np.repeat(table, 3, axis=1), "s2": table}, CHUNK, call)
    assert seen == calls
    assert rows == list(range(count))
    np.testing.assert_allclose(found.p_water, (count - 1) / 2)


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "²"])
def test_threads_that_are_no_number(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(threads.VARIABLE, text)
    with pytest.raises(EngineError, match="FLOODSAT_THREADS is"):
        threads.count()


def test_threads_as_asked_or_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(threads.VARIABLE, "3")
    assert threads.count() == 3
    monkeypatch.delenv(threads.VARIABLE)
    assert threads.count() == os.cpu_count()
