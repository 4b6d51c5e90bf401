from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from onboard import bundle
from onboard.oddity import KINDS
from tests.samples import BUNDLE, CHIPS, DEMO_KEY
from training import kept, oddity, refit
from training.chips import ChipFolder
from training.stream import ChipRef


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(BUNDLE, tmp_path_factory.mktemp("refit") / "bundle"))


def test_only_score_and_card_change(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Sample chips are few: the floors are of no concern here.
    monkeypatch.setattr(oddity, "MIN_FIT", 2)
    monkeypatch.setattr(oddity, "MIN_CALIBRATION", 2)
    monkeypatch.setattr(oddity, "SIDE", 64)
    card = tmp_path / "card.md"
    card.write_text("# Another card\n", "utf-8")
    done = CliRunner().invoke(
        refit.command, [str(copy), str(DEMO_KEY), str(CHIPS), "--card", str(card)]
    )
    assert done.exit_code == 0, done.output
    manifests = [(p / "manifest.json").read_text("utf-8") for p in (BUNDLE, copy)]
    before, after = map(json.loads, manifests)
    assert before.pop("oddity") != after["oddity"]
    assert set(after.pop("oddity")["tails"]) == set(KINDS)
    common = after["sets"]["common"]["files"]
    assert common.pop("card.md") != before["sets"]["common"]["files"].pop("card.md")
    assert before == after
    names = list(json.loads((copy / "manifest.json").read_text("utf-8"))["sets"])
    loaded = bundle.load(copy, names)
    assert loaded.content["card.md"] == b"# Another card\n"
    assert loaded.oddity is not None
    assert np.isfinite(loaded.oddity.joint.start)


def test_one_chip_of_every_place(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []
    real = kept.keep

    def spy(path: Path, refs: list[ChipRef], *more: Any) -> list[str]:
        given.append([ref.folder.groups[ref.id] for ref in refs])
        return real(path, refs, *more)

    monkeypatch.setattr(kept, "keep", spy)
    monkeypatch.setattr(oddity, "fit_kept", lambda *args: None)
    folder = ChipFolder.open(CHIPS)
    two = dataclasses.replace(folder, groups={c: str(i // 2) for i, c in enumerate(folder.ids)})
    refs = [ChipRef(two, chip) for chip in two.ids]
    monkeypatch.setattr(refit, "chip_refs", lambda folders, sensor: (refs, refs[:2]))
    loaded = bundle.load(BUNDLE, ["tflite"])
    for by_place in (False, True):
        refit.fitted(loaded, [two], by_place)
    assert max(Counter(given[0]).values()) == 2
    assert sorted(set(given[0])) == sorted(given[2])
    assert given[1] == given[3]


@pytest.mark.parametrize("wrong", ["bundle", "key", "chips", "card"])
def test_bad_input_is_one_line_and_changes_nothing(copy: Path, tmp_path: Path, wrong: str) -> None:
    given = {"bundle": copy, "key": DEMO_KEY, "chips": CHIPS, "card": tmp_path / "card.md"}
    (tmp_path / "card.md").write_text("# Card\n", "utf-8")
    before = (copy / "manifest.json").read_bytes()
    given[wrong] = tmp_path / "nothing"
    args = [str(given[k]) for k in ("bundle", "key", "chips")]
    done = CliRunner().invoke(refit.command, [*args, "--card", str(given["card"])])
    assert done.exit_code == 2
    assert "nothing" in done.output or "oddity" in done.output
    assert len(done.output.strip().splitlines()) == 1
    assert (copy / "manifest.json").read_bytes() == before
