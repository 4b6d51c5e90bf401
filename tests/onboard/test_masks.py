from __future__ import annotations

import hashlib

import numpy as np
import pytest

from onboard import masks
from onboard.network import Network

MODEL, SCENE = bytes(range(32)), bytes(range(32, 64))
NETWORK = Network()
MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
WORD = 2**64


def philox(key: tuple[int, int], counter: int) -> list[int]:
    """Philox4x64-10 as the paper writes it (Salmon et al. 2011, section 3.3)."""
    x = [counter >> (64 * i) & (WORD - 1) for i in range(4)]
    k0, k1 = key
    for _ in range(10):
        first, second = MULTIPLIERS[0] * x[0], MULTIPLIERS[1] * x[2]
        x = [
            second // WORD ^ x[1] ^ k0,
            second % WORD,
            first // WORD ^ x[3] ^ k1,
            first % WORD,
        ]
        k0, k1 = (k0 + WEYL[0]) % WORD, (k1 + WEYL[1]) % WORD
    return x


def test_words_are_those_of_the_paper() -> None:
    seed, index, count = 11, 3, 10
    text = seed.to_bytes(8, "little") + MODEL + SCENE + index.to_bytes(8, "little")
    digest = hashlib.sha256(text).digest()
    key = (int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:16], "little"))
    # numpy steps the counter before it draws: a generator at counter 0 gives block 1 first.
    expected = [word for block in (1, 2, 3) for word in philox(key, block)][:count]
    assert masks.pass_words(seed, MODEL, SCENE, index, count).tolist() == expected


def test_golden_values() -> None:
    """The same bits on every Python, numpy and machine, or old products cannot be verified."""
    drawn = masks.draw(NETWORK, 7, MODEL, SCENE, range(16))
    kept = np.concatenate([drawn[site.name] > 0 for site in NETWORK.sites], axis=1)
    assert np.packbits(kept[0]).tobytes().hex() == "6ddd1bfce7ffdfdb7fabede7"
    assert (
        hashlib.sha256(np.packbits(kept).tobytes()).hexdigest()
        == "3a3784fc204b50f743d8730771b37df937d99e8e268ec2b2adad9fd7f5ffc1ee"
    )


def test_values_and_types() -> None:
    drawn = masks.draw(NETWORK, 0, MODEL, SCENE, range(5))
    for site in NETWORK.sites:
        mask = drawn[site.name]
        assert mask.shape == (5, site.channels)
        assert mask.dtype == np.float32
        assert set(np.unique(mask)) == {np.float32(0), np.float32(1 / site.keep)}


def test_keep_rate() -> None:
    drawn = masks.draw(NETWORK, 1, MODEL, SCENE, range(400))
    kept = np.concatenate([(drawn[s.name] > 0).ravel() for s in NETWORK.sites])
    sigma = np.sqrt(0.8 * 0.2 / kept.size)
    assert abs(kept.mean() - 0.8) < 5 * sigma


@pytest.mark.parametrize("part", ["seed", "model", "scene", "pass"])
def test_every_part_of_the_key_counts(part: str) -> None:
    arguments = {"seed": 1, "model": MODEL, "scene": SCENE, "pass": 0}
    other = {"seed": 2, "model": SCENE, "scene": MODEL, "pass": 1}
    changed = {**arguments, part: other[part]}
    a, b = (
        masks.pass_words(v["seed"], v["model"], v["scene"], v["pass"], 8)  # type: ignore[arg-type]
        for v in (arguments, changed)
    )
    assert not np.array_equal(a, b)


def test_a_pass_does_not_depend_on_the_others() -> None:
    together = masks.draw(NETWORK, 5, MODEL, SCENE, range(10))
    alone = masks.draw(NETWORK, 5, MODEL, SCENE, [7])
    for name, mask in alone.items():
        np.testing.assert_array_equal(mask[0], together[name][7])


def test_no_dropout_keeps_everything() -> None:
    network = Network(rate=0.0)
    drawn, ones = masks.draw(network, 0, MODEL, SCENE, [0]), masks.ones(network)
    for name, mask in drawn.items():
        np.testing.assert_array_equal(mask, ones[name])
