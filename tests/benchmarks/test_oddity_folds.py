from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from benchmarks import oddity_folds as folds
from benchmarks.oddity_folds import PLACES, SPREAD, Rows, folds_of, reference, report
from onboard.oddity import Features

PLACES_COUNT, CHIPS = 24, 8


@pytest.fixture(scope="module")
def rows() -> Rows:
    """Features of noise; what is corrupted lies eight spreads off."""
    rng = np.random.default_rng(0)
    count = PLACES_COUNT * CHIPS
    clean = [rng.normal(size=(count, n)) for n in (8, 4, 1, 1)]
    odd = [part + 8 for part in clean]
    levels, texture, stuck, registration = (
        np.concatenate(pair) for pair in zip(clean, odd, strict=True)
    )
    place = np.tile(np.repeat([f"p{i}" for i in range(PLACES_COUNT)], CHIPS), 2)
    return Rows(
        Features(levels, texture, stuck[:, 0], registration[:, 0]),
        np.full(2 * count, 1e-3),
        np.ones(2 * count),
        place,
        np.repeat(["", "bent"], count),
    )


def test_every_place_lies_in_one_fold(rows: Rows) -> None:
    fold = folds_of(rows.place)
    for name in np.unique(rows.place):
        assert len(set(fold[rows.place == name])) == 1
    assert np.bincount(fold).tolist() == [2 * CHIPS * PLACES_COUNT // folds.FOLDS] * folds.FOLDS


def test_the_ways_of_choosing() -> None:
    place = np.repeat([f"p{i}" for i in range(30)], 4)
    own = np.arange(place.size)
    spread, one = reference(own, place, SPREAD), reference(own, place, PLACES)
    assert len(spread) == folds.MOST
    assert len(one) == len(set(place[one])) == 30
    assert len(set(place[spread])) < folds.MOST


def test_what_is_far_off_is_told_and_what_is_not_is_not(rows: Rows) -> None:
    found = report(rows)
    assert found["places"] == PLACES_COUNT
    for way in (SPREAD, PLACES):
        one = found["ways"][way]
        assert one["crops"] == PLACES_COUNT * CHIPS
        assert one["corruptions"]["bent"]["auroc"] > 0.999
        assert one["corruptions"]["bent"]["found"] > 0.9
        assert one["false_alarms"] < 0.2
    same = rows._replace(
        features=Features(
            *(np.tile(f[: len(f) // 2], (2,) + (1,) * (f.ndim - 1)) for f in rows.features)
        )
    )
    assert report(same)["ways"][SPREAD]["corruptions"]["bent"]["auroc"] == 0.5


def test_hidden_crops_do_not_count(rows: Rows) -> None:
    hidden = rows._replace(observed=np.where(rows.way == "", 1.0, np.arange(len(rows.way)) % 2))
    one: Any = report(hidden)["ways"][SPREAD]["corruptions"]["bent"]
    assert one["scored"] == PLACES_COUNT * CHIPS // 2


def test_the_page_shows_what_was_measured() -> None:
    found = json.loads(folds.OUT.read_text("utf-8"))
    assert folds.START + folds.table(found) + folds.END in folds.PAGE.read_text("utf-8")
