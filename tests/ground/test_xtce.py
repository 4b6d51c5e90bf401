"""Our packets read by another library, space_packet_parser, by the definition that we ship."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
import space_packet_parser
from fastcrc import crc16
from space_packet_parser import ccsds_generator
from spacepackets.cfdp.defs import ConditionCode

from onboard.link import acks, alerts, cds, cfdp, frames, housekeeping, packets, transfers
from onboard.link.acks import Ack
from onboard.link.acks import Status as CommandStatus
from onboard.link.apid import Apid
from onboard.link.counters import Counters
from onboard.link.housekeeping import Flag, Housekeeping, State, Status
from onboard.link.packets import Packet
from tests.ground.test_wire_format_doc import in_document

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "floodsat-xtce.xml"
NOW = 1_700_000_000_123
DATA = bytes(range(256)) * 9


@pytest.fixture(scope="module")
def definition():
    return space_packet_parser.load_xtce(DOCUMENT)


def read(definition, units, apid=Apid.CFDP, length=256):
    """Units as packets in frames, and what the other library makes of them."""
    counters = Counters({f"apid:{int(apid):#05x}": 16380})
    whole = [packets.pack(Packet(apid, counters.packet(apid), NOW, unit)) for unit in units]
    stream = frames.cadus(whole, counters, length)
    cadu = frames.cadu_length(length)
    # The data fields, by their place alone.
    data = b"".join(stream[at + 10 : at + cadu - 2] for at in range(0, len(stream), cadu))
    found = [dict(definition.parse_bytes(one)) for one in ccsds_generator(data)]
    assert all(set(one["IDLE_FILL"]) == {0x55} for one in found if one["PKT_APID"] == Apid.IDLE)
    ours = [one for one in found if one["PKT_APID"] != Apid.IDLE]
    for one, packet in zip(ours, whole, strict=True):
        assert (one["VERSION"], one["TYPE"], one["SEC_HDR_FLG"], one["SEQ_FLGS"]) == (0, 0, 1, 3)
        assert one["PKT_CRC"] == crc16.ibm_3740(packet[:-2])
        days = (NOW // cds.DAY_MS) + cds.EPOCH_DAYS
        assert (one["TIME_DAYS"], one["TIME_MS"]) == (days, NOW % cds.DAY_MS)
    assert [one["SRC_SEQ_CTR"] for one in ours] == [
        (16380 + index) % 16384 for index in range(len(ours))
    ]
    return ours


@pytest.mark.parametrize("acknowledged", [False, True])
def test_a_file(definition, acknowledged):
    units = cfdp.pdus(DATA, "é.fsp", 70_000, acknowledged=acknowledged)
    first, *pieces, last = read(definition, units)
    assert all(one["PDU_MODE"] == int(not acknowledged) for one in (first, *pieces, last))
    assert {one["PDU_SEQUENCE"] for one in (first, *pieces, last)} == {70_000}
    assert {(one["PDU_SOURCE"], one["PDU_DESTINATION"]) for one in pieces} == {(1, 2)}
    assert (first["DIRECTIVE"], first["MD_SIZE"]) == (7, len(DATA))
    assert first["MD_NAME"] == "é.fsp".encode()
    assert b"".join(one["FD_DATA"] for one in pieces) == DATA
    assert [one["FD_OFFSET"] for one in pieces] == [0, 1024, 2048]
    assert (last["DIRECTIVE"], last["EOF_CONDITION"], last["EOF_SIZE"]) == (4, 0, len(DATA))
    assert last["EOF_CHECKSUM"] == zlib.crc32(DATA)


def test_the_last_words_of_a_transfer(definition):
    ack, cancel = read(definition, [cfdp.finished_ack(9, 0), transfers.cancel(10)])
    assert (ack["DIRECTIVE"], ack["ACK_DIRECTIVE"], ack["ACK_SUBTYPE"]) == (6, 5, 1)
    assert (ack["PDU_SEQUENCE"], ack["ACK_CONDITION"], ack["ACK_STATUS"]) == (9, 0, 2)
    assert cancel["EOF_CONDITION"] == int(ConditionCode.CANCEL_REQUEST_RECEIVED)


def test_housekeeping(definition):
    times = {name: 0.01 * (at + 1) for at, name in enumerate(housekeeping.STAGES)}
    runtime = Status(
        b"modelid8", "tflite", State.WORKING, Flag.CLOCK_BACK, -3, 70, 5, 1, 2, 3 << 20, 4 << 20, 6,
        times,
    )  # fmt: skip
    state = Housekeeping(10, 20, 30, 2**40, 40, 50, 60, runtime)
    (one,) = read(definition, [housekeeping.pack(state)], Apid.HOUSEKEEPING)
    names = ("FRAMES", "ALERTS", "PRODUCTS", "PRODUCT_BYTES", "CHIPS", "REFUSED", "EVICTED", "TOLD")
    assert [one[f"HK_{name}"] for name in names] == [10, 20, 30, 2**40, 40, 50, 60, 1]
    assert one["HK_MODEL_ID"] == b"modelid8"
    names = (
        "ENGINE",
        "STATE",
        "FLAGS",
        "TEMPERATURE",
        "UPTIME",
        "STARTS",
        "RESTARTS",
        "ERRORS",
        "MEMORY",
        "FREE",
        "INBOX",
    )
    assert [one[f"HK_{name}"] for name in names] == [1, 2, 4, -3, 70, 5, 1, 2, 3, 4, 6]
    assert [one[f"HK_TIME_{name.upper()}"] for name in housekeeping.STAGES] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("status", CommandStatus)
@pytest.mark.parametrize("text", ["", "no such slot", "x" * acks.MAX_TEXT])
def test_what_became_of_a_command(definition, status, text):
    told = [Ack(2**32 - 1, 13, status, NOW, text), Ack(0, 1, status, 2**41, "next")]
    first, second = read(definition, [acks.pack(one) for one in told], Apid.ACK)
    names = ("VERSION", "COUNT", "CODE", "STATUS", "WHEN", "TEXT")
    assert [first[f"CA_{name}"] for name in names] == [
        acks.VERSION,
        2**32 - 1,
        13,
        int(status),
        NOW,
        text.encode(),
    ]
    assert [second[f"CA_{name}"] for name in names[1:]] == [0, 1, int(status), 2**41, b"next"]


def test_every_apid_is_described():
    text = DOCUMENT.read_text("utf-8")
    assert {apid for apid in Apid if f'"PKT_APID" value="{int(apid)}"' in text} == set(Apid)


def test_the_alert_of_the_document(definition):
    data = in_document("frame")[10:-2]
    packet = next(iter(ccsds_generator(data)))
    one = definition.parse_bytes(packet)
    alert = alerts.unpack(packets.unpack(bytes(packet)).data)
    assert one["AL_FRAME_ID"] == alert.frame_id
    assert alert.place == (one["AL_LATITUDE"] / 1e7, one["AL_LONGITUDE"] / 1e7)
    assert one["AL_SIGMA"] == alert.sigma_m
    assert 100 * one["AL_AREA"] == alert.area_m2
    assert 100 * one["AL_POSSIBLE_AREA"] == alert.possible_area_m2
    assert one["AL_FRACTION"] / 65535 == alert.fraction
    assert one["AL_UNOBSERVED"] / 65535 == alert.unobserved_fraction
    assert bool(one["AL_FLAGS"] & alerts.FLAG_FLOOD) is alert.flood


def test_the_packet_of_the_document(definition):
    one = definition.parse_bytes(next(iter(ccsds_generator(in_document("packet")))))
    assert (one["DIRECTIVE"], one["PDU_SEQUENCE"], one["SRC_SEQ_CTR"]) == (7, 5, 16383)
