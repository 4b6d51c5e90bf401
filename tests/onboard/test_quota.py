from __future__ import annotations

import pytest

from onboard.outbox import Cause, Item, Outbox
from onboard.priority import Rule
from onboard.product import pack
from onboard.quota import keep_within
from tests.products import make_product

MODEL = b"m" * 32
PRODUCTS = [pack(make_product(seed)) for seed in range(6)]
SIZE = max(map(len, PRODUCTS))


@pytest.fixture
def outbox(tmp_path):
    """Six products, the later the more valuable."""
    with Outbox(tmp_path / "o.sqlite") as outbox:
        for seed, data in enumerate(PRODUCTS):
            outbox.record(bytes([seed]) * 32, MODEL, [Item(data, 1.0 + seed)], now_ms=1000)
        yield outbox


def test_within_the_quota_or_without_one_nothing_goes(outbox):
    assert keep_within(outbox, 2000) == []
    outbox.quota = outbox.stored_bytes
    assert keep_within(outbox, 2000) == []
    assert len(outbox.waiting()) == 6


def test_the_least_goes_first_and_the_ledger_says_why(outbox):
    outbox.quota = outbox.stored_bytes - 1
    assert keep_within(outbox, 2000) == [(1, Rule.LOWEST)]
    outbox.quota -= SIZE
    assert keep_within(outbox, 3000) == [(2, Rule.LOWEST)]
    assert [(one.item, one.cause, one.rule, one.left_ms) for one in outbox.left()] == [
        (1, Cause.EVICTED, Rule.LOWEST.value, 2000),
        (2, Cause.EVICTED, Rule.LOWEST.value, 3000),
    ]
    assert outbox.stored_bytes <= outbox.quota


def test_what_was_sent_often_enough_goes_before_what_was_not(outbox):
    outbox.commit({6: 2, 5: 1}, {}, {})
    outbox.quota = outbox.stored_bytes - 1
    assert keep_within(outbox, 2000) == [(6, Rule.SENT)]
    assert outbox.left()[0].cause is Cause.SENT


def test_what_is_larger_than_the_quota_goes_alone(outbox):
    outbox.record(b"l" * 32, MODEL, chips=[Item(bytes(10 * SIZE), 1e9)], now_ms=1000)
    outbox.quota = 6 * SIZE
    assert keep_within(outbox, 2000) == [(7, Rule.TOO_LARGE)]
