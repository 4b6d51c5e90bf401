from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from ground.channel import Channel, ChannelReport, Conditions, flip_bits, impair
from onboard.errors import ConfigError
from onboard.link import frames
from onboard.link.counters import Counters

CADU = frames.cadu_length(64)


def stream(count):
    return frames.idle_cadus(count, Counters(), 64)


def send(data, seed, **how):
    return impair(data, seed, frame_length=64, **how)


def test_a_perfect_channel_changes_nothing():
    assert send(stream(9), 1) == (stream(9), ChannelReport(9, 0, 0, 0, 0))


def test_the_same_seed_does_the_same_and_another_does_not():
    data = stream(200)
    how = {"frame_loss": 0.2, "bit_error_rate": 1e-4}
    assert send(data, 5, **how) == send(data, 5, **how)
    assert send(data, 5, **how)[0] != send(data, 6, **how)[0]


def test_losses_are_whole_frames_and_are_counted():
    data = stream(300)
    out, report = send(data, 1, frame_loss=0.3)
    kept = {out[start : start + CADU] for start in range(0, len(out), CADU)}
    sent = {data[start : start + CADU] for start in range(0, len(data), CADU)}
    assert kept < sent
    assert len(data) - len(out) == report.frames_lost * CADU
    assert report.frames == 300


@pytest.mark.parametrize("burst", [None, 1.0, 4.0, 20.0])
def test_the_mean_loss_is_what_was_asked_for(burst):
    _, report = send(stream(20_000), 3, frame_loss=0.1, burst=burst)
    assert report.frames_lost / 20_000 == pytest.approx(0.1, abs=0.02)


def test_bursts_have_the_mean_length_that_was_asked_for():
    data = stream(20_000)
    out, _ = send(data, 4, frame_loss=0.1, burst=5.0)
    kept = [frames.unpack(out[s + 4 : s + CADU]).channel_count for s in range(0, len(out), CADU)]
    gaps = [(b - a - 1) % 256 for a, b in pairwise(kept)]
    bursts = [gap for gap in gaps if gap]
    assert np.mean(bursts) == pytest.approx(5.0, rel=0.15)


def test_bits_are_flipped_at_the_rate_and_counted():
    data = stream(2000)
    out, report = send(data, 2, bit_error_rate=1e-3)
    wrong = np.unpackbits(np.frombuffer(data, np.uint8) ^ np.frombuffer(out, np.uint8))
    assert wrong.sum() == report.bits_flipped
    assert report.bits_flipped == pytest.approx(8 * len(data) * 1e-3, rel=0.1)
    hit = wrong.reshape(2000, -1).any(axis=1).sum()
    assert hit == report.frames_hit


def test_everything_can_be_lost_or_flipped():
    assert send(stream(7), 0, frame_loss=1.0)[1] == ChannelReport(7, 7, 7, 0, 0)
    out, _ = send(stream(2), 0, bit_error_rate=1.0)
    assert bytes(255 - byte for byte in out) == stream(2)


def test_an_empty_stream_and_a_piece_of_a_frame():
    assert send(b"", 1, frame_loss=0.5, bit_error_rate=0.5) == (b"", ChannelReport(0, 0, 0, 0, 0))
    assert send(stream(1)[:-1], 1)[1].frames == 1


def pieces(data):
    return [data[start : start + CADU] for start in range(0, len(data), CADU)]


def numbered(count):
    """Frames that are all different."""
    return b"".join(number.to_bytes(CADU, "big") for number in range(count))


def test_frames_that_arrive_twice():
    out, report = Channel(1, Conditions(duplicate=0.2), 64).send(numbered(500))
    assert sorted(set(pieces(out))) == pieces(numbered(500))
    assert len(pieces(out)) == 500 + report.frames_duplicated
    assert report.frames_duplicated == pytest.approx(100, rel=0.3)


@pytest.mark.parametrize("span", [1, 8])
def test_frames_that_arrive_late_but_not_too_late(span):
    out, report = Channel(2, Conditions(reorder=0.3, span=span), 64).send(numbered(500))
    order = [int.from_bytes(piece, "big") for piece in pieces(out)]
    assert sorted(order) == list(range(500))
    assert order != list(range(500))
    assert max(place - number for place, number in enumerate(order)) <= span
    assert report.frames_moved == pytest.approx(150, rel=0.3)


def test_frames_that_arrive_with_the_next_sending():
    channel = Channel(3, Conditions(delay=0.1), 64)
    data = pieces(numbered(400))
    first, one = channel.send(b"".join(data[:200]))
    second, two = channel.send(b"".join(data[200:]))
    third, _ = channel.send(b"")
    assert sorted(pieces(first) + pieces(second) + pieces(third)) == data
    assert len(pieces(first)) == 200 - one.frames_delayed
    assert all(piece in data[:200] for piece in pieces(second)[: one.frames_delayed])
    assert two.frames_delayed == len(pieces(third)) > 0


def test_what_is_off_draws_nothing():
    """So that a seed means what it meant before there was more to switch on."""
    how = {"frame_loss": 0.2, "bit_error_rate": 1e-4, "burst": 2.0}
    assert Channel(5, Conditions(**how), 64).send(stream(99)) == send(stream(99), 5, **how)


def test_bits_of_any_bytes():
    assert flip_bits(b"", 0.5, 1) == b""
    assert flip_bits(b"abc", 0.0, 1) == b"abc"
    assert flip_bits(b"abc", 1.0, 1) == bytes(255 - byte for byte in b"abc")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"duplicate": 2.0}, "doubled"),
        ({"reorder": -1.0}, "late frames"),
        ({"delay": 1.5}, "delayed"),
        ({"span": 0}, "at least 1"),
    ],
)
def test_conditions_that_make_no_sense(how, words):
    with pytest.raises(ConfigError, match=words):
        Channel(1, Conditions(**how))


def test_report_to_json():
    assert ChannelReport(5, 1, 1, 0, 0).to_json()["frames_lost"] == 1


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"frame_loss": -0.1}, "frame loss"),
        ({"frame_loss": 1.1}, "frame loss"),
        ({"bit_error_rate": 2.0}, "bit error rate"),
        ({"frame_loss": 0.1, "burst": 0.5}, "at least 1"),
        ({"frame_loss": 0.9, "burst": 2.0}, "at least 9"),
    ],
)
def test_rates_that_make_no_sense(how, words):
    with pytest.raises(ConfigError, match=words):
        send(stream(2), 1, **how)


def test_origins_tell_which_frame_each_arrival_was():
    link = Channel(6, Conditions(0.1, duplicate=0.1, reorder=0.2, delay=0.1), 64)
    data = stream(200)
    assert link.origins == []
    out, _ = link.send(data)
    assert out == b"".join(data[at * CADU : (at + 1) * CADU] for at in link.origins)
    assert link.origins != sorted(set(link.origins))
    assert len(set(link.origins)) < 190
    late = len(set(range(200)) - set(link.origins))
    link.send(data)
    assert 0 < link.origins.count(-1) <= late
