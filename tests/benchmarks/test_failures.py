from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from benchmarks import failures
from ground import palette
from onboard import bundle, classes
from onboard.segment import TileMaps
from onboard.uncertainty import LN2
from tests.samples import BUNDLE, ROOT
from tests.training.chipsets import random_chip
from training.chips import UNKNOWN
from training.evaluate import Scored


@pytest.fixture(scope="module")
def shipped() -> bundle.Bundle:
    return bundle.load(BUNDLE, ["reference"])


def scored(shipped: bundle.Bundle, place: str = "g", entropy: float = 0.5 * LN2) -> Scored:
    """4 × 4 pixels: 4 water of which 3 are missed, 1 claimed on land, 2 unknown."""
    water = np.zeros((4, 4), np.uint8)
    water[0] = 1
    water[3, :2] = UNKNOWN
    said = np.zeros((4, 4), np.uint8)
    said[0, 0] = said[1, 0] = classes.WATER
    green, nir = np.full((4, 4), 0.1), np.full((4, 4), 0.3)
    nir[0, 1] = 0.05
    image = np.stack([green, green, green, nir], -1).astype(np.float32)
    chip = dataclasses.replace(random_chip(4, 4), reflectance=image, water=water, group=place)
    maps = dataclasses.make_dataclass("Maps", ["p_water", "entropy"])(
        said.astype(np.float32), np.full((4, 4), entropy, np.float32)
    )
    return Scored(chip, TileMaps(None, said, maps, np.ones((4, 4), bool)))


def test_a_chip_is_told_by_what_is_missed_and_claimed(shipped: bundle.Bundle) -> None:
    facts = failures.chip_facts(shipped, scored(shipped))
    assert facts["wrong"] == pytest.approx(4 / 14)
    assert facts["water_missed"] == 3 / 4
    assert facts["missed_looks_dry"] == pytest.approx(2 / 3)
    assert facts["claimed_is_land"] == 1 / 2
    assert facts["entropy"] == pytest.approx(0.5)
    line = failures.chip_line(facts)
    assert "29% of its pixels are wrong at a mean entropy of 50% of ln 2" in line
    assert "75% of the water that the label draws is missed, 67% of that looks dry" in line
    assert line.endswith("50% of what is called water is land by the label.")


def test_a_chip_without_water_is_told_without_shares_of_nothing(shipped: bundle.Bundle) -> None:
    one = scored(shipped)
    dry = dataclasses.replace(one.chip, water=np.zeros((4, 4), np.uint8))
    none = one.found._replace(classes=np.zeros((4, 4), np.uint8))
    facts = failures.chip_facts(shipped, Scored(dry, none))
    assert facts["water_missed"] is facts["claimed_is_land"] is None
    assert "label" not in failures.chip_line(facts)


def test_one_chip_of_a_place_is_shown(shipped: bundle.Bundle) -> None:
    some = [scored(shipped, p, e) for p, e in (("a", 0.3), ("b", 0.1), ("a", 0.5), ("c", 0.2))]
    shown = failures.first_of_places(some, lambda r: float(r.found.maps.entropy.mean()), 2)
    assert [(r.chip.group, round(float(r.found.maps.entropy[0, 0]), 1)) for r in shown] == [
        ("a", 0.5),
        ("c", 0.2),
    ]


def test_pictures_keep_the_palette(shipped: bundle.Bundle) -> None:
    strip = failures.chip_strip(scored(shipped))
    assert strip.shape == (failures.SIDE, 2 * failures.SIDE + failures.GAP, 3)
    colours = {tuple(int(v) for v in c) for c in strip[:, : failures.SIDE].reshape(-1, 3)}
    assert {palette.HIT_RGB, palette.MISS_RGB, palette.FALSE_ALARM_RGB, palette.LAND_RGB} <= colours
    assert failures.sized(np.zeros((5, 9, 4), np.uint8), 20).shape == (20, 36, 3)


def test_the_card_says_what_was_measured_of_the_shipped_bundle(shipped: bundle.Bundle) -> None:
    found = json.loads(failures.OUT.read_text("utf-8"))
    assert found["model_id"] == shipped.model_id.hex(), "run python -m benchmarks.failures --write"
    card = (ROOT / "docs" / "model-card.md").read_text("utf-8")
    assert failures.START + failures.section(found) + failures.END in card
    for name in ("worst", "uncertain", *(one["scene"] for one in found["scenes"])):
        assert (failures.IMAGES / f"card-{name}.jpg").stat().st_size < 300_000
    # The evaluation's own figures of the same places say the same.
    table = json.loads((ROOT / "docs/figures/dfc24-test.json").read_text("utf-8"))
    same = table["results"]["dfc24"]
    assert {k: same[k] for k in found["smallest"]} == found["smallest"]
