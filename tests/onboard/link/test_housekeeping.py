from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onboard import engines
from onboard.errors import StreamError
from onboard.link import housekeeping
from onboard.link.housekeeping import STAGES, Flag, Housekeeping, State, Status
from onboard.outbox import Outbox

# Version 1, as it was flown: 21 bytes.
OLD = bytes.fromhex("01 00000007 00000002 00000003 0000000000001234")


def words(size: int) -> st.SearchStrategy[int]:
    return st.integers(0, 256**size - 1)


STATUSES = st.builds(
    Status,
    model_id=st.binary(min_size=8, max_size=8),
    engine=st.sampled_from(housekeeping.ENGINES),
    state=st.sampled_from(State),
    flags=st.integers(0, 15).map(Flag),
    temperature_c=st.none() | st.integers(-127, 127),
    uptime_s=words(4),
    starts=words(2),
    restarts=words(2),
    errors=words(2),
    memory_bytes=words(2).map(lambda n: n * 2**20),
    free_bytes=words(4).map(lambda n: n * 2**20),
    inbox=words(2),
    seconds=st.tuples(*[words(2)] * 5).map(
        lambda ticks: {name: round(n * 0.01, 2) for name, n in zip(STAGES, ticks)}
    ),
)


@given(st.tuples(*[words(4)] * 3), words(8), st.tuples(*[words(4)] * 3), st.none() | STATUSES)
def test_housekeeping_round_trip(counts, size, more, status):
    state = Housekeeping(*counts, size, *more, status)
    data = housekeeping.pack(state)
    assert len(data) == housekeeping.SIZE
    assert housekeeping.unpack(data) == state


def test_the_first_version_is_still_read():
    assert housekeeping.unpack(OLD) == Housekeeping(7, 2, 3, 0x1234)


def test_other_housekeeping_is_refused():
    data = housekeeping.pack(Housekeeping(1, 2, 3, 4))
    for wrong in (
        b"",
        data[:-1],
        data + b"\0",
        b"\x01" + data[1:],
        b"\x03" + data[1:],
        data[:33] + b"\x02" + data[34:],
        data[:33] + b"\x01" + data[34:43] + b"\x77" + data[44:],
        b"\x02" + OLD[1:],
    ):
        with pytest.raises(StreamError, match=r"not one known here|has format version [03], "):
            housekeeping.unpack(wrong)


def test_values_beyond_a_field_are_cut_to_it():
    status = Status(
        bytes(range(32)), "another", temperature_c=500, errors=10**9, starts=2**16 + 3,
        memory_bytes=2**60, free_bytes=-5, seconds={"segment": 1e9, "unknown": 3.0},
    )  # fmt: skip
    found = housekeeping.unpack(housekeeping.pack(Housekeeping(2**40, 0, 0, 0, runtime=status)))
    assert found.frames == 2**32 - 1
    told = found.runtime
    assert told.model_id == bytes(range(8))
    assert (told.engine, told.temperature_c, told.errors, told.starts) == ("unknown", 127, 65535, 3)
    assert (told.memory_bytes, told.free_bytes) == (65535 * 2**20, 0)
    assert told.seconds == {**dict.fromkeys(STAGES, 0.0), "segment": 655.35}


def test_memory_is_never_told_too_small():
    status = Status(memory_bytes=2**20 + 1)
    assert housekeeping.unpack_status(housekeeping.pack_status(status)).memory_bytes == 2 * 2**20


def test_every_engine_has_a_code():
    assert set(housekeeping.ENGINES) == {"unknown", *engines.LOADERS}


def test_what_the_runtime_says_rides_in_the_outbox(tmp_path):
    status = Status(b"modelnow", "tflite", State.IDLE, Flag.FALLBACK, 41)
    with Outbox(tmp_path / "o.sqlite") as outbox:
        assert outbox.status is None
        assert outbox.housekeeping().runtime is None
        outbox.status = Status()
        outbox.status = status
    with Outbox(tmp_path / "o.sqlite") as outbox:
        told = outbox.housekeeping().runtime
    assert told == status


def test_as_json():
    row = housekeeping.to_json(Housekeeping(1, 2, 3, 4, runtime=Status(b"12345678", flags=Flag(5))))
    assert json.loads(json.dumps(row))["runtime"]["flags"] == ["fallback", "clock_back"]
    assert row["runtime"]["state"] == "starting"
    assert housekeeping.to_json(Housekeeping(1, 2, 3, 4))["runtime"] is None


@pytest.mark.parametrize("one", [*State, *Flag])
def test_str_of_every_member(one):
    assert str(one)
