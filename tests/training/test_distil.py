from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from onboard.errors import ConfigError
from onboard.sensor import VNIR4
from tests.samples import CHIPS
from tests.training.chipsets import random_chip
from tests.training.runs import finished_run
from training import augment, clouds, distil
from training.chips import UNKNOWN, ChipFolder
from training.config import TrainConfig
from training.distil import TaughtRef, Teaching, mixed, say
from training.finished import Finished
from training.fit import chip_refs, fit
from training.stream import ChipRef

TINY = TrainConfig(epochs=1, batch_size=4, crop=64, widths=(2, 3, 3))

pytestmark = pytest.mark.usefixtures("few_skies")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return Finished.open(finished_run(tmp_path_factory.mktemp("teacher") / "run"))


def test_labels_and_the_teachers_word_are_mixed_where_both_are_known() -> None:
    chip = replace(
        random_chip(1, 3),
        water=np.array([[1, 0, UNKNOWN]], np.uint8),
        cloud=np.array([[UNKNOWN, 1, 0]], np.uint8),
    )
    said = np.full((1, 3, 2), 0.5, np.float32)
    found = mixed(chip, said, 0.4)
    np.testing.assert_allclose(found[0, :, 0], [0.8, 0.2, 0.5])
    np.testing.assert_allclose(found[0, :, 1], [0.5, 0.8, 0.2])
    np.testing.assert_array_equal(mixed(chip, said, 1.0), said)


def test_a_teachers_word_turns_with_the_chip(teacher: Finished) -> None:
    chip = replace(random_chip(24, 24), reflectance=random_image(24, 24))
    turned = replace(chip, reflectance=np.rot90(chip.reflectance).copy())
    np.testing.assert_allclose(
        np.rot90(say([teacher], chip)), say([teacher], turned), rtol=1e-4, atol=1e-5
    )


def test_teachers_speak_in_the_mean_and_of_chips_of_any_size(teacher: Finished) -> None:
    chip = replace(random_chip(13, 21), reflectance=random_image(13, 21))
    calm = teacher._replace(temperature=1e9)
    one, two = say([teacher], chip), say([calm], chip)
    assert one.shape == (13, 21, 2)
    np.testing.assert_allclose(two[..., 0], 0.5, atol=1e-3)
    np.testing.assert_allclose(two[..., 1], one[..., 1])
    np.testing.assert_allclose(say([teacher, calm], chip), (one + two) / 2, rtol=1e-5)


def random_image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(4).uniform(0, 0.3, (height, width, 4)).astype(np.float32)


def test_augmentation_moves_the_soft_label_as_it_moves_the_hard_one() -> None:
    rng = np.random.default_rng(1)
    chip = random_chip(16, 16)
    chip = replace(chip, water=rng.integers(0, 2, (16, 16), np.uint8))
    hard = np.stack([chip.water, chip.water], -1).astype(np.float32)
    chip = replace(chip, soft=hard)
    for seed in range(8):
        moved = augment.flip(augment.crop(chip, 20, np.random.default_rng(seed)), rng)
        assert moved.soft is not None
        np.testing.assert_array_equal(moved.soft[..., 0], moved.water)
    coarse = augment.rescale(chip, 1.7)
    assert coarse.soft is not None
    assert coarse.soft.shape == (*coarse.water.shape, 2)
    clear = np.abs(coarse.soft[..., 0] - 0.5) > 0.01
    np.testing.assert_array_equal((coarse.soft[..., 0] > 0.5)[clear], coarse.water[clear] == 1)


def test_under_a_generated_cloud_the_teachers_word_does_not_count() -> None:
    rng = np.random.default_rng(0)
    bank = clouds.make_bank(64, 30.0, 1, skies=2)
    chip = replace(random_chip(64, 64), reflectance=random_image(64, 64))
    chip = replace(chip, soft=np.full((64, 64, 2), 0.25, np.float32))
    found = clouds.overcast(chip, VNIR4, bank, rng)
    assert found.soft is not None
    hidden = found.soft[..., 0] == UNKNOWN
    assert hidden.any()
    np.testing.assert_array_equal(found.soft[hidden], np.tile([UNKNOWN, 1], (hidden.sum(), 1)))
    np.testing.assert_array_equal(found.soft[~hidden], 0.25)
    assert (found.cloud[hidden] == 1).all()


def test_a_student_is_taught_on_labelled_and_unlabelled_chips(
    teacher: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ChipFolder.open(CHIPS)
    train, held = chip_refs([folder], VNIR4)
    teaching = Teaching((teacher,), 0.5, (held[0],))
    fit([folder], VNIR4, TINY, tmp_path / "run", teaching=teaching)
    record = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))
    assert record["teaching"]["teachers"] == [teacher.model_id]
    assert record["teaching"]["unlabelled_chips"] == 1
    asked = sorted((tmp_path / "run" / distil.FOLDER).rglob("*.npy"))
    assert len(asked) == len(train) + 1
    # What was said is kept: a run that goes on asks nobody.
    monkeypatch.setattr(distil, "say", None)
    taught = teaching.over(train, VNIR4, tmp_path / "run")
    target = taught[-1].read(VNIR4).soft
    said = np.load(asked[[p.stem for p in asked].index(held[0].id)])
    np.testing.assert_allclose(target, said.astype(np.float32))
    with pytest.raises(ConfigError, match="other settings or data"):
        fit([folder], VNIR4, TINY, tmp_path / "run", teaching=replace(teaching, share=0.6))


@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_a_damaged_word_is_named(tmp_path: Path, content: bytes | None) -> None:
    folder = ChipFolder.open(CHIPS)
    path = tmp_path / "x.npy"
    if content is not None:
        path.write_bytes(content)
    ref = TaughtRef(folder, folder.ids[0], path, 0.5, True)
    with pytest.raises(ConfigError, match=r"x\.npy: cannot be used .*ask the teachers again"):
        ref.read(VNIR4)


def test_the_word_of_another_chip_is_refused(tmp_path: Path) -> None:
    folder = ChipFolder.open(CHIPS)
    np.save(tmp_path / "x.npy", np.zeros((3, 5, 2), np.float16))
    with pytest.raises(ConfigError, match=r"x\.npy: cannot be used"):
        TaughtRef(folder, folder.ids[0], tmp_path / "x.npy", 0.5, True).read(VNIR4)


def test_an_unfinished_run_teaches_nobody(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run")
    (run / "weights.npz").unlink()
    with pytest.raises(ConfigError, match=r"run: is no finished run .*train it to its end"):
        Finished.open(run)


def test_hard_labels_stay_bytes() -> None:
    folder = ChipFolder.open(CHIPS)
    assert ChipRef(folder, folder.ids[0]).read(VNIR4).soft is None
