from __future__ import annotations

from pathlib import Path

import pytest

from onboard import bundle, vpu
from onboard.errors import EngineError
from tests.samples import BUNDLE, ROOT
from training import targets

FLIGHT = ROOT / ".venv-flight" / "bin" / "python"


@pytest.fixture(scope="module")
def shipped() -> bundle.Bundle:
    return bundle.load(BUNDLE, ["reference"])


def test_without_the_flight_environment_the_cure_is_named(
    shipped: bundle.Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(targets.FLIGHT, str(tmp_path / "python"))
    with pytest.raises(EngineError, match="make flight-env"):
        targets.myriad(targets.Frozen(shipped.network, shipped.weights()))


def test_a_compiler_that_fails_is_quoted(
    shipped: bundle.Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'unsupported layer type Abs' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv(targets.FLIGHT, str(broken))
    with pytest.raises(EngineError, match="target myriad: unsupported layer type Abs"):
        targets.myriad(targets.Frozen(shipped.network, shipped.weights()))


@pytest.mark.skipif(not FLIGHT.is_file(), reason="no flight environment: make flight-env")
def test_the_network_compiles_for_both_chips(
    shipped: bundle.Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no stick at hand; on Myriad X every convolution runs on its hardware."""
    monkeypatch.delenv(targets.FLIGHT, raising=False)
    made = targets.myriad(targets.Frozen(shipped.network, shipped.weights()))
    assert sorted(made.files) == [
        "myriad/ma2450.blob",
        "myriad/ma2480.blob",
        "onnx/k10.onnx",
    ]
    assert sum(len(data) for data in made.files.values()) <= 1_500_000
    for chip in vpu.CHIPS:
        data = made.files[f"myriad/{chip}.blob"]
        found = vpu.read_blob(data)
        assert len(data) <= 1_000_000
        # Tile and three masks in, four moments out, as float32, of the core.
        assert (found.inputs, found.outputs) == (4, 4)
        core = targets.VPU_TILE - 2 * shipped.network.halo
        assert found.output_bytes == 4 * 4 * core**2
    stages = made.details["resources"]["ma2480"]["stages"]
    assert stages["MyriadXHwOp"] > 0
    assert not {"Conv", "Permute", "Tile"} & set(stages)


def test_every_target_can_be_chosen() -> None:
    from training.cli.export import command

    (option,) = [p for p in command.params if p.name == "targets"]
    assert list(option.type.choices) == list(targets.MAKERS)  # type: ignore[attr-defined]
