from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onboard import entropy, outlines
from onboard.entropy import Reader, Writer
from onboard.errors import ProductError
from onboard.outlines import Known
from tests.onboard.netting import random_net
from tests.products import blobs

ALONE, GUIDED = (random_net(outlines.inputs(guided), 1) for guided in (False, True))


def coded(bits: np.ndarray, known: Known) -> bytes:
    writer = Writer()
    outlines.encode(writer, bits, known, GUIDED if known.guide is not None else ALONE)
    return writer.finish()


def decoded(data: bytes, known: Known) -> np.ndarray:
    return outlines.decode(Reader(data), known, GUIDED if known.guide is not None else ALONE)


def open_plane(height: int, width: int) -> Known:
    return Known(np.zeros((height, width), np.uint8))


def one_by_one(bits: np.ndarray, known: Known) -> tuple[list[int], list[list[int]]]:
    """The document's rules, pixel by pixel: surprises, and in coding order what the net sees."""
    height, width = bits.shape
    guided = known.guide is not None

    def at(plane: np.ndarray, row: int, col: int, beyond: int) -> int:
        inside = 0 <= row < height and 0 <= col < width
        return int(plane[row, col]) if inside else beyond

    def nearest(row: int, col: int) -> int:
        return int(known.guide[min(max(row, 0), height - 1), min(max(col, 0), width - 1)])

    surprises, asked = [], []
    for row in range(height):
        for col in range(width):
            if known.closed[row, col]:
                continue
            before = [at(bits, row + r, col + c, 0) for r, c in outlines.BEFORE]
            guide = [nearest(row + r, col + c) for r, c in outlines.GUIDE] if guided else []
            quiet = len(set(before)) == 1 and len(set(guide)) <= 1
            if quiet and bits[row, col] != before[0]:
                surprises.append(row * width + col)
            if not quiet:
                around = [at(known.closed, row + r, col + c, 1) for r, c in outlines.AROUND]
                stripe, own = divmod(row, outlines.STRIPE)
                key = (stripe, col + outlines.SLOPE * own, own)
                asked.append((key, before + around + guide + [int(bits[row, col])]))
    return surprises, [seen for _, seen in sorted(asked)]


@pytest.mark.parametrize("guided", [False, True])
def test_what_is_coded_is_what_the_document_says(guided, monkeypatch):
    monkeypatch.setattr(outlines, "STRIPE", 16)
    mask = blobs(37, 45, 4)
    closed = (mask > 1).astype(np.uint8)
    water = (mask == 1).astype(np.uint8)
    known = Known(closed, np.roll(water, 2, 1) if guided else None)
    surprises, asked = one_by_one(water, known)
    seen, bits = outlines.contexts(water, known)
    assert np.column_stack([seen, bits]).astype(int).tolist() == asked
    canvas = outlines._Canvas(known, water)
    found = [outlines._Stripe(canvas, top).surprises for top in range(0, 37, 16)]
    assert np.concatenate(found).tolist() == surprises
    np.testing.assert_array_equal(decoded(coded(water, known), known), water)


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(0, 2**32),
    st.booleans(),
    st.sampled_from([1, 2, 5, 13]),
)
@settings(max_examples=60, deadline=None)
def test_round_trip_of_any_plane(height, width, seed, guided, grain):
    rng = np.random.default_rng(seed)

    def plane(share: float) -> np.ndarray:
        coarse = rng.random((-(-height // grain), -(-width // grain))) < share
        whole = coarse.repeat(grain, 0).repeat(grain, 1)
        return whole[:height, :width].astype(np.uint8)

    closed = plane(0.2)
    bits = plane(0.4) & (1 - closed)
    known = Known(closed, plane(0.4) if guided else None)
    np.testing.assert_array_equal(decoded(coded(bits, known), known), bits)


@pytest.mark.parametrize("height", [255, 256, 257, 600])
def test_stripes_meet(height):
    bits = (blobs(height, 30, 5) == 1).astype(np.uint8)
    known = open_plane(height, 30)
    np.testing.assert_array_equal(decoded(coded(bits, known), known), bits)


def test_an_area_without_outlines_costs_nothing():
    empty = np.zeros((700, 900), np.uint8)
    assert len(coded(empty, open_plane(700, 900))) <= 4
    seen, _ = outlines.contexts(empty, open_plane(700, 900))
    assert len(seen) == 0
    # All of it is one surprise, and its edges.
    whole, _ = outlines.contexts(empty + 1, open_plane(700, 900))
    assert len(whole) < 700 * 20


def test_what_the_guide_knows_is_asked_with_it():
    water = (blobs(60, 60, 6) == 1).astype(np.uint8)
    known = Known(np.zeros_like(water), water)
    other = Known(np.zeros_like(water), 1 - water)
    data = coded(water, known)
    np.testing.assert_array_equal(decoded(data, known), water)
    # What comes of it makes no sense; the coder may notice.
    with contextlib.suppress(ProductError):
        assert (decoded(data, other) != water).any()


@given(st.binary(min_size=0, max_size=64))
@settings(max_examples=60, deadline=None)
def test_garbage_decodes_to_a_plane_or_is_refused(data):
    known = open_plane(40, 50)
    try:
        found = decoded(data[: len(data) // 4 * 4], known)
    except ProductError:
        return
    assert found.shape == (40, 50)
    assert set(np.unique(found)) <= {0, 1}


def test_more_surprises_than_bits_are_refused():
    writer = Writer()
    writer.number(900)
    with pytest.raises(ProductError, match="surprises"):
        decoded(writer.finish(), open_plane(40, 50))


def test_surprises_beyond_the_last_pixel_are_refused():
    writer = Writer()
    writer.number(1)
    writer.even(np.ones(200, np.int32))
    with pytest.raises(ProductError, match="last pixel"):
        decoded(writer.finish(), open_plane(40, 50))


@given(st.lists(st.integers(0, 2**40), max_size=20), st.integers(0, 2**16 - 1))
def test_numbers_come_back(values, last):
    writer = Writer()
    for value in values:
        writer.number(value)
    writer.fixed(last, 16)
    reader = Reader(writer.finish())
    assert [reader.number() for _ in values] == values
    assert reader.fixed(16) == last
    assert reader.ended


def test_numbers_beyond_reason_are_refused():
    writer = Writer()
    writer.even(np.zeros(entropy.MAX_WIDTH + 4, np.int32))
    with pytest.raises(ProductError, match="beyond reason"):
        Reader(writer.finish()).number()


def test_a_stream_of_no_whole_words_is_refused():
    with pytest.raises(ProductError, match="whole number of words"):
        Reader(b"12345")
