from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onboard.errors import ConfigError
from onboard.sensor import VNIR4
from tests.samples import CHIPS
from training import crossval
from training.chips import ChipFolder
from training.config import TrainConfig
from training.crossval import HeldOut, cross_validate, figures, judged
from training.finished import Finished
from training.fit import Epoch
from training.splits import Fold, fold_ids, split_ids

TINY = TrainConfig(epochs=1, batch_size=4, crop=64, widths=(2, 3), clouds=0.0)
FOLDS = 3


class StopError(Exception):
    pass


def test_folds_divide_all_but_the_test_places() -> None:
    folder = ChipFolder.open(CHIPS)
    test = set(split_ids(folder, "test"))
    everyone: list[str] = []
    for number in range(FOLDS):
        train, held = fold_ids(folder, Fold(number, FOLDS))
        assert held
        assert not {folder.groups[c] for c in train} & {folder.groups[c] for c in held}
        assert sorted([*train, *held]) == sorted(set(folder.ids) - test)
        everyone += held
    assert sorted(everyone) == sorted(set(folder.ids) - test)


def test_folds_are_of_like_size() -> None:
    folder = ChipFolder.open(CHIPS)
    sizes = [len(fold_ids(folder, Fold(number, FOLDS))[1]) for number in range(FOLDS)]
    largest = max(list(folder.groups.values()).count(g) for g in folder.groups.values())
    assert max(sizes) - min(sizes) <= largest


def test_a_share_of_the_places_trains_and_all_of_the_others_are_held_out() -> None:
    folder = ChipFolder.open(CHIPS)
    whole, held = fold_ids(folder, Fold(0, FOLDS))
    places = {folder.groups[c] for c in whole}
    before: set[str] = set()
    for share in (0.25, 0.5, 1.0):
        some, same = fold_ids(replace(folder, generated=False), Fold(0, FOLDS, share))
        own = {folder.groups[c] for c in some}
        assert same == held
        assert len(own) == math.ceil(share * len(places))
        assert before <= own
        assert some == [c for c in whole if folder.groups[c] in own]
        before = own
    assert fold_ids(replace(folder, generated=True), Fold(0, FOLDS, 0.1))[0] == whole


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("crossval") / "out"
    return out, cross_validate([ChipFolder.open(CHIPS)], VNIR4, TINY, out, FOLDS)


def test_every_place_is_judged_by_a_network_that_never_saw_it(
    done: tuple[Path, dict[str, Any]],
) -> None:
    out, found = done
    folder = ChipFolder.open(CHIPS)
    assert json.loads((out / crossval.FIGURES).read_text("utf-8")) == found
    seen = {folder.groups[c] for c in folder.ids} - {
        folder.groups[c] for c in split_ids(folder, "test")
    }
    assert found["places"] == len(seen)
    assert set(found["iou_by_place"]) <= {f"{folder.name}/{group}" for group in seen}
    assert len(found["temperatures"]) == len(found["iou_by_fold"]) == FOLDS
    assert 0 <= found["ece"] <= 1
    assert found["mean_epistemic"] > 0
    for number in range(FOLDS):
        record = json.loads((out / f"fold{number + 1}/run.json").read_text("utf-8"))
        train, held = fold_ids(folder, Fold(number, FOLDS))
        assert record["train_chips"] == len(train)
        assert record["calibration_chips"] == len(held)


def test_a_finished_run_is_judged_as_it_was(done: tuple[Path, dict[str, Any]]) -> None:
    out, found = done
    folders = [ChipFolder.open(CHIPS)]
    held = []
    for number in range(FOLDS):
        fold = Fold(number, FOLDS)
        fitted = Finished.open(out / f"fold{number + 1}").on(folders, VNIR4, fold)
        held.append(judged(fitted, folders, VNIR4, fold))
    assert figures(held) == found


def test_it_goes_on_where_it_was_broken_off(
    done: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folders = [ChipFolder.open(CHIPS)]
    out = tmp_path / "out"

    def stop(fold: int, epoch: Epoch) -> None:
        if fold == 1:
            raise StopError

    with pytest.raises(StopError):
        cross_validate(folders, VNIR4, TINY, out, FOLDS, stop)
    trained: list[int] = []
    found = cross_validate(folders, VNIR4, TINY, out, FOLDS, lambda fold, _: trained.append(fold))
    assert trained == [2]
    assert found == done[1]
    with pytest.raises(ConfigError, match="fold1: holds a run with other settings or data"):
        cross_validate(folders, VNIR4, TINY, out, FOLDS - 1)


def held_out(seed: int, wrong: float, places: int) -> HeldOut:
    """Two passes over 400 pixels a place, a share of them said wrongly."""
    rng = np.random.default_rng(seed)
    water = rng.random(400 * places) < 0.4
    said = water ^ (rng.random(water.size) < wrong)
    logits = np.where(said, 1.5, -1.5) + rng.normal(0, 0.2, (2, water.size))
    names = np.repeat([f"set/{seed}-{i}" for i in range(places)], 400)
    return HeldOut(logits.astype(np.float16), water, names, ~said)


def test_the_figures_are_pooled_over_the_folds() -> None:
    parts = [held_out(0, 0.05, 2), held_out(1, 0.2, 1)]
    found = figures(parts)
    said = np.concatenate([p.logits.astype(float).mean(0) > 0 for p in parts])
    true = np.concatenate([p.water for p in parts])
    assert found["pixels"] == 1200
    assert found["iou"] == pytest.approx((said & true).sum() / (said | true).sum(), abs=0.01)
    assert found["iou_by_fold"][0] > found["iou"] > found["iou_by_fold"][1]
    assert len(found["iou_by_place"]) == found["places"] == 3
    labels = found["labels"]
    assert labels["dry_share_of_missed_water"] > 0.9
    assert labels["dry_share_of_found_water"] < 0.1
    low, high = found["iou_interval_95"]
    assert low <= found["iou"] <= high


def test_a_fold_has_no_say_in_its_own_temperature() -> None:
    """The clean fold is judged by the noisy one's temperature and the other way round."""
    clean, noisy = held_out(0, 0.01, 1), held_out(1, 0.35, 1)
    first, second = figures([clean, noisy])["temperatures"]
    assert first > 1 > second
    assert figures([noisy, clean])["temperatures"] == [second, first]


def test_misses_that_look_dry_are_told_apart() -> None:
    """Half of the water is missed with certainty; where it looks dry the label is in doubt."""
    water = np.array([True] * 8 + [False] * 8)
    logits = np.where(np.arange(16) < 4, 3.0, -9.0)[None].repeat(2, 0).astype(np.float16)
    places = np.full(16, "set/0")
    wet, dry = (np.full(16, looks) for looks in (False, True))
    for looks, expected in ((wet, 0.5), (dry, 1.0)):
        found = figures([HeldOut(logits, water, places, looks)])
        assert found["iou"] == 0.5
        assert found["labels"]["iou_without_sure_dry_misses"] == expected
    assert figures([HeldOut(logits, water, places, None)])["labels"] == {}
