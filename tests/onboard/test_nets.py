from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onboard import nets
from onboard.errors import ProductError
from tests.onboard.netting import random_net


def by_hand(net: nets.Net, bits: np.ndarray) -> list[int]:
    """The logits in Python's whole numbers, one product at a time."""
    found = []
    for row in bits.astype(int).tolist():
        values = row
        for layer in net:
            weights, bias = layer.weights.astype(int), layer.bias.astype(int)
            sums = [
                sum(v * int(w) for v, w in zip(values, weights[:, unit])) + int(bias[unit])
                for unit in range(weights.shape[1])
            ]
            values = [min(max(one >> layer.shift, 0), nets.TOP) for one in sums]
        found.append(sums[0] >> layer.shift)
    return found


def test_chances_are_those_of_whole_numbers():
    net = random_net(7, seed=3)
    bits = np.random.default_rng(0).integers(0, 2, (40, 7)).astype(np.float32)
    logits = np.clip(by_hand(net, bits), -nets.LOGIT_TOP, nets.LOGIT_TOP)
    exact = 1 / (1 + np.exp(-logits / nets.LOGIT_STEPS))
    found = net.chances(bits)
    np.testing.assert_allclose(found, exact, atol=2**-nets.CHANCE_BITS)
    assert len(set(found.tolist())) > 5


def test_chances_are_whole_multiples_and_never_certain():
    table = nets._chances() * 2**nets.CHANCE_BITS
    assert (table == np.rint(table)).all()
    assert table.min() >= 1
    assert table.max() <= 2**nets.CHANCE_BITS - 1
    np.testing.assert_array_equal(table + table[::-1], 2**nets.CHANCE_BITS)
    assert (np.diff(table) >= 0).all()
    # Pinned: another table would garble every product.
    middle = nets.LOGIT_TOP
    assert table[[middle - 64, middle - 1, middle, middle + 128]].tolist() == [
        282006,
        520192,
        524288,
        923583,
    ]


def test_any_order_of_the_sums_gives_the_same_chances():
    net = random_net(90, seed=1)
    bits = np.random.default_rng(1).integers(0, 2, (300, 90)).astype(np.float32)
    order = np.random.default_rng(2).permutation(90)
    first = net.first._replace(weights=net.first.weights[order])
    turned = net._replace(first=first)
    np.testing.assert_array_equal(net.chances(bits), turned.chances(bits[:, order]))
    one_by_one = np.concatenate([net.chances(row[None]) for row in bits])
    np.testing.assert_array_equal(net.chances(bits), one_by_one)


@given(st.integers(1, 40), st.integers(0, 100))
@settings(max_examples=20)
def test_round_trip(inputs, seed):
    net = random_net(inputs, seed)
    back = nets.unpack(nets.pack(net))
    assert nets.pack(back) == nets.pack(net)
    assert back.inputs == inputs


def test_sums_that_are_not_exact_are_refused():
    net = random_net(4, seed=0)
    big = nets.pack(net)
    start = 9 + 2 * 4 * net.first.weights.shape[1]
    wrong = big[:start] + struct.pack(">i", 2**24) + big[start + 4 :]
    with pytest.raises(ProductError, match="not exact"):
        nets.unpack(wrong)


@pytest.mark.parametrize("cut", [0, 5, 8, 100, -1])
def test_cut_nets_are_refused(cut):
    data = nets.pack(random_net(4, seed=0))
    with pytest.raises(ProductError, match=r"cut short|no sense"):
        nets.unpack(data[:cut])
    with pytest.raises(ProductError, match="no sense"):
        nets.unpack(data + b"\0")


def test_sizes_beyond_reason_are_refused():
    with pytest.raises(ProductError, match="no sense"):
        nets.unpack(struct.pack(">HHHBBB", 60_000, 60_000, 60_000, 0, 0, 0))
