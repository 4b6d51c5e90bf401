from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spacepackets.cfdp.conf import PduConfig
from spacepackets.cfdp.defs import (
    ChecksumType,
    ConditionCode,
    CrcFlag,
    LargeFileFlag,
    TransmissionMode,
)
from spacepackets.cfdp.pdu import EofPdu, FileDataPdu, MetadataParams, MetadataPdu, PromptPdu
from spacepackets.cfdp.pdu.file_data import FileDataParams
from spacepackets.cfdp.pdu.prompt import ResponseRequired
from spacepackets.util import ByteFieldU8, ByteFieldU32

from ground.reassembly import Key, Reassembly, checksum, parse
from ground.segments import Segments
from onboard.errors import StreamError
from onboard.link import cfdp
from onboard.link.cfdp import pdus

DATA = random.Random(1).randbytes(1000)


def config(sequence=1, **changes):
    fields = {
        "source_entity_id": ByteFieldU8(1),
        "dest_entity_id": ByteFieldU8(2),
        "transaction_seq_num": ByteFieldU32(sequence),
        "trans_mode": TransmissionMode.UNACKNOWLEDGED,
    }
    return PduConfig(**{**fields, **changes})


def metadata(size, kind=ChecksumType.CRC_32, conf=None):
    params = MetadataParams(False, kind, size, "f", "f")
    return bytes(MetadataPdu(conf or config(), params).pack())


def piece(offset, data, conf=None):
    return bytes(FileDataPdu(conf or config(), FileDataParams(data, offset)).pack())


def eof(data, size=None, **more):
    size = len(data) if size is None else size
    total = checksum(data, ChecksumType.CRC_32)
    return bytes(EofPdu(more.pop("conf", None) or config(), total, size, **more).pack())


def feed(units, **limits):
    station = Reassembly(**limits)
    files = [file for unit in units if (file := station.add(unit)) is not None]
    return files, station


@given(
    st.binary(min_size=1, max_size=400),
    st.integers(20, 200),
    st.integers(1, 3),
    st.randoms(use_true_random=False),
    st.floats(0, 0.9),
)
def test_delivered_exactly_if_every_unit_arrived_once(data, segment, sendings, rng, loss):
    units = pdus(data, "name.fsp", 9, segment)
    arrived = [unit for _ in range(sendings) for unit in units if rng.random() >= loss]
    rng.shuffle(arrived)
    files, station = feed(arrived)
    whole = set(arrived) == set(units)
    assert [(file.key, file.name, file.data) for file in files] == (
        [(Key(1, 9), "name.fsp", data)] if whole else []
    )
    assert not station.refused
    assert len(station.unfinished()) == int(bool(arrived) and not whole)


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 25)), max_size=30),
)
def test_segments_hold_what_arrived_and_nothing_else(parts):
    whole = bytes(range(100))
    segments, seen = Segments(), set()
    for offset, size in parts:
        assert segments.add(offset, whole[offset : offset + size])
        seen.update(range(offset, offset + size))
    assert segments.held == len(seen)
    assert segments.joined() == bytes(sorted(seen))
    assert segments.end == (max(seen) + 1 if seen else 0)


@given(st.integers(0, 89), st.integers(1, 10), st.integers(0, 99))
def test_segments_see_every_contradiction(offset, size, wrong):
    segments = Segments()
    for start in (50, 0, 25, 75):
        assert segments.add(start, bytes(25))
    data = bytearray(size)
    inside = offset <= wrong < offset + size
    if inside:
        data[wrong - offset] = 1
    assert segments.add(offset, bytes(data)) is not inside
    assert segments.held == 100


def test_two_files_may_be_mixed():
    one, two = pdus(DATA, "one", 1, 100), pdus(DATA[::-1], "two", 2, 100)
    files, _ = feed([unit for pair in zip(one, two, strict=True) for unit in pair])
    assert {file.name: file.data for file in files} == {"one": DATA, "two": DATA[::-1]}


def test_another_segmentation_of_the_same_file_merges():
    units = [metadata(1000), piece(0, DATA[:700]), piece(300, DATA[300:]), eof(DATA)]
    files, _ = feed(units)
    assert files[0].data == DATA


def test_what_is_missing_is_told():
    first, *middle, last = pdus(DATA, "f", 1, 100)
    _, station = feed([first, *middle[3:], last])
    (lost,) = station.unfinished()
    assert (lost.name, lost.size, lost.missing) == ("f", 1000, 300)
    assert lost.reason == "file data did not arrive"
    _, station = feed(middle)
    (lost,) = station.unfinished()
    assert (lost.name, lost.size, lost.missing) == ("", None, None)
    assert lost.reason == "Metadata and EOF and file data did not arrive"
    _, station = feed([*middle, last])
    assert station.unfinished()[0].reason == "Metadata did not arrive"


@pytest.mark.parametrize(
    ("units", "reason"),
    [
        ([metadata(9), metadata(8)], "two different Metadata"),
        ([eof(b"abc"), eof(b"abd")], "two different EOF"),
        ([piece(0, b"abc"), piece(2, b"d")], "contradictory file data"),
        ([metadata(3), eof(b"abcd")], "different sizes"),
        ([metadata(3), piece(0, b"abcd")], "beyond the file's end"),
        ([piece(0, b"abcd"), eof(b"abc")], "beyond the file's end"),
        ([eof(b"abc", condition_code=ConditionCode.CANCEL_REQUEST_RECEIVED)], "cancelled"),
        ([metadata(3), piece(0, b"abc"), eof(b"abd")], "checksum is wrong"),
        ([metadata(3, ChecksumType.CRC_32C), piece(0, b"abc"), eof(b"abc")], "checksum type"),
        ([metadata(3, ChecksumType.NULL_CHECKSUM), piece(0, b"abc"), eof(b"abc")], "checksum type"),
        ([metadata(2**31)], "more than the limit"),
        ([piece(2**31, b"abc")], "beyond the limit"),
        ([piece(2**63, b"a", config(file_flag=LargeFileFlag.LARGE))], "beyond the limit"),
    ],
)
def test_refusals(units, reason):
    files, station = feed([*units, metadata(3), piece(0, b"abc"), eof(b"abc")])
    assert files == []
    assert [reason in lost.reason for lost in station.refused] == [True]
    assert station.unfinished() == []


def test_modular_checksum():
    kind = ChecksumType.MODULAR
    assert checksum(b"\x00\x00\x00\x01\xff\xff\xff\xff\x80", kind).hex() == "80000000"
    total = checksum(DATA, kind)
    last = bytes(EofPdu(config(), total, 1000).pack())
    files, _ = feed([metadata(1000, kind), piece(0, DATA), last])
    assert files[0].data == DATA


def test_repeats_after_the_end_do_nothing():
    units = pdus(DATA, "f", 1, 100)
    files, station = feed(units * 3)
    assert len(files) == 1
    assert station.unfinished() == []


@pytest.mark.parametrize("other", [DATA[::-1], DATA + b"more"])
def test_a_number_that_is_used_anew_after_its_end(other):
    files, _ = feed(pdus(DATA, "f", 1, 100) + pdus(other, "g", 1, 100) * 2)
    assert [file.data for file in files] == [DATA, other]


def test_open_files_are_bounded():
    starts = [metadata(5, conf=config(sequence)) for sequence in range(10)]
    _, station = feed(starts, max_open=4)
    assert [one.sequence for one in station.unfinished()] == [6, 7, 8, 9]
    assert [one.reason for one in station.refused] == ["given up: too many files are open"] * 6


def test_a_file_with_news_is_not_the_one_given_up():
    starts = [metadata(5, conf=config(sequence)) for sequence in range(3)]
    _, station = feed([*starts, piece(0, b"a", config(0)), metadata(5, conf=config(3))], max_open=3)
    assert [one.sequence for one in station.refused] == [1]


def test_bytes_held_are_bounded():
    units = [piece(0, bytes(100), config(sequence)) for sequence in range(9)]
    _, station = feed(units, max_held=350)
    assert [one.sequence for one in station.unfinished()] == [6, 7, 8]


@pytest.mark.parametrize(
    "unit",
    [
        b"",
        b"\x24",
        bytes(40),
        b"\xff" * 40,
        metadata(5)[:-1],
        metadata(5) + b"\0",
        piece(0, b"abc")[:-1],
        eof(b"abc")[:-2],
        metadata(5, conf=config(dest_entity_id=ByteFieldU8(3))),
        cfdp.finished_ack(5, 0).replace(b"\x06\x51", b"\x06\x41"),
        bytes(PromptPdu(config(), ResponseRequired.NAK).pack()),
        metadata(5).replace(b"\x01f\x01f", b"\x01\xff\x01\xff"),
    ],
)
def test_units_that_are_not_for_us(unit):
    with pytest.raises(StreamError):
        parse(unit)
    _, station = feed([unit])
    assert station.bad_units == 1
    assert station.unfinished() == []


def test_units_with_a_crc_are_read_and_checked():
    conf = config(crc_flag=CrcFlag.WITH_CRC)
    units = [metadata(3, conf=conf), piece(0, b"abc", conf), eof(b"abc", conf=conf)]
    assert feed(units)[0][0].data == b"abc"
    wrong = units[1][:-1] + bytes([units[1][-1] ^ 1])
    with pytest.raises(StreamError):
        parse(wrong)


@given(st.data())
def test_mutated_units_never_crash_and_never_give_a_wrong_file(data):
    units = pdus(DATA[:60], "f", 1, 20)
    for _ in range(data.draw(st.integers(1, 6))):
        index = data.draw(st.integers(0, len(units) - 1))
        unit = bytearray(units[index])
        unit[data.draw(st.integers(0, len(unit) - 1))] = data.draw(st.integers(0, 255))
        units.insert(data.draw(st.integers(0, len(units))), bytes(unit))
    files, station = feed(units)
    station.unfinished()
    for file in files:
        if file.key == Key(1, 1):
            assert file.data == DATA[:60]
