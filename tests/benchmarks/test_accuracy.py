from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import accuracy, trials
from benchmarks.accuracy import halves, report, table, together
from benchmarks.trials import Material, Trial
from onboard.errors import ConfigError
from onboard.sensor import VNIR4
from tests.benchmarks.heldout import held_out
from tests.samples import CHIPS
from training.chips import ChipFolder
from training.splits import Fold

TINY = "epochs = 1\nbatch_size = 4\ncrop = 32\nwidths = [2, 3]\n"
FOLD = Fold(0, 2)
TRIALS = (
    Trial("unet-short", "unet", FOLD),
    Trial("short", "tiny", Fold(0, 2, 0.5), longer=2),
    Trial("taught", "tiny", FOLD, generated=True, taught_by=("unet-short", "short")),
)


@pytest.fixture(scope="module")
def material(few_skies: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Material]:
    folder = tmp_path_factory.mktemp("trials")
    (folder / "tiny.toml").write_text(TINY, "utf-8")
    (folder / "unet.toml").write_text(TINY + "teacher = true\n", "utf-8")
    real = replace(ChipFolder.open(CHIPS), generated=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trials, "RECIPES", folder)
        made = Material(real, ChipFolder.open(CHIPS), (), VNIR4, folder / "runs")
        for trial in TRIALS:
            trials.train(trial, made)
        yield made


def test_trials_are_judged_on_the_places_of_their_fold(material: Material) -> None:
    found = report(material, TRIALS)
    assert list(found["trials"]) == ["unet-short", "short", "taught", "teachers"]
    places = {one["figures"]["places"] for one in found["trials"].values()}
    assert len(places) == 1
    assert found["trials"]["short"]["epochs"] == 2
    assert found["trials"]["short"]["share_of_places"] == 0.5
    assert len(found["trials"]["taught"]["teaching"]["teachers"]) == 2
    text = table(found)
    for name in found["trials"]:
        assert accuracy.WHAT[name] in text


def test_what_was_not_run_is_named(material: Material) -> None:
    found = report(material, (*TRIALS[:2], replace(TRIALS[0], name="full")))
    assert list(found["trials"]) == ["unet-short", "short"]
    assert found["not_run"] == ["full"]
    assert table(found).endswith(f"\nNot run: {accuracy.WHAT['full']}.\n")


def test_a_finished_trial_is_not_trained_again(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "fit", None)
    trials.train(TRIALS[0], material)
    with pytest.raises(ConfigError, match="unet-short: holds another training than the trial"):
        trials.train(replace(TRIALS[0], longer=2), material)


def test_halves_share_no_place_and_lose_none() -> None:
    whole = held_out(0, 0.1, 5)
    a, b = halves(whole)
    assert not set(a.places) & set(b.places)
    assert set(a.places) | set(b.places) == set(whole.places)
    assert a.water.size + b.water.size == whole.water.size
    assert a.logits.shape == (2, a.water.size)


def test_networks_weigh_alike_together_however_many_passes_they_make() -> None:
    one, two = held_out(0, 0.1, 1), held_out(0, 0.3, 1)
    single = two._replace(logits=two.logits[:1])
    joined = together([one, single])
    assert joined.logits.shape == (4, one.water.size)
    np.testing.assert_array_equal(joined.logits[2], joined.logits[3])


def test_bad_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nothing = str(tmp_path / "none")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["accuracy", nothing, nothing, "--runs", str(tmp_path)])
        assert accuracy.main() == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
