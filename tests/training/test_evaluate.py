from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import pytest

from onboard import bundle, engines
from onboard.classes import CLOUD, WATER
from onboard.errors import ConfigError, DatasetError
from onboard.segment import TileMaps
from onboard.sensor import Sensor
from onboard.tiles import Tile
from onboard.uncertainty import Moments, bernoulli_entropy, maps
from tests.samples import BUNDLE, CHIPS
from tests.training.chipsets import random_chip
from training import evaluate, report
from training.chips import UNKNOWN, Chip, ChipFolder

KEYS = {
    "chips",
    "places",
    "pixels",
    "water_share",
    "iou",
    "iou_interval_95",
    "iou_at_half",
    "ndwi_iou_best_threshold",
    "called_cloud",
    "ece",
    "brier",
    "nll",
    "error_auroc_entropy",
    "error_auroc_epistemic",
    "aurc_entropy",
    "aurc_epistemic",
    "errors_in_most_uncertain_fifth",
    "mean_entropy",
    "mean_epistemic",
    "precision_balanced",
    "recall_balanced",
    "precision_sensitive",
    "recall_sensitive",
    "cloud_iou",
    "cloud_iou_best_threshold",
    "cloud_share",
}
SHARES = KEYS - {"chips", "places", "pixels", "iou_interval_95", "nll"}


@pytest.fixture(scope="module")
def shipped() -> bundle.Bundle:
    return bundle.load(BUNDLE, ["tflite"])


def scored(chip: Chip, p_water: Any, p_cloud: Any) -> evaluate.Scored:
    """What an engine with these probabilities would have made of a chip."""
    found = maps(Moments(p_water, p_cloud, bernoulli_entropy(p_water), p_water**2))
    classes = np.where(p_cloud >= 0.5, CLOUD, np.where(p_water >= 0.5, WATER, 0)).astype(np.uint8)
    at = Tile(0, 0, *classes.shape)
    return evaluate.Scored(chip, TileMaps(at, classes, found, np.ones(classes.shape, bool)))


def perfect(chip: Chip) -> evaluate.Scored:
    return scored(chip, (chip.water == 1) * 1.0, (chip.cloud == 1) * 1.0)


def observed(seed: int) -> Chip:
    """Water is known where there is no cloud, as labels have it."""
    chip = random_chip(20, 20, seed)
    chip.cloud[chip.cloud == UNKNOWN] = 0
    chip.water[chip.cloud == 1] = UNKNOWN
    return chip


def test_perfect_predictions_score_one(shipped: bundle.Bundle) -> None:
    found = evaluate.table(shipped, [perfect(observed(seed)) for seed in range(3)])
    assert set(found) >= KEYS
    for name in ("iou", "iou_at_half", "cloud_iou"):
        assert found[name] == 1.0
    for point in ("balanced", "sensitive"):
        assert found[f"precision_{point}"] == found[f"recall_{point}"] == 1.0
    assert found["iou_interval_95"] == [1.0, 1.0]
    for name in ("brier", "ece", "mean_entropy", "called_cloud"):
        assert found[name] == pytest.approx(0, abs=1e-6), name
    assert found["nll"] < 1e-5


def test_what_is_not_defined_is_null_and_valid_json(shipped: bundle.Bundle) -> None:
    found = evaluate.table(shipped, [perfect(observed(0))])
    assert found["error_auroc_entropy"] is None, "there are no errors to find"
    assert found["errors_in_most_uncertain_fifth"] is None
    dry = observed(1)
    dry.water[dry.water == 1] = 0
    dried = evaluate.table(shipped, [perfect(dry)])
    assert dried["iou"] is None
    assert dried["iou_interval_95"] == [None, None]
    json.dumps([found, dried], allow_nan=False)


def test_opposite_predictions_score_zero(shipped: bundle.Bundle) -> None:
    chip = observed(0)
    wrong = scored(chip, (chip.water != 1) * 1.0, np.zeros(chip.water.shape))
    found = evaluate.table(shipped, [wrong])
    assert found["iou"] == found["recall_balanced"] == found["precision_sensitive"] == 0.0
    assert found["brier"] == 1.0


def test_unknown_pixels_do_not_count(shipped: bundle.Bundle) -> None:
    chip = observed(2)
    plain = perfect(chip)
    p = np.where(chip.water == UNKNOWN, 0.7, chip.water == 1)
    found = evaluate.table(shipped, [scored(chip, p, (chip.cloud == 1) * 1.0)])
    assert found == evaluate.table(shipped, [plain])
    assert found["pixels"] == (chip.water != UNKNOWN).sum()


def test_water_called_cloud_is_missed(shipped: bundle.Bundle) -> None:
    chip = observed(3)
    everywhere = np.ones(chip.water.shape)
    found = evaluate.table(shipped, [scored(chip, (chip.water == 1) * 1.0, everywhere)])
    assert (found["iou"], found["called_cloud"]) == (0.0, 1.0)
    assert found["recall_sensitive"] == 1.0, "the alert looks at water alone"


def test_labels_without_cloud_give_no_cloud_score(shipped: bundle.Bundle) -> None:
    chip = observed(4)
    chip.cloud[:] = UNKNOWN
    found = evaluate.table(shipped, [scored(chip, np.full((20, 20), 0.4), np.zeros((20, 20)))])
    assert not {name for name in found if name.startswith("cloud")}
    assert found["brier"] > 0


def test_no_labelled_pixel_is_refused(shipped: bundle.Bundle) -> None:
    chip = observed(5)
    chip.water[:] = UNKNOWN
    with pytest.raises(DatasetError, match="none has a pixel labelled land or water"):
        evaluate.table(shipped, [perfect(chip)])


def test_ndwi_goes_by_the_names_of_the_bands() -> None:
    chip = observed(6)
    for order in (("nir", "red", "green"), ("green", "x", "y", "nir")):
        image = np.full((20, 20, len(order)), 0.2, np.float32)
        image[..., order.index("nir")] = np.where(chip.water == 1, 0.02, 0.4)
        own = Chip(chip.id, chip.group, image, chip.water, chip.cloud)
        assert evaluate._ndwi([perfect(own)], Sensor("s", order)) == 1.0
    assert np.isnan(evaluate._ndwi([perfect(chip)], Sensor("s", ("red", "nir"))))


def test_the_interval_holds_the_pooled_score_of_many_places(shipped: bundle.Bundle) -> None:
    rng = np.random.default_rng(0)
    results = []
    for seed in range(30):
        chip = observed(seed)
        noisy = (chip.water == 1) ^ (rng.random((20, 20)) < rng.uniform(0, 0.3))
        own = Chip(str(seed), str(seed), chip.reflectance, chip.water, chip.cloud)
        results.append(scored(own, noisy * 0.9, (chip.cloud == 1) * 1.0))
    found = evaluate.table(shipped, results)
    low, high = found["iou_interval_95"]
    assert low < found["iou"] < high
    assert found["places"] == found["chips"] == 30
    assert 0.2 < found["iou"] < 0.95


def test_the_shipped_bundle_on_the_sample_chips(shipped: bundle.Bundle) -> None:
    engine = engines.load("tflite", shipped)
    folder = ChipFolder.open(CHIPS)
    ids = [folder.ids[i] for i in (1, 3, 9)]
    ticks: list[int] = []

    def figures() -> dict[str, Any]:
        results = evaluate.run(shipped, engine, folder, ids, 3, 1, lambda: ticks.append(1))
        return evaluate.table(shipped, results)

    found = figures()
    assert found == figures()
    assert len(ticks) == 2 * len(ids)
    assert set(found) >= KEYS
    for name in SHARES:
        assert 0 <= found[name] <= 1, name
    labels = [folder.read(chip, shipped.sensor) for chip in ids]
    known = np.concatenate([chip.water[chip.water != UNKNOWN] for chip in labels])
    assert found["pixels"] == known.size
    assert found["water_share"] == pytest.approx(known.mean())
    assert found["iou"] > 0.5
    assert found["recall_sensitive"] >= found["recall_balanced"]
    assert found["error_auroc_entropy"] > 0.6
    assert 0 < found["mean_epistemic"] < found["mean_entropy"] < np.log(2)


def test_the_choice_of_chips() -> None:
    folder = ChipFolder.open(CHIPS)
    assert evaluate.chips_of(folder, "all") == list(folder.ids)
    parts = [evaluate.chips_of(folder, split) for split in ("train", "calibration", "test")]
    assert sorted(chain(*parts)) == sorted(folder.ids)


def test_a_split_without_chips(data_folder: Any) -> None:
    folder = ChipFolder.open(data_folder / "phisat2_sim")
    with pytest.raises(DatasetError, match="no chip falls into the split 'test'; try --split all"):
        evaluate.chips_of(folder, "test")


def test_a_coarser_camera(shipped: bundle.Bundle) -> None:
    folder, engine = ChipFolder.open(CHIPS), engines.load("tflite", shipped)
    ids = folder.ids[:2]
    fine, same = (
        evaluate.run(shipped, engine, folder, ids, 2, 0, gsd_m=gsd) for gsd in (None, 30.0)
    )
    coarse = evaluate.run(shipped, engine, folder, ids, 2, 0, gsd_m=80.0)
    for a, b, c in zip(fine, same, coarse, strict=True):
        np.testing.assert_array_equal(a.found.classes, b.found.classes)
        assert c.found.classes.shape == (48, 48)
        assert c.chip.water.shape == (48, 48)
    with pytest.raises(ConfigError, match="can only be made coarser"):
        evaluate.run(shipped, engine, folder, ids, 2, 0, gsd_m=10.0)


def test_the_page_shows_figures_plots_and_failures(shipped: bundle.Bundle) -> None:
    folder, engine = ChipFolder.open(CHIPS), engines.load("tflite", shipped)
    found = evaluate.run(shipped, engine, folder, folder.ids, 2, 0)
    table = evaluate.table(shipped, found)
    text = report.page(shipped, "a <set>", "all", found, table)
    assert "a &lt;set&gt;" in text
    assert f"<td>{table['iou']:.4f}</td>" in text
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", text)
    # The worst chip comes first, and each gallery shows as many as there is room for.
    shown = re.findall(r"<figcaption>chip (\w+),", text)
    worst = max(found, key=lambda r: report.wrong_share(shipped, r))
    assert shown[0] == worst.chip.id
    assert len(shown) == 3 * report.SHOWN


def test_the_smallest_flood_is_in_the_table_and_on_the_page(shipped: bundle.Bundle) -> None:
    """Ponds of 4×4 pixels are found, of 2×2 not; an alert finds all."""
    results = []
    for place in range(8):
        chip = random_chip(48, 48, place)
        water, p = np.zeros((48, 48), np.uint8), np.full((48, 48), 0.001)
        for row in range(4, 40, 12):
            water[row : row + 2, 4:6] = 1
            water[row : row + 4, 20:24] = 1
            p[row : row + 2, 4:6] = (shipped.sensitive.water + 0.5) / 2
            p[row : row + 4, 20:24] = 0.99
        chip = replace(chip, group=f"place{place}", water=water, cloud=np.zeros_like(water))
        results.append(scored(chip, p, np.zeros(p.shape)))
    found = evaluate.table(shipped, results)
    assert found["whole_floods"] == 48
    assert found["flood_sizes_px_from"] == [4, 16]
    assert found["floods_by_size"] == [24, 24]
    assert found["floods_found_by_size_balanced"] == [0, 24]
    assert found["floods_found_by_size_sensitive"] == [24, 24]
    assert 4 < found["smallest_flood_px_balanced"] < 16
    assert found["smallest_flood_px_sensitive"] < found["smallest_flood_px_balanced"]
    text = report.page(shipped, "ponds", "all", results, found)
    assert "smallest flood px balanced" in text
    assert "floods found by size" in text
    assert "None" not in text
    nothing = evaluate.table(shipped, results[:1])
    assert nothing["smallest_flood_px_balanced"] is None, "six floods are too few"
    json.dumps(nothing, allow_nan=False)
