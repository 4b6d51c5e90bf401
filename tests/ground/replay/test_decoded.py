"""Rasters of products that are kept from one replay to the next."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ground.replay import decoded
from ground.replay.decoded import unpacker
from onboard.errors import ProductError
from onboard.product import pack, unpack
from tests.onboard.test_product_stream import BY, Known, coded_product
from tests.products import blobs


def refuse(*given: object) -> None:
    raise AssertionError("decoded once more")


@pytest.mark.parametrize("guided", [False, True])
def test_a_product_is_decoded_once(
    guided: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = blobs(40, 56, 3)
    permanent = blobs(40, 56, 4) == 1 if guided else None
    data = pack(coded_product(mask, permanent=permanent), BY, permanent)
    reference = Known(permanent) if guided else None
    plain, first = unpack(data, reference), unpacker(tmp_path)(data, reference)
    monkeypatch.setattr(decoded.product_stream, "decode", refuse)
    again = unpacker(tmp_path)(data, reference)
    for name in ("mask", "entropy", "epistemic"):
        np.testing.assert_array_equal(getattr(first, name), getattr(plain, name))
        np.testing.assert_array_equal(getattr(again, name), getattr(plain, name))
    assert again.product_id == plain.product_id
    assert again.statistics == plain.statistics


def test_another_product_of_the_size_is_another(tmp_path: Path) -> None:
    for seed in (1, 2):
        data = pack(coded_product(blobs(40, 56, seed)), BY)
        found = unpacker(tmp_path)(data)
        np.testing.assert_array_equal(found.mask, unpack(data).mask)


def test_a_damaged_product_is_refused_all_the_same(tmp_path: Path) -> None:
    data = bytearray(pack(coded_product(blobs(40, 56, 3)), BY))
    unpacker(tmp_path)(bytes(data))
    data[len(data) // 2] ^= 1
    with pytest.raises(ProductError):
        unpacker(tmp_path)(bytes(data))


def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    data = pack(coded_product(blobs(40, 56, 3)), BY)
    unpacker(tmp_path)(data)
    (kept,) = (tmp_path / "products").iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    np.testing.assert_array_equal(unpacker(tmp_path)(data).mask, unpack(data).mask)
