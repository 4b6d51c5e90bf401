from __future__ import annotations

import dataclasses
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onboard import product, product_stream, tables
from onboard.errors import OtherReferenceError, ProductError
from onboard.georef import Georef
from onboard.product import Product, observed_pixels, pack, summarise, unpack
from onboard.reduced import divide, grade
from onboard.tables import Tables
from tests.onboard import make_vectors
from tests.onboard.netting import random_tables
from tests.products import blobs, make_product, read_or_refused, resealed

VERSION = bytes(range(16))
BY = tables.learn(tables.pack(random_tables()))


class Known:
    """A reference that is known on every grid."""

    def __init__(self, permanent: np.ndarray, version: bytes = VERSION) -> None:
        self.version, self.raster = version, permanent.astype(np.uint8)

    def on(self, georef: Georef) -> np.ndarray:
        return self.raster

    def beyond(self, georef: Georef) -> Any:
        return self.raster == 0

    def exact(self, georef: Georef) -> bool:
        return True


def coded_product(mask: np.ndarray, by: Tables = BY, permanent: Any = None) -> Product:
    """A product whose maps have the levels of the tables."""
    rng = np.random.default_rng(mask.size)
    nats = rng.uniform(0, 0.6, mask.shape)
    seen, (height, width) = observed_pixels(mask), mask.shape
    georef = Georef(width, height, "EPSG:32606", (10.0, 0.0, 5e5, 0.0, -10.0, 7e6))
    beyond = None if permanent is None else ~permanent
    return make_product(
        mask=mask,
        georef=georef,
        reference_version=None if permanent is None else VERSION,
        block=by.block,
        levels=by.levels,
        entropy=grade(nats, seen, by.block, by.entropy),
        epistemic=grade(nats / 9, seen, by.block, by.epistemic),
        entropy_levels=by.entropy.values,
        epistemic_levels=by.epistemic.values,
        statistics=summarise(mask, nats, nats / 9, nats, georef, beyond),
        regions=divide(mask, nats, nats / 9, beyond),
    )


def same(back: Product, sent: Product) -> None:
    for field in dataclasses.fields(Product):
        a, b = getattr(back, field.name), getattr(sent, field.name)
        if isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b)
        elif field.name not in ("product_id", "tables_id", "guided"):
            assert a == b, field.name


MASK = blobs(70, 90, 4)
PERMANENT = np.roll(MASK == 1, 3, 1)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 50), st.booleans())
@settings(max_examples=30, deadline=None)
def test_round_trip(height, width, seed, guided):
    mask = blobs(height, width, seed)
    permanent = np.roll(mask == 1, 1, 0) if guided else None
    sent = coded_product(mask, permanent=permanent)
    back = unpack(pack(sent, BY, permanent), Known(permanent) if guided else None)
    same(back, sent)
    assert (back.tables_id, back.guided) == (BY.tables_id, guided)


@pytest.mark.parametrize("value", [0, 1, 2, 255])
def test_a_frame_of_one_class(value):
    sent = coded_product(np.full((40, 50), value, np.uint8))
    same(unpack(pack(sent, BY)), sent)


def test_regions_are_carried():
    sent = coded_product(blobs(300, 280, 2), permanent=blobs(300, 280, 3) == 1)
    back = unpack(pack(sent, BY))
    assert sent.regions is not None
    assert back.regions == sent.regions
    assert len(back.region_table) == 4


def test_packing_again_gives_the_same_bytes():
    data = pack(coded_product(MASK), BY)
    assert pack(unpack(data), BY) == data


def test_a_guided_product_without_its_reference_names_it():
    data = pack(coded_product(MASK, permanent=PERMANENT), BY, PERMANENT)
    with pytest.raises(OtherReferenceError, match=f"{VERSION.hex()}; give that reference"):
        unpack(data)


def test_a_reference_of_another_version_is_refused():
    data = pack(coded_product(MASK, permanent=PERMANENT), BY, PERMANENT)
    with pytest.raises(OtherReferenceError, match=f"is {bytes(16).hex()}; give the one that flew"):
        unpack(data, Known(PERMANENT, bytes(16)))


def test_a_reference_that_falls_elsewhere_is_refused():
    data = pack(coded_product(MASK, permanent=PERMANENT), BY, PERMANENT)
    with pytest.raises(OtherReferenceError, match="lies elsewhere on the product's grid"):
        unpack(data, Known(np.roll(PERMANENT, 1, 0)))


def test_a_product_that_is_not_guided_needs_no_reference():
    data = pack(coded_product(MASK, permanent=PERMANENT), BY)
    assert unpack(data).subject == "flood"
    assert not unpack(data).guided


def test_tables_that_are_not_known_name_the_cure(monkeypatch):
    data = pack(coded_product(MASK), BY)
    monkeypatch.setattr(tables, "_LEARNT", {})
    with pytest.raises(ProductError, match=f"tables {BY.tables_id.hex()}, unknown here"):
        unpack(data)


@pytest.mark.parametrize(
    "changes",
    [{"block": 16, "entropy": 0, "epistemic": 0}, {"entropy_levels": (0.1, 0.2, 0.3, 0.4)}],
)
def test_a_product_that_the_tables_cannot_code_is_refused(changes):
    sent = coded_product(MASK)
    if "block" in changes:
        small = np.zeros((5, 6), np.uint8)
        changes = {"block": 16, "entropy": small, "epistemic": small}
    with pytest.raises(ProductError, match="tables"):
        pack(dataclasses.replace(sent, **changes), BY)


def test_a_guide_needs_tables_and_a_version():
    with pytest.raises(ProductError, match="guide goes with tables"):
        pack(coded_product(MASK, permanent=PERMANENT), None, PERMANENT)
    with pytest.raises(ProductError, match="reference's version"):
        pack(coded_product(MASK), BY, PERMANENT)
    with pytest.raises(ProductError, match="another size"):
        pack(coded_product(MASK, permanent=PERMANENT), BY, PERMANENT[1:])


SMALL = pack(coded_product(blobs(20, 24, 1)), BY)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_sealed_garbage_never_crashes(data):
    read_or_refused(data, SMALL, first=5)


def test_words_behind_the_stream_are_refused():
    with pytest.raises(ProductError, match=r"behind its coded stream|makes no sense"):
        unpack(resealed(SMALL[:-16] + bytes(range(1, 65))))


def test_the_header_is_not_inflated_beyond_its_limit():
    by = BY
    bomb = product.deflate(bytes(2**20), by.dictionary)
    head = struct.pack(">4sBBHI", b"FSPR", 2, 4, 8 + len(bomb), 0)
    with pytest.raises(ProductError, match="longer or shorter"):
        unpack(resealed(head + by.tables_id + bomb))


def test_a_huge_frame_is_refused_before_anything_is_allocated(monkeypatch):
    def never(*args: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(product_stream, "decode", never)
    sent = coded_product(MASK)
    header = product.product_header.items_of(sent)
    header = {k: v for k, v in header.items() if v is not None and k not in (18, 19, 29)}
    header[13] = header[14] = 65_535
    import cbor2

    packed = product.deflate(cbor2.dumps(header, canonical=True), BY.dictionary)
    head = struct.pack(">4sBBHI", b"FSPR", 2, 6, 8 + len(packed), 0)
    with pytest.raises(ProductError, match="pixels are more"):
        unpack(resealed(head + BY.tables_id + packed))


def test_products_are_decoded_alike_everywhere():
    # Coded once, by the shipped tables; every environment must give these rasters.
    by = tables.find(tables.identify(make_vectors.SHIPPED.read_bytes()))
    sent, permanent = make_vectors.product(by), make_vectors.permanent()
    same(unpack(make_vectors.GUIDED.read_bytes(), Known(permanent)), sent)
    same(unpack(make_vectors.ALONE.read_bytes()), sent)


def test_rasters_are_coded_alike_everywhere():
    by = tables.find(tables.identify(make_vectors.SHIPPED.read_bytes()))
    sent = make_vectors.product(by)
    for guide, path in (
        (product_stream.guide_of(make_vectors.permanent()), make_vectors.GUIDED),
        (None, make_vectors.ALONE),
    ):
        stream = product_stream.encode(sent, by, guide)
        # The header is deflated, and releases of zlib may do so otherwise.
        assert path.read_bytes().endswith(stream + path.read_bytes()[-16:])
