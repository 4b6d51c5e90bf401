from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import accuracy, limits
from onboard.errors import ConfigError
from tests.benchmarks.heldout import held_out

FOLDS = [held_out(0, 0.05, 3), held_out(1, 0.2, 2), held_out(2, 0.4, 1)]
LEARNED = {
    "trials": {
        name: {
            "recipe": recipe,
            "share_of_places": share,
            "train_chips": 10,
            "figures": {"iou": share, "ece": 0.1, "error_auroc_entropy": 0.8, "nll": 0.3},
        }
        for name, recipe, share in (("a", "short", 1.0), ("b", "short", 0.25), ("c", "log", 1.0))
    }
}


@pytest.fixture(scope="module")
def found() -> dict[str, object]:
    return limits.report(FOLDS, LEARNED)


def test_all_is_what_the_cross_validation_says(found: dict) -> None:
    from training.crossval import figures

    same = figures(FOLDS)
    assert found["all"]["iou"] == same["iou"]
    assert found["all"]["ece"] == pytest.approx(same["ece"])
    assert found["all"]["error_auroc"] == pytest.approx(same["error_auroc_entropy"])
    assert found["pixels"] == 2400


def test_doubtful_labels_are_the_misses_that_look_dry_and_are_sure(found: dict) -> None:
    taus = [limits.temperature([o for o in FOLDS if o is not h]) for h in FOLDS]
    pixels = limits.pooled(FOLDS, taus)
    sure = pixels._replace(p=np.where(pixels.p < 0.5, 0.01, 0.99))
    one = limits.labels(sure)
    missed = sure.true & (sure.p < 0.5)
    assert one["missed_share_that_looks_dry"] == 1.0
    assert one["doubtful_share_of_pixels"] == pytest.approx(missed.mean())
    # What is left are false alarms alone.
    kept = ~missed
    assert one["iou"] == pytest.approx(
        (sure.true & kept).sum() / ((sure.true | (sure.p >= 0.5)) & kept).sum()
    )
    unsure = limits.labels(pixels._replace(p=np.where(pixels.p < 0.5, 0.3, 0.7)))
    assert unsure["doubtful_share_of_pixels"] == 0


def test_the_worst_places_and_an_oracle(found: dict) -> None:
    one = found["places"]
    assert one["places"] == one["with_water"] == 6
    # Fold 2 has two fifths of its pixels wrong, fold 0 one in twenty.
    assert one["worst"][0] == "set/2-0"
    assert one["worst_share_of_errors"] > one["worst_share_of_pixels"]
    assert one["iou_without_worst"] > found["all"]["iou"]
    assert one["iou_best_threshold_of_each_place"] >= found["all"]["iou"]
    assert one["iou_quartiles"] == sorted(one["iou_quartiles"])


def test_a_folds_own_temperature_calibrates_it_better(found: dict) -> None:
    one = found["calibration"]
    own, others = one["temperatures_of_own"], one["temperatures_of_others"]
    # The fold that errs most needs the softest answers, and the others do not know.
    assert own[2] == max(own)
    assert others[2] < own[2]
    assert one["ece_by_fold_own_temperature"][2] < one["ece_by_fold"][2]
    low, high = one["ece_interval_95"]
    assert low < high


def test_the_learning_curve_is_of_one_recipe(found: dict) -> None:
    assert [one["share"] for one in found["learning_curve"]] == [0.25, 1.0]


def test_a_sensor_without_the_bands_is_refused() -> None:
    blind = [h._replace(dry=None) for h in FOLDS]
    with pytest.raises(ConfigError, match="limits need the NDWI"):
        limits.report(blind, LEARNED)


def test_the_pages_say_what_was_measured() -> None:
    found = json.loads(limits.OUT.read_text("utf-8"))
    assert limits.PAGE.read_text("utf-8") == limits.page(found)
    table = json.loads(accuracy.OUT.read_text("utf-8"))
    log = accuracy.PAGE.read_text("utf-8")
    assert accuracy.START + accuracy.table(table) + accuracy.END in log
    assert found["learning_curve"] == limits.learning(table)


def test_an_unfinished_cross_validation_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="fold1: is no finished run"):
        limits.read([], tmp_path)
