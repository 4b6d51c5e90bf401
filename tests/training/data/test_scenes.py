from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onboard.errors import ConfigError, DatasetError
from tests.samples import write_frame
from training.chips import UNKNOWN
from training.data.scenes import (
    band_indices,
    check_bands,
    code_sen1floods11,
    code_worldfloods,
    cut,
)
from training.data.sources import S2_BANDS

HERE = Path("x.tif")
VNIR = ("blue", "green", "red", "nir")


def pieces(folder: Path, image: Any, label: Any, side: int = 128, **named: Any) -> list[Any]:
    one = write_frame(folder / "i.tif", image, bands=named.get("names"))
    two = write_frame(folder / "l.tif", label, bands=None)
    return list(cut(one, two, named.get("bands", VNIR), side, named.get("code", code_sen1floods11)))


def test_labels_of_sen1floods11() -> None:
    found = code_sen1floods11(np.array([[[-1, 0, 1]]], np.int16), HERE)
    assert found.tolist() == [[UNKNOWN, 0, 1]]
    assert found.dtype == np.uint8


def test_labels_of_worldfloods_in_two_bands() -> None:
    cloud = np.repeat([0, 1, 2], 3)[None]
    water = np.tile([0, 1, 2], 3)[None]
    found = code_worldfloods(np.stack([cloud, water]).astype(np.uint8), HERE)
    # invalid; clear: unlabelled, land, water; cloud whatever stands below
    assert found.tolist() == [[255, 255, 255, 255, 0, 1, 2, 2, 2]]


def test_labels_of_worldfloods_in_one_band() -> None:
    found = code_worldfloods(np.array([[[0, 1, 2, 3]]], np.uint8), HERE)
    assert found.tolist() == [[255, 0, 1, 2]]


@pytest.mark.parametrize(
    ("code", "values", "words"),
    [
        (code_sen1floods11, np.full((1, 2, 2), 2), "holds the value 2"),
        (code_sen1floods11, np.zeros((2, 2, 2)), "has 2 bands instead of 1"),
        (code_worldfloods, np.full((2, 2, 2), 3), "holds the value 3"),
        (code_worldfloods, np.full((1, 2, 2), 4), "holds the value 4"),
        (code_worldfloods, np.zeros((3, 2, 2)), "has 3 bands instead of 2"),
    ],
)
def test_labels_that_are_not_as_documented(code: Any, values: Any, words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        code(values, HERE)


def test_bands_by_name_or_by_place() -> None:
    turned = ("B8", "B4", "B3", "B2")
    assert band_indices(turned, VNIR, HERE) == [4, 3, 2, 1]
    assert band_indices([None] * 13, (*VNIR, "swir2"), HERE) == [2, 3, 4, 8, 13]
    assert band_indices((*S2_BANDS.values(), "QA60", "probability"), ("nir",), HERE) == [8]
    with pytest.raises(DatasetError, match="has 12 bands without names instead of Sentinel-2's 13"):
        band_indices([None] * 12, VNIR, HERE)


@pytest.mark.parametrize("bands", [("blue", "infrared"), ("blue", "blue"), ()])
def test_bands_that_are_none(bands: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError):
        check_bands(bands)


def test_a_small_scene_is_one_chip(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(1, 9000, (13, 40, 50)).astype(np.uint16)
    (only,) = pieces(tmp_path, image, np.zeros((1, 40, 50), np.int16))
    assert only.suffix == ""
    np.testing.assert_array_equal(only.image, image[[1, 2, 3, 7]])
    assert only.image.dtype == np.uint16


def test_a_large_scene_is_cut_without_gap_or_overlap(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(1, 9000, (13, 200, 300)).astype(np.uint16)
    label = np.random.default_rng(1).integers(0, 2, (1, 200, 300)).astype(np.int16)
    found = pieces(tmp_path, image, label)
    kept = {p.suffix: p for p in found if p is not None}
    # 300 leaves a sliver of 44 columns, which is dropped; 200 leaves 72 rows, which are kept.
    assert sorted(kept) == ["_r00000c00000", "_r00000c00128", "_r00128c00000", "_r00128c00128"]
    assert found.count(None) == 2
    last = kept["_r00128c00128"]
    assert last.label.shape == (72, 128)
    np.testing.assert_array_equal(last.image, image[[1, 2, 3, 7], 128:, 128:256])
    np.testing.assert_array_equal(last.label, label[0, 128:, 128:256])
    whole = kept["_r00000c00000"].transform
    assert (last.transform.c - whole.c, whole.f - last.transform.f) == (128 * 30, 128 * 30)


def test_fill_is_never_labelled(tmp_path: Path) -> None:
    image = np.full((13, 10, 10), 500.0, np.float32)
    image[:, 0] = 0
    image[7, 1] = np.nan
    image[3, 2] = -4
    image[1, 3] = 80000
    (only,) = pieces(tmp_path, image, np.ones((1, 10, 10), np.int16))
    assert (only.label[:2] == UNKNOWN).all()
    assert (only.label[2:] == 1).all()
    assert (only.image[:, :2] == 0).all()
    assert only.image[2, 2, 0] == 0
    assert only.image[0, 3, 0] == 65535


def test_what_has_no_label_is_dropped(tmp_path: Path) -> None:
    label = np.full((1, 64, 64), -1, np.int16)
    image = np.ones((13, 64, 64), np.uint16)
    assert pieces(tmp_path, image, label) == [None]
    label[0, 0, :41] = 0
    assert pieces(tmp_path, image, label) != [None]


def test_label_and_image_of_two_sizes(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is 8×8 pixels, its image 9×8"):
        pieces(tmp_path, np.ones((13, 8, 9), np.uint16), np.zeros((1, 8, 8), np.int16))


def test_a_damaged_scene(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(1, 9000, (13, 64, 64)).astype(np.uint16)
    pieces(tmp_path, image, np.zeros((1, 64, 64), np.int16))
    content = (tmp_path / "i.tif").read_bytes()
    (tmp_path / "i.tif").write_bytes(content[: len(content) // 2])
    with pytest.raises(DatasetError, match="cannot be read as a TIFF"):
        list(cut(tmp_path / "i.tif", tmp_path / "l.tif", VNIR, 128, code_sen1floods11))
