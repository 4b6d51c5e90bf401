from __future__ import annotations

import dataclasses
import hashlib
import math
import struct
from pathlib import Path

import cbor2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from onboard import product as products
from onboard.conditions import Condition, condition_names
from onboard.errors import ProductError
from onboard.georef import IDENTITY, Georef
from onboard.product import (
    EPISTEMIC_POWER,
    LN2,
    Product,
    Statistics,
    TimeQuality,
    dequantise,
    observed_pixels,
    pack,
    pixel_area_m2,
    quantise,
    summarise,
    unpack,
)
from onboard.reduced import Regions, Scale, divide, grade
from tests.products import blobs, make_product, read_or_refused, resealed

SMALL = pack(make_product(mask=blobs(6, 7, 2)))
WKT = 'PROJCS["local",' + "x" * 900 + "]"


def with_header(data: bytes, header: bytes) -> bytes:
    old = struct.unpack(">H", data[6:8])[0]
    return resealed(
        data[:6] + struct.pack(">H", len(header)) + data[8:12] + header + data[12 + old : -16]
    )


def header_of(data: bytes) -> dict:
    return cbor2.loads(data[12 : 12 + struct.unpack(">H", data[6:8])[0]])


def edited(data: bytes, **changes) -> bytes:
    header = header_of(data)
    header.update({int(key[1:]): value for key, value in changes.items()})
    return with_header(data, cbor2.dumps(header, canonical=True))


def same(one: Product, two: Product) -> None:
    for field in dataclasses.fields(Product):
        a, b = getattr(one, field.name), getattr(two, field.name)
        if isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype
        elif field.name != "product_id":
            assert a == b, field.name


# --- round trips ---


@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 2**30), st.integers(1, 20))
def test_round_trip_of_any_size(height, width, seed, block):
    product = make_product(seed, mask=blobs(height, width, seed), block=block)
    data = pack(product)
    back = unpack(data)
    same(product, back)
    assert back.product_id == hashlib.sha256(data[:-16]).digest()[:16] == data[-16:]
    assert pack(back) == data


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(
    seed=st.integers(0, 2**64 - 1),
    passes=st.integers(1, 65535),
    acquired_ms=st.none() | st.integers(-(2**53), 2**53),
    acquired_quality=st.sampled_from(list(TimeQuality)),
    reference_version=st.none() | st.binary(min_size=1, max_size=32),
    water_threshold=st.floats(0, 1),
    cloud_threshold=st.floats(0, 1),
    operating_point=st.text(max_size=50),
    geolocation_sigma_m=st.none() | st.floats(0, 1e9),
)
def test_round_trip_of_any_field(**fields):
    product = make_product(mask=blobs(5, 4, 1), **fields)
    same(product, unpack(pack(product)))


@given(
    st.tuples(finite, finite, finite, finite, finite, finite),
    st.sampled_from(["", WKT, "EPSG:3413"]),
)
def test_round_trip_of_any_grid(transform, crs):
    a, b, _, d, e, _ = transform
    assume(not crs or a * e - b * d != 0)
    product = make_product(mask=blobs(5, 4, 1))
    product = dataclasses.replace(product, georef=Georef(4, 5, crs, transform))
    same(product, unpack(pack(product)))


@pytest.mark.parametrize(
    "transform", [(0.0,) * 6, (1.0, 2.0, 0.0, 2.0, 4.0, 0.0), (1e-4, 0.0, 0.0, 0.0, -1e-4, 95.0)]
)
def test_a_geolocation_that_is_nonsense_is_refused(transform):
    with pytest.raises(ProductError, match="geolocation is nonsense"):
        make_product(mask=blobs(5, 4, 1), georef=Georef(4, 5, "EPSG:4326", transform))


def test_packing_is_deterministic():
    assert pack(make_product(5)) == pack(make_product(5))


def test_golden_bytes():
    product = make_product(
        mask=np.array([[0, 1], [2, 255]], np.uint8),
        georef=Georef(2, 2),
        acquired_ms=None,
        geolocation_sigma_m=None,
        entropy=np.array([[7]], np.uint8),
        epistemic=np.array([[1]], np.uint8),
        statistics=Statistics(1, 1, 1, 1),
    )
    assert (
        pack(product).hex()
        == (
            "46535052020000a8000000e6"
            "b10158200000000000000000000000000000000000000000000000000000000000000000"
            "025820000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
            "036d73656e74696e656c325f6c3163046d74666c69746520322e31322e300507061008010af9"
            "38000bfb3fd999999999999a0c6862616c616e6365640d020e020f601086f93c00f90000f90000f9"
            "0000f93c00f900001208131840148401010101"
        )
        + ("01000000000200000002503002100000000100000001070310000000010000000101")
        + hashlib.sha256(pack(product)[:-16]).hexdigest()[:32]
    )


# --- meaning ---


def test_without_a_reference_it_is_water_and_never_flood():
    assert make_product(reference_version=None).subject == "water"
    flood = unpack(pack(make_product(reference_version=b"\x01")))
    assert flood.subject == "flood"
    assert flood.statistics.flood is not None
    with pytest.raises(ProductError, match="flood is counted where there is a reference"):
        make_product(statistics=flood.statistics)
    assert pack(flood)[5] & products.FLAG_FLOOD
    assert not pack(make_product())[5] & products.FLAG_FLOOD


def test_stem_is_the_short_id():
    product = unpack(SMALL)
    assert product.stem == SMALL[-16:].hex()[:12]


@pytest.mark.parametrize("quality", list(TimeQuality))
def test_str_and_text_of_every_time_quality(quality):
    assert str(quality)
    assert quality.text


def test_quantise_averages_observed_pixels_only():
    nats = np.array([[0.0, 0.6], [0.3, np.nan]], np.float32)
    observed = np.array([[True, False], [True, False]])
    codes = quantise(nats, observed, block=2, levels=64)
    assert codes.tolist() == [[round(0.15 / LN2 * 63)]]


def test_quantise_marks_what_was_not_observed():
    codes = quantise(np.zeros((4, 9)), np.arange(36).reshape(4, 9) % 9 >= 8, block=4)
    assert codes.tolist() == [[255, 255, 0]]
    assert np.isnan(dequantise(codes)).tolist() == [[True, True, False]]


@given(
    st.integers(1, 30),
    st.integers(1, 30),
    st.integers(1, 9),
    st.integers(2, 255),
    st.integers(0, 99),
)
def test_quantise_equals_the_plain_loop(height, width, block, levels, seed):
    rng = np.random.default_rng(seed)
    nats = rng.uniform(0, LN2, (height, width))
    observed = rng.random((height, width)) < 0.6
    codes = quantise(nats, observed, block, levels)
    for row in range(codes.shape[0]):
        for column in range(codes.shape[1]):
            where = np.s_[row * block : (row + 1) * block, column * block : (column + 1) * block]
            values = nats[where][observed[where]]
            if not values.size:
                assert codes[row, column] == 255
                continue
            step = LN2 / (levels - 1)
            assert abs(dequantise(codes, levels)[row, column] - values.mean()) <= step / 2 + 1e-6


def test_quantise_clips_to_its_levels():
    seen = np.ones((1, 2), bool)
    assert quantise(np.array([[-1e-9, LN2 + 1e-6]]), seen, 1, 255).tolist() == [[0, 254]]


def test_small_values_survive_uneven_steps():
    nats = np.full((8, 8), 0.0006)
    seen = np.ones((8, 8), bool)
    assert quantise(nats, seen).tolist() == [[0]]
    codes = quantise(nats, seen, power=EPISTEMIC_POWER)
    assert dequantise(codes, power=EPISTEMIC_POWER)[0, 0] == pytest.approx(0.0006, rel=0.25)
    for power in (1, 2):
        ends = quantise(np.array([[0.0, LN2]]), np.ones((1, 2), bool), 1, 64, power)
        assert dequantise(ends, 64, power).tolist() == [[0, pytest.approx(LN2)]]


def test_summary_counts_and_averages_observed_pixels():
    mask = np.array([[0, 1, 1], [2, 255, 1]], np.uint8)
    nats = np.array([[0.1, 0.2, 0.3], [np.nan, np.nan, 0.2]], np.float32)
    georef = Georef(3, 2, "EPSG:32606", (20.0, 0.0, 0.0, 0.0, -10.0, 0.0))
    found = summarise(mask, nats, nats / 2, nats, georef)
    assert (found.land, found.water, found.cloud, found.nodata) == (1, 3, 1, 1)
    assert (found.pixels, found.observed) == (6, 4)
    assert found.water_area_m2 == 600.0
    assert found.mean_entropy == pytest.approx(0.2)
    assert found.mean_epistemic == pytest.approx(0.1)


def test_summary_of_a_frame_that_saw_nothing():
    mask = np.full((2, 2), 2, np.uint8)
    nats = np.full((2, 2), np.nan, np.float32)
    found = summarise(mask, nats, nats, nats, Georef(2, 2))
    assert found == Statistics(0, 0, 4, 0)


@pytest.mark.parametrize(
    ("crs", "area"),
    [
        ("EPSG:32606", 200.0),
        ("EPSG:3413", 200.0),
        ("EPSG:4326", None),
        ("EPSG:3857", None),
        ("", None),
    ],
)
def test_pixel_area_needs_a_grid_in_metres(crs, area):
    assert pixel_area_m2(Georef(2, 2, crs, (20.0, 0.0, 0.0, 0.0, -10.0, 0.0))) == area


def test_pixel_area_in_feet_is_in_metres():
    feet = pixel_area_m2(Georef(2, 2, "EPSG:2263", (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)))
    assert feet == pytest.approx(0.3048**2, rel=1e-4)


def test_observed_pixels():
    assert observed_pixels(np.array([[0, 1, 2, 255]], np.uint8)).tolist() == [
        [True, True, False, False]
    ]


# --- limits ---


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("scene_id", [bytes(32)], [bytes(31), bytes(33), b"", "x" * 32]),
        ("model_id", [bytes(32)], [bytes(31), bytes(33)]),
        ("sensor", ["", "x" * 4096], ["x" * 4097, "é" * 2049, b"s"]),
        ("engine", ["", "é"], [7]),
        ("seed", [0, 2**64 - 1], [-1, 2**64, 1.0, True]),
        ("passes", [1, 65535], [0, 65536, None]),
        ("acquired_ms", [None, -(2**53), 2**53], [2**53 + 1, 1.5]),
        ("acquired_quality", list(TimeQuality), [0, 4, "file"]),
        ("water_threshold", [0.0, 1.0], [-0.1, 1.1, math.nan, math.inf, None, 1]),
        ("cloud_threshold", [0.0, 1.0], [-0.1, 1.1, math.nan]),
        ("geolocation_sigma_m", [None, 0.0, 1e300], [-1.0, math.inf, math.nan]),
        ("block", [8], [0, 256]),
        ("levels", [64, 255], [1, 256]),
    ],
)
def test_boundaries_of_each_field(field, good, bad):
    product = make_product()
    for value in good:
        assert getattr(unpack(pack(dataclasses.replace(product, **{field: value}))), field) == value
    for value in bad:
        with pytest.raises(ProductError, match="cannot be made"):
            dataclasses.replace(product, **{field: value})


@pytest.mark.parametrize("version", [b"1", bytes(32)])
def test_a_reference_version_has_1_to_32_bytes(version):
    assert unpack(pack(make_product(reference_version=version))).reference_version == version
    for bad in (b"", bytes(33), "x"):
        with pytest.raises(ProductError, match="reference_version"):
            make_product(reference_version=bad)


@pytest.mark.parametrize("flood", [-1, 10_000, 1.0, True])
def test_flood_is_part_of_the_water(flood):
    product = make_product(reference_version=b"r")
    figures = dataclasses.replace(product.statistics, flood=flood)
    with pytest.raises(ProductError, match="flood"):
        dataclasses.replace(product, statistics=figures)


@pytest.mark.parametrize(
    "name", ["water_area_m2", "mean_entropy", "mean_epistemic", "mean_p_water"]
)
def test_boundaries_of_the_statistics(name):
    product = make_product()
    for value in (0.0, 1.0, None):
        figures = dataclasses.replace(product.statistics, **{name: value})
        back = unpack(pack(dataclasses.replace(product, statistics=figures)))
        assert getattr(back.statistics, name) == value
    for value in (-0.01, math.nan, math.inf):
        figures = dataclasses.replace(product.statistics, **{name: value})
        with pytest.raises(ProductError, match=name):
            dataclasses.replace(product, statistics=figures)


def test_counts_must_be_those_of_the_mask():
    product = make_product()
    wrong = dataclasses.replace(product.statistics, land=product.statistics.land + 1)
    with pytest.raises(ProductError, match="class counts"):
        dataclasses.replace(product, statistics=wrong)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("mask", np.zeros((24, 32), np.uint8), "mask is"),
        ("mask", np.zeros((24, 33), np.int16), "must be uint8"),
        ("entropy", np.zeros((3, 4), np.uint8), "entropy is"),
        ("epistemic", np.full((3, 5), 64, np.uint8), "beyond its 64 levels"),
        ("georef", Georef(33, 24, "", (math.nan, 0.0, 0.0, 0.0, 1.0, 0.0)), "transform"),
        ("georef", Georef(65536, 1), "width"),
        ("georef", Georef(65535, 65535), "pixels are more"),
    ],
)
def test_rasters_and_grids_must_fit(field, value, words):
    with pytest.raises(ProductError, match=words):
        dataclasses.replace(make_product(), **{field: value})


def test_a_header_that_is_too_long_is_refused():
    product = make_product(sensor="x" * 4096, engine="y" * 4096)
    with pytest.raises(ProductError, match="its header has"):
        pack(product)


# --- refusals ---


def test_every_truncation_is_refused():
    for size in range(len(SMALL)):
        with pytest.raises(ProductError):
            unpack(SMALL[:size])


def test_every_flipped_bit_is_refused():
    for place in range(8 * len(SMALL)):
        wrong = bytearray(SMALL)
        wrong[place // 8] ^= 0x80 >> place % 8
        with pytest.raises(ProductError):
            unpack(bytes(wrong))


@pytest.mark.parametrize("extra", [b"\0", b"x" * 40])
def test_bytes_behind_the_end_are_refused(extra):
    with pytest.raises(ProductError, match="receive it again"):
        unpack(SMALL + extra)


def test_a_newer_version_names_the_cure():
    newer = resealed(SMALL[:4] + b"\x03" + SMALL[5:-16])
    with pytest.raises(ProductError, match=r"version 3.*update FloodSat on the ground"):
        unpack(newer)


def test_an_unknown_coding_names_the_cure():
    section = 12 + struct.unpack(">H", SMALL[6:8])[0]
    wrong = resealed(SMALL[: section + 1] + b"\x63" + SMALL[section + 2 : -16])
    with pytest.raises(ProductError, match=r"coding 99.*update FloodSat on the ground"):
        unpack(wrong)


def test_other_files_are_no_product():
    with pytest.raises(ProductError, match="no FloodSat product"):
        unpack(b"II*\0" + bytes(100))


@pytest.mark.parametrize(
    "changes",
    [
        {"_13": 65535, "_14": 65535},
        {"_13": 0},
        {"_13": True},
        {"_14": 7},
        {"_18": 0},
        {"_18": 10**30},
        {"_16": [1.0] * 5},
        {"_16": "abcdef"},
        {"_16": [1, 0, 0, 0, 1, 0]},
        {"_20": [1, 2, 3]},
        {"_20": [42, 0, 0, 0]},
        {"_1": bytes(31)},
        {"_8": 9},
        {"_10": math.nan},
        {"_15": 5},
        {"_15": ""},
        {"_9": b"reference"},
        {"_7": 1.5},
    ],
)
def test_a_sealed_product_with_a_wrong_header_is_refused(changes):
    with pytest.raises(ProductError):
        unpack(edited(SMALL, **changes))


@pytest.mark.parametrize("key", sorted(set(header_of(SMALL)) - {7, 17, 21, 22, 23, 24}))
def test_each_needed_field_is_needed(key):
    header = header_of(SMALL)
    del header[key]
    with pytest.raises(ProductError, match=r"field|flags"):
        unpack(with_header(SMALL, cbor2.dumps(header, canonical=True)))


def test_unknown_keys_are_ignored():
    same(unpack(SMALL), unpack(edited(SMALL, _99=["later", {"more": 1}])))


@pytest.mark.parametrize(
    "header",
    [b"", b"\xff", b"\x80", b"\xa0", b"\x5b" + b"\x7f" * 8, b"\xc5\x82\x1a\x3b\x9a\xca\x00\x01"],
)
def test_a_header_that_is_no_map_is_refused(header):
    with pytest.raises(ProductError):
        unpack(with_header(SMALL, header))


def test_a_header_in_another_encoding_is_refused():
    header = dict(reversed(list(header_of(SMALL).items())))
    with pytest.raises(ProductError, match="canonical"):
        unpack(with_header(SMALL, cbor2.dumps(header)))


def test_a_huge_frame_is_refused_before_anything_is_allocated(monkeypatch):
    def never(*args: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(products, "decode_mask", never)
    with pytest.raises(ProductError, match="pixels are more"):
        unpack(edited(SMALL, _13=65535, _14=65535))


@given(st.data())
def test_sealed_garbage_never_crashes(data):
    read_or_refused(data, SMALL, first=12)


def test_identity_grid_is_not_located():
    product = unpack(pack(make_product(mask=blobs(4, 4, 1), georef=Georef(4, 4))))
    assert not product.georef.located
    assert product.georef.transform == IDENTITY


def test_the_errors_of_time_and_the_conditions_are_carried_on():
    flags = Condition.LOW_SUN | Condition.CORRECTED
    found = unpack(pack(make_product(acquired_sigma_s=0.25, conditions=flags)))
    assert (found.acquired_sigma_s, found.conditions) == (0.25, flags)


def test_conditions_of_later_software_are_kept():
    later = unpack(pack(make_product(conditions=Condition(1 | 2**20))))
    assert int(later.conditions) == 1 | 2**20
    assert condition_names(later.conditions) == ("dark",)


def test_a_product_of_before_the_conditions_reads_and_repacks_as_it_was():
    # Without them the bytes are those of earlier software: keys 27 and 28 are not there.
    plain = pack(make_product(acquired_sigma_s=None, conditions=Condition(0)))
    header = plain[12 : 12 + struct.unpack(">H", plain[6:8])[0]]
    assert not {27, 28} & set(cbor2.loads(header))
    found = unpack(plain)
    assert (found.acquired_sigma_s, found.conditions) == (None, Condition(0))


@pytest.mark.parametrize(
    "changes",
    [{"acquired_sigma_s": -1.0}, {"acquired_sigma_s": math.nan}, {"conditions": Condition(2**32)}],
)
def test_conditions_and_errors_of_time_have_limits(changes):
    with pytest.raises(ProductError):
        make_product(**changes)


def test_version_1_is_still_read():
    # Made by the software before version 2: make_product(3, reference_version=bytes(range(16)),
    # acquired_sigma_s=0.5) of tests/products.py.
    data = (Path(__file__).parent / "vectors" / "product-v1.fsp").read_bytes()
    found = unpack(data)
    again = make_product(3, reference_version=bytes(range(16)), acquired_sigma_s=0.5)
    assert (found.version, found.product_id) == (1, data[-16:])
    assert (found.regions, found.tables_id, found.guided) == (None, b"", False)
    np.testing.assert_array_equal(found.mask, again.mask)
    np.testing.assert_array_equal(found.entropy, again.entropy)
    # Version 1 wrote means in double precision.
    assert dataclasses.astuple(found.statistics) == pytest.approx(
        dataclasses.astuple(again.statistics), rel=1e-7
    )
    later = unpack(pack(found))
    assert later.version == products.FORMAT_VERSION
    np.testing.assert_array_equal(later.mask, found.mask)


def test_no_bytes_at_all_are_refused_in_one_line():
    with pytest.raises(ProductError, match="no bytes at all; receive the product again"):
        unpack(b"")


def test_regions_are_carried_and_told():
    mask = blobs(300, 400, 3)
    nats = np.linspace(0, 0.69, mask.size, dtype=np.float32).reshape(mask.shape)
    beyond = np.arange(300)[:, None] + np.zeros(400) >= 150
    regions = divide(mask, nats, nats / 10, beyond)
    assert regions is not None
    product = make_product(
        mask=mask,
        reference_version=bytes(16),
        regions=regions,
        statistics=summarise(mask, nats, nats / 10, nats, Georef(400, 300), beyond),
        georef=Georef(400, 300),
    )
    found = unpack(pack(product)).region_table
    assert [one[:4] for one in found] == [
        (0, 0, 256, 256),
        (0, 256, 256, 144),
        (256, 0, 44, 256),
        (256, 256, 44, 144),
    ]
    for one in found:
        part = mask[one.row :, one.col :][: one.height, : one.width]
        seen = observed_pixels(part)
        inside = nats[one.row :, one.col :][: one.height, : one.width][seen]
        own = beyond[one.row :, one.col :][: one.height, : one.width]
        assert (one.water, one.cloud) == ((part == 1).sum(), (part == 2).sum())
        assert one.flood == ((part == 1) & own).sum()
        assert one.mean_entropy == pytest.approx(inside.mean(), abs=0.006)
        assert one.mean_epistemic == pytest.approx(inside.mean() / 10, abs=0.002)


def test_a_frame_of_one_region_names_none():
    mask = blobs(256, 200, 3)
    assert divide(mask, np.zeros(mask.shape), np.zeros(mask.shape)) is None
    assert unpack(SMALL).region_table == ()


@pytest.mark.parametrize(
    "regions",
    [
        Regions(0, b"\0", b"\0"),
        Regions(64, b"\0\0", b"\0"),
        Regions(64, b"\0", b"\0", (0,)),
        Regions(1, bytes(1200), bytes(1200)),
    ],
)
def test_regions_that_do_not_fit_are_refused(regions):
    with pytest.raises(ProductError, match="cannot be made"):
        make_product(mask=blobs(30, 40, 1), regions=regions)


def test_levels_of_their_own_stand_for_their_nats():
    mask = blobs(32, 32, 2)
    nats = np.linspace(0, 0.6, mask.size, dtype=np.float32).reshape(mask.shape)
    scale = Scale((0.125, 0.25), (0.05, 0.2, 0.45))
    codes = grade(nats, observed_pixels(mask), 16, scale)
    product = make_product(
        mask=mask,
        block=16,
        levels=3,
        entropy=codes,
        epistemic=codes,
        entropy_levels=scale.values,
        epistemic_levels=scale.values,
    )
    found = unpack(pack(product))
    np.testing.assert_array_equal(found.entropy_nats, np.float32(scale.values)[codes])
    np.testing.assert_array_equal(found.epistemic_nats, np.float32(scale.values)[codes])
    # The level of a mean counts the edges that it reaches.
    edge = np.full((16, 16), 0.25)
    assert grade(edge, np.ones(edge.shape, bool), 16, scale).tolist() == [[2]]
    hidden = grade(edge, np.zeros(edge.shape, bool), 16, scale)
    assert hidden.tolist() == [[products.NOT_OBSERVED]]
