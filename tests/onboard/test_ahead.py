from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest

from onboard.ahead import ahead


def test_results_come_in_order() -> None:
    assert list(ahead(partial(pow, n, 2) for n in range(7))) == [n * n for n in range(7)]
    assert list(ahead([])) == []


def test_the_next_job_runs_while_a_result_is_in_use() -> None:
    begun = [threading.Event() for _ in range(3)]
    results = ahead([event.set for event in begun])
    next(results)
    assert begun[1].wait(10), "the second runs before its result is asked for"
    assert not begun[2].is_set(), "and the third does not yet"
    assert len(list(results)) == 2


def test_an_exception_comes_where_its_result_would_have_been() -> None:
    def fail() -> Any:
        raise OSError("gone")

    results = ahead([lambda: 1, fail, lambda: 3])
    assert next(results) == 1
    with pytest.raises(OSError, match="gone"):
        next(results)


def test_who_stops_early_leaves_no_thread() -> None:
    before = threading.active_count()
    results = ahead([partial(int, n) for n in range(5)])
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
