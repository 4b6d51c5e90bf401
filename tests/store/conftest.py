from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.s3 import Store, store_running


@pytest.fixture(scope="module")
def running() -> Iterator[Store]:
    with store_running() as store:
        yield store


@pytest.fixture
def store(running: Store) -> Store:
    running.forget()
    return running
