"""Live: what arrived in each contact goes out again at its pace, and is received as it was."""

from __future__ import annotations

import dataclasses
import json

import pytest

from ground import sources
from ground.channel import impair
from ground.receive import receive
from ground.replay import result
from ground.replay.live import CADU, Pace, Sender, passes
from onboard.errors import ConfigError
from onboard.link.counters import Counters
from onboard.link.downlink import fill
from onboard.outbox import Item, Outbox
from onboard.product import pack
from tests.ground.replay.listening import free_port, receiver
from tests.products import make_product, noisy_product
from tests.replays import START, example

BPS = 8 * CADU * 10  # ten frames a second


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four contacts: one with loss, one with nothing to send, one not used, one cut short."""
    folder = tmp_path_factory.mktemp("replay")
    products = [make_product(1), noisy_product(2, 160)]
    with Outbox(folder / "outbox.sqlite") as outbox:
        for one in products:
            outbox.record(one.scene_id, one.model_id, [Item(pack(one), 1.0)], [], START)
        sent = fill(outbox, 100_000, 2, now_ms=START).stream
    arrived, report = impair(sent, 1, 0.1)
    (folder / "one.bin").write_bytes(arrived)
    replay = example()
    used = result.Contact(
        1,
        "Svalbard",
        START + 10_000,
        START + 20_000,
        30.0,
        begin_ms=START + 12_000,
        capacity_bytes=80 * CADU + 5,
        frames_sent=len(sent) // CADU,
        frames_lost=report.frames_lost,
        stream="one.bin",
    )
    quiet = dataclasses.replace(used, number=2, aos_ms=START + 3_600_000, stream=None)
    quiet = dataclasses.replace(
        quiet,
        begin_ms=START + 3_600_000,
        los_ms=START + 3_602_000,
        capacity_bytes=20 * CADU,
        frames_sent=0,
        frames_lost=0,
    )
    # Power goes after a second of two.
    short = dataclasses.replace(quiet, number=4, capacity_bytes=10 * CADU)
    off = dataclasses.replace(quiet, number=3, begin_ms=None, note="safe mode")
    stations = tuple(dataclasses.replace(one, down_bps=float(BPS)) for one in replay.stations)
    replay = dataclasses.replace(replay, contacts=(used, quiet, off, short), stations=stations)
    result.write(replay, folder)
    return folder


@pytest.fixture(scope="module")
def replay(folder):
    return result.read(folder / result.NAME)


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self):
        self.now = 100.0
        self.slept = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


def test_a_contact_is_filled_with_idle_frames_and_one_without_power_is_silent(replay, folder):
    used, quiet, short = passes(replay, folder)
    lost = used.contact.frames_lost
    assert lost > 0
    assert used.recorded == used.contact.frames_sent - lost
    # Eight seconds of ten frames from the beginning of sending to the loss of signal.
    assert used.recorded + lost + used.idle == 80
    assert (quiet.recorded, quiet.idle) == (0, 20)
    assert (short.recorded, short.idle) == (0, 10)


def test_bursts_are_whole_frames_in_order_within_the_contact(replay, folder):
    counters = Counters()
    for one in passes(replay, folder):
        bursts = list(one.bursts(counters, speed=60))
        assert all(len(burst.data) % CADU == 0 for burst in bursts)
        times = [burst.at_s for burst in bursts]
        assert times == sorted(times)
        begin = (one.contact.begin_ms - START) / 1000
        assert begin < times[0]
        assert times[-1] <= (one.contact.los_ms - START) / 1000 + 1e-6
        data = b"".join(burst.data for burst in bursts)
        assert data.startswith(one.stream)
        assert len(data) == (one.recorded + one.idle) * CADU


@pytest.mark.parametrize(("speed", "most"), [(1, 1), (60, 11), (10_000, 28)])
def test_a_faster_play_puts_more_frames_into_a_datagram(replay, folder, speed, most):
    used, *_ = passes(replay, folder)
    sizes = [len(burst.data) // CADU for burst in used.bursts(Counters(), speed)]
    assert max(sizes) == most
    assert max(sizes) * CADU < sources.DATAGRAM


def test_the_whole_stream_is_received_as_it_was_recorded(replay, folder):
    counters = Counters()
    every = b"".join(
        burst.data for one in passes(replay, folder) for burst in one.bursts(counters, 60)
    )
    heard, recorded = receive(every), receive((folder / "one.bin").read_bytes())
    assert [data for data, _ in heard.products] == [data for data, _ in recorded.products]
    assert len(heard.products) > 0
    assert heard.report.frames_idle == sum(one.idle for one in passes(replay, folder))
    # The idle frames' own counts run on over both contacts: not one of them seems lost.
    assert heard.report.frames_lost == recorded.report.frames_lost


def test_every_burst_goes_when_its_time_has_come():
    clock = Clock()
    pace = Pace(60, None, clock, clock.sleep)
    for at in (6, 12, 12, 3600):
        pace.wait(at)
        assert clock.now == pytest.approx(100 + at / 60)
    assert clock.slept == pytest.approx([0.1, 0.1, 59.8])


def test_a_late_sender_catches_up_without_waiting():
    clock = Clock()
    pace = Pace(1, None, clock, clock.sleep)
    clock.now += 50
    pace.wait(10)
    pace.wait(40)
    assert clock.slept == []
    pace.wait(51)
    assert clock.slept == [1]


def test_long_silences_are_cut_and_what_follows_keeps_its_pace():
    clock = Clock()
    pace = Pace(10, 2.0, clock, clock.sleep)
    for at in (1000, 1010, 9000, 9005):
        pace.wait(at)
    assert clock.slept == pytest.approx([2.0, 1.0, 2.0, 0.5])


@pytest.mark.parametrize("where", ["udp://198.51.100.7:4000", "udp://example.com:4000"])
def test_another_machine_is_sent_to_only_if_that_is_meant(where):
    with pytest.raises(ConfigError, match=r"is not this machine; give udp://127\.0\.0\.1:PORT"):
        Sender(where)
    Sender(where, anywhere=True)


@pytest.mark.parametrize("where", ["udp://127.0.0.1:4000", "udp://:4000", "udp://localhost:4000"])
def test_this_machine_is_known(where):
    Sender(where)


@pytest.mark.parametrize("where", ["127.0.0.1:4000", "udp://127.0.0.1", "tcp://127.0.0.1:1"])
def test_an_address_that_makes_no_sense(where):
    with pytest.raises(ConfigError, match="give it as udp"):
        Sender(where)


def test_a_stream_that_is_gone(replay, tmp_path):
    with pytest.raises(ConfigError, match=r"one\.bin: the stream of contact 1 .* run the replay"):
        list(passes(replay, tmp_path))


def send_all(replay, folder, port, speed):
    counters, pace = Counters(), Pace(speed, longest_gap_s=0.2)
    sender = Sender(f"udp://127.0.0.1:{port}")
    for one in passes(replay, folder):
        sender.send(one.bursts(counters, speed), pace)


def test_nobody_listening_is_no_error(replay, folder):
    send_all(replay, folder, free_port(), 1000)


def test_live_into_receive_in_another_process_gives_the_same_products(replay, folder, tmp_path):
    live_out = tmp_path / "live"
    with receiver(live_out, idle_seconds=1.5) as port:
        # Ten times as fast: a hundred frames a second, 112 kB/s.
        send_all(replay, folder, port, 10)
    recorded = receive((folder / "one.bin").read_bytes()).products
    assert {path.read_bytes() for path in live_out.glob("*.fsp")} == {data for data, _ in recorded}
    heard = json.loads((live_out / "reception.json").read_text())["report"]
    assert heard["frames_idle"] > 0
