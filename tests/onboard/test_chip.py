from __future__ import annotations

import contextlib
import dataclasses
import random
from pathlib import Path
from typing import Any

import cbor2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onboard import bundle, chip
from onboard.chip import Chip, cut, pack, steps, unpack
from onboard.errors import ProductError
from onboard.georef import Georef
from onboard.product import identify
from onboard.scene import Frame
from onboard.tiles import Tile
from tests.chips import make_chip
from tests.samples import BUNDLE, crop, write_frame


def same(one: Chip, other: Chip) -> bool:
    return pack(dataclasses.replace(one, chip_id=b"")) == pack(
        dataclasses.replace(other, chip_id=b"")
    )


@pytest.mark.parametrize("dtype", chip.TYPES)
def test_round_trip(dtype: str) -> None:
    one = make_chip(dtype=dtype)
    data = pack(one)
    back = unpack(data)
    assert back.chip_id == data[-16:]
    assert back.stem == data[-16:].hex()[:12]
    assert back.samples.dtype == one.samples.dtype
    for field in dataclasses.fields(Chip):
        name = field.name
        if name in ("samples", "mask"):
            np.testing.assert_array_equal(getattr(back, name), getattr(one, name))
        elif name != "chip_id":
            assert getattr(back, name) == getattr(one, name), name


@given(
    st.sampled_from(chip.TYPES),
    st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 5)),
    st.integers(0, 2**32),
    st.booleans(),
)
def test_any_bits_of_samples_come_back(
    kind: str, shape: tuple[int, int, int], seed: int, noise: bool
) -> None:
    rng = np.random.default_rng(seed)
    size = np.dtype(kind).itemsize
    count = int(np.prod(shape))
    raw = rng.bytes(count * size) if noise else rng.bytes(size) * count
    samples = np.frombuffer(raw, kind).reshape(shape)
    height, width, bands = shape
    one = make_chip(
        samples=samples,
        bands=tuple("abcde")[:bands],
        scales=(1.0,) * bands,
        offsets=(0.0,) * bands,
        georef=Georef(width, height),
        mask=np.zeros((height, width), np.uint8),
    )
    assert unpack(pack(one)).samples.tobytes() == raw


def test_real_looking_samples_take_less_than_half(tmp_path: Path) -> None:
    samples = crop(128, 128).transpose(1, 2, 0)
    mask = np.zeros((128, 128), np.uint8)
    one = make_chip(samples=np.ascontiguousarray(samples), mask=mask, georef=Georef(128, 128))
    assert len(pack(one)) < samples.nbytes / 2


def test_what_is_not_known_is_left_out() -> None:
    one = make_chip(acquired_ms=None, geolocation_sigma_m=None, georef=Georef(33, 24))
    back = unpack(pack(one))
    assert (back.acquired_ms, back.geolocation_sigma_m) == (None, None)
    assert not back.georef.located


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scene_id": b"short"}, "scene_id needs 32 bytes"),
        ({"samples": np.zeros((24, 33, 4), np.uint8)}, "samples are uint8"),
        ({"samples": np.zeros((24, 33, 3), np.uint16)}, "band names do not agree"),
        ({"samples": np.zeros((24, 32, 4), np.uint16)}, "grid and samples"),
        ({"mask": np.zeros((24, 32), np.uint8)}, "mask does not fit"),
        ({"scales": (1.0,) * 3}, "scale or offset"),
        ({"epistemic": float("nan")}, "not finite"),
        ({"worth": -1.0}, "negative"),
        ({"row": -1}, "begin at -1"),
        ({"acquired_ms": 1.5}, "acquired_ms"),
        ({"geolocation_sigma_m": -1.0}, "sigma"),
        ({"sensor": "x" * 5000}, "text"),
    ],
)
def test_what_makes_no_chip(changes: Any, said: str) -> None:
    with pytest.raises(ProductError, match=f"a chip cannot be made: .*{said}"):
        make_chip(**changes)


def test_a_mask_with_another_value_is_refused() -> None:
    with pytest.raises(ProductError, match="no class"):
        pack(make_chip(mask=np.full((24, 33), 7, np.uint8)))


DATA = pack(make_chip())


@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_one_wrong_byte_is_refused(place: int, change: int) -> None:
    data = bytearray(DATA)
    data[place] ^= change
    with pytest.raises(ProductError):
        unpack(bytes(data))


def test_cut_and_prolonged_chips_are_refused() -> None:
    for wrong in (b"", DATA[:10], DATA[:-1], DATA + b"\0"):
        with pytest.raises(ProductError):
            unpack(wrong)


def test_one_of_a_newer_version_names_the_cure() -> None:
    data = bytearray(DATA)
    data[4] = 2
    with pytest.raises(ProductError, match="update FloodSat on the ground"):
        unpack(bytes(data))


def sealed(body: bytes) -> bytes:
    """A chip with a right length and a right id, whatever it holds."""
    size = len(body) + 16
    body = body[:7] + size.to_bytes(4, "big") + body[11:]
    return body + identify(body)


def test_hostile_contents_end_in_a_whole_chip_or_in_our_error() -> None:
    rng = random.Random(5)
    whole = 0
    for _ in range(600):
        body = bytearray(DATA[:-16])
        for _ in range(rng.randint(1, 4)):
            body[rng.randrange(11, len(body))] = rng.randrange(256)
        with contextlib.suppress(ProductError):
            whole += unpack(sealed(bytes(body))).samples.shape == (24, 33, 4)
    # Samples may be any bits, so some of these are chips.
    assert 0 < whole < 600


@pytest.mark.parametrize(
    ("key", "value"),
    [(10, 2**40), (11, -1), (10, "wide"), (4, []), (5, "float64"), (4, None), (13, [1.0]), (6, 3)],
)
def test_headers_that_make_no_sense(key: int, value: Any) -> None:
    size = int.from_bytes(DATA[5:7], "big")
    header = cbor2.loads(DATA[11 : 11 + size])
    header[key] = value
    new = cbor2.dumps(header, canonical=True)
    head = DATA[:5] + len(new).to_bytes(2, "big") + DATA[7:11]
    with pytest.raises(ProductError):
        unpack(sealed(head + new + DATA[11 + size : -16]))


def test_a_chip_of_a_frame_has_its_samples_and_place(tmp_path: Path) -> None:
    sensor = bundle.load(BUNDLE, []).sensor
    samples = crop(60, 70)
    with Frame(write_frame(tmp_path / "f.tif", samples), sensor) as frame:
        classes = np.arange(60 * 70, dtype=np.int64).reshape(60, 70) % 3
        one = cut(
            frame,
            Tile(10, 20, 32, 40),
            classes.astype(np.uint8),
            scene_id=bytes(32),
            model_id=bytes(32),
            acquired_ms=None,
            epistemic=0.1,
            worth=0.1,
        )
        np.testing.assert_array_equal(one.samples, samples[:, 10:42, 20:60].transpose(1, 2, 0))
        patch = frame.read(10, 20, 32, 40)
        np.testing.assert_allclose(one.reflectance, patch.reflectance, rtol=1e-6)
    assert one.bands == sensor.bands
    np.testing.assert_array_equal(one.mask, classes[10:42, 20:60])
    assert one.georef.transform == (30.0, 0.0, 600000.0 + 600, 0.0, -30.0, 2600000.0 - 300)
    assert (one.georef.height, one.georef.width) == (32, 40)


def test_calibrated_reflectance_goes_in_steps() -> None:
    values = np.array([0.1234, -0.2, 9.0, np.nan, np.inf], np.float32)
    assert steps(values).tolist() == [1234, -2000, 32767, 0, 32767]
    assert steps(values).dtype == np.int16


def test_a_chip_of_raw_counts_is_the_reflectance_that_was_seen() -> None:
    rng = np.random.default_rng(1)
    seen = rng.uniform(0, 1, (8, 9, 4)).astype(np.float32)

    class Calibrated:
        scaling = None
        georef = Georef(30, 20)
        sensor = bundle.load(BUNDLE, []).sensor
        capture = make_capture()

        def read(self, *window: int) -> Any:
            assert window == (3, 4, 8, 9)
            return type("Patch", (), {"reflectance": seen})()

    one = cut(
        Calibrated(),  # type: ignore[arg-type]
        Tile(3, 4, 8, 9),
        np.zeros((20, 30), np.uint8),
        scene_id=bytes(32),
        model_id=bytes(32),
        acquired_ms=None,
        epistemic=0.0,
        worth=0.0,
    )
    np.testing.assert_allclose(one.reflectance, seen, atol=0.51 * chip.STEP)
    assert one.geolocation_sigma_m == 25.0
    assert same(unpack(pack(one)), one)


def make_capture() -> Any:
    from onboard.capture import Capture

    return Capture(geolocation_sigma_m=25.0)
