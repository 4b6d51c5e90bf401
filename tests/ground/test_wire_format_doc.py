"""The document is the contract: its tables and its examples are what the code does."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from ground import answers, reassembly, receive, sequencer
from ground import memory as memories
from onboard import coding, product_header
from onboard import product as products
from onboard.conditions import Condition
from onboard.georef import Georef
from onboard.link import (
    alerts,
    cds,
    cfdp,
    frames,
    housekeeping,
    packets,
    returns,
    sender,
    transfers,
)
from onboard.link.apid import SPACECRAFT_ID, Apid
from onboard.link.counters import Counters
from onboard.link.housekeeping import Flag, Housekeeping, State, Status
from onboard.product import Product, Statistics, TimeQuality, pack, unpack
from onboard.reduced import Regions
from onboard.triage import Sight
from tests.tables import cells_under

DOC = Path(__file__).resolve().parents[2] / "docs" / "wire-format.md"
HEADER_NAMES = """
scene_id model_id sensor engine seed passes acquired_ms acquired_quality reference_version
water_threshold cloud_threshold operating_point width height crs transform geolocation_sigma_m
block levels counts water_area_m2 mean_entropy mean_epistemic mean_p_water flood flood_area_m2
acquired_sigma_s conditions level_values regions region_flood guide
"""
SENT_MS = 1_700_000_000_123


def example_product() -> Product:
    return Product(
        scene_id=bytes(32),
        model_id=bytes(range(32)),
        sensor="s2",
        engine="tflite 2.12.0",
        seed=7,
        passes=16,
        acquired_ms=1_700_000_000_000,
        acquired_quality=TimeQuality.FILE,
        reference_version=bytes.fromhex("00112233445566778899aabbccddeeff"),
        water_threshold=0.5,
        cloud_threshold=0.375,
        operating_point="balanced",
        georef=Georef(4, 3, "EPSG:32606", (10.0, 0.0, 500000.0, 0.0, -10.0, 7000000.0)),
        geolocation_sigma_m=12.5,
        mask=np.array([[0, 1, 2, 255], [1, 1, 0, 0], [0, 0, 0, 0]], np.uint8),
        entropy=np.array([[40, 9], [3, 255]], np.uint8),
        epistemic=np.array([[5, 1], [0, 255]], np.uint8),
        statistics=Statistics(7, 3, 1, 1, 300.0, 2, 200.0, 0.25, 0.03125, 0.3125),
        block=2,
        acquired_sigma_s=0.5,
        conditions=Condition.LOW_SUN,
    )


def full_product() -> Product:
    """The example with every field that is left out of it."""
    scale = (0.125, 0.5)
    return dataclasses.replace(
        example_product(),
        entropy=np.array([[1, 0], [0, 255]], np.uint8),
        epistemic=np.array([[0, 0], [1, 255]], np.uint8),
        levels=2,
        entropy_levels=scale,
        epistemic_levels=scale,
        regions=Regions(4, b"\x20", b"\x03", (2,)),
    )


def example_packet() -> bytes:
    data = pack(example_product())
    first = cfdp.pdus(data, f"{data[-16:].hex()[:12]}.fsp", 5)[0]
    return packets.pack(packets.Packet(Apid.CFDP, 16383, SENT_MS, first))


def example_frame() -> bytes:
    data = pack(example_product())
    sight = Sight(12, 10, wet_sensitive=4, wet_balanced=2, entropy=0.25, epistemic=0.03125)
    alert = alerts.pack(alerts.alert_for(example_product(), data[-16:], sight))
    packet = packets.pack(packets.Packet(Apid.ALERT, 0, SENT_MS, alert))
    return frames.cadus([packet], Counters({"mc": 255, "vc:0": 7}), length=128)


def example_housekeeping() -> bytes:
    status = Status(
        model_id=bytes(range(8)),
        engine="tflite",
        state=State.IDLE,
        flags=Flag.FALLBACK | Flag.STORAGE,
        temperature_c=-3,
        uptime_s=86400,
        starts=12,
        restarts=1,
        errors=4,
        memory_bytes=402 * 2**20,
        free_bytes=2048 * 2**20,
        inbox=9,
        seconds=dict(zip(housekeeping.STAGES, (0.12, 2.5, 0.07, 0.3, 0.04), strict=True)),
    )
    return housekeeping.pack(Housekeeping(1000, 1, 2, 34567, 3, 20, 5, status))


def example_class_2() -> bytes:
    piece = cfdp.pdus(b"abc", "f", 258, acknowledged=True)[1]
    return packets.pack(packets.Packet(Apid.CFDP, 0, SENT_MS, piece))


def example_return() -> bytes:
    station = reassembly.Reassembly()
    half = cfdp.pdus(bytes(3000), "f", 258, acknowledged=True)
    for unit in [half[1], half[-1], *cfdp.pdus(b"abc", "f", 7, acknowledged=True)]:
        station.add(unit, SENT_MS)
    # Files on their way are answered last; the document tells of them first.
    ended, going = answers.answers(station, SENT_MS)
    return returns.pack([*going[1], *ended[1]], SENT_MS, 16383)


EXAMPLES = {
    "product": example_product,
    "packet": example_packet,
    "frame": example_frame,
    "class2": example_class_2,
    "return": example_return,
}


def document() -> str:
    return DOC.read_text("utf-8")


def in_document(name: str) -> bytes:
    found = re.search(rf"```hex {name}\n(.*?)```", document(), re.DOTALL)
    assert found, f"the document has no example {name}"
    return bytes.fromhex(found.group(1))


def rows(heading: str) -> list[list[str]]:
    return cells_under(document(), heading)


def test_product_example_is_regenerated_byte_for_byte():
    assert in_document("product") == pack(example_product())


def test_packet_example_is_regenerated_byte_for_byte():
    assert in_document("packet") == example_packet()


def test_frame_example_is_regenerated_byte_for_byte():
    assert in_document("frame") == example_frame()


def test_class_2_examples_are_regenerated_byte_for_byte():
    assert in_document("class2") == example_class_2()
    assert in_document("return") == example_return()


def test_class_2_examples_decode_to_what_the_text_says():
    packet = packets.unpack(in_document("class2"))
    assert (packet.apid, packet.count, packet.sent_ms) == (Apid.CFDP, 0, SENT_MS)
    unit = reassembly.parse(packet.data)
    assert (unit.transaction_seq_num.value, unit.offset, unit.file_data) == (258, 0, b"abc")
    found = returns.unpack(in_document("return"))
    assert [one.answer for one in found.answers] == [
        returns.EofAck(258),
        returns.Nak(258, 0, 3000, ((1024, 3000),), metadata=True),
        returns.EofAck(7),
        returns.Finished(7, 0),
    ]
    assert {one.heard_ms for one in found.answers} == {SENT_MS}
    first = packets.unpack(
        in_document("return")[: packets.header_of(in_document("return")).packet_len], True
    )
    assert first.count == 16383


def test_first_bytes_of_the_units_are_those_of_the_tables():
    for acknowledged, directive, data in ((False, "24", "34"), (True, "20", "30")):
        first, piece, last = cfdp.pdus(b"abc", "f", 1, acknowledged=acknowledged)
        assert (first[:1].hex(), piece[:1].hex(), last[:1].hex()) == (directive, data, directive)
        assert (first[10:12].hex(), last[10:12].hex()) == ("0703", "0400")
    assert cfdp.finished_ack(1, 0)[10:].hex() == "065102"
    assert cfdp.finished_ack(1, 5, known=False)[10:].hex() == "065153"
    assert transfers.cancel(1)[10:].hex() == "04f0" + "00" * 8
    told = [returns.answer_of(unit) for unit in units_up()]
    assert [unit[0] for unit in units_up()] == [0x28] * len(told)
    assert [unit[10:12].hex() for unit in units_up()] == ["0640", "0800", "0640", "0502"]
    refused = answers._finished(reassembly.Key(1, 1), reassembly.Done(None, 5, 0, True))
    assert refused[10:12].hex() == "0554"


def units_up():
    stream, found = in_document("return"), []
    while stream:
        size = packets.header_of(stream).packet_len
        found.append(packets.unpack(stream[:size], True).data)
        stream = stream[size:]
    return found


def test_every_figure_of_the_report_is_told():
    told = {name for row in rows("| figure | what it counts |") for name in row[0].split(", ")}
    assert told == {one.name for one in dataclasses.fields(receive.Report)}


def test_housekeeping_example_is_regenerated_byte_for_byte():
    assert in_document("housekeeping") == example_housekeeping()


def test_housekeeping_table_has_every_byte_once():
    ends = [[int(n) for n in row[0].split("–")] for row in rows("| bytes | field |")]
    spans = [range(end[0], end[-1] + 1) for end in ends]
    assert [at for span in spans for at in span] == list(range(housekeeping.SIZE))


def test_housekeeping_codes():
    table = {row[0]: row[1] for row in rows("| bytes | field |")}
    engines = [f"{code} {name}" for code, name in enumerate(housekeeping.ENGINES)]
    assert table["42"] == f"engine: {', '.join(engines)}"
    assert table["43"] == f"state: {', '.join(f'{one.value} {one.name.lower()}' for one in State)}"
    assert [int(code, 16) for code in re.findall("0x[0-9]+", table["44"])] == list(Flag)


def test_examples_decode_to_what_the_text_says():
    product = unpack(in_document("product"))
    found = product.statistics
    assert (found.land, found.water, found.cloud, found.nodata) == (7, 3, 1, 1)
    assert product.mask.tolist() == [[0, 1, 2, 255], [1, 1, 0, 0], [0, 0, 0, 0]]
    packet = packets.unpack(in_document("packet"))
    assert (packet.apid, packet.count, packet.sent_ms) == (Apid.CFDP, 16383, SENT_MS)
    unit = reassembly.parse(packet.data)
    assert unit.transaction_seq_num.value == 5
    assert unit.dest_file_name == f"{product.stem}.fsp"
    assert unit.file_size == len(in_document("product"))
    reception = receive.receive(in_document("frame"), frame_length=128)
    assert [alert.frame_id for alert in reception.alerts] == [product.product_id[:8]]
    frame = frames.unpack(in_document("frame")[4:])
    assert (frame.master_count, frame.channel_count, frame.first_header) == (255, 7, 0)


def test_apid_table():
    found = {int(row[0], 16): row[1] for row in rows("| APID | name | user data |")}
    assert found == {int(apid): apid.text for apid in Apid}


def test_coding_table():
    found = {int(row[0]): row[1] for row in rows("| coding | name | plain data |")}
    assert found == {int(one): one.name.lower() for one in coding.Coding}


def test_header_table_names_every_key_in_order():
    table = rows("| key | field | type | limits |")
    names = [re.match(r"\w+", row[1]).group() for row in table]
    items = product_header.items_of(full_product(), bytes(4))
    assert [int(row[0]) for row in table] == sorted(items)
    assert names == HEADER_NAMES.split()


def test_header_types():
    kinds = {"bytes": bytes, "text": str, "integer": int, "float": float}
    items = product_header.items_of(full_product(), bytes(4))
    for key, _, kind, _ in rows("| key | field | type | limits |"):
        expected = kinds.get(kind.split()[0], list)
        assert isinstance(items[int(key)], expected), key


@pytest.mark.parametrize(
    "text",
    [
        f"spacecraft id | 0x{SPACECRAFT_ID:X}",
        f"{frames.DEFAULT_LENGTH} bytes unless the mission sets another "
        f"({frames.MIN_LENGTH} to {frames.MAX_LENGTH})",
        f"sync marker (131.0-B, section 9) | {frames.SYNC_MARKER.hex().upper()}",
        f"up to {receive.MARKER_ERRORS} of its 32 bits",
        f"milliseconds of the day | 0…{cds.LEAP_DAY_MS - 1} |",
        f"## 4. Housekeeping, {housekeeping.SIZE} bytes",
        f"## 5. Alert, {alerts.SIZE} bytes",
        f"With its packet {alerts.SIZE + packets.OVERHEAD} bytes",
        f"up to {cfdp.SEGMENT} bytes of the file",
        f"pieces of {cfdp.SEGMENT} bytes",
        f"until those behind it are {sequencer.WINDOW} ahead; up to {sequencer.LATEST} ahead",
        f"twice within {2 * sequencer.WINDOW} is a repeat",
        f"at most {returns.MAX_PACKET} bytes; a stream at most {returns.MAX_STREAM} |",
        f"up to {returns.MAX_REQUESTS} requests",
        f"after {transfers.MAX_ATTEMPTS} times it leaves the outbox",
        f"for {sender.ACKNOWLEDGED_WAIT}, {sender.ACKNOWLEDGED_WAIT}, 8, then "
        f"{sender.LONGEST_WAIT} once it has arrived",
        f"in at most {reassembly.MAX_PIECES} pieces",
        f"{reassembly.MAX_DONE} ends remembered",
        f"more than the first {reassembly.MAX_TOLD}",
        f"`{memories.NAME}` in the receive folder",
        f"at most {reassembly.MAX_OPEN} files open",
        f"files of at most {reassembly.MAX_FILE} bytes in at most",
        f"pieces, {reassembly.MAX_HELD} bytes held in all",
        f"length of the header | at most {products.MAX_HEADER}",
        f"trailer included | at most {products.MAX_BYTES}",
        f"width × height at most {products.MAX_PIXELS}",
        f"dictionary of at most {coding.LZMA_DICTIONARY} bytes",
    ],
)
def test_limits_in_the_text_are_those_of_the_code(text):
    assert text in document()
