from __future__ import annotations

import lzma
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onboard.coding import (
    MAP_CODINGS,
    MASK_CODINGS,
    Coding,
    Section,
    decode_map,
    decode_mask,
    encode_map,
    encode_mask,
    max_changes,
)
from onboard.errors import ProductError
from tests.products import blobs

shapes = st.tuples(st.integers(1, 40), st.integers(1, 40))
seeds = st.integers(0, 2**31)


def compressed(data: bytes) -> bytes:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 1 << 20}]
    return lzma.compress(data, lzma.FORMAT_RAW, filters=filters)


def rivers(side: int, seed: int) -> np.ndarray:
    """Three rivers whose banks walk at random, as real outlines do."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((side, side), np.uint8)
    columns = np.arange(side)
    for middle in (0.2, 0.5, 0.8):
        left = middle * side + rng.integers(-1, 2, side).cumsum()
        right = left + 30 + rng.integers(-1, 2, side).cumsum()
        mask[(columns >= left[:, None]) & (columns < right[:, None])] = 1
    return mask


@given(shapes, seeds, st.integers(1, 4))
def test_any_mask_round_trips(shape, seed, kinds):
    classes = np.array([0, 1, 2, 255], np.uint8)[:kinds]
    mask = np.random.default_rng(seed).choice(classes, size=shape)
    back = decode_mask(encode_mask(mask), shape)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, mask)


@given(st.integers(3, 200), st.integers(3, 200), seeds)
def test_calm_masks_round_trip(height, width, seed):
    mask = blobs(height, width, seed)
    np.testing.assert_array_equal(decode_mask(encode_mask(mask), mask.shape), mask)


@given(shapes, seeds, st.sampled_from([1, 3, 256]))
def test_any_map_round_trips(shape, seed, spread):
    codes = np.random.default_rng(seed).integers(0, spread, size=shape).astype(np.uint8)
    np.testing.assert_array_equal(decode_map(encode_map(codes), shape), codes)


def test_each_mask_coding_is_chosen_somewhere():
    rng = np.random.default_rng(0)
    noise = rng.choice(np.array([0, 1, 2, 255], np.uint8), size=(64, 64))
    stripes = np.tile(np.array([0, 1], np.uint8), (64, 32))
    stripes[::2] ^= 1
    masks = [noise, stripes, rivers(256, 1)]
    chosen = {encode_mask(mask).coding for mask in masks}
    assert chosen == set(MASK_CODINGS)


def test_each_map_coding_is_chosen_somewhere():
    rng = np.random.default_rng(0)
    ramp = (np.arange(60) * 4)[None, :] + np.zeros((60, 1))
    maps = [rng.integers(0, 256, (9, 9)), rng.choice([3, 200], (60, 60)), ramp]
    chosen = {encode_map(values.astype(np.uint8)).coding for values in maps}
    assert chosen == set(MAP_CODINGS)


def test_changes_beat_planes_on_a_calm_mask_of_many_pixels():
    mask = rivers(512, 3)
    section = encode_mask(mask)
    np.testing.assert_array_equal(decode_mask(section, mask.shape), mask)
    assert section.coding is Coding.CHANGES_LZMA
    planes = np.packbits(mask & 1).tobytes() + bytes(mask.size // 8)
    assert len(section.data) < len(compressed(planes))


def test_a_long_gap_needs_a_long_varint_and_round_trips():
    mask = np.zeros((600, 600), np.uint8)
    mask[-1, -1] = 1
    section = encode_mask(mask)
    np.testing.assert_array_equal(decode_mask(section, mask.shape), mask)
    plain = struct.pack(">I", 1) + bytes([0xBF, 0xFC, 0x15]) + b"\x40"
    assert 600 * 600 - 1 == 0x3F | 0x7C << 7 | 0x15 << 14
    by_hand = Section(Coding.CHANGES_LZMA, len(plain), compressed(plain))
    np.testing.assert_array_equal(decode_mask(by_hand, mask.shape), mask)


def test_golden_planes():
    mask = np.array([[0, 1, 2, 255], [1, 1, 0, 0], [0, 0, 0, 0]], np.uint8)
    assert encode_mask(mask) == (Coding.PLANES, 4, bytes.fromhex("5c003000"))


@pytest.mark.parametrize("value", [3, 4, 127, 254])
def test_a_value_that_is_no_class_is_refused(value):
    mask = np.zeros((3, 3), np.uint8)
    mask[1, 2] = value
    with pytest.raises(ProductError, match=f"value {value}, which is no class"):
        encode_mask(mask)


CHANGES_8X8 = struct.pack(">I", 1) + b"\x05" + b"\x40"


@pytest.mark.parametrize(
    ("coding", "plain", "data"),
    [
        (Coding.BYTES, 16, bytes(16)),
        (Coding.PLANES, 15, bytes(15)),
        (Coding.PLANES, 16, bytes(15)),
        (Coding.PLANES_LZMA, 17, compressed(bytes(17))),
        (Coding.PLANES_LZMA, 16, compressed(bytes(15))),
        (Coding.PLANES_LZMA, 16, compressed(bytes(17))),
        (Coding.PLANES_LZMA, 16, compressed(bytes(16))[:-1]),
        (Coding.PLANES_LZMA, 16, compressed(bytes(16)) + b"\0"),
        (Coding.PLANES_LZMA, 16, b""),
        (Coding.PLANES_LZMA, 16, b"\xff" * 20),
        (Coding.CHANGES_LZMA, 3, compressed(bytes(3))),
        (Coding.CHANGES_LZMA, 2**31, compressed(CHANGES_8X8)),
        (Coding.CHANGES_LZMA, 6, compressed(struct.pack(">I", 9) + b"\0\0")),
        (Coding.CHANGES_LZMA, 6, compressed(struct.pack(">I", 2**32 - 1) + b"\0\0")),
        (Coding.CHANGES_LZMA, 6, compressed(struct.pack(">I", 1) + b"\x40\x40")),
        (Coding.CHANGES_LZMA, 6, compressed(struct.pack(">I", 1) + b"\x05\x00")),
        (Coding.CHANGES_LZMA, 6, compressed(struct.pack(">I", 1) + b"\x05\x50")),
        (Coding.CHANGES_LZMA, 6, compressed(struct.pack(">I", 1) + b"\x85\x40")),
        (Coding.CHANGES_LZMA, 7, compressed(struct.pack(">I", 1) + b"\x05\x05\x40")),
        (Coding.CHANGES_LZMA, 11, compressed(struct.pack(">I", 1) + b"\x80" * 5 + b"\0\x40")),
    ],
)
def test_sections_that_no_encoder_makes_are_refused(coding, plain, data):
    with pytest.raises(ProductError):
        decode_mask(Section(coding, plain, data), (8, 8))


def test_the_good_twin_of_those_sections_is_accepted():
    section = Section(Coding.CHANGES_LZMA, len(CHANGES_8X8), compressed(CHANGES_8X8))
    mask = decode_mask(section, (8, 8))
    assert mask[:, 5].all()
    assert mask.sum() == 8


def test_padding_bits_must_be_zero():
    with pytest.raises(ProductError, match="unused bits"):
        decode_mask(Section(Coding.PLANES, 4, bytes.fromhex("5c013000")), (3, 4))


def test_decompression_stops_at_the_promised_length():
    bomb = compressed(bytes(50_000_000))
    assert len(bomb) < 10_000
    with pytest.raises(ProductError, match="promises"):
        decode_map(Section(Coding.BYTES_LZMA, 64, bomb), (8, 8))


def test_a_promise_beyond_the_raster_is_refused_before_decompression():
    with pytest.raises(ProductError, match="promises 50000000 bytes"):
        decode_map(Section(Coding.BYTES_LZMA, 50_000_000, b""), (8, 8))


def test_a_map_with_a_mask_coding_is_refused():
    with pytest.raises(ProductError, match="coding 0"):
        decode_map(Section(Coding.PLANES, 64, bytes(64)), (8, 8))


def test_max_changes_is_one_in_eight():
    assert max_changes((8, 9)) == 9


@pytest.mark.parametrize("one", list(Coding))
def test_str_of_every_coding(one):
    assert str(one)
    assert one.name in repr(one)
