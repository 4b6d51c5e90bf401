from __future__ import annotations

import hashlib
import lzma
import random
from typing import Any

import cbor2
import numpy as np
import pytest

from onboard import rawchip
from onboard.errors import ProductError
from onboard.outbox import Item, Kind, Outbox, name_of
from onboard.rawchip import ENDING, MAGIC, TYPES, pack, unpack
from tests.onboard.raw_chips import make_raw


def sealed(header: Any, samples: bytes = bytes(336)) -> bytes:
    """A file with the right id, whatever its header says."""
    packed = header if isinstance(header, bytes) else cbor2.dumps(header, canonical=True)
    body = MAGIC + len(packed).to_bytes(2, "big") + packed + lzma.compress(samples)
    return body + hashlib.sha256(body).digest()[:16]


def header(**changes: Any) -> dict[str, Any]:
    fields = {
        "scene": bytes(32),
        "row": 0,
        "col": 0,
        "bands": list("abcd"),
        "shape": [6, 7, 4],
        "type": "uint16",
    }
    return {**fields, **changes}


@pytest.mark.parametrize("kind", TYPES)
def test_what_was_packed_comes_back(kind: str) -> None:
    samples = np.arange(168).reshape(6, 7, 4).astype(kind)
    data = pack(make_raw(samples=samples))
    found = unpack(data)
    assert found.samples.dtype == samples.dtype
    np.testing.assert_array_equal(found.samples, samples)
    one = make_raw()
    assert (found.scene_id, found.row, found.col) == (one.scene_id, one.row, one.col)
    assert found.bands == one.bands
    assert found.raw_id == data[-16:]
    assert found.stem == data[-16:].hex()[:12]
    assert pack(found) == data


def test_the_bare_header_of_these_tests_is_accepted() -> None:
    assert unpack(sealed(header())).samples.shape == (6, 7, 4)


@pytest.mark.parametrize(
    "changes",
    [
        {"scene": 7},
        {"scene": bytes(31)},
        {"row": -1},
        {"row": 2**40},
        {"col": True},
        {"col": "1"},
        {"bands": "abcd"},
        {"bands": [1, 2, 3, 4]},
        {"bands": ["a"]},
        {"shape": [0, 7, 4]},
        {"shape": [6, 7]},
        {"shape": [2**40, 2**40, 4]},
        {"shape": ["6", "7", "4"]},
        {"shape": 4},
        {"shape": [6, 8, 4]},
        {"type": "object"},
        {"type": ["uint16"]},
        {"type": "float32"},
    ],
    ids=str,
)
def test_a_header_that_makes_no_sense(changes: dict[str, Any]) -> None:
    with pytest.raises(ProductError, match="raw chip: does not decode"):
        unpack(sealed(header(**changes)))


@pytest.mark.parametrize(
    "bad",
    [b"", b"\xff", b"\x01", b"\x80", cbor2.dumps(header()) + b"\x00", b"\x9b" + b"\xff" * 8],
)
def test_what_is_no_header(bad: bytes) -> None:
    with pytest.raises(ProductError, match="raw chip: does not decode"):
        unpack(sealed(bad))


def test_what_unpacks_to_more_than_it_says_is_refused() -> None:
    with pytest.raises(ProductError, match="does not decode"):
        unpack(sealed(header(), bytes(10_000_000)))


def test_mutated_files_with_the_right_id_are_refused_or_decode() -> None:
    dice, data = random.Random(4), pack(make_raw())[:-16]
    refused = 0
    for _ in range(2000):
        bad = bytearray(data)
        for _ in range(dice.choice((1, 1, 3))):
            bad[dice.randrange(4, 110)] = dice.randrange(256)
        try:
            found = unpack(bytes(bad) + hashlib.sha256(bad).digest()[:16])
        except ProductError:
            refused += 1
        else:
            assert len(found.scene_id) == 32
            assert found.samples.shape[2] == len(found.bands)
    assert refused > 500


def test_its_id_is_the_one_by_which_the_queue_knows_it(tmp_path: Any) -> None:
    data = pack(make_raw())
    assert name_of(Kind.CHIP, data) == unpack(data).raw_id
    with Outbox(tmp_path / "o.db") as box:
        box.queue(Kind.CHIP, Item(data, 1.0), (bytes(32), bytes(32)))
        assert len(box.waiting()) == 1


def test_its_ending_is_no_other_files() -> None:
    from onboard.link.downlink import ENDINGS

    assert ENDING not in ENDINGS.values()
    assert rawchip.MAGIC == b"FSRC"
