from __future__ import annotations

import dataclasses

import pytest

from onboard.triage import Limits, Outcome, Sight, decide
from onboard.uncertainty import LN2

SIGHT = Sight(10_000, observed=8_000, wet_sensitive=400, wet_balanced=200, entropy_of_wet=0.0)
LIMITS = Limits()


def outcome(limits: Limits = LIMITS, **changes: float) -> Outcome:
    return decide(dataclasses.replace(SIGHT, **changes), limits).outcome  # type: ignore[arg-type]


def test_a_flood_is_sent() -> None:
    decision = decide(SIGHT, LIMITS)
    assert decision.outcome is Outcome.PRODUCT
    assert decision.value == 200


@pytest.mark.parametrize(
    ("field", "passes", "drops"),
    [
        ("max_unobserved", 0.21, 0.19),
        ("min_wet", 0.049, 0.051),
        ("min_pixels", 200, 201),
    ],
)
def test_moving_a_limit_changes_the_decision(field: str, passes: float, drops: float) -> None:
    assert outcome(dataclasses.replace(LIMITS, **{field: passes})) is Outcome.PRODUCT
    assert outcome(dataclasses.replace(LIMITS, **{field: drops})) is Outcome.NOTHING


def test_doubt_lowers_the_value() -> None:
    values = [
        decide(dataclasses.replace(SIGHT, entropy_of_wet=h), LIMITS).value
        for h in (0.0, LN2 / 2, LN2)
    ]
    assert values == pytest.approx([200, 100, 0])


def test_nothing_observed() -> None:
    assert outcome(observed=0, wet_sensitive=0, wet_balanced=0) is Outcome.NOTHING
