"""Comparisons of placements and rates, in small: tiny networks on the sample chips."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import closed_form, onefold, placement, rates
from benchmarks.onefold import Chips, Variant
from onboard.errors import ConfigError
from onboard.sensor import VNIR4
from tests.samples import CHIPS
from training.chips import ChipFolder
from training.config import TrainConfig
from training.crossval import pooled
from training.network import weight_arrays
from training.placement import PLACEMENTS
from training.splits import Fold, fold_ids

TINY = TrainConfig(
    epochs=1, batch_size=4, crop=64, widths=(2, 3), clouds=0.0, dropout=0.3, learned_weights=True
)


@pytest.fixture(scope="module")
def chips() -> Chips:
    return Chips.of([ChipFolder.open(CHIPS)], VNIR4)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def plain(chips: Chips, work: Path) -> Variant:
    return onefold.train(chips, TINY, work / "logit-seed1")


@pytest.fixture(scope="module")
def every(chips: Chips, work: Path) -> Variant:
    return onefold.train(chips, replace(TINY, placement="every"), work / "every-seed1")


def test_no_place_trains_and_judges(chips: Chips) -> None:
    folder = ChipFolder.open(CHIPS)
    train, held = fold_ids(folder, Fold(0, 3))
    assert [ref.id for ref in chips.train] == train
    judging = [ref.id for ref in chips.judge]
    assert judging
    assert set(judging) <= set(held)


def test_a_network_is_trained_once(chips: Chips, plain: Variant, work: Path) -> None:
    before = (work / "logit-seed1" / "checkpoint.npz").read_bytes()
    told: list[int] = []
    again = onefold.train(
        chips, TINY, work / "logit-seed1", on_epoch=lambda number, loss: told.append(number)
    )
    assert told == []
    assert (work / "logit-seed1" / "checkpoint.npz").read_bytes() == before
    for name, array in weight_arrays(plain.model).items():
        np.testing.assert_array_equal(weight_arrays(again.model)[name], array)
    with pytest.raises(ConfigError, match=r"config.toml: this run was begun with other settings"):
        onefold.train(chips, replace(TINY, seed=2), work / "logit-seed1")


def test_the_short_way_over_passes_is_the_long_one(chips: Chips, plain: Variant) -> None:
    """The network that flies is linear in its masks; others are run pass by pass."""
    tile = np.random.default_rng(0).normal(0, 1, (32, 32, 4)).astype(np.float32)
    short = onefold.water_passes(plain, 3)(tile)
    research = placement.shape(VNIR4, replace(TINY, heteroscedastic=True))
    long = onefold.water_passes(
        Variant(plain.model, replace(research, heteroscedastic=False), plain.normalisation), 3
    )(tile)
    assert np.ptp(short, axis=0).max() > 0
    np.testing.assert_allclose(short, long, atol=1e-4)


@pytest.fixture(scope="module")
def held(chips: Chips, every: Variant, work: Path) -> onefold.HeldOut:
    return onefold.held_out(every, chips, 4, work / "every-seed1" / "logits4.npz")


def test_predictions_are_kept(
    chips: Chips, every: Variant, work: Path, held: onefold.HeldOut
) -> None:
    assert held.logits.shape == (4, held.water.size)
    assert np.ptp(held.logits.astype(np.float32), axis=0).max() > 0
    path = work / "every-seed1" / "logits4.npz"
    np.savez(path, logits=held.logits + np.float16(1))
    again = onefold.held_out(every, chips, 4, path)
    np.testing.assert_array_equal(again.logits, held.logits + np.float16(1))
    path.unlink()
    np.testing.assert_array_equal(onefold.held_out(every, chips, 4).logits, held.logits)


def test_halves_divide_the_places(held: onefold.HeldOut) -> None:
    first, second = onefold.halves(held)
    assert not set(first.places) & set(second.places)
    assert first.water.size + second.water.size == held.water.size
    assert len(pooled([first, second]).temperatures) == 2


def test_every_corruption_is_scored_beside_what_is_usual(chips: Chips, every: Variant) -> None:
    found = onefold.odd_epistemic(every, chips, 3, 1.5, side=32, seed=0)
    assert {len(values) for values in found.values()} == {len(chips.judge)}
    assert "" in found
    assert len(found) > 5
    assert all((values > 0).all() for values in found.values())
    other = onefold.odd_epistemic(every, chips, 3, 1.5, side=32, seed=1)
    np.testing.assert_array_equal(other[""], found[""])
    assert (other["haze"] != found["haze"]).any()


def test_placements_are_compared_on_the_shipped_ones_errors(
    chips: Chips, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement, "PASSES", 3)
    monkeypatch.setattr(placement, "MANY", 5)
    cases = [placement.Case(*each) for each in (("logit", 3), ("every", 3), ("every", 5))]
    variants = placement.train(chips, TINY, ("logit", "every"), [1], work)
    found = placement.compare(chips, variants, cases, [1], work)
    assert list(found) == ["logit-3", "every-3", "every-5"]
    own = found["logit-3"][0]
    assert own["shipped_errors"]["auroc_entropy"] == own["own"]["error_auroc_entropy"]
    other = found["every-3"][0]
    assert other["shipped_errors"]["auroc_entropy"] != other["own"]["error_auroc_entropy"]
    assert "odd" in other
    assert "odd" not in found["every-5"][0]
    # What was judged is kept.
    assert placement.compare(chips, variants, cases, [1], work) == found


def test_costs_are_of_the_shapes_and_of_the_shipped_graphs() -> None:
    found = placement.costs()
    assert list(found["by_shape"]) == list(PLACEMENTS)
    assert found["shipped_graph"]["passes"] == 10
    assert 1 < found["shipped_graph"]["over_one"] < 1.5
    assert 1 < found["by_shape"]["logit"]["ten_over_one"] < 1.2


def test_the_closed_form_beside_sampling(chips: Chips, plain: Variant) -> None:
    found = closed_form.report(plain, chips)
    assert found["channels"] == 5
    assert set(found["scores"]) == {"closed", "10", "100", "1000"}
    off = [found["moments"][str(n)]["mean"]["deviation"] for n in (10, 100, 1000)]
    assert off == sorted(off, reverse=True)
    assert found["moments"]["1000"]["deviation"]["correlation"] > 0.99
    assert found["moments"]["1000"]["mean"]["correlation"] > 0.999


def test_rates_continue_from_the_base(
    chips: Chips, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "SCHEDULE", TINY)
    monkeypatch.setattr(rates, "CONTINUED", replace(TINY, learning_rate=1e-6))
    monkeypatch.setattr(rates, "RATES", (0.1,))
    monkeypatch.setattr(rates, "SCALES", (1.0,))
    monkeypatch.setattr(rates, "PASSES", 3)
    monkeypatch.setattr(rates, "AFTERWARDS", (0.1, 0.3))
    noisy = {"heteroscedastic": replace(TINY, heteroscedastic=True)}
    monkeypatch.setattr(rates, "WHOLE", noisy)
    variants = rates.train(chips, work)
    monkeypatch.setattr(rates, "train", lambda *_: variants)
    found = rates.report(chips, work)
    assert list(found["rows"]) == [rates.BASE, *noisy, "rate0.1-scale1.0"]
    base, continued = (
        weight_arrays(variants[name].model)["enc1_conv1/kernel"]
        for name in (rates.BASE, "rate0.1-scale1.0")
    )
    # So slow a training leaves the weights where they began.
    np.testing.assert_allclose(continued, base, atol=1e-4)
    row = found["rows"]["rate0.1-scale1.0"]
    assert row["rates"] == [0.1, 0.1]
    assert row["own"]["mean_epistemic"] < found["rows"][rates.BASE]["own"]["mean_epistemic"]
    more = found["afterwards"]
    assert more["0.3"]["nll"] == found["rows"][rates.BASE]["own"]["nll"]
    assert more["0.1"]["mean_epistemic"] < more["0.3"]["mean_epistemic"]
    assert 0 <= found["noise"]["auroc"] <= 1
    assert found["noise"]["median_deviation"] > 0
