"""The lab: its pieces by hand, and its experiments from end to end."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from onboard.cli import run
from onboard.network import Network
from onboard.normalise import Normalisation
from training import network as networks
from training.chips import Chip
from training.lab import NAMES, active_learning, ground, index, learner, outcome, prior, shift
from training.lab import trust_the_uncertainty as trust
from training.lab.outcome import Measured, Outcome, Panel, Series, Verdict
from training.trainer import predict

NETWORK = Network(bands=4, widths=(8, 12), rate=0.3)


def some_chip(side: int = 32) -> Chip:
    rng = np.random.default_rng(3)
    reflectance = rng.uniform(0.02, 0.4, (side, side, 4)).astype(np.float32)
    water = (rng.random((side, side)) < 0.3).astype(np.uint8)
    return Chip("one", "here", reflectance, water, np.zeros_like(water))


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [
        ([True, True], Verdict.HOLDS),
        ([True, False], Verdict.PART),
        ([False, False], Verdict.NOT),
    ],
)
def test_a_verdict_is_of_all_its_parts(parts: list[bool], verdict: Verdict) -> None:
    assert Verdict.of(parts) is verdict


def test_a_figure_shows_the_digits_that_its_spread_leaves() -> None:
    assert str(Measured.over([0.70, 0.74])) == "0.720 ± 0.028"
    assert str(Measured.over([12.0, 16.0])) == "14.0 ± 2.8"
    assert str(Measured.over([0.5])) == "0.5"


@pytest.mark.parametrize("noise", [learner.channels, learner.pixels, learner.gaussian])
def test_noise_keeps_the_mean_and_has_the_variance_of_dropout(noise: learner.Noise) -> None:
    drawn = noise(NETWORK, 400, 16, np.random.default_rng(0))
    for site in NETWORK.sites:
        values = drawn[f"mask_{site.name}"]
        assert values.shape[0] == 400
        assert values.shape[-1] == site.channels
        assert values.mean() == pytest.approx(1, abs=0.05)
        assert values.var() == pytest.approx(0.3 / 0.7, rel=0.1)


def test_noise_on_channels_is_one_number_a_channel_and_on_pixels_is_not() -> None:
    rng = np.random.default_rng(0)
    assert learner.channels(NETWORK, 2, 16, rng)["mask_s2"].shape == (2, 1, 1, 8)
    assert learner.pixels(NETWORK, 2, 16, rng)["mask_s2"].shape == (2, 8, 8, 8)
    assert set(np.unique(learner.silent(NETWORK, 2, 16, rng)["mask_s2"])) == {1.0}


def test_nothing_is_spoiled_at_degree_nothing_and_all_is_at_one() -> None:
    image = some_chip().reflectance
    for name, spoil in shift.SPOILS.items():
        rng = np.random.default_rng(1)
        np.testing.assert_allclose(spoil(image, 0.0, rng), image, atol=1e-6, err_msg=name)
        worse = [np.abs(spoil(image, d, np.random.default_rng(1)) - image).mean() for d in (0.3, 1)]
        assert 0 < worse[0] < worse[1], name


def course(iou: list[float], entropy: list[float]) -> shift.Course:
    return {
        degree: [{"iou": i, "mean_entropy": e, "mean_epistemic": 0.01}]
        for degree, i, e in zip((0.0, 0.5, 1.0), iou, entropy, strict=True)
    }


def test_a_warning_must_come_with_the_first_loss() -> None:
    assert shift._warned(course([0.8, 0.7, 0.5], [0.10, 0.12, 0.15]))
    assert not shift._warned(course([0.8, 0.7, 0.5], [0.10, 0.10, 0.15]))
    assert shift._warned(course([0.8, 0.8, 0.79], [0.10, 0.10, 0.10]))


def test_a_budget_lies_between_the_rounds() -> None:
    assert active_learning._spent([10, 20, 30], np.array([0.5, 0.6, 0.7]), 0.65) == pytest.approx(
        25
    )
    assert active_learning._spent([10, 20, 30], np.array([0.5, 0.6, 0.7]), 0.4) == 10
    assert active_learning._spent([10, 20, 30], np.array([0.5, 0.6, 0.7]), 0.8) == float("inf")


INFINITE = float("inf")


@pytest.mark.parametrize(
    ("best", "random", "verdict"),
    [
        (20.0, 40.0, Verdict.HOLDS),
        (21.0, 40.0, Verdict.PART),
        (40.0, 40.0, Verdict.NOT),
        # That random took more than all that was spent is no proof that it took twice as much.
        (40.0, INFINITE, Verdict.PART),
        (30.0, INFINITE, Verdict.HOLDS),
        (INFINITE, INFINITE, Verdict.NOT),
    ],
)
def test_a_budget_is_judged_by_what_was_spent(best: float, random: float, verdict: Verdict) -> None:
    assert active_learning._judged(best, random, 60) is verdict


def test_what_is_labelled_leaves_the_pool() -> None:
    left = [replace(some_chip(), id=str(i)) for i in range(5)]
    taken = active_learning._take(left, [3, 1])
    assert [chip.id for chip in taken] == ["3", "1"]
    assert [chip.id for chip in left] == ["0", "2", "4"]


def test_correlation_and_slope() -> None:
    known = np.linspace(0, 1, 50)
    assert trust._fit(2 * known + 1, known) == pytest.approx((1, 2))


def test_drawn_labels_keep_what_is_unknown() -> None:
    chip = some_chip()
    chip.water[:4] = 255

    class Sure:
        def logits(self, chip: Chip, passes: int, seed: int) -> np.ndarray:
            return np.full((1, *chip.water.shape), 50.0)

    drawn = trust._drawn(Sure(), chip, 1)  # type: ignore[arg-type]
    assert (drawn.water[:4] == 255).all()
    assert (drawn.water[4:] == 1).all()


@pytest.mark.parametrize(
    "noise", [learner.channels, learner.pixels, learner.gaussian, learner.silent]
)
def test_passes_over_a_shared_look_are_those_of_the_whole_network(noise: learner.Noise) -> None:
    chip = some_chip()
    learned = learner.Learned(
        networks.build(NETWORK), NETWORK, Normalisation((0.2,) * 4, (0.1,) * 4), noise
    )
    drawn = noise(NETWORK, 7, 32, np.random.default_rng(9))
    whole = predict(learned.model, {"tile": np.repeat(learned.tile(chip), 7, 0), **drawn})
    found = learned.corrected(learned.seen(learned.tile(chip)), drawn)
    np.testing.assert_allclose(found, whole[..., 0], atol=1e-5)
    np.testing.assert_allclose(learned.cloud(chip), whole[0, ..., 1], atol=1e-5)


def test_a_training_begun_anew_is_one_of_its_own_seed() -> None:
    chips = [replace(some_chip(), id=str(i)) for i in range(3)]
    effort = ground.QUICK._replace(widths=(4, 6), crop=32, steps=2)

    def weights(seed: int) -> list[np.ndarray]:
        return learner.learn(chips, effort, seed, learned_dropout=True).model.get_weights()

    # The second and the third of a graph that the first has traced; the last of a new one.
    first, other, again = weights(1), weights(2), weights(1)
    learner._trainer.cache_clear()
    for one, same, new, elsewhere in zip(first, again, weights(2), other, strict=True):
        np.testing.assert_array_equal(one, same)
        np.testing.assert_array_equal(elsewhere, new)
    assert any((one != elsewhere).any() for one, elsewhere in zip(first, other, strict=True))


def test_every_chip_has_masks_of_its_own() -> None:
    learned = learner.Learned(
        networks.build(NETWORK), NETWORK, Normalisation((0.2,) * 4, (0.1,) * 4), learner.channels
    )
    one = learned.logits(some_chip(), 3)
    np.testing.assert_array_equal(one, learned.logits(some_chip(), 3))
    assert (one != learned.logits(replace(some_chip(), id="two"), 3)).any()


def test_the_parts_of_what_passes_say_add_up() -> None:
    p = np.random.default_rng(0).random((7, 50), np.float32)
    said = learner.Said(p, p[0] > 0.5)
    np.testing.assert_allclose(said.aleatoric + said.epistemic, said.entropy, atol=1e-6)
    one = said.first(1)
    np.testing.assert_allclose(one.epistemic, 0, atol=1e-6)
    np.testing.assert_allclose(one.mean, p[0])


def test_the_prior_ties_length_scale_precision_and_decay() -> None:
    # λ = l² / (2 N τ keep), by hand: 9 / (2 · 100 · 0.5), and τ = 1/9 at l = 1.
    assert prior._tied("0.5", 3.0, 100) == ["0.111", "0.09"]
    assert prior._tied("0.5", 0.0, 100) == ["∞", "0"]


def test_a_share_of_the_places_is_whole_places() -> None:
    chips = [replace(some_chip(), id=str(i), group=str(i // 4)) for i in range(40)]
    home = ground.Ground(chips, [], {}, "")
    some = home.places(0.25, 1)
    assert len(some) % 4 == 0
    assert 0 < len(some) < 40
    assert some == home.places(0.25, 1)


def test_the_page_says_everything_and_the_picture_is_one(tmp_path: Path) -> None:
    found = Outcome(
        "Is it so?",
        "By looking.",
        "A paper.",
        ["what", "figure"],
        [["one", Measured(0.5, 0.1)], ["two", 0.25]],
        Verdict.PART,
        "It is, a bit.",
        [Panel("a", "x", "y", [Series("s", [0, 1], [Measured(0, 0.1), Measured(1, 0.1)])])],
    )
    text = outcome.page("name", found, "Here.")
    for word in (
        "Is it so?",
        "holds in part",
        "By looking.",
        "0.500 ± 0.100",
        "name.png",
        "A paper",
    ):
        assert word in text
    outcome.draw(found.panels, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads(json.dumps(outcome.to_json("name", found, {})))["rows"][0][1]["sd"] == 0.1


def test_the_index_has_a_line_for_every_experiment_that_was_run(tmp_path: Path) -> None:
    name = next(iter(NAMES))
    found = {
        "verdict": "holds in part",
        "words": "So.",
        "setting": {"seeds": [1, 2], "quick": True},
    }
    (tmp_path / f"{name}.json").write_text(json.dumps(found))
    index.write(tmp_path)
    lines = [line for line in (tmp_path / index.FILE).read_text().splitlines() if "](" in line]
    assert len(lines) == 1
    assert "**holds in part** (quick)" in lines[0]
    assert f"({name}.md)" in lines[0]


def test_without_the_data_folder_the_full_ones_say_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["lab", "shift", "--out", str(tmp_path / "o"), "--data", str(tmp_path)]) == 2
    assert "--quick" in capsys.readouterr().err


def run_quick(name: str, out: Path) -> dict:
    assert run(["lab", name, "--quick", "--out", str(out)]) == 0
    return json.loads((out / f"{name}.json").read_text())


QUICKEST = "epistemic-aleatoric"


@pytest.mark.timeout(900)
def test_an_experiment_from_end_to_end(tmp_path: Path) -> None:
    found = run_quick(QUICKEST, tmp_path)
    assert len(found["rows"]) == 4
    for row in found["rows"]:
        iou, aleatoric, epistemic = (cell["mean"] for cell in row[2:5])
        # Networks this small know water when they see it, and doubt for both reasons.
        assert iou > 0.5, row
        assert 0 < epistemic < aleatoric < np.log(2), row
    assert found["verdict"] in {v.value for v in Verdict}
    assert (tmp_path / f"{QUICKEST}.png").exists()
    assert "CamVid" in (tmp_path / f"{QUICKEST}.md").read_text()


@pytest.mark.soak
@pytest.mark.parametrize("name", [name for name in NAMES if name != QUICKEST])
def test_every_experiment_from_end_to_end(name: str, tmp_path: Path) -> None:
    found = run_quick(name, tmp_path)
    assert found["verdict"] in {v.value for v in Verdict}
    assert (tmp_path / f"{name}.png").exists()
