from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onboard.limits import SETTINGS
from onboard.triage import Limits, Outcome, Sight, decide
from onboard.uncertainty import LN2

ALERT, PRODUCT, CHIP, NOTHING = Outcome
SIGHT = Sight(
    10_000,
    observed=8_000,
    wet_sensitive=400,
    wet_balanced=200,
    entropy=LN2 / 4,
    epistemic=0.02,
    tile_epistemic=0.03,
    pixel_area_m2=900.0,
    flood=True,
    odd=0.1,
)
LIMITS = Limits()
DRY = {"wet_sensitive": 0, "wet_balanced": 0, "entropy": 0.0, "epistemic": 0.0}


def outcomes(limits: Limits = LIMITS, today: int = 0, **changes: Any) -> tuple[Outcome, ...]:
    return decide(dataclasses.replace(SIGHT, **changes), limits, today).outcomes


def test_a_flood_gives_all_three() -> None:
    decision = decide(SIGHT, LIMITS)
    assert decision.outcomes == (ALERT, PRODUCT, CHIP)
    assert decision.text == "alert, product, chip"
    assert decision.chips == LIMITS.max_chips
    assert decision.chip_epistemic == LIMITS.min_epistemic


def test_the_value_is_area_times_confidence() -> None:
    assert decide(SIGHT, LIMITS).value == pytest.approx(200 * 900 / 1e6 * 0.75)
    values = [
        dataclasses.replace(SIGHT, entropy=share * LN2).value for share in (0.0, 0.5, 1.0, 1.1)
    ]
    assert values == pytest.approx([0.18, 0.09, 0, 0])
    assert dataclasses.replace(SIGHT, wet_balanced=0).value == pytest.approx(0.36 * 0.75)
    assert decide(dataclasses.replace(SIGHT, **DRY), LIMITS).value == 0


# One row for each limit: the frame, the limit at which one thing happens, and at which another.
MOVED: dict[str, Any] = {
    "max_unobserved": ({}, 0.21, (ALERT, PRODUCT, CHIP), 0.19, (NOTHING,)),
    "max_odd": ({}, 0.1, (ALERT, PRODUCT, CHIP), 0.09, (CHIP,)),
    "min_wet": ({}, 0.05, (ALERT, PRODUCT, CHIP), 0.0501, (CHIP,)),
    "min_pixels": ({}, 200, (ALERT, PRODUCT, CHIP), 201, (ALERT, CHIP)),
    "min_confidence": ({}, 0.75, (ALERT, PRODUCT, CHIP), 0.76, (ALERT, CHIP)),
    "min_epistemic": ({}, 0.03, (ALERT, PRODUCT, CHIP), 0.031, (ALERT, PRODUCT)),
    "max_chips": ({}, 1, (ALERT, PRODUCT, CHIP), 0, (ALERT, PRODUCT)),
    "max_chips_day": ({}, 8, (ALERT, PRODUCT, CHIP), 7, (ALERT, PRODUCT)),
}
IN_THE_RUNTIME = {"sensitive_water"}


def test_every_limit_is_moved_here_or_with_the_runtime() -> None:
    assert set(MOVED) | IN_THE_RUNTIME == set(SETTINGS)


@pytest.mark.parametrize("name", MOVED)
def test_moving_a_limit_changes_the_decision(name: str) -> None:
    changes, first, before, second, after = MOVED[name]
    assert outcomes(LIMITS.with_value(name, first), 7, **changes) == before
    assert outcomes(LIMITS.with_value(name, second), 7, **changes) == after


def test_the_second_use_of_min_pixels_is_the_alert() -> None:
    assert outcomes(LIMITS.with_value("min_pixels", 400)) == (ALERT, CHIP)
    assert outcomes(LIMITS.with_value("min_pixels", 401)) == (CHIP,)


def test_an_alert_goes_alone_where_water_is_only_possible() -> None:
    decision = decide(dataclasses.replace(SIGHT, wet_balanced=0, tile_epistemic=0.0), LIMITS)
    assert decision.outcomes == (ALERT,)
    assert decision.value > 0
    assert decision.reason.startswith("flood is possible, too little is likely for a product: ")


def test_an_unsure_mask_gives_an_alert_and_a_chip() -> None:
    decision = decide(dataclasses.replace(SIGHT, entropy=0.9 * LN2), LIMITS)
    assert decision.outcomes == (ALERT, CHIP)
    assert decision.reason.startswith("flood is possible, too unsure for a product: ")


def test_an_odd_frame_says_nothing_of_water_and_is_looked_at() -> None:
    odd = dataclasses.replace(SIGHT, odd=0.9, tile_epistemic=0.0001)
    decision = decide(odd, LIMITS)
    assert decision.outcomes == (CHIP,)
    assert decision.chip_epistemic == 0
    assert decision.value == 0
    assert decision.reason.startswith("too unlike the training to speak of flood: ")
    # A frame of the kind the network knows must have a doubtful tile for that.
    assert outcomes(odd=0.1, tile_epistemic=0.0001) == (ALERT, PRODUCT)


def test_oddity_that_was_not_measured_decides_nothing() -> None:
    strict = LIMITS.with_value("max_odd", 0)
    assert outcomes(strict, odd=None) == (ALERT, PRODUCT, CHIP)
    assert "odd crops not measured" in decide(dataclasses.replace(SIGHT, odd=None), strict).reason


def test_a_dropped_frame_gives_no_chip() -> None:
    assert outcomes(observed=2_000, wet_sensitive=2_000, odd=1.0) == (NOTHING,)


def test_a_dry_frame_may_give_a_chip() -> None:
    assert outcomes(**DRY) == (CHIP,)
    assert outcomes(**DRY, tile_epistemic=0.0) == (NOTHING,)


def test_nothing_observed() -> None:
    none = {"observed": 0, "tile_epistemic": 0.0, **DRY}
    assert outcomes(**none) == (NOTHING,)
    assert outcomes(LIMITS.with_value("max_unobserved", 1), **none) == (NOTHING,)


def test_no_limit_lets_a_frame_without_water_speak() -> None:
    none = dataclasses.replace(LIMITS, min_wet=0.0, min_pixels=0, min_confidence=0.0)
    assert outcomes(none, **DRY) == (CHIP,)


def test_entropy_that_is_no_number_is_no_confidence() -> None:
    assert outcomes(entropy=float("nan")) == (ALERT, CHIP)


def test_the_day_bounds_the_chips_of_a_frame() -> None:
    limits = dataclasses.replace(LIMITS, max_chips=4, max_chips_day=10)
    found = [decide(SIGHT, limits, today).chips for today in (0, 6, 7, 9, 10, 99)]
    assert found == [4, 4, 3, 1, 0, 0]


@given(
    observed=st.integers(0, 10_000),
    wet=st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)),
    entropy=st.floats(0, LN2),
    share=st.floats(0, 1),
    tile=st.floats(0, LN2),
    odd=st.none() | st.floats(0, 1),
    today=st.integers(0, 30),
)
def test_whatever_is_seen_is_explained(
    observed: int,
    wet: tuple[int, int],
    entropy: float,
    share: float,
    tile: float,
    odd: float | None,
    today: int,
) -> None:
    sensitive, balanced = (min(observed, count) for count in sorted(wet, reverse=True))
    sight = Sight(
        10_000, observed, sensitive, balanced, entropy, share * entropy, tile, 900.0, False, odd
    )
    decision = decide(sight, LIMITS, today)
    found = decision.outcomes
    assert list(found) == [o for o in Outcome if o in found]
    assert (NOTHING in found) == (len(found) == 1 and found[0] is NOTHING)
    assert PRODUCT not in found or ALERT in found
    assert (CHIP in found) == (decision.chips > 0)
    assert 0 <= decision.chips <= LIMITS.max_chips
    assert decision.value >= 0
    assert "\n" not in decision.reason
    for limit in ("70%", "50%", "0.50%", "at least 30", "0.20", "0.0020", "at most 20"):
        assert limit in decision.reason
