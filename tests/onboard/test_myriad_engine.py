from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onboard import bundle, masks
from onboard.engines import myriad, nc_codes, plugin_2021
from onboard.engines.myriad import MyriadEngine
from onboard.engines.plugin_2021 import Plugin
from onboard.engines.reference import ReferenceEngine
from onboard.engines.worker import DeviceError, SupervisedEngine
from onboard.errors import BundleError, EngineError, UnavailableError
from onboard.network import Network
from onboard.uncertainty import Moments
from tests.onboard.test_engines import tile_of
from tests.onboard.test_vpu import blob
from tests.samples import BUNDLE, crop

CHUNK = 10
NETWORK = Network(bands=2, widths=(3, 4, 5))
SIZE = 2 * NETWORK.halo + NETWORK.stride
CORE = SIZE - 2 * NETWORK.halo
STICK = "1.2-ma2480"
OTHER = "1.3-ma2480"
BLOBS = {
    "myriad/ma2480.blob": blob(hardware=1, slices=9, shaves=7),
    "myriad/ma2450.blob": blob(hardware=0, slices=12, shaves=12),
}
PLACE = "[ GENERAL_ERROR ] \n/home/agent/openvino/inference-engine/src/vpu/myriad_executor.cpp:165 "


class FakePlugin(Plugin):
    """The calls of OpenVINO as a stick would answer them; `errors` are raised instead."""

    def __init__(self, there: Any = (STICK,), **errors: str) -> None:
        self.version = "2021.4.2"
        self.there = list(there)
        self.errors = errors
        self.loaded: Any = None
        self.log: list[Any] = []
        self.under_way: dict[int, Any] = {}
        self.network = NETWORK
        self.spoil = lambda found: found

    def _do(self, name: str, *details: Any) -> None:
        self.log.append((name, *details))
        if name in self.errors:
            raise RuntimeError(PLACE + self.errors[name])

    def sticks(self) -> list[str]:
        self._do("sticks")
        return self.there

    def metric(self, device: str, name: str) -> Any:
        self._do("metric", device)
        return {"FULL_DEVICE_NAME": "Intel Movidius Myriad X VPU"}.get(name, ["FP16"])

    def import_blob(self, blob: bytes, device: str, requests: int) -> None:
        self._do("import_blob", device)
        self.loaded = (blob, device, requests)

    def compile_onnx(
        self, model: bytes, device: str, settings: Any, precision: str, requests: int
    ) -> None:
        self._do("compile_onnx", device)
        self.loaded = (model, device, settings, precision, requests)

    def inputs(self) -> Any:
        sites = {f"mask_{s.name}": (CHUNK, s.channels, 1, 1) for s in self.network.sites}
        return {"tile": (1, self.network.bands, SIZE, SIZE), **sites}

    def outputs(self) -> Any:
        return dict.fromkeys(Moments._fields, (1, 1, CORE, CORE))

    def thermal(self) -> float:
        self._do("thermal")
        return 41.5

    def start(self, slot: int, inputs: Any) -> None:
        self._do("start", slot)
        assert slot not in self.under_way, "a request that is busy was started"
        assert {k: v.shape for k, v in inputs.items()} == self.inputs()
        self.under_way[slot] = inputs

    def wait(self, slot: int, timeout_ms: int) -> int:
        self._do("wait", slot, len(self.under_way))
        self.inputs_read = self.under_way.pop(slot)
        return 0

    def read(self, slot: int) -> Any:
        level = self.inputs_read["mask_s2"][:, 0].reshape(CHUNK, 1, 1, 1)
        tile = self.inputs_read["tile"][:, :1, :CORE, :CORE]
        p = level * np.ones((CHUNK, 1, CORE, CORE), np.float32)
        # A stick weighs every pass by 1/K in float16.
        on_stick = self.loaded[1] != "CPU"
        share = np.float32(np.float16(1 / CHUNK)) if on_stick else np.float32(1 / CHUNK)
        sums = {n: a.sum(0)[None] for n, a in zip(Moments._fields, (p, tile, p / 2, p * p))}
        return self.spoil({**{n: a * share for n, a in sums.items()}, "p_cloud": tile})

    def close(self) -> None:
        self._do("close")


def made(network: Network = NETWORK, **content: Any) -> bundle.Bundle:
    """A bundle in memory; a file of None is left out."""
    files = {**BLOBS, f"onnx/k{CHUNK}.onnx": b"onnx", **content}
    manifest = {
        "network": network.to_json(),
        "sets": {"myriad": {"tile": SIZE, "passes": CHUNK}},
    }
    content = {name: data for name, data in files.items() if data is not None}
    return bundle.Bundle(Path("a-bundle"), manifest, "", content)


def stick(**errors: str) -> MyriadEngine:
    return MyriadEngine(made(), plugin=FakePlugin(**errors))


def tile(value: float = 0.5) -> Any:
    return np.full((SIZE, SIZE, 2), value, np.float32)


def levels(count: int) -> Any:
    """Masks whose passes differ."""
    rows = (np.arange(count, dtype=np.float32)[:, None] + 1) / (count + 1)
    return {s.name: np.repeat(rows, s.channels, axis=1) for s in NETWORK.sites}


def one_line(error: Any) -> bool:
    return "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("passes", "counts"),
    [
        (1, [1]),
        (7, [5, 2]),
        (9, [5, 2, 2]),
        (10, [10]),
        (20, [10, 10]),
        (23, [10, 10, 2, 1]),
    ],
)
def test_passes_are_laid_out_in_divisors(passes: int, counts: list[int]) -> None:
    assert myriad.plan(passes, CHUNK) == counts


@pytest.mark.parametrize("chunk", [1, 4, 7, 10, 12])
def test_every_number_of_passes_can_be_laid_out(chunk: int) -> None:
    for passes in range(1, 40):
        counts = myriad.plan(passes, chunk)
        assert sum(counts) == passes
        assert all(chunk % count == 0 for count in counts)


@pytest.mark.parametrize("passes", [1, 3, 7, 10, 23])
def test_the_means_over_any_number_of_passes_are_exact(passes: int) -> None:
    found = stick().run(tile(), levels(passes))
    rows = levels(passes)["s2"][:, 0].astype(np.float64)
    for array, mean in zip(found, (rows.mean(), 0.5, rows.mean() / 2, (rows**2).mean())):
        assert array.shape == (CORE, CORE)
        np.testing.assert_allclose(array, mean, rtol=1e-6)


def test_two_inferences_are_in_flight() -> None:
    engine = stick()
    engine.run(tile(), levels(40))
    assert isinstance(engine.plugin, FakePlugin)
    calls = [entry for entry in engine.plugin.log if entry[0] in ("start", "wait")]
    started = [slot for name, slot, *_ in calls if name == "start"]
    assert started == [0, 1, 0, 1]
    assert [entry[2] for entry in calls if entry[0] == "wait"] == [2, 2, 2, 1]


def test_two_inferences_are_in_flight_across_tiles_and_order_is_kept() -> None:
    engine = stick()
    values = [0.1, 0.2, 0.3, 0.4, 0.5]
    found = list(engine.run_many((tile(v) for v in values), levels(7)))
    np.testing.assert_allclose([m.p_cloud[0, 0] for m in found], values)
    assert isinstance(engine.plugin, FakePlugin)
    waits = [entry[2] for entry in engine.plugin.log if entry[0] == "wait"]
    assert waits == [2] * (2 * len(values) - 1) + [1]


def test_tiles_are_taken_as_they_are_needed() -> None:
    taken: list[float] = []

    def tiles() -> Iterator[Any]:
        for value in (0.1, 0.2, 0.3, 0.4):
            taken.append(value)
            yield tile(value)

    engine = stick()
    results = engine.run_many(tiles(), levels(CHUNK))
    next(results)
    assert taken == [0.1, 0.2, 0.3]
    # Nobody wants the rest: what is under way is waited for.
    del results
    assert isinstance(engine.plugin, FakePlugin)
    assert not engine.plugin.under_way
    engine.run(tile(), levels(CHUNK))


def test_no_tiles_no_results() -> None:
    assert list(stick().run_many([], levels(CHUNK))) == []


def test_a_stick_takes_the_blob_of_its_chip() -> None:
    for name, device in ((STICK, "MYRIAD"), ("3.1-ma2450", "MYRIAD"), (STICK, f"MYRIAD.{STICK}")):
        plugin = FakePlugin([name])
        MyriadEngine(made(), device, plugin)
        chip = name[-6:]
        assert plugin.loaded == (BLOBS[f"myriad/{chip}.blob"], device, myriad.REQUESTS)


def test_a_stick_may_compile_the_onnx_with_fp16_inputs() -> None:
    plugin = FakePlugin()
    MyriadEngine(made(**{"myriad/ma2480.blob": None}), "MYRIAD", plugin, compile_here=True)
    assert plugin.loaded == (b"onnx", "MYRIAD", {}, "FP16", 2)


def test_a_cpu_takes_the_onnx_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOODSAT_THREADS", "3")
    plugin = FakePlugin([])
    engine = MyriadEngine(made(), "CPU", plugin)
    model, device, settings, precision, requests = plugin.loaded
    assert (model, device, precision, requests) == (b"onnx", "CPU", "FP32", 2)
    assert settings["ENFORCE_BF16"] == "NO"
    assert settings["CPU_THREADS_NUM"] == "3"
    assert ("sticks",) not in plugin.log
    assert engine.name == "openvino-2021 (2021.4.2, CPU)"
    assert engine.temperature() is None


def test_identity_and_temperature() -> None:
    with stick() as engine:
        assert engine.name == "myriad (2021.4.2, MYRIAD ma2480)"
        assert engine.tile_size == SIZE
        assert engine.temperature() == 41.5
        assert engine.identity() == (
            *("MYRIAD", STICK, "ma2480", "Intel Movidius Myriad X VPU"),
            ("FP16",),
        )
    assert isinstance(engine.plugin, FakePlugin)
    assert engine.plugin.log[-1] == ("close",)


@pytest.mark.parametrize(
    ("sticks", "device", "said"),
    [
        ([], "MYRIAD", r"no Myriad stick here, or another process holds it; plug it in"),
        ([], f"MYRIAD.{STICK}", r"no Myriad stick here"),
        ([STICK, OTHER], "MYRIAD", rf"2 sticks.*{STICK}, {OTHER}.*FLOODSAT_MYRIAD={STICK}"),
        ([OTHER], f"MYRIAD.{STICK}", rf"no stick {STICK} here \(has {OTHER}\)"),
        ([STICK], "GPU", r"device GPU: unknown; choose one of CPU, MYRIAD"),
        (["1.2-ma2085"], "MYRIAD", r"has no myriad/ma2085\.blob for device 1\.2-ma2085 \(has "),
    ],
)
def test_a_device_that_is_not_there_or_not_one(sticks: Any, device: str, said: str) -> None:
    with pytest.raises((EngineError, BundleError), match=said) as caught:
        MyriadEngine(made(), device, FakePlugin(sticks))
    assert one_line(caught)


def test_of_two_sticks_the_named_one() -> None:
    plugin = FakePlugin([STICK, OTHER])
    engine = MyriadEngine(made(), f"MYRIAD.{OTHER}", plugin)
    assert engine.stick == OTHER
    assert myriad.device_named({"FLOODSAT_MYRIAD": OTHER}) == f"MYRIAD.{OTHER}"
    assert myriad.device_named({}) == "MYRIAD"


def test_a_bundle_without_a_blob_for_the_chip() -> None:
    with pytest.raises(BundleError, match=r"a-bundle: has no myriad/ma2480\.blob.*ma2450") as found:
        MyriadEngine(made(**{"myriad/ma2480.blob": None}), plugin=FakePlugin())
    assert one_line(found)


def test_a_bundle_without_the_onnx() -> None:
    with pytest.raises(BundleError, match=r"has no onnx/k10\.onnx for device CPU \(has none\)"):
        MyriadEngine(made(**{"onnx/k10.onnx": None}), "CPU", FakePlugin())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (BLOBS["myriad/ma2450.blob"], "compiled for ma2450, not for ma2480"),
        (BLOBS["myriad/ma2480.blob"][:-1], r"ma2480\.blob.*fetch it again"),
        (b"", r"ma2480\.blob.*no Myriad blob"),
        (b"onnx" * 100, r"ma2480\.blob.*no Myriad blob"),
    ],
)
def test_a_blob_of_the_other_chip_or_damaged_never_reaches_the_stick(data: Any, said: str) -> None:
    plugin = FakePlugin()
    with pytest.raises(BundleError, match=said) as caught:
        MyriadEngine(made(**{"myriad/ma2480.blob": data}), plugin=plugin)
    assert one_line(caught)
    assert plugin.loaded is None


def test_a_model_of_another_network_is_refused() -> None:
    with pytest.raises(BundleError, match="does not compute this bundle's network") as caught:
        MyriadEngine(made(replace(NETWORK, bands=3)), plugin=FakePlugin())
    assert one_line(caught)


@pytest.mark.parametrize("chip", ["ma2480", "ma2450"])
def test_the_shipped_blobs_are_for_their_chips(chip: str) -> None:
    found = bundle.load(BUNDLE, ["myriad"])
    plugin = FakePlugin([f"1.2-{chip}"])
    # The fake's network is another one, which shows after the blob has been taken.
    with pytest.raises(BundleError, match="does not compute"):
        MyriadEngine(found, plugin=plugin)
    assert plugin.loaded[0] == found.content[f"myriad/{chip}.blob"]


BOOT = "Can not init Myriad device: "
LOAD = "Failed to allocate graph: "
START = "Failed to queue inference: "
READ = "Failed to read output from FIFO: "


@pytest.mark.parametrize(
    ("call", "text", "said", "lost"),
    [
        ("sticks", "Cannot load library libusb-1.0.so.0", "without libusb; install", False),
        ("import_blob", BOOT + "NC_ERROR", "does not boot: .*NC_ERROR.*udev", True),
        ("import_blob", BOOT + "NC_BUSY", "does not boot: it is busy.*other process", True),
        ("import_blob", BOOT + "NC_DEVICE_NOT_FOUND", "gone or another process holds it", True),
        ("import_blob", BOOT + "NC_TIMEOUT", "no answer in time", True),
        ("import_blob", BOOT + "NC_MVCMD_NOT_FOUND", "no firmware for this chip", False),
        ("import_blob", LOAD + "NC_OUT_OF_MEMORY", "not enough memory.*close other", False),
        ("import_blob", LOAD + "NC_UNSUPPORTED_GRAPH_FILE", "another compiler.*export", False),
        ("import_blob", LOAD + "MYRIAD device is not opened.", "is not open; allow USB", True),
        ("import_blob", "Myriad device: 1.2-ma2480 not found.", "named is not plugged in", True),
        (
            "import_blob",
            "Maximum number of networks reached for device: 1.2-ma2480",
            "no more models",
            False,
        ),
        ("import_blob", "Failed to create output FIFO: NC_ERROR", "not take the model", True),
        ("start", START + "NC_ERROR", "takes no input: the connection failed", True),
        ("wait", READ + "NC_ERROR", "gives no result: the connection failed", True),
        ("wait", READ + "NC_TIMEOUT", "no answer in time", True),
        ("wait", READ + "NC_MYRIAD_ERROR", "the firmware failed", True),
        ("wait", READ + "Fatal error in stage 7", r"gives no result \(.*stage 7\)", True),
        ("wait", READ + "X_LINK_ERROR", "the connection failed", True),
        ("wait", "X_LINK_DEVICE_NOT_FOUND", "it is gone", True),
        ("thermal", "Failed to get thermal stats: NC_ERROR", "temperature", True),
        ("thermal", "No devices available.", "no stick is plugged in", True),
        ("metric", "KEY_DEVICE_ID is undefined.", "several sticks.*FLOODSAT_MYRIAD", False),
        ("start", "something new", "OpenVINO fails .something new.; use another", False),
    ],
)
def test_each_error_of_the_driver_is_one_clear_line(
    call: str, text: str, said: str, lost: bool
) -> None:
    def use_it() -> None:
        engine = stick(**{call: text})
        engine.run(tile(), levels(20))
        engine.temperature()
        engine.identity()

    with pytest.raises(EngineError, match=said) as caught:
        use_it()
    assert one_line(caught)
    assert str(caught.value).startswith("engine myriad: ")
    assert "; " in str(caught.value)
    assert (caught.type is DeviceError) == lost


@pytest.mark.parametrize("code", sorted(nc_codes.CODES))
def test_every_code_has_a_meaning_and_a_cure(code: str) -> None:
    fault = nc_codes.explain(READ + code)
    assert fault.meaning.startswith("the stick gives no result: ")
    assert fault.meaning.endswith(f"({code})")
    assert fault.cure


@pytest.mark.parametrize(
    ("status", "said"), [(-9, "no answer in time"), (-8, "has not come back"), (-1, "code -1")]
)
def test_a_request_that_does_not_end_well(
    monkeypatch: pytest.MonkeyPatch, status: int, said: str
) -> None:
    engine = stick()
    monkeypatch.setattr(engine.plugin, "wait", lambda slot, timeout_ms: status)
    with pytest.raises(EngineError, match=said):
        engine.run(tile(), levels(1))


def test_after_an_error_no_request_stays_busy() -> None:
    engine = stick()
    plugin = engine.plugin
    assert isinstance(plugin, FakePlugin)
    plugin.spoil = lambda found: {n: a * np.float32(np.nan) for n, a in found.items()}
    with pytest.raises(EngineError):
        engine.run(tile(), levels(40))
    plugin.spoil = lambda found: found
    assert not plugin.under_way
    engine.run(tile(), levels(40))


@pytest.mark.parametrize("name", Moments._fields)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_refused(name: str, value: float) -> None:
    engine = stick()

    def spoil(found: Any) -> Any:
        found[name][0, 0, 1, 2] = value
        return found

    assert isinstance(engine.plugin, FakePlugin)
    engine.plugin.spoil = spoil
    said = rf"{name} is no finite number in 1 of {CORE * CORE} pixels \(beyond 65504 FP16.*check"
    with pytest.raises(EngineError, match=said) as caught:
        engine.run(tile(), levels(CHUNK))
    assert one_line(caught)
    assert caught.type is EngineError


@pytest.mark.parametrize(("version", "said"), [("2026.4.1", "here is 2026.4.1"), ("", "here is")])
def test_another_openvino_is_refused_unseen(
    monkeypatch: pytest.MonkeyPatch, version: str, said: str
) -> None:
    def find(name: str) -> str:
        if not version:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.metadata, "version", find)
    before = set(sys.modules)
    with pytest.raises(UnavailableError, match=f"needs OpenVINO 2021.4.2, {said}.*flight-env"):
        plugin_2021.find_core()
    assert not {m for m in set(sys.modules) - before if m.startswith("openvino")}


class UnpluggedPlugin(FakePlugin):
    """A stick that is pulled out in its second inference, and is back in the next process."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def wait(self, slot: int, timeout_ms: int) -> int:
        if len(self.log) > 6 and not (self.folder / "pulled").exists():
            (self.folder / "pulled").touch()
            raise RuntimeError(PLACE + READ + "NC_ERROR")
        return super().wait(slot, timeout_ms)


def unplugged(folder: Path) -> MyriadEngine:
    return MyriadEngine(made(), plugin=UnpluggedPlugin(folder))


def test_a_stick_pulled_out_in_mid_inference_is_started_again(tmp_path: Path) -> None:
    limits = {"deadline_s": 60.0, "heartbeat_s": 30.0, "pause_s": 0.0}
    with SupervisedEngine(partial(unplugged, tmp_path), **limits) as engine:
        found = engine.run(tile(), levels(40))
        np.testing.assert_allclose(found.p_water, levels(40)["s2"].mean(), rtol=1e-6)
        assert engine.health.restarts == 1
        assert "gives no result: the connection failed (NC_ERROR)" in engine.health.last_error
        assert engine.ask("temperature") == 41.5
        assert engine.ask("identity").stick == STICK


# What follows runs the real OpenVINO 2021.4.2, which the flight environment alone has.


@pytest.fixture(scope="module")
def shipped() -> bundle.Bundle:
    try:
        plugin_2021.find_core()
    except UnavailableError as error:
        pytest.skip(str(error))
    return bundle.load(BUNDLE, ["myriad", "reference"])


@pytest.fixture(scope="module")
def cpu(shipped: bundle.Bundle) -> MyriadEngine:
    return myriad.on_cpu(shipped)


def scene(made: bundle.Bundle, engine: MyriadEngine, row: int = 100) -> Any:
    """A tile of the committed frame."""
    assert engine.tile_size
    return tile_of(made, crop(300, 300, row), engine.tile_size)


def drawn(made: bundle.Bundle, count: int) -> masks.Masks:
    return masks.draw(made.network, 5, made.model_id, bytes(32), range(count))


@pytest.mark.parametrize("count", [1, 7, 10, 23])
def test_on_the_cpu_it_agrees_with_the_reference(
    shipped: bundle.Bundle, cpu: MyriadEngine, count: int
) -> None:
    found = cpu.run(scene(shipped, cpu), drawn(shipped, count))
    exact = ReferenceEngine(shipped).run(scene(shipped, cpu), drawn(shipped, count))
    for name, a, b in zip(Moments._fields, found, exact):
        assert a.shape == b.shape, name
        assert np.abs(a - b).max() <= 1e-5, name
    assert exact.aleatoric.max() > 0.1
    if count > 1:
        assert (exact.p_water_2 - exact.p_water**2).max() > 1e-4


def test_the_deterministic_pass(shipped: bundle.Bundle, cpu: MyriadEngine) -> None:
    ones = masks.ones(shipped.network)
    found, exact = (
        cpu.run(scene(shipped, cpu), ones),
        ReferenceEngine(shipped).run(scene(shipped, cpu), ones),
    )
    for name, a, b in zip(Moments._fields, found, exact):
        assert np.abs(a - b).max() <= 1e-5, name


def test_tiles_in_a_row_give_what_each_gives_alone(
    shipped: bundle.Bundle, cpu: MyriadEngine
) -> None:
    tiles = [scene(shipped, cpu, row) for row in (0, 50, 100)]
    together = list(cpu.run_many(tiles, drawn(shipped, 13)))
    for tile, found in zip(tiles, together):
        for a, b in zip(cpu.run(tile, drawn(shipped, 13)), found):
            np.testing.assert_array_equal(a, b)
    assert not np.array_equal(together[0].p_water, together[1].p_water)


def test_in_a_worker_it_gives_the_same(shipped: bundle.Bundle, cpu: MyriadEngine) -> None:
    factory = partial(MyriadEngine, shipped, "CPU")
    with SupervisedEngine(factory, deadline_s=60, heartbeat_s=30) as engine:
        assert (engine.name, engine.tile_size) == (cpu.name, cpu.tile_size)
        found = engine.run(scene(shipped, cpu), drawn(shipped, 10))
    for a, b in zip(cpu.run(scene(shipped, cpu), drawn(shipped, 10)), found):
        np.testing.assert_array_equal(a, b)


def test_the_cpu_says_who_it_is(cpu: MyriadEngine) -> None:
    found = cpu.identity()
    assert (found.device, found.stick, found.chip) == ("CPU", "", "")
    assert found.full_name
    assert "FP32" in found.capabilities


def test_a_damaged_onnx_is_refused(shipped: bundle.Bundle) -> None:
    (name,) = (n for n in shipped.content if n.endswith(".onnx"))
    for data in (b"", shipped.content[name][:1000], b"\x7felf" * 100):
        broken = replace(shipped, content={**shipped.content, name: data})
        with pytest.raises(EngineError, match="engine openvino-2021: OpenVINO fails") as caught:
            myriad.on_cpu(broken)
        assert one_line(caught)


def test_no_stick(shipped: bundle.Bundle) -> None:
    try:
        sticks = Plugin().sticks()
    except RuntimeError as error:
        pytest.skip(f"the Myriad plugin does not load: {error}")
    if sticks:
        pytest.skip(f"a stick is here: {sticks}")
    with pytest.raises(EngineError, match="no Myriad stick here"):
        myriad.supervised(shipped)


def test_the_drivers_own_error_is_understood(shipped: bundle.Bundle) -> None:
    class Sees(Plugin):
        """Lists a stick that is not there."""

        def sticks(self) -> list[str]:
            return ["99.99-ma2480"]

    with pytest.raises(DeviceError, match=r"the stick that was named is not plugged in") as caught:
        MyriadEngine(shipped, "MYRIAD.99.99-ma2480", Sees())
    assert one_line(caught)
    assert "Myriad device: 99.99-ma2480 not found" in str(caught.value.__cause__)
