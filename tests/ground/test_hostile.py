"""Hostile input: nothing crashes, hangs, grows without bound, or lets anything damaged through."""

from __future__ import annotations

import random
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ground.receive import receive
from onboard.errors import StreamError
from onboard.link import cfdp, frames
from onboard.link.apid import Apid
from tests.ground import hostile

ROOT = Path(__file__).resolve().parents[2]
QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large]


def test_the_stream_is_right_before_it_is_damaged():
    reception = hostile.check_stream(hostile.STREAM)
    assert [data for data, _ in reception.products] == hostile.PRODUCTS
    for data in hostile.corpus():
        hostile.check_input(data)


@settings(max_examples=300, suppress_health_check=QUIET)
@given(st.sampled_from(hostile.DAMAGE), st.integers(0, 2**32))
def test_mutated_streams(damage, seed):
    radio = damage is hostile.damaged_stream
    hostile.check_stream(damage(random.Random(seed)), radio=radio)


@pytest.mark.soak
@settings(max_examples=100_000, suppress_health_check=QUIET, database=None)
@given(st.sampled_from(hostile.DAMAGE), st.integers(0, 2**32))
def test_mutated_streams_at_length(damage, seed):
    radio = damage is hostile.damaged_stream
    hostile.check_stream(damage(random.Random(seed)), radio=radio)


@settings(max_examples=200)
@given(st.binary(max_size=600))
def test_bytes_that_nobody_sent(data):
    hostile.check_input(data)


def fuzz(tmp_path, runs):
    pytest.importorskip("atheris", reason="atheris has no wheel here")
    seeds = tmp_path / "corpus"
    seeds.mkdir()
    for index, data in enumerate(hostile.corpus()):
        (seeds / str(index)).write_bytes(data)
    command = [sys.executable, "-m", "tests.ground.fuzz_link", str(seeds)]
    limits = ["-seed=1", f"-runs={runs}", "-max_len=8192", "-timeout=20", "-rss_limit_mb=0"]
    done = subprocess.run(
        [*command, *limits, f"-artifact_prefix={tmp_path}/"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "cov:" in done.stderr, done.stderr[-4000:]
    return done.stderr


def test_a_coverage_guided_fuzzer_finds_nothing(tmp_path):
    fuzz(tmp_path, 1000)


@pytest.mark.soak
def test_a_coverage_guided_fuzzer_finds_nothing_at_length(tmp_path):
    fuzz(tmp_path, 100_000)


def peak(stream):
    """Most bytes held while the stream is received."""
    tracemalloc.start()
    try:
        receive(stream)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def claims(count):
    """Units of many transfers that claim to be of the largest files."""
    for number in range(count):
        first, _, last = cfdp.pdus(b"x", "f", number, acknowledged=True)
        yield first[:12] + b"\x04\x00\x00\x00" + first[16:]
        yield last[:-4] + b"\x04\x00\x00\x00"


def test_lengths_are_checked_before_anything_is_allocated():
    """Thousands of units that claim 64 MiB each cost what their own bytes cost."""
    sent = [(Apid.CFDP, unit) for unit in claims(2000)]
    length, hostile.LENGTH = hostile.LENGTH, frames.DEFAULT_LENGTH
    try:
        stream = hostile.framed(sent)
    finally:
        hostile.LENGTH = length
    assert peak(stream) < 32 * 2**20


def test_noise_full_of_markers_costs_no_memory():
    stream = frames.SYNC_MARKER * 50_000
    with pytest.raises(StreamError):
        peak(stream)
