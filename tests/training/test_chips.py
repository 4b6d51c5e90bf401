from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from onboard.errors import DatasetError
from onboard.sensor import VNIR4, Sensor
from tests.samples import CHIPS
from tests.training.chipsets import TOML, small_folder, write_chip
from training.chips import UNKNOWN, ChipFolder

Spoil = Callable[[Path], None]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return small_folder(tmp_path / "small")


def refused(folder: Path, *words: str) -> None:
    """Opening or reading it raises one line that names the file."""
    with pytest.raises(DatasetError) as caught:
        read_all(ChipFolder.open(folder))
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(folder))
    for word in words:
        assert word in message, message


def read_all(folder: ChipFolder) -> None:
    folder.check_sensor(VNIR4)
    for chip in folder.ids:
        folder.read(chip, VNIR4)


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def test_the_committed_chips_load() -> None:
    folder = ChipFolder.open(CHIPS)
    assert len(folder.ids) == 12
    assert len(set(folder.groups.values())) == 12
    assert folder.generated
    for chip_id in folder.ids:
        chip = folder.read(chip_id, VNIR4)
        assert chip.reflectance.dtype == np.float32
        assert chip.reflectance.shape == (128, 128, 4)
        assert -0.05 < chip.reflectance.min() < chip.reflectance.max() < 2
        with rasterio.open(CHIPS / "labels" / f"{chip_id}.tif") as source:
            label = source.read(1)
        np.testing.assert_array_equal(chip.cloud == 1, label == 2)
        np.testing.assert_array_equal(chip.water == 1, label == 1)
        np.testing.assert_array_equal(chip.water == UNKNOWN, label >= 2)


def test_bands_come_in_the_order_of_the_sensor(small: Path) -> None:
    folder = ChipFolder.open(small)
    straight = folder.read("0", VNIR4).reflectance
    turned = folder.read("0", Sensor("x", ("nir", "blue"))).reflectance
    np.testing.assert_array_equal(turned, straight[..., [3, 0]])


def test_reflectance_is_scaled_and_shifted(small: Path) -> None:
    change(small / "dataset.toml", "scale = 0.0001", "scale = 0.0002\noffset = -0.1")
    found = ChipFolder.open(small).read("0", VNIR4).reflectance
    with rasterio.open(small / "images" / "0.tif") as source:
        wanted = source.read().transpose(1, 2, 0) * 0.0002 - 0.1
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_without_a_cloud_class_cloud_is_unknown(small: Path) -> None:
    change(small / "dataset.toml", '2 = "cloud"', '2 = "cloud_shadow"')
    chip = ChipFolder.open(small).read("0", VNIR4)
    assert (chip.cloud == UNKNOWN).all()
    assert set(np.unique(chip.water)) == {0, 1}, "shadow is no water"


def test_without_an_index_every_chip_is_a_place(small: Path) -> None:
    (small / "index.csv").unlink()
    assert ChipFolder.open(small).groups == {"0": "0", "1": "1"}


def test_a_spreadsheets_byte_order_mark_does_no_harm(small: Path) -> None:
    text = (small / "index.csv").read_text("utf-8")
    (small / "index.csv").write_text(text, "utf-8-sig")
    assert ChipFolder.open(small).groups == {"0": "place0", "1": "place1"}


def test_ids_are_in_natural_order(small: Path) -> None:
    folder = small_folder(small.parent / "many", count=11, side=2)
    assert ChipFolder.open(folder).ids == tuple(str(i) for i in range(11))


def test_quality_bits_become_cloud(tmp_path: Path) -> None:
    folder = tmp_path / "q"
    bits = np.array([[0, 0b10, 0b100, 0b110], [0b1000, 0b1000000, 255, 0b11000010]])
    image = np.stack([np.full((2, 4), 500), *[np.full((2, 4), 700)] * 3, bits]).astype(np.float32)
    write_chip(folder, "0", image.astype(np.int16), np.zeros((2, 4), np.uint8))
    image[4, 0, 0] = np.nan
    write_chip(folder, "1", image, np.zeros((2, 4), np.uint8))
    text = TOML.replace('"nir"]', '"nir", "fmask_qa"]').replace('2 = "cloud"\n', "")
    (folder / "dataset.toml").write_text(text, "utf-8")
    for name, first in (("0", 0), ("1", UNKNOWN)):
        chip = ChipFolder.open(folder).read(name, VNIR4)
        np.testing.assert_array_equal(chip.cloud, [[first, 1, UNKNOWN, 1], [0, 0, UNKNOWN, 1]])
        assert (chip.water == 0).all()


def test_the_hash_is_of_what_is_read(small: Path) -> None:
    before = ChipFolder.open(small).content_hash()
    (small / "images" / "0.tif.aux.xml").write_text("left by a viewer", "utf-8")
    assert ChipFolder.open(small).content_hash() == before
    (small / "index.csv").write_text("id,group\n0,a\n1,a\n", "utf-8")
    after = ChipFolder.open(small).content_hash()
    assert after != before
    (small / "labels" / "1.tif").write_bytes((small / "labels" / "0.tif").read_bytes())
    assert ChipFolder.open(small).content_hash() not in (before, after)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name = "small"', "name = ", ["is not valid TOML"]),
        ('name = "small"\n', "", ["the key 'name' is missing; add it"]),
        ("gsd_m = 30", "", ["the key 'gsd_m' is missing"]),
        ("gsd_m = 30", "gsd_m = 'thirty'", ["gsd_m = 'thirty' is no number above 0"]),
        ("gsd_m = 30", "gsd_m = -30", ["gsd_m = -30 is no number above 0"]),
        ("scale = 0.0001", "scale = nan", ["scale = nan is no number"]),
        ("scale = 0.0001", "scale = 0", ["scale = 0 is no number above 0"]),
        ("scale = 0.0001", "offset = inf", ["offset = inf is no number"]),
        ('["blue", "green", "red", "nir"]', '"blue"', ["is no list of names"]),
        ('["blue", "green", "red", "nir"]', "[1, 2]", ["is no list of names"]),
        ("[classes]", "[kinds]", ["the key 'classes' is missing"]),
        ('[classes]\n0 = "land"\n1 = "water"\n2 = "cloud"', "classes = 3", ["is no table"]),
        ('1 = "water"', 'one = "water"', ["class value 'one' is no whole number"]),
        ('1 = "water"', '1 = "wet"', ["unknown class 'wet'; known are land, water"]),
    ],
)
def test_a_bad_description(small: Path, old: str, new: str, words: list[str]) -> None:
    change(small / "dataset.toml", old, new)
    refused(small, "dataset.toml", *words)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"id,group\n0,a\n", ["has no group for the chip '1'; add its row"]),
        (b"id,group\n0,a\n1,\n", ["has no group for the chip '1'"]),
        (b"id,group\n0,a\n1\n", ["has no group for the chip '1'"]),
        (b"", ["has no group for the chip '0'"]),
        (b"id,place\n0,a\n1,b\n", ["has no column 'group'; it needs id and group"]),
        (b"chip,group\n0,a\n1,b\n", ["has no column 'id'"]),
        ("id,group\n0,Köln\n".encode("latin-1"), ["UTF-8"]),
    ],
)
def test_a_bad_index(small: Path, content: bytes, words: list[str]) -> None:
    (small / "index.csv").write_bytes(content)
    refused(small, "index.csv", *words)


def spoil_label_value(folder: Path) -> None:
    write_chip(folder, "1", np.ones((4, 8, 8), np.uint16), np.full((8, 8), 7, np.uint8))


def spoil_shape(folder: Path) -> None:
    write_chip(folder, "1", np.ones((4, 8, 6), np.uint16), np.zeros((8, 8), np.uint8))


def spoil_count(folder: Path) -> None:
    write_chip(folder, "1", np.ones((3, 8, 8), np.uint16), np.zeros((8, 8), np.uint8))


def spoil_sample(folder: Path) -> None:
    image = np.ones((4, 8, 8), np.float32)
    image[2, 3, 4] = np.nan
    write_chip(folder, "1", image, np.zeros((8, 8), np.uint8))


def spoil_magnitude(folder: Path) -> None:
    write_chip(folder, "1", np.full((4, 8, 8), 1e300), np.zeros((8, 8), np.uint8))


def spoil_label_bands(folder: Path) -> None:
    (folder / "labels" / "1.tif").write_bytes((folder / "images" / "1.tif").read_bytes())


def drop_label(folder: Path) -> None:
    (folder / "labels" / "1.tif").unlink()


def break_image(folder: Path) -> None:
    data = (folder / "images" / "1.tif").read_bytes()
    (folder / "images" / "1.tif").write_bytes(data[: len(data) // 2])


def empty_label(folder: Path) -> None:
    (folder / "labels" / "1.tif").write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_label_value, ["labels/1.tif: holds the value 7", "add it to [classes]"]),
        (spoil_shape, ["labels/1.tif: is 8×8 pixels, its image 6×8; cut them alike"]),
        (spoil_count, ["images/1.tif: has 3 bands instead of 4; mend it"]),
        (spoil_sample, ["images/1.tif: holds NaN or infinity; mend it or take it out"]),
        (spoil_magnitude, ["images/1.tif: holds NaN or infinity"]),
        (spoil_label_bands, ["labels/1.tif: has 4 bands instead of 1"]),
        (drop_label, ["labels/1.tif: is missing", "add it"]),
        (break_image, ["images/1.tif: cannot be read as a TIFF", "copy it again"]),
        (empty_label, ["labels/1.tif: cannot be read as a TIFF"]),
    ],
)
def test_a_bad_chip(small: Path, spoil: Spoil, words: list[str]) -> None:
    spoil(small)
    refused(small, *words)


def test_no_description(small: Path) -> None:
    (small / "dataset.toml").unlink()
    refused(small, "is no chip folder", "name a folder with dataset.toml, images and labels")


def test_no_folder_at_all(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", "utf-8")
    for name in ("nothing", "file"):
        refused(tmp_path / name, "is no chip folder")


def test_a_description_that_is_no_text(small: Path) -> None:
    (small / "dataset.toml").write_bytes(b"name = '\xff'")
    refused(small, "dataset.toml", "is not valid TOML")


def test_no_chips(small: Path) -> None:
    for path in (small / "images").iterdir():
        path.unlink()
    refused(small, "holds no chips; put them there as images/<id>.tif")


def test_a_missing_band(small: Path) -> None:
    change(small / "dataset.toml", '"nir"]', '"swir1"]')
    refused(small, "lacks the band 'nir' (it has blue, green, red, swir1)", "dataset.toml")


def test_dfc24_loads_as_it_is(data_folder: Path) -> None:
    folder = ChipFolder.open(data_folder / "dfc24")
    assert (len(folder.ids), len(set(folder.groups.values()))) == (237, 75)
    chip = folder.read("103", VNIR4)
    with pytest.warns(NotGeoreferencedWarning):
        source = rasterio.open(data_folder / "dfc24" / "images" / "103.tif")
    with source:
        bands = [folder.bands.index(name) + 1 for name in VNIR4.bands]
        samples, bits = source.read(bands), source.read(folder.bands.index("fmask_qa") + 1)
    np.testing.assert_allclose(chip.reflectance, samples.transpose(1, 2, 0) * 1e-4, atol=1e-6)
    np.testing.assert_array_equal(chip.cloud == 1, (bits & 0b10 != 0) & (bits != 255))
    assert set(np.unique(chip.water)) <= {0, 1, UNKNOWN}


def test_phisat2_sim_loads_as_it_is(data_folder: Path) -> None:
    folder = ChipFolder.open(data_folder / "phisat2_sim")
    assert len(folder.ids) == 8
    chips = [folder.read(chip_id, VNIR4) for chip_id in folder.ids]
    for chip in chips:
        assert chip.reflectance.shape == (256, 256, 4)
        assert (chip.cloud == UNKNOWN).all()
    assert set(np.unique([chip.water for chip in chips])) == {0, 1}


def test_clouds_load_as_they_are(data_folder: Path) -> None:
    folder = ChipFolder.open(data_folder / "clouds")
    for chip_id in folder.ids:
        chip = folder.read(chip_id, VNIR4)
        assert set(np.unique(chip.cloud)) == {0, 1}
        np.testing.assert_array_equal(chip.water == UNKNOWN, chip.cloud == 1)
