from __future__ import annotations

import json

import pytest

from benchmarks.bench import ordered
from benchmarks.figures import Bound, Figure, Report


def figure(
    value: float | None, bound: Bound | None = None, unit: str = "×", key: str = "k"
) -> Figure:
    return Figure(key, "tflite", "text", value, unit, bound)


@pytest.mark.parametrize(
    ("value", "bound", "holds"),
    [
        (1.5, Bound(1.5), True),
        (1.501, Bound(1.5), False),
        (30.0, Bound(30.0, at_most=False), True),
        (29.9, Bound(30.0, at_most=False), False),
        (None, Bound(1.5), None),
        (2.0, None, None),
    ],
)
def test_a_bound_holds_up_to_itself(
    value: float | None, bound: Bound | None, holds: bool | None
) -> None:
    assert figure(value, bound).holds is holds


def test_what_was_not_measured_is_said_and_is_not_broken() -> None:
    missing = figure(None, Bound(512.0), "MB")
    report = Report([missing, figure(2.0, Bound(1.5)), figure(1.0, Bound(1.5))], {}, {})
    assert missing.shown == "not measured"
    assert missing.verdict == "≤ 512 MB: not measured"
    assert [f.value for f in report.broken] == [2.0]
    with pytest.raises(KeyError):
        Report([missing], {}, {}).value("k", "tflite")


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.0123, "MP/s", "0.012 MP/s"),
        (1.234, "×", "1.23 ×"),
        (38.03, "×", "38.0 ×"),
        (187.4, "s", "187 s"),
        (12.34, "%", "12.3 %"),
        (876.6, "MB", "877 MB"),
    ],
)
def test_figures_show_the_digits_that_mean_something(value: float, unit: str, shown: str) -> None:
    assert figure(value, None, unit).shown == shown


def test_ratios_come_first_then_bounds_then_times_with_the_engines_side_by_side() -> None:
    found = [
        Figure("ratio", "a", "", 1.0, "×", Bound(2.0)),
        Figure("rate", "a", "", 1.0, "MP/s"),
        Figure("free", "a", "", 1.0, "×"),
        Figure("ratio", "b", "", 1.0, "×", Bound(2.0)),
        Figure("rate", "b", "", 1.0, "MP/s"),
        Figure("memory", "", "", 1.0, "MB", Bound(2.0)),
    ]
    order = [(f.key, f.engine) for f in ordered(found)]
    assert order == [
        ("ratio", "a"),
        ("ratio", "b"),
        ("free", "a"),
        ("memory", ""),
        ("rate", "a"),
        ("rate", "b"),
    ]


def test_the_json_says_whether_bounds_hold() -> None:
    report = Report(
        [figure(2.0, Bound(1.5)), figure(1.0)], {"tflite": {"read": 1.0}}, {"seed": "0"}
    )
    read = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert [(f["bound"], f["holds"]) for f in read["figures"]] == [("≤ 1.5", False), (None, None)]
    assert read["seconds_by_stage"] == {"tflite": {"read": 1.0}}
