from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onboard import bundle
from onboard.arrays import Array
from onboard.errors import ConfigError
from onboard.normalise import Normalisation
from onboard.oddity import KINDS, SIDE, Oddity
from onboard.scene import ArrayFrame
from onboard.sensor import VNIR4
from onboard.uncertainty import Moments
from tests.crops import crop
from tests.samples import BUNDLE
from tests.training.chipsets import small_folder, write_chip
from training import corruptions, oddity, report
from training.chips import ChipFolder
from training.fit import chip_refs
from training.kept import KeptChip, choose
from training.splits import split_ids

BOUND = 0.95


class Undecided:
    """An engine that is never sure and never changes its mind: the input must tell everything."""

    name = "undecided"
    tile_size = None

    def run(self, tile: Array, masks: Any) -> Moments:
        half = np.full(tile.shape[:2], 0.5, np.float32)
        return Moments(half, 0 * half, 0 * half + np.float32(np.log(2)), half / 2)


@pytest.fixture(scope="module")
def shipped() -> bundle.Bundle:
    return bundle.load(BUNDLE, ["tflite"])


def generated(first: int, count: int) -> Array:
    return np.stack([crop(seed) for seed in range(first, first + count)])


@pytest.fixture(scope="module")
def fitted() -> Oddity:
    calibration = generated(500, 40)
    return oddity.fit(generated(0, 60), calibration, np.linspace(1e-4, 1e-3, 40))


def judge(shipped: bundle.Bundle, fitted: Oddity) -> oddity.Judge:
    own = dataclasses.replace(shipped, manifest={**shipped.manifest, "oddity": fitted.to_json()})
    found = oddity.Judge.of(own, Undecided(), 2, 0)
    assert found is not None
    return found


def kept_chips(name: str, crops: Array, normalisation: Normalisation) -> list[KeptChip]:
    label = np.zeros((SIDE, SIDE), np.uint8)
    valid = np.ones((SIDE, SIDE), bool)
    tiles = [normalisation.apply(image, valid) for image in crops]
    return [KeptChip(f"{name}/{i}", tile, label, label) for i, tile in enumerate(tiles)]


def test_one_crop_in_a_hundred_is_odd_about(fitted: Oddity) -> None:
    """Forty crops cannot fix a tail, but new ones of the same kind may not be odd by the dozen."""
    found = [fitted.score(image, np.ones((SIDE, SIDE), bool), 5e-4) for image in generated(900, 60)]
    assert np.mean(np.array(found) > fitted.limit) <= 0.1
    assert np.mean(np.array(found) > 1.0) <= 0.3


def test_fitting_is_a_function_of_the_crops(fitted: Oddity) -> None:
    again = oddity.fit(generated(0, 60), generated(500, 40), np.linspace(1e-4, 1e-3, 40))
    assert again.to_json() == fitted.to_json()
    assert again.crops == 40


@pytest.mark.parametrize(("train", "calibration"), [(23, 40), (60, 11), (0, 0)])
def test_too_few_crops_are_refused(train: int, calibration: int) -> None:
    few = np.empty((0, SIDE, SIDE, 4), np.float32)
    crops = [generated(0, n) if n else few for n in (train, calibration)]
    with pytest.raises(ConfigError, match=r"no oddity score: the run keeps \d+ whole"):
        oddity.fit(*crops, np.full(calibration, 1e-4))


@pytest.mark.parametrize("floor", [0.0, 0.02])
def test_it_is_fitted_on_kept_chips_of_the_trained_sets(
    shipped: bundle.Bundle, floor: float
) -> None:
    normal = Normalisation((-1.5,) * 4, (0.8,) * 4, 10.0, floor)
    own = dataclasses.replace(
        shipped, manifest={**shipped.manifest, "normalisation": normal.to_json()}
    )
    train = kept_chips("ours", generated(0, 30), normal)
    held = kept_chips("ours", generated(500, 14), normal)
    strange = kept_chips("theirs", 10 * generated(600, 5), normal)
    found = oddity.fit_kept(train, [*held, *strange], own, Undecided())
    assert found.crops == 14
    direct = oddity.fit(generated(0, 30), generated(500, 14), np.zeros(14))
    for kind in ("levels", "texture", "stuck", "registration"):
        assert found.tails[kind].start == pytest.approx(direct.tails[kind].start, abs=1e-3)


def chip_folder(path: Path, count: int) -> ChipFolder:
    path.mkdir()
    small_folder(path, count=0)
    for number, image in enumerate(generated(700, count)):
        samples = np.rint(np.clip(image, 0, None) / VNIR4.scale).astype(np.uint16)
        write_chip(path, str(number), samples.transpose(2, 0, 1), np.zeros((SIDE, SIDE), np.uint8))
    (path / "index.csv").unlink()
    return ChipFolder.open(path)


def test_corrupted_chips_are_told_from_their_own(
    shipped: bundle.Bundle, fitted: Oddity, tmp_path: Path
) -> None:
    folder = chip_folder(tmp_path / "chips", 12)
    done: list[None] = []
    found = oddity.under_corruption(
        judge(shipped, fitted), folder, folder.ids, 3, lambda: done.append(None)
    )
    assert (found["crops"], len(done)) == (12, 12)
    assert set(found["corruptions"]) == set(corruptions.of(VNIR4))
    for name, one in found["corruptions"].items():
        assert one["auroc"] >= BOUND, name
        assert one["auroc_epistemic"] == 0.5, "the engine is never of two minds"
        assert sum(one["found_by"].values()) == round(one["found"] * one["scored"])
    assert found["corruptions"]["misregistration"]["found_by"].keys() == {"registration"}
    assert "corrupted chips" in report.odd_table(found).lower()
    json.dumps(found, allow_nan=False)


def test_small_chips_are_not_scored(shipped: bundle.Bundle, fitted: Oddity, tmp_path: Path) -> None:
    folder = ChipFolder.open(small_folder(tmp_path / "small"))
    found = oddity.under_corruption(judge(shipped, fitted), folder, folder.ids, 0)
    assert found["crops"] == 0
    assert "128" in report.odd_table(found)
    assert "not measured" in report.odd_table(None)


def test_a_bundle_without_parameters_has_no_judge(shipped: bundle.Bundle) -> None:
    before = {k: v for k, v in shipped.manifest.items() if k != "oddity"}
    old = dataclasses.replace(shipped, manifest=before)
    assert oddity.Judge.of(old, Undecided(), 2, 0) is None


def test_a_real_scene_gets_a_line(shipped: bundle.Bundle, fitted: Oddity) -> None:
    image = np.concatenate([crop(800), 0.02 * crop(801)], axis=1)
    found = oddity.listed(judge(shipped, fitted), ArrayFrame(image))
    assert found["pixels"] == [SIDE, 2 * SIDE]
    assert (found["crops"], found["odd_share"]) == (2, 0.5)
    assert set(found["odd_by"]) <= set(KINDS)
    assert found["score_max"] > max(fitted.limit, found["score_median"])
    empty = oddity.listed(
        judge(shipped, fitted), ArrayFrame(image, np.zeros(image.shape[:2], bool))
    )
    assert (empty["crops"], empty["odd_share"], empty["score_max"]) == (0, None, None)
    json.dumps([found, empty], allow_nan=False)


@pytest.fixture(scope="module")
def real(data_folder: Path, shipped: bundle.Bundle) -> oddity.Judge:
    """Fitted as an export does it, but for the network, which says nothing."""
    folder = ChipFolder.open(data_folder / "dfc24")
    kept = [choose(refs) for refs in chip_refs([folder], VNIR4)]
    train, calibration = (
        oddity.crops_of([ref.read(VNIR4).reflectance for ref in refs]) for refs in kept
    )
    return judge(shipped, oddity.fit(train, calibration, np.zeros(len(calibration))))


def test_each_corruption_is_found_on_real_chips(real: oddity.Judge, data_folder: Path) -> None:
    folder = ChipFolder.open(data_folder / "dfc24")
    found = oddity.under_corruption(real, folder, split_ids(folder, "test"), 0)
    aurocs = {name: one["auroc"] for name, one in found["corruptions"].items()}
    assert len(aurocs) == 6
    assert min(aurocs.values()) >= BOUND, aurocs
    assert found["false_alarms"] <= 0.1


@pytest.mark.parametrize("seed", range(1, 4))
def test_and_whatever_the_seed(real: oddity.Judge, data_folder: Path, seed: int) -> None:
    folder = ChipFolder.open(data_folder / "dfc24")
    found = oddity.under_corruption(real, folder, split_ids(folder, "calibration"), seed)
    assert min(one["auroc"] for one in found["corruptions"].values()) >= BOUND


def test_raw_numbers_of_a_real_scene_are_odd(real: oddity.Judge, data_folder: Path) -> None:
    from onboard.frames import open_frame

    with open_frame(data_folder / "scenes" / "olinda_landsat7_dn8.tif", VNIR4) as frame:
        assert oddity.listed(real, frame)["odd_share"] == 1.0
