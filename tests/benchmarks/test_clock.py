from __future__ import annotations

import pytest

from benchmarks import clock
from benchmarks.clock import Limits, Stopwatch


def test_cases_run_in_turn_and_their_medians_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    taken = {"a": iter([3.0, 1.0, 2.0]), "b": iter([30.0, 10.0, 20.0])}

    def timed(case: object) -> float:
        assert callable(case)
        name: str = case()
        ran.append(name)
        return next(taken[name])

    monkeypatch.setattr(clock, "timed", timed)
    cases = {"a": lambda: "a", "b": lambda: "b"}
    assert clock.interleaved(cases, Limits(1, 3, 1e9)) == {"a": 2.0, "b": 20.0}
    assert ran == ["a", "b"] * 3


def test_when_the_time_is_up_the_least_rounds_are_still_run() -> None:
    ran: list[int] = []
    clock.interleaved({"a": lambda: ran.append(1)}, Limits(least=4, most=9, seconds=0.0))
    assert len(ran) == 4


def test_a_stage_adds_up_and_counts_what_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 1.0, 10.0, 12.0])
    monkeypatch.setattr(clock.time, "perf_counter", lambda: next(now))
    watch = Stopwatch()
    with watch.stage("read"):
        pass
    with pytest.raises(ZeroDivisionError), watch.stage("read"):
        raise ZeroDivisionError
    assert watch.seconds == {"read": 3.0}
