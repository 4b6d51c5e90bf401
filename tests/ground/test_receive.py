from __future__ import annotations

import dataclasses
import io
import json
import random

import pytest
from click.testing import CliRunner
from fastcrc import crc16

import ground.delivery
from ground.channel import impair
from ground.cli.receive import command
from ground.receive import receive
from onboard import rawchip
from onboard.chip import pack as pack_chip
from onboard.errors import OutputError, ProductError, StreamError
from onboard.georef import Georef
from onboard.link import alerts, cfdp, frames, housekeeping, packets
from onboard.link.apid import VC_DATA, Apid
from onboard.link.counters import Counters
from onboard.link.downlink import fill
from onboard.link.packets import Packet
from onboard.outbox import Item, Kind, Outbox
from onboard.product import LN2, pack
from onboard.triage import Sight
from tests.chips import make_chip
from tests.onboard.raw_chips import make_raw
from tests.products import make_product, noisy_product

CADU = frames.cadu_length()
NOW = 1_700_000_000_000


def compose(folder, products, sendings=2, pad=False, counters=None):
    """The stream of one pass with these products, the first the most valuable."""
    with Outbox(folder / "outbox.db") as outbox:
        outbox.commit({}, {}, counters or {})
        for index, product in enumerate(products):
            data = pack(product)
            told = alerts.pack(alerts.alert_for(product, data[-16:]))
            value = 100.0**-index
            outbox.record(
                product.scene_id, product.model_id, [Item(data, value)], [Item(told, value)], NOW
            )
        return fill(outbox, 10**6, sendings, NOW, pad=pad).stream


@pytest.fixture(scope="module")
def products():
    return [noisy_product(1), noisy_product(2), make_product(3)]


@pytest.fixture(scope="module")
def sent(products):
    return [pack(product) for product in products]


@pytest.fixture(scope="module")
def stream(tmp_path_factory, products):
    return compose(tmp_path_factory.mktemp("pass"), products)


def cut(stream):
    return [stream[start : start + CADU] for start in range(0, len(stream), CADU)]


def received(reception):
    return [data for data, _ in reception.products]


def framed(units, apid=Apid.CFDP, counters=None, length=frames.DEFAULT_LENGTH):
    """A stream of packets with these user data."""
    counters = counters or Counters()
    whole = [packets.pack(Packet(apid, counters.packet(apid), NOW, unit)) for unit in units]
    return frames.cadus(whole, counters, length)


def test_a_perfect_link(stream, sent):
    reception = receive(stream)
    report = reception.report
    assert received(reception) == sent
    assert [product.product_id for _, product in reception.products] == [s[-16:] for s in sent]
    assert [alert.frame_id for alert in reception.alerts] == [s[-16:-8] for s in sent]
    assert [state.products for state in reception.housekeeping] == [3]
    assert report.frames * CADU == report.bytes == len(stream)
    assert (report.frames_bad, report.frames_lost, report.bytes_skipped) == (0, 0, 0)
    assert (report.packets_bad, report.packets_cut, report.restarts) == (0, 0, 0)
    assert not any(report.packets_lost.values())
    assert (report.files, report.duplicates, report.alerts_repeated) == (3, 0, 3)
    assert report.files_incomplete == report.files_refused == []


@pytest.mark.parametrize("size", [1, 7, 1118, 1119, 1120, 5000])
def test_chunks_change_nothing(stream, size):
    wrong, _ = impair(stream, 3, frame_loss=0.2, bit_error_rate=2e-5)
    wrong = b"noise" + wrong[:4000] + b"more noise" + wrong[4000:] + frames.SYNC_MARKER[:2]
    chunks = [wrong[start : start + size] for start in range(0, len(wrong), size)]
    one, two = receive(wrong), receive(iter(chunks))
    assert one.report == two.report
    assert received(one) == received(two)


def test_every_single_lost_frame_is_healed_by_the_second_sending(stream, sent):
    pieces = cut(stream)
    for index in range(len(pieces)):
        reception = receive(b"".join(pieces[:index] + pieces[index + 1 :]))
        assert sorted(received(reception)) == sorted(sent)
        # Nothing tells of frames before the first and after the last.
        inner = 0 < index < len(pieces) - 1
        assert reception.report.frames_lost == int(inner)


def test_every_single_damaged_frame_is_dropped_and_counted(stream, sent):
    pieces = cut(stream)
    for index, piece in enumerate(pieces):
        wrong = bytearray(piece)
        wrong[500] ^= 0x10
        reception = receive(b"".join([*pieces[:index], bytes(wrong), *pieces[index + 1 :]]))
        assert sorted(received(reception)) == sorted(sent)
        assert reception.report.frames_bad == 1
        assert reception.report.bytes_skipped == 0


def test_lost_packets_are_counted_per_apid(stream):
    pieces = cut(stream)
    whole = receive(stream).report
    report = receive(b"".join(pieces[:3] + pieces[5:])).report
    assert report.frames_lost == 2
    assert report.packets["cfdp"] + report.packets_lost["cfdp"] == whole.packets["cfdp"]
    assert 0 < report.packets_lost["cfdp"] <= 4
    assert report.packets_cut <= 1


def test_a_file_is_delivered_exactly_if_each_unit_arrived(tmp_path, products, sent):
    stream = compose(tmp_path, products[:1], sendings=2)
    pieces = cut(stream)
    rng = random.Random(5)
    outcomes = set()
    for _ in range(60):
        kept = [piece for piece in pieces if rng.random() > 0.25] or pieces[:1]
        reception = receive(b"".join(kept))
        units = set(cfdp.pdus(sent[0], f"{sent[0][-16:].hex()[:12]}.fsp", 0))
        arrived = {unit for unit in units if unit in arrived_units(kept)}
        assert received(reception) == (sent[:1] if arrived == units else [])
        outcomes.add(arrived == units)
    assert outcomes == {True, False}


def arrived_units(pieces):
    """Units that lie whole in consecutive frames: the slow, independent way."""
    found, run, last = set(), b"", None
    for piece in pieces:
        frame = frames.unpack(piece[4:])
        if last is None or frame.channel_count != (last + 1) % 256:
            start = frame.first_header
            run = frame.data[start:] if start < len(frame.data) else b""
            synced = start < len(frame.data)
        elif synced:
            run += frame.data
        elif frame.first_header < len(frame.data):
            run, synced = frame.data[frame.first_header :], True
        last = frame.channel_count
        while len(run) >= 6 and len(run) >= packets.header_of(run).packet_len:
            size = packets.header_of(run).packet_len
            if packets.header_of(run).apid == Apid.CFDP:
                found.add(packets.unpack(run[:size]).data)
            run = run[size:]
    return found


def test_a_stream_that_starts_and_ends_within_a_frame(stream, sent):
    reception = receive(stream[400:-300])
    assert sorted(received(reception)) == sorted(sent)
    assert reception.report.bytes_skipped == CADU - 400 + CADU - 300


def test_bytes_that_slipped_in_or_out(stream, sent):
    pieces = cut(stream)
    slipped = b"".join([*pieces[:2], b"\x1a\xcf" * 50, *pieces[2:4], pieces[4][:-9], *pieces[5:]])
    reception = receive(slipped)
    assert sorted(received(reception)) == sorted(sent)
    assert reception.report.bytes_skipped == 100 + CADU - 9


def test_a_false_marker_in_noise_hides_no_frame(stream, sent):
    reception = receive(frames.SYNC_MARKER + b"x" * 20 + stream)
    assert received(reception) == sent
    assert reception.report.bytes_skipped == 24


@pytest.mark.parametrize("bits", [1, 3, 6])
def test_a_marker_with_wrong_bits_is_known_where_it_is_due(stream, sent, bits):
    pieces = cut(stream)
    damaged = int.from_bytes(frames.SYNC_MARKER, "big") ^ ((1 << bits) - 1)
    pieces[3] = damaged.to_bytes(4, "big") + pieces[3][4:]
    report = receive(b"".join(pieces)).report
    assert (report.frames, report.frames_lost, report.bytes_skipped) == (len(pieces), 0, 0)


def test_all_counters_wrap(tmp_path, products, sent):
    near = {"mc": 250, "vc:0": 254, "apid:0x1f2": 16380, "apid:0x1f1": 16383}
    reception = receive(compose(tmp_path, products, counters=near))
    report = reception.report
    assert received(reception) == sent
    assert (report.frames_lost, report.restarts) == (0, 0)
    assert not any(report.packets_lost.values())


def test_idle_frames_are_counted_and_ignored(tmp_path, products, sent):
    padded = compose(tmp_path, products, pad=True)
    reception = receive(padded)
    assert received(reception) == sent
    assert reception.report.frames == 10**6 // CADU
    assert reception.report.frames_idle > 500


def test_idle_frames_alone_are_a_stream_without_products():
    reception = receive(frames.idle_cadus(5, Counters()))
    assert reception.products == []
    assert reception.report.frames_idle == 5


def test_the_same_pass_twice_gives_each_product_once(tmp_path, products, stream, sent):
    reception = receive(stream + stream)
    assert received(reception) == sent
    assert reception.report.frames_repeated == len(cut(stream))
    long = compose(tmp_path, products, sendings=8)
    reception = receive(long + long)
    assert received(reception) == sent
    assert (reception.report.restarts, reception.report.frames_lost) == (3, 0)


def test_the_same_product_under_another_transaction_is_a_duplicate(sent):
    units = cfdp.pdus(sent[0], "a", 1) + cfdp.pdus(sent[0], "a", 2)
    reception = receive(framed(units))
    assert received(reception) == sent[:1]
    assert (reception.report.files, reception.report.duplicates) == (2, 1)


def test_a_file_that_is_no_product_is_refused():
    reception = receive(framed(cfdp.pdus(b"hello", "notes.txt", 4)))
    (lost,) = reception.report.files_refused
    assert (lost.name, lost.sequence) == ("notes.txt", 4)
    assert "too few for a product" in lost.reason


def test_a_long_packet_over_many_frames():
    data = b"x" * 5000
    reception = receive(framed([data], length=64), frame_length=64)
    assert reception.report.units_bad == 1
    assert reception.report.packets == {"cfdp": 1}


def test_frames_of_another_spacecraft_are_not_taken(stream):
    counters = Counters()
    other = frames.cadus([packets.idle(900)], counters, spacecraft=5)
    reception = receive(other + stream)
    assert reception.report.frames_foreign == 1
    with pytest.raises(StreamError, match="1 of another spacecraft"):
        receive(other, "x.bin")


def test_unknown_apids_and_bad_alerts_are_counted():
    report = receive(framed([b"?", b"!"], apid=0x123)).report
    assert report.packets_unknown == {"apid 0x123": 2}
    reception = receive(framed([b"no alert"], apid=Apid.ALERT))
    assert reception.alerts == []
    assert reception.report.packets_unknown == {"alert version 110": 1}
    newer = bytes([9]) + bytes(housekeeping.SIZE - 1)
    reception = receive(framed([newer], apid=Apid.HOUSEKEEPING))
    assert reception.housekeeping == []
    assert reception.report.packets_unknown == {"housekeeping version 9": 1}


def test_a_wrong_first_header_pointer_costs_only_what_it_touches(stream, sent):
    pieces = cut(stream)
    for pointer in (1, 1100, 1110, 2040):
        frame = bytearray(pieces[4][4:-2])
        frame[4:6] = (0x1800 | pointer).to_bytes(2, "big")
        body = bytes(frame)
        wrong = frames.SYNC_MARKER + body + crc16.ibm_3740(body).to_bytes(2, "big")
        reception = receive(b"".join([*pieces[:4], wrong, *pieces[5:]]))
        assert sorted(received(reception)) == sorted(sent)
        assert reception.report.packets_cut > 0


@pytest.mark.parametrize("chunks", [b"", [], [b"", b""]])
def test_an_empty_stream(chunks):
    with pytest.raises(StreamError, match=r"pass\.bin: the stream is empty"):
        receive(chunks, "pass.bin")


@pytest.mark.parametrize("size", [1, 100, 200_000])
def test_noise_is_no_stream(size):
    noise = random.Random(size).randbytes(size)
    with pytest.raises(StreamError, match=f"no valid transfer frame in {size} bytes") as caught:
        receive(noise, "noise.bin")
    assert str(caught.value).startswith("noise.bin: ")
    assert "\n" not in str(caught.value)


def test_noise_full_of_markers_is_no_stream():
    with pytest.raises(StreamError, match="no valid transfer frame"):
        receive(frames.SYNC_MARKER * 5000)


@pytest.mark.parametrize("seed", range(8))
def test_mutated_streams_never_crash_and_never_give_a_wrong_product(stream, sent, seed):
    rng = random.Random(seed)
    for _ in range(40):
        wrong = bytearray(stream)
        for _ in range(rng.randint(1, 30)):
            mutate(wrong, rng)
        try:
            reception = receive(bytes(wrong))
        except StreamError:
            continue
        assert set(received(reception)) <= set(sent)
        assert reception.report.bytes == len(wrong)
        json.dumps(reception.report.to_json())


def mutate(data, rng):
    """One of: a flipped bit, a burst of noise, bytes lost, bytes doubled."""
    place = rng.randrange(max(len(data), 1))
    size = rng.randint(1, 200)
    kind = rng.randrange(4)
    if kind == 0 and data:
        data[place] ^= 1 << rng.randrange(8)
    elif kind == 1:
        data[place : place + size] = rng.randbytes(size)
    elif kind == 2:
        del data[place : place + size]
    else:
        data[place:place] = data[place : place + size]


@pytest.mark.parametrize("seed", range(4))
def test_mutated_frames_with_a_good_crc_never_give_a_wrong_product(stream, sent, seed):
    """Errors that the frame's CRC does not see must be caught above it."""
    rng = random.Random(100 + seed)
    for _ in range(30):
        pieces = cut(stream)
        for _ in range(rng.randint(1, 8)):
            index = rng.randrange(len(pieces))
            body = bytearray(pieces[index][4:-2])
            for _ in range(rng.randint(1, 4)):
                body[rng.randrange(len(body))] = rng.randrange(256)
            pieces[index] = (
                frames.SYNC_MARKER + body + crc16.ibm_3740(bytes(body)).to_bytes(2, "big")
            )
        assert set(received(receive(b"".join(pieces)))) <= set(sent)


def test_report_to_json_is_plain(stream):
    pieces = cut(stream)
    report = receive(b"".join(pieces[:1] + pieces[-1:])).report
    figures = json.loads(json.dumps(report.to_json()))
    assert figures["frames"] == 2
    assert figures["files_incomplete"][0]["reason"].endswith("did not arrive")


# --- the command ---


@pytest.fixture
def written(monkeypatch):
    """Calls of the writer of maps, which leaves one small file per product."""
    calls = []

    def write_sheet(sheet, folder, stem, rgb=None):
        path = folder / f"{stem}.tif"
        path.write_bytes(b"map")
        calls.append(stem)
        told = {"datetime": None, "floodsat:subject": sheet.labels.subject}
        return [path], {"id": stem, "properties": told, "assets": {}}

    monkeypatch.setattr(ground.delivery, "write_sheet", write_sheet)
    return calls


def run(*arguments, **how):
    return CliRunner().invoke(command, [str(one) for one in arguments], **how)


def test_command_writes_products_and_report(tmp_path, stream, sent, written):
    (tmp_path / "pass.bin").write_bytes(b"".join(cut(stream)[:2] + cut(stream)[3:]))
    out = tmp_path / "out"
    result = run(tmp_path / "pass.bin", "--out", out, "--json", tmp_path / "f.json")
    assert result.exit_code == 0, result.output
    stems = [data[-16:].hex()[:12] for data in sent]
    assert {path.name: path.read_bytes() for path in out.glob("*.fsp")} == {
        f"{stem}.fsp": data for stem, data in zip(stems, sent, strict=True)
    }
    assert sorted(written) == sorted(stems)
    figures = json.loads((out / "reception.json").read_text())
    assert (tmp_path / "f.json").read_text() == (out / "reception.json").read_text()
    assert sorted(one["id"] for one in figures["products"]) == sorted(d[-16:].hex() for d in sent)
    assert figures["report"]["frames_lost"] == 1
    assert "received: 3 products, 3 alerts" in result.output
    assert "1 lost" in result.output


def test_command_tells_every_alert(tmp_path):
    georef = Georef(33, 24, "EPSG:4326", (0.01, 0.0, 20.0, 0.0, -0.01, 50.0))
    product = make_product(3, georef=georef, acquired_ms=1_700_000_000_000)
    sight = Sight(792, 700, 400, 50, entropy=0.25 * LN2)
    told = [alerts.alert_for(product, name, sight) for name in (bytes(range(16)), None)]
    bare = dataclasses.replace(told[1], place=None, acquired_ms=None, entropy=None, area_m2=5e6)
    stream = framed([alerts.pack(one) for one in (*told, bare)], Apid.ALERT)
    (tmp_path / "pass.bin").write_bytes(stream)
    arguments = [str(tmp_path / "pass.bin"), "--out", str(tmp_path / "out")]
    lines = CliRunner().invoke(command, arguments).output.splitlines()
    found = [line for line in lines if line.startswith("alert ")]
    assert "alert 0001020304050607: water around 49." in found[0]
    assert "2023-11-14T22:13:20+00:00" in found[0]
    assert found[0].endswith("confidence 0.75; its product goes down too")
    assert found[1].startswith("alert 0303030303030303: ")
    assert found[1].endswith("no product goes down")
    assert "at no known place, at an unknown time: likely" in found[2]
    assert "of what was seen (5.00 km²), possibly" in found[2]
    assert "confidence" not in found[2]
    rows = json.loads((tmp_path / "out" / "reception.json").read_text())["alerts"]
    assert [row["confidence"] is None for row in rows] == [False, False, True]


def test_chips_for_labelling_arrive_whole(tmp_path):
    chips = [pack_chip(make_chip(seed)) for seed in (1, 2)]
    with Outbox(tmp_path / "outbox.db") as outbox:
        items = [Item(data, 1.0) for data in chips]
        outbox.record(bytes(32), bytes(32), [Item(pack(make_product(3)), 1.0)], chips=items)
        stream = fill(outbox, 10**6, 2, NOW).stream
    (tmp_path / "pass.bin").write_bytes(stream)
    arguments = [str(tmp_path / "pass.bin"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    assert "received: 1 product, 0 alerts, 2 chips for labelling" in result.output
    told = json.loads((tmp_path / "out" / "reception.json").read_text())["chips"]
    for data, one in zip(chips, told, strict=True):
        assert one["id"] == data[-16:].hex()
        assert (tmp_path / "out" / one["written"]).read_bytes() == data
    assert receive(stream).report.duplicates == 0


def test_a_damaged_chip_is_refused_with_its_reason():
    data = bytearray(pack_chip(make_chip(1)))
    data[-1] ^= 1
    reception = receive(framed(cfdp.pdus(bytes(data), "x.fsc", 1)))
    assert reception.chips == []
    assert "do not match its id" in reception.report.files_refused[0].reason


@pytest.mark.parametrize("link_class", [1, 2])
def test_raw_chips_arrive_whole(tmp_path, link_class):
    raws = [rawchip.pack(make_raw(seed)) for seed in (1, 2)]
    with Outbox(tmp_path / "outbox.db") as outbox:
        for data in raws:
            outbox.queue(Kind.CHIP, Item(data, 1.0), (bytes(32), bytes(32)))
        stream = fill(outbox, 10**6, 2, NOW, link_class=link_class).stream
    (tmp_path / "pass.bin").write_bytes(stream)
    out = tmp_path / "out"
    result = CliRunner().invoke(command, [str(tmp_path / "pass.bin"), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "0 chips for labelling, 2 raw chips" in result.output
    assert "lost: file" not in result.output
    told = json.loads((out / "reception.json").read_text())
    assert told["chips"] == []
    came = {one["id"]: one for one in told["raw"]}
    assert came.keys() == {data[-16:].hex() for data in raws}
    for data in raws:
        one = came[data[-16:].hex()]
        assert one["written"] == f"raw/{data[-16:].hex()[:12]}.fsr"
        assert (one["row"], one["col"], one["shape"]) == (30, 8, [6, 7, 4])
        assert (out / one["written"]).read_bytes() == data
    reception = receive(stream)
    assert sorted(data for data, _ in reception.raws) == sorted(raws)
    assert reception.report.files_refused == []
    twice = receive(stream + framed(cfdp.pdus(raws[0], "x.fsr", 900))).report
    assert twice.duplicates == 1


def test_a_damaged_raw_chip_is_refused_with_its_reason():
    data = bytearray(rawchip.pack(make_raw()))
    data[-1] ^= 1
    reception = receive(framed(cfdp.pdus(bytes(data), "x.fsr", 1)))
    assert reception.raws == []
    assert "raw chip: is damaged" in reception.report.files_refused[0].reason


def test_command_is_idempotent(tmp_path, stream, sent, written):
    out = tmp_path / "out"
    run("-", "--out", out, input=io.BytesIO(stream))
    assert len(written) == 3
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.fsp")}
    result = run("-", "--out", out, input=io.BytesIO(stream))
    assert "already there" in result.output
    assert len(written) == 3
    assert {path: path.stat().st_mtime_ns for path in out.glob("*.fsp")} == before


def test_a_reference_that_comes_later_draws_the_map_again(tmp_path, stream, written, monkeypatch):
    out = tmp_path / "out"
    run("-", "--out", out, input=io.BytesIO(stream))
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.fsp")}
    sheet_of = ground.delivery.sheet_of

    def with_reference(product, reference):
        sheet = sheet_of(product, reference)
        return dataclasses.replace(sheet, labels=dataclasses.replace(sheet.labels, subject="flood"))

    monkeypatch.setattr(ground.delivery, "sheet_of", with_reference)
    monkeypatch.setattr(ground.delivery, "sheet_subject", lambda product, reference: "flood")
    run("-", "--out", out, input=io.BytesIO(stream))
    assert len(written) == 6
    assert {path: path.stat().st_mtime_ns for path in out.glob("*.fsp")} == before


def test_a_product_that_cannot_be_drawn_keeps_no_other_back(
    tmp_path, stream, sent, written, monkeypatch
):
    draw = ground.delivery.write_sheet

    def refuse_first(sheet, folder, stem, rgb=None):
        if stem == sent[0][-16:].hex()[:12]:
            raise ProductError("the CRS EPSG:999999 is unknown")
        return draw(sheet, folder, stem)

    monkeypatch.setattr(ground.delivery, "write_sheet", refuse_first)
    out = tmp_path / "out"
    result = run("-", "--out", out, input=io.BytesIO(stream))
    assert result.exit_code == 2
    assert "kept, but its maps cannot be drawn: the CRS EPSG:999999" in result.output
    assert len(list(out.glob("*.fsp"))) == 3
    assert len(written) == 2
    products = json.loads((out / "reception.json").read_text())["products"]
    assert [bool(one["problem"]) for one in products].count(True) == 1


def test_a_stream_that_is_repeated_has_lost_nothing(stream):
    once, twice = receive(stream).report, receive(stream + stream).report
    assert (once.frames_lost, twice.frames_lost) == (0, 0)
    assert twice.frames == 2 * once.frames
    assert twice.files == once.files


def test_command_writes_a_damaged_product_again(tmp_path, stream, sent, written):
    out = tmp_path / "out"
    run("-", "--out", out, input=io.BytesIO(stream))
    damaged = out / f"{written[0]}.fsp"
    good = damaged.read_bytes()
    damaged.write_bytes(good[:-1])
    run("-", "--out", out, input=io.BytesIO(stream))
    assert damaged.read_bytes() == good
    assert len(written) == 4


def test_command_says_what_was_lost(tmp_path, stream, written):
    (tmp_path / "pass.bin").write_bytes(b"".join(cut(stream)[:4]))
    result = run(tmp_path / "pass.bin", "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "did not arrive" in result.output
    assert "bytes missing" in result.output


def test_command_with_noise_writes_nothing(tmp_path, written):
    (tmp_path / "noise.bin").write_bytes(random.Random(1).randbytes(9999))
    result = run(tmp_path / "noise.bin", "--out", tmp_path / "out")
    assert isinstance(result.exception, StreamError)
    assert not (tmp_path / "out").exists()


def test_command_without_its_stream(tmp_path):
    result = run(tmp_path / "none.bin", "--out", tmp_path / "out")
    assert isinstance(result.exception, StreamError)
    assert "cannot be read" in str(result.exception)


def test_command_with_a_folder_that_cannot_be_written(tmp_path, stream, written):
    (tmp_path / "pass.bin").write_bytes(stream)
    (tmp_path / "file").write_text("not a folder")
    result = run(tmp_path / "pass.bin", "--out", tmp_path / "file" / "out")
    assert isinstance(result.exception, OutputError)
    assert written == []


def test_virtual_channels_are_told_apart():
    """Packets of two channels whose frames alternate are not glued together."""
    one, two = Counters(), Counters()
    first = cut(framed([b"a" * 1500], counters=one))
    second = []
    for piece in cut(framed([b"b" * 1500], counters=two)):
        body = bytearray(piece[4:-2])
        body[1] = body[1] & 0xF1 | (VC_DATA + 1) << 1
        second.append(frames.SYNC_MARKER + body + crc16.ibm_3740(bytes(body)).to_bytes(2, "big"))
    mixed = b"".join(piece for pair in zip(first, second, strict=True) for piece in pair)
    report = receive(mixed).report
    assert (report.packets["cfdp"], report.packets_bad, report.frames_lost) == (2, 0, 0)


def test_what_arrived_says_by_which_byte_it_was_whole(stream, sent):
    arrived = receive(stream).arrived
    ids = {data[-16:] for data in sent}
    assert ids < arrived.keys()
    assert len(arrived) == 2 * len(sent)
    for one in ids:
        assert arrived[one] % CADU == 0
        assert one in receive(stream[: arrived[one]]).arrived
        assert one not in receive(stream[: arrived[one] - CADU]).arrived
