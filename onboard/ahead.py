"""Reading ahead: the next piece is made while the present one is worked on.

Engines keep all cores busy for most of the time, but reading, hashing and normalising each use one
and wait for storage in between; done in turn they would hold the network up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(jobs: Iterable[Callable[[], T]]) -> Iterator[T]:
    """The results of ``jobs``, in order; one job is always running before it is asked for.

    Jobs run one after another in a single thread, so what they share needs no lock. A job's
    exception is raised where its result would have been.
    """
    with ThreadPoolExecutor(1) as pool:
        # Popped, and so not kept while whoever asked works on it.
        waiting: list[Future[T]] = []
        for job in jobs:
            waiting.append(pool.submit(job))
            if len(waiting) > 1:
                yield waiting.pop(0).result()
        if waiting:
            yield waiting.pop().result()
