from __future__ import annotations

import itertools
import json
from collections import Counter

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onboard.cli.downlink import command
from onboard.errors import ConfigError, OutputError
from onboard.link import alerts, cfdp, frames, packets
from onboard.link.apid import VC_IDLE, Apid
from onboard.link.downlink import fill
from onboard.link.transfers import Transfers
from onboard.outbox import Item, Kind, Outbox
from onboard.product import pack
from tests.products import make_product, noisy_product

CADU = frames.cadu_length()
MODEL = b"m" * 32
NOW = 1_700_000_000_000
DAY_MS = 86_400_000


def queue(outbox, seeds, values=None, alert=True, side=96):
    """Record one noisy product per seed, worth its seed unless said otherwise."""
    for seed, value in zip(seeds, values or seeds):
        product = noisy_product(seed, side)
        data = pack(product)
        told = [Item(alerts.pack(alerts.alert_for(product, data[-16:])), value)] if alert else []
        outbox.record(bytes([seed]) * 32, MODEL, [Item(data, value)], told)


def contents(stream):
    """The packets of a stream without losses, idle ones left out."""
    assert len(stream) % CADU == 0
    data, found = b"", []
    for start in range(0, len(stream), CADU):
        frame = frames.unpack(stream[start + 4 : start + CADU])
        if frame.channel != VC_IDLE:
            data += frame.data
    while data:
        size = packets.header_of(data).packet_len
        if packets.header_of(data).apid != Apid.IDLE:
            found.append(packets.unpack(data[:size]))
        data = data[size:]
    return found


@pytest.fixture
def outbox(tmp_path):
    with Outbox(tmp_path / "outbox.db") as box:
        yield box


def test_order_alerts_housekeeping_then_whole_sendings(outbox):
    queue(outbox, [1, 2])
    sent = contents(fill(outbox, 10**6, 2, NOW).stream)
    one, two = (
        cfdp.pdus(i.data, f"{i.data[-16:].hex()[:12]}.fsp", i.sequence)
        for i in outbox.waiting()[2:]
    )
    told = [item.data for item in outbox.waiting()[:2]]
    units = [packet.data for packet in sent]
    assert units[:2] == told
    assert sent[2].apid == Apid.HOUSEKEEPING
    assert units[3:] == [*one, *two, *told, *one, *two]
    assert all(packet.sent_ms == NOW for packet in sent)


def test_counts_are_gapless_per_apid_and_go_on_in_the_next_pass(outbox):
    queue(outbox, [1])
    counts = {}
    for _ in range(3):
        downlink = fill(outbox, 7 * CADU, 3, NOW)
        downlink.commit(outbox)
        for packet in contents(downlink.stream):
            counts.setdefault(packet.apid, []).append(packet.count)
    assert set(counts) == {Apid.ALERT, Apid.HOUSEKEEPING, Apid.CFDP}
    for found in counts.values():
        assert found == list(range(len(found)))
    assert outbox.counters["mc"] == outbox.counters["vc:0"] > 7


def test_nothing_changes_before_commit(outbox):
    queue(outbox, [1, 2])
    one = fill(outbox, 10**6, 2, NOW)
    two = fill(outbox, 10**6, 2, NOW)
    assert one.stream == two.stream
    one.commit(outbox)
    assert outbox.waiting(2) == []
    with pytest.raises(OutputError, match="run it again"):
        two.commit(outbox)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25
)
@given(
    frames_of_budget=st.integers(1, 40), rest=st.integers(0, CADU - 1), sendings=st.integers(1, 4)
)
def test_the_budget_is_never_exceeded(tmp_path_factory, frames_of_budget, rest, sendings):
    with Outbox(tmp_path_factory.mktemp("outbox") / "o.db") as outbox:
        queue(outbox, [1, 2, 3])
        budget = frames_of_budget * CADU + rest
        downlink = fill(outbox, budget, sendings, NOW)
        assert len(downlink.stream) <= budget
        assert len(contents(downlink.stream)) > 0
        padded = fill(outbox, budget, sendings, NOW, pad=True).stream
        assert len(padded) == frames_of_budget * CADU
        assert padded.startswith(downlink.stream)


def test_the_most_valuable_goes_first_and_the_rest_waits(outbox):
    queue(outbox, [1, 2, 3], values=[5.0, 9.0, 7.0], alert=False)
    size = len(outbox.waiting()[0].data)
    downlink = fill(outbox, size * 5 // 4 * 2 + 2 * CADU, 1, NOW)
    whole = [sent.item.value for sent in downlink.sent if sent.sendings]
    assert whole == [9.0, 7.0]
    assert downlink.waiting == 1


def test_a_product_that_does_not_fit_lets_a_smaller_one_go(outbox):
    small = pack(make_product(7))
    outbox.record(b"a" * 32, MODEL, [Item(pack(noisy_product(1, 200)), 9.0), Item(small, 1.0)])
    downlink = fill(outbox, 4 * CADU, 1, NOW)
    assert downlink.sent[0].item.data == small
    assert downlink.waiting == 1


def test_sendings_that_do_not_fit_follow_in_the_next_pass_under_the_same_transaction(outbox):
    queue(outbox, [1], alert=False)
    size = len(outbox.waiting()[0].data)
    budget = (size // 1000 + 3) * CADU
    found = []
    for room in (budget, 10 * budget):
        downlink = fill(outbox, room, 2, NOW)
        assert [sent.sendings for sent in downlink.sent] == [1]
        downlink.commit(outbox)
        found.append([p.data for p in contents(downlink.stream) if p.apid == Apid.CFDP])
    assert found[0] == found[1]
    assert fill(outbox, budget, 2, NOW).sent == ()


def test_the_order_is_worth_per_byte(outbox):
    small = pack(make_product(7))
    large = pack(noisy_product(1, 200))
    outbox.record(b"a" * 32, MODEL, [Item(large, 9.0), Item(small, 1.0)], now_ms=NOW)
    downlink = fill(outbox, 10**6, 1, NOW)
    assert [sent.item.data for sent in downlink.sent] == [small, large]


def test_what_waited_long_goes_before_better_news(outbox):
    old, new = pack(noisy_product(1)), pack(noisy_product(2))
    outbox.record(b"a" * 32, MODEL, [Item(old, 1.0)], now_ms=NOW - 30 * DAY_MS)
    outbox.record(b"b" * 32, MODEL, [Item(new, 2.0)], now_ms=NOW)
    budget = len(old) * 5 // 4 + 2 * CADU
    assert fill(outbox, budget, 1, NOW).sent[0].item.data == old
    earlier = fill(outbox, budget, 1, NOW - 30 * DAY_MS)
    assert earlier.sent[0].item.data == new


def test_fresh_news_goes_before_stale_news_of_the_same_worth(outbox):
    stale, fresh = pack(noisy_product(1)), pack(noisy_product(2))
    items = [Item(stale, 2.0, acquired_ms=NOW - 3 * DAY_MS), Item(fresh, 2.0, acquired_ms=NOW)]
    outbox.record(b"a" * 32, MODEL, items, now_ms=NOW)
    assert [sent.item.data for sent in fill(outbox, 10**6, 1, NOW).sent] == [fresh, stale]


def test_chips_come_last_whatever_they_are_worth(outbox):
    product, chip = pack(noisy_product(1)), b"chip" * 50
    outbox.record(b"a" * 32, MODEL, [Item(product, 0.0)], chips=[Item(chip, 1e9)])
    downlink = fill(outbox, 10**6, 2, NOW)
    assert [sent.item.kind for sent in downlink.sent] == [Kind.PRODUCT, Kind.CHIP]
    names = [p.data[16:].split(b"\x10")[1] for p in contents(downlink.stream) if b".fsc" in p.data]
    assert len(names) == 2
    assert downlink.sent[1].name == chip[-16:].hex()[:12]


def passes(outbox, budget, most=60):
    """Contacts of one size until nothing waits."""
    streams = []
    while outbox.waiting(1):
        downlink = fill(outbox, budget, 1, NOW)
        assert len(downlink.stream) <= budget
        downlink.commit(outbox)
        streams.append(downlink.stream)
        assert len(streams) <= most
    return streams


@pytest.mark.parametrize("frames_of_budget", [2, 3, 7])
def test_a_product_larger_than_every_contact_goes_in_parts(outbox, frames_of_budget):
    queue(outbox, [1], side=200)
    item = outbox.waiting()[1]
    streams = passes(outbox, frames_of_budget * CADU)
    assert len(streams) > 1
    units = [p.data for s in streams for p in contents(s) if p.apid == Apid.CFDP]
    assert units == cfdp.pdus(item.data, f"{item.data[-16:].hex()[:12]}.fsp", item.sequence)
    assert Transfers(outbox).parts() == {}


def test_a_part_that_was_not_recorded_is_sent_again(outbox):
    queue(outbox, [1], alert=False, side=200)
    first = fill(outbox, 3 * CADU, 1, NOW)
    assert (first.waiting, first.owed) == (1, 0)
    assert [one.sendings for one in first.sent] == [0]
    assert fill(outbox, 3 * CADU, 1, NOW).stream == first.stream
    first.commit(outbox)
    second = fill(outbox, 3 * CADU, 1, NOW)
    assert contents(second.stream)[1].data != contents(first.stream)[1].data
    with pytest.raises(OutputError, match="run it again"):
        first.commit(outbox)
    assert list(Transfers(outbox).parts().values()) == [first.sent[0].part]


def test_the_part_of_an_item_that_was_evicted_is_forgotten(outbox):
    queue(outbox, [1, 2], alert=False, side=200)
    first = fill(outbox, 3 * CADU, 1, NOW)
    first.commit(outbox)
    outbox.evict([first.sent[0].item.item], "test")
    fill(outbox, 3 * CADU, 1, NOW).commit(outbox)
    assert first.sent[0].item.item not in Transfers(outbox).parts()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=8)
@given(
    seeds=st.lists(st.integers(0, 40), min_size=1, max_size=4, unique=True),
    budgets=st.lists(st.integers(2, 30), min_size=1, max_size=4),
    sendings=st.integers(1, 3),
)
def test_whatever_the_contacts_hold_all_of_it_goes_as_often_as_wanted(
    tmp_path_factory, seeds, budgets, sendings
):
    with Outbox(tmp_path_factory.mktemp("outbox") / "o.db") as outbox:
        queue(outbox, seeds)
        wanted = Counter()
        for item in outbox.waiting():
            kind = item.kind is Kind.ALERT
            name = f"{item.data[-16:].hex()[:12]}.fsp"
            units = [item.data] if kind else cfdp.pdus(item.data, name, item.sequence)
            wanted.update(units * sendings)
        for budget in itertools.chain(budgets, itertools.repeat(12, 40)):
            downlink = fill(outbox, budget * CADU, sendings, NOW)
            assert len(downlink.stream) <= budget * CADU
            wanted.subtract(
                p.data for p in contents(downlink.stream) if p.apid != Apid.HOUSEKEEPING
            )
            downlink.commit(outbox)
            if not outbox.waiting(sendings):
                break
        assert set(wanted.values()) == {0}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10)
@given(
    seeds=st.lists(st.integers(0, 40), min_size=1, max_size=5, unique=True),
    budget=st.integers(1, 20),
    sendings=st.integers(1, 2),
)
def test_what_waits_does_not_fit_into_the_unused_bytes(tmp_path_factory, seeds, budget, sendings):
    with Outbox(tmp_path_factory.mktemp("outbox") / "o.db") as outbox:
        queue(outbox, seeds)
        downlink = fill(outbox, budget * CADU, sendings, NOW)
        used = sum(len(packets.pack(packet)) for packet in contents(downlink.stream))
        unused = budget * frames.data_length() - packets.MIN_IDLE - used
        assert unused >= 0
        downlink.commit(outbox)
        begun = Transfers(outbox).parts()
        for item in outbox.waiting(sendings):
            alert = item.kind is Kind.ALERT
            units = [item.data] if alert else cfdp.pdus(item.data, "0123456789ab.fsp", 1)
            rest = units[begun.get(item.item, 0) :]
            assert sum(len(unit) + packets.OVERHEAD for unit in rest) > unused


def test_an_empty_outbox_still_reports(outbox):
    downlink = fill(outbox, 10**5, 2, NOW)
    assert [packet.apid for packet in contents(downlink.stream)] == [Apid.HOUSEKEEPING]


@pytest.mark.parametrize(
    ("budget", "sendings"), [(0, 1), (-5, 1), (CADU - 1, 1), (CADU, 0), (CADU, 17)]
)
def test_options_that_make_no_sense(outbox, budget, sendings):
    with pytest.raises(ConfigError, match="--"):
        fill(outbox, budget, sendings)


def run(tmp_path, *more):
    arguments = [str(tmp_path / "outbox.db"), "--out", str(tmp_path / "pass.bin"), *more]
    return CliRunner().invoke(command, arguments)


def test_command_writes_the_stream_and_records_the_pass(tmp_path, outbox):
    queue(outbox, [1])
    result = run(tmp_path, "--budget", "100000", "--json", str(tmp_path / "f.json"))
    assert result.exit_code == 0, result.output
    stream = (tmp_path / "pass.bin").read_bytes()
    assert (
        f"{len(stream)} of 100000 bytes; items that wait for their first sending: 0"
        in result.output
    )
    figures = json.loads((tmp_path / "f.json").read_text())
    assert figures["bytes"] == len(stream)
    assert [(one["kind"], one["sendings"]) for one in figures["sent"]] == [
        ("alert", 2),
        ("product", 2),
    ]
    assert outbox.waiting(2) == []


def test_command_that_cannot_write_leaves_the_outbox_alone(tmp_path, outbox):
    queue(outbox, [1])
    (tmp_path / "pass.bin").mkdir()
    result = run(tmp_path, "--budget", "100000")
    assert result.exit_code != 0
    assert len(outbox.waiting()) == 2
    assert outbox.counters == {}


def test_command_without_an_outbox(tmp_path):
    result = run(tmp_path, "--budget", "100000")
    assert isinstance(result.exception, OutputError)
    assert not (tmp_path / "pass.bin").exists()


def test_repeats_that_are_owed_are_said(tmp_path):
    with Outbox(tmp_path / "o.sqlite") as outbox:
        packed = pack(noisy_product(3))
        outbox.record(bytes(32), bytes(32), products=[Item(packed, 1.0)])
        room = len(fill(outbox, 10 * len(packed), sendings=1).stream)
        once = fill(outbox, room, sendings=2)
        assert (once.waiting, once.owed) == (0, 1)
        once.commit(outbox)
        rest = fill(outbox, 10 * len(packed), sendings=2)
        assert (rest.waiting, rest.owed) == (0, 0)
