"""The two ends over a nasty link: what arrives, what does not, and never a wrong one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ground.channel import Conditions
from ground.rehearsal import Plan, rehearse
from onboard.link import cfdp, frames, packets
from onboard.link.apid import Apid
from onboard.outbox import Item, Outbox
from onboard.product import pack
from tests.products import noisy_product

CADU = frames.cadu_length()
NASTY = Conditions(
    frame_loss=0.2,
    bit_error_rate=1e-5,
    burst=3.0,
    duplicate=0.05,
    reorder=0.1,
    span=8,
    delay=0.05,
)
PLAIN = Conditions(frame_loss=0.2, bit_error_rate=1e-5, burst=3.0)


def run(folder, seed, conditions=NASTY, count=6, side=150, **plan):
    """The files that were queued, in order of their transactions, and the rehearsal."""
    made = [pack(noisy_product(100 * seed + index, side)) for index in range(count)]
    with Outbox(folder / f"outbox-{seed}-{sorted(plan.items())}.db") as outbox:
        for index, data in enumerate(made):
            outbox.record(bytes([index]) * 32, b"m" * 32, [Item(data, float(index))], now_ms=1)
        return made, rehearse(outbox, conditions, seed, Plan(**plan))


def check_class_2(folder, seed, conditions=NASTY, **more):
    made, found = run(folder, seed, conditions, link_class=2, budget=20 * CADU, **more)
    assert set(found.delivered) == set(made)
    assert found.done


@pytest.mark.parametrize("seed", range(4))
def test_class_2_delivers_everything(tmp_path, seed):
    check_class_2(tmp_path, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(200))
def test_class_2_delivers_everything_over_many_links(tmp_path, seed):
    check_class_2(tmp_path, seed)


def test_class_2_delivers_over_a_link_that_loses_nearly_everything(tmp_path):
    check_class_2(tmp_path, 1, replace(NASTY, frame_loss=0.6), contacts=2000)


def test_class_2_without_losses_sends_everything_once(tmp_path):
    made, found = run(tmp_path, 1, Conditions(), link_class=2, budget=10**6)
    assert set(found.delivered) == set(made)
    # The files, then the last acknowledgements.
    assert found.contacts == 2
    units = sum(len(unit) for data in made for unit in cfdp.pdus(data, "x" * 16, 0))
    assert found.bytes_down < units * 1.05 + 3 * CADU


def check_class_1(folder, seed, conditions, sendings):
    """Exactly those files arrive of which every unit arrived in one sending or another."""
    plan = {"link_class": 1, "sendings": sendings, "budget": 30 * CADU}
    made, found = run(folder, seed, conditions, **plan)
    arrived = units_in(found.streams)
    whole = {
        data
        for number, data in enumerate(made)
        if arrived >= set(cfdp.pdus(data, f"{data[-16:].hex()[:12]}.fsp", number))
    }
    assert set(found.delivered) == whole
    return len(whole)


@pytest.mark.parametrize("sendings", [1, 2, 4])
def test_class_1_delivers_what_arrived_in_the_union_of_its_sendings(tmp_path, sendings):
    counts = [check_class_1(tmp_path, seed, PLAIN, sendings) for seed in range(4)]
    # The test says something only where some files arrive and some do not.
    assert sum(counts) > 0 if sendings > 1 else sum(counts) < 24


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("sendings", [1, 2, 3, 4, 8])
def test_class_1_over_many_links(tmp_path, seed, sendings):
    check_class_1(tmp_path, seed, PLAIN, sendings)


@pytest.mark.parametrize("seed", range(3))
def test_a_link_of_class_1_that_mixes_frames_up_never_gives_a_wrong_file(tmp_path, seed):
    made, found = run(tmp_path, seed, link_class=1, sendings=4, budget=30 * CADU)
    assert set(found.delivered) <= set(made)
    assert found.delivered


def test_the_same_seed_gives_the_same_rehearsal(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    one, two = (run(tmp_path / folder, 3, link_class=2)[1] for folder in ("a", "b"))
    assert one == two


def units_in(streams):
    """Units that lie whole in consecutive frames: the slow, independent way.

    Frames are taken where they were sent, by their length alone: the channel keeps it.
    """
    found, run, synced, last = set(), b"", False, None
    for stream in streams:
        # A pass ends with an idle packet, so nothing runs on into the next one.
        for start in range(0, len(stream), CADU):
            body = stream[start + 4 : start + CADU]
            if not frames.is_intact(body):
                continue
            frame = frames.unpack(body)
            begins = frame.first_header < len(frame.data)
            if last is None or frame.channel_count != (last + 1) % 256:
                run, synced = b"", False
            if synced:
                run += frame.data
            elif begins:
                run, synced = frame.data[frame.first_header :], True
            last = frame.channel_count
            while len(run) >= 6 and len(run) >= packets.header_of(run).packet_len:
                size = packets.header_of(run).packet_len
                if packets.header_of(run).apid == Apid.CFDP:
                    found.add(packets.unpack(run[:size]).data)
                run = run[size:]
    return found
