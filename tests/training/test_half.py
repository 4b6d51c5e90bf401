from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onboard import masks
from onboard.engines import reference
from onboard.network import Network
from training import half, onnx_model
from training.network import build, weight_arrays

NETWORK = Network(bands=3, widths=(4, 6, 5), rate=0.3)
SIZE = 2 * NETWORK.halo + 32


def weights_of(network: Network) -> dict[str, Any]:
    """Weights of trained size, with batch norms that do something."""
    rng = np.random.default_rng(4)
    found = weight_arrays(build(network))
    for name, array in found.items():
        if "_bn" in name or name.endswith("bias"):
            found[name] = (array + rng.uniform(-0.2, 0.2, array.shape)).astype(np.float32)
        else:
            fan = np.prod(array.shape[:-1])
            found[name] = rng.normal(0, np.sqrt(2 / fan), array.shape).astype(np.float32)
    return found


@pytest.fixture(scope="module")
def weights() -> dict[str, Any]:
    return weights_of(NETWORK)


@pytest.fixture(scope="module")
def tile() -> Any:
    tile = np.random.default_rng(1).normal(0, 1.5, (SIZE, SIZE, NETWORK.bands))
    return tile.astype(np.float32)


@pytest.fixture(scope="module")
def drawn() -> masks.Masks:
    return masks.draw(NETWORK, 5, bytes(32), bytes(32), range(6))


def test_rounding_is_to_the_nearest_float16() -> None:
    ulp = np.float32(2.0**-10)
    given_values = np.float32([1 + 0.49 * ulp, 1 + 0.51 * ulp, 1 + 0.5 * ulp, 1 + 1.5 * ulp])
    wanted = np.float32([1, 1 + ulp, 1, 1 + 2 * ulp])
    np.testing.assert_array_equal(half.rounded(given_values), wanted)
    np.testing.assert_array_equal(half.rounded(np.float32([65519, 65520])), [65504, np.inf])


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100))
def test_sums_round_at_every_step_as_float16_itself_does(seed: int, scale: float) -> None:
    """Against numpy's own float16, on magnitudes that stay in its normal range."""
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1, 1], (2, 40, 7, 5))
    a, b = half.rounded(rng.uniform(0.3, 1, (2, 40, 7, 5)) * signs * np.sqrt(scale))
    total = np.zeros((7, 5), np.float16)
    for one, other in zip(a, b, strict=True):
        total = total + one.astype(np.float16) * other.astype(np.float16)
    pairs = list(zip(a, b, strict=True))
    found = half.sum_of_products(pairs, 0.0)
    # Where terms cancel, a sum may be so small that float16 has fewer digits for it.
    np.testing.assert_allclose(found, total.astype(np.float32), rtol=0, atol=2.0**-24)
    np.testing.assert_array_equal(half.sum_of_products(pairs, 1e9), total.astype(np.float32))


def test_sums_that_overflow_are_infinite() -> None:
    # 60,000 + 60,000 - 60,000: a wide accumulator would come back.
    pairs = [(np.float32([s * 240]), np.float32([250])) for s in (1, 1, -1)]
    with np.errstate(over="ignore"):
        assert half.sum_of_products(pairs, 180_000.0) == np.inf


@pytest.mark.parametrize(("accumulation", "wanted"), [("float32", 2056.0), ("float16", 2048.0)])
def test_a_narrow_accumulator_loses_small_terms(accumulation: str, wanted: float) -> None:
    """Between 2048 and 4096 float16 counts in twos: adding ones one by one changes nothing."""
    graph = half._Graph({}, accumulation == "float16")
    x = np.ones((1, 1, 9), np.float32)
    kernel = np.float32([2048] + [1] * 8).reshape(1, 1, 9, 1)
    assert graph.conv(x, "sum", kernel) == wanted


@pytest.mark.parametrize(("accumulation", "most"), [("float32", 4e-3), ("float16", 1.5e-2)])
def test_the_emulation_computes_the_network(
    weights: Any, tile: Any, drawn: masks.Masks, accumulation: str, most: float
) -> None:
    found = half.emulate(NETWORK, weights, tile, drawn, accumulation)
    wanted = reference.moments(NETWORK, weights, tile, drawn)
    for name, array in wanted._asdict().items():
        error = np.abs(getattr(found.moments, name) - array).max()
        # It is close, and it is not float32 that was computed.
        assert 1e-5 < error < most, name
    assert wanted.p_water.std() > 0.05


def test_narrow_sums_are_further_off(weights: Any, tile: Any, drawn: masks.Masks) -> None:
    wanted = reference.moments(NETWORK, weights, tile, drawn).p_water
    errors = [
        np.sqrt(np.mean((half.emulate(NETWORK, weights, tile, drawn, a).moments[0] - wanted) ** 2))
        for a in half.ACCUMULATIONS
    ]
    assert errors[1] > 1.5 * errors[0]


@pytest.mark.parametrize("accumulation", half.ACCUMULATIONS)
def test_nothing_has_more_digits_than_float16(
    weights: Any, tile: Any, drawn: masks.Masks, accumulation: str
) -> None:
    found = half.emulate(NETWORK, weights, tile, drawn, accumulation)
    for name, array in found.seen.items():
        np.testing.assert_array_equal(array, half.rounded(array), err_msg=name)


def test_means_over_ten_passes_are_means(weights: Any, tile: Any) -> None:
    """1/10 is not exact in float16: the sums are 2.4e-4 too small, and the host mends it."""
    drawn = masks.draw(NETWORK, 0, b"model", b"scene", range(10))
    found = half.emulate(NETWORK, weights, tile, drawn).moments
    exact = reference.moments(
        NETWORK, {name: w.astype(np.float64) for name, w in weights.items()}, tile, drawn
    )
    assert np.mean(found.p_water / exact.p_water) == pytest.approx(1, abs=1e-4)


def test_every_name_is_a_tensor_of_the_onnx_graph(
    weights: Any, tile: Any, drawn: masks.Masks
) -> None:
    found = half.emulate(NETWORK, weights, tile, drawn)
    graph = onnx.load_from_string(onnx_model.build(NETWORK, weights, 6, SIZE)).graph
    names = {"tile", *(output for node in graph.node for output in node.output)}
    for name in found.largest:
        assert name in names or f"{name}_0" in names, name
    rounds = {"Conv", "Relu", "Add", "Sigmoid", "Mul", "Sub", "Log", "ReduceMean", "Resize"}
    passes = tuple(f"_{k}" for k in range(6))
    alike = ("up", "opposite")  # Repetition and a change of sign round nothing.
    for node in graph.node:
        name = node.output[0]
        if node.op_type in rounds and not name.endswith(passes) and not name.startswith(alike):
            assert name in found.largest, name


def test_the_largest_activation_is_told_before_it_overflows(
    weights: Any, tile: Any, drawn: masks.Masks
) -> None:
    grown = dict(weights)
    for part in ("gamma", "beta"):
        grown[f"enc1_bn1/{part}"] = weights[f"enc1_bn1/{part}"] * np.float32(3e4)
    found = half.emulate(NETWORK, grown, tile, drawn).largest
    over = [name for name, largest in found.items() if not largest <= half.FLOAT16_MAX]
    assert over[0] == "enc1_conv1"
    plain = half.emulate(NETWORK, weights, tile, drawn).largest
    assert found["enc1_conv1"] == pytest.approx(3e4 * plain["enc1_conv1"], rel=0.05)
    assert found["enc1_conv0"] == plain["enc1_conv0"]
