from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spacepackets.cfdp.defs import ChecksumType, ConditionCode, TransmissionMode
from spacepackets.cfdp.pdu import DirectiveType, EofPdu, FileDataPdu, MetadataPdu
from spacepackets.cfdp.pdu.helper import PduFactory

from onboard.link import cfdp


@given(st.binary(min_size=1, max_size=3000), st.integers(1, 1200), st.integers(0, 2**32 - 1))
def test_a_sending_holds_the_file(data, segment, sequence):
    first, *middle, last = (
        PduFactory.from_raw(unit) for unit in cfdp.pdus(data, "a.fsp", sequence, segment)
    )
    assert isinstance(first, MetadataPdu)
    assert (first.file_size, first.dest_file_name) == (len(data), "a.fsp")
    assert first.checksum_type == ChecksumType.CRC_32
    assert all(isinstance(unit, FileDataPdu) for unit in middle)
    assert b"".join(unit.file_data for unit in middle) == data
    assert [unit.offset for unit in middle] == list(range(0, len(data), segment))
    assert isinstance(last, EofPdu)
    assert last.file_checksum == zlib.crc32(data).to_bytes(4, "big")
    assert last.file_size == len(data)
    for unit in (first, *middle, last):
        header = unit.pdu_header
        assert header.transmission_mode == TransmissionMode.UNACKNOWLEDGED
        assert header.transaction_seq_num.value == sequence
        assert (header.source_entity_id.value, header.dest_entity_id.value) == (1, 2)


def test_golden_bytes():
    units = [unit.hex() for unit in cfdp.pdus(b"abc", "f", 258)]
    assert units == [
        "24000a03" + "01" + "00000102" + "02" + "07" + "03" + "00000003" + "0166" + "0166",
        "34000703" + "01" + "00000102" + "02" + "00000000" + "616263",
        "24000a03" + "01" + "00000102" + "02" + "04" + "00" + "352441c2" + "00000003",
    ]


def test_repeats_are_the_same_bytes():
    assert cfdp.pdus(b"abc" * 999, "f", 7) == cfdp.pdus(b"abc" * 999, "f", 7)


@pytest.mark.parametrize(
    ("data", "name", "sequence"),
    [(b"", "f", 0), (b"x", "f", -1), (b"x", "f", 2**32), (b"x", "é" * 128, 0)],
)
def test_what_does_not_fit_is_refused(data, name, sequence):
    with pytest.raises(ValueError):  # noqa: PT011 - the library's words are its own
        cfdp.pdus(data, name, sequence)


def test_boundaries_that_fit():
    for name, sequence in (("n" * 255, 0), ("", 2**32 - 1)):
        assert len(cfdp.pdus(b"x", name, sequence)) == 3


@pytest.mark.parametrize("kind", [ChecksumType, ConditionCode, DirectiveType, TransmissionMode])
def test_str_of_every_member_of_the_enums_in_use(kind):
    for member in kind:
        assert str(member)
