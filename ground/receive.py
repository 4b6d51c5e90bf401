"""Reception: what a stream of transfer frames holds, verified, and what was lost of it.

From bottom to top: find frames by their sync markers and check them; cut packets out of the
frames of each virtual channel by the first-header pointer and check them; sort packets by APID;
put files together; decode products. Each layer drops what it cannot verify and counts it, and
only whole, verified products come out. Nothing is written here.
"""

from __future__ import annotations

import copy
import dataclasses
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ground.memory import Memory
from ground.reassembly import File, Reassembly, Unfinished
from ground.sequencer import Placed, Sequencer
from onboard import chip as chips
from onboard import rawchip
from onboard.chip import Chip
from onboard.errors import OtherReferenceError, ProductError, StreamError, UnknownTablesError
from onboard.link import acks, alerts, frames, housekeeping, packets
from onboard.link.acks import Ack
from onboard.link.alerts import Alert
from onboard.link.apid import SPACECRAFT_ID, Apid
from onboard.link.counters import PACKETS
from onboard.link.frames import Frame
from onboard.link.housekeeping import Housekeeping
from onboard.link.packets import Packet
from onboard.product import ID_BYTES, Product, unpack
from onboard.rawchip import RawChip
from onboard.reference_water import Reference

if TYPE_CHECKING:
    from onboard.product import Unpack

CHUNK = 1 << 16
_APIDS = frozenset(int(apid) for apid in Apid)
MISSING = 256
"""Missing packets of an APID that are remembered, to know them when they come late."""
MARKER_ERRORS = 6
"""Wrong bits allowed in a marker that stands where the next one is due."""


@dataclass
class Report:
    """What a reception counted. Frames and packets are numbers of them.

    Attributes:
        bytes: length of the stream.
        bytes_skipped: bytes in which no frame was found.
        frames: verified frames, idle ones among them.
        frames_idle: frames with idle data only.
        frames_bad: frames whose error control field is wrong.
        frames_lost: gaps in the virtual channels' counts; a loss of 256 or more in a row counts
            modulo 256.
        frames_repeated: frames that came twice.
        frames_late: frames that came when they were not waited for any more.
        frames_foreign: verified frames of another spacecraft or of another kind.
        packets: verified packets by APID name.
        packets_lost: gaps in the sequence counts by APID name, modulo 16384.
        packets_lost_before: packets lost between the last one of the reception before and the
            first one of this, by APID name.
        restarts: sequence counts that went back: a stream was repeated or an outbox made anew.
        packets_bad: packets that fail their CRC, or are of a kind that is not sent.
        packets_unknown: verified packets of an APID or with contents that are not known here,
            by what they are.
        packets_cut: packets of which a frame was lost.
        units_bad: CFDP units that do not decode.
        files: files that arrived whole with the right checksum.
        files_incomplete: files of which units are missing.
        files_refused: files given up, and why.
        files_refused_more: how many more than those.
        duplicates: products, chips and raw chips that arrived once more under another transaction.
        alerts_repeated: alerts that arrived once more.
    """

    bytes: int = 0
    bytes_skipped: int = 0
    frames: int = 0
    frames_idle: int = 0
    frames_bad: int = 0
    frames_lost: int = 0
    frames_repeated: int = 0
    frames_late: int = 0
    frames_foreign: int = 0
    packets: Counter[str] = field(default_factory=Counter)
    packets_lost: Counter[str] = field(default_factory=Counter)
    packets_lost_before: Counter[str] = field(default_factory=Counter)
    restarts: int = 0
    packets_bad: int = 0
    packets_unknown: Counter[str] = field(default_factory=Counter)
    packets_cut: int = 0
    units_bad: int = 0
    files: int = 0
    files_incomplete: list[Unfinished] = field(default_factory=list)
    files_refused: list[Unfinished] = field(default_factory=list)
    files_refused_more: int = 0
    duplicates: int = 0
    alerts_repeated: int = 0

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        # Not asdict of the whole: it cannot copy a Counter.
        figures = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        for name in ("packets", "packets_lost", "packets_lost_before", "packets_unknown"):
            figures[name] = dict(figures[name])
        for name in ("files_incomplete", "files_refused"):
            figures[name] = [dataclasses.asdict(one) for one in figures[name]]
        return figures


class Locked(NamedTuple):
    """A product that arrived whole, with its id verified, but cannot be decoded here.

    Attributes:
        data: its bytes, to be kept.
        why: what is missing, and the cure.
    """

    data: bytes
    why: str

    @property
    def stem(self) -> str:
        """A short name for files, as a product's."""
        return self.data[-ID_BYTES:].hex()[:12]


@dataclass(frozen=True)
class Reception:
    """What a stream held.

    Attributes:
        products: the bytes and the decoded product, in order of arrival, each id once.
        alerts: each once, in order of arrival.
        housekeeping: in order of arrival.
        acks: what became of commands, each once, in order of arrival.
        report: what was counted.
        files: where the transfers stand.
        heard_ms: the latest time that a packet bore, UTC milliseconds since 1970, or None.
        chips: the bytes and the decoded chip for labelling, in order of arrival, each id once.
        raws: the bytes and the decoded raw chip, that a command asked for, likewise.
        expected: APID → sequence count of the next packet.
        arrived: id of a file, or bytes of an alert or an acknowledgement → how many bytes of the
            stream had come when it was whole for the first time.
        locked: products that arrived whole but cannot be decoded with what is at hand.
    """

    products: list[tuple[bytes, Product]]
    alerts: list[Alert]
    housekeeping: list[Housekeeping]
    acks: list[Ack]
    report: Report
    files: Reassembly
    heard_ms: int | None
    chips: list[tuple[bytes, Chip]]
    raws: list[tuple[bytes, RawChip]]
    expected: dict[int, int]
    arrived: dict[bytes, int]
    locked: list[Locked]


def receive(
    stream: bytes | Iterable[bytes],
    name: str = "stream",
    frame_length: int = frames.DEFAULT_LENGTH,
    spacecraft: int = SPACECRAFT_ID,
    memory: Memory | None = None,
    reference: Reference | None = None,
    unpack: Unpack = unpack,
) -> Reception:
    """Receive a stream.

    Args:
        stream: bytes, or chunks of them in order.
        name: what messages call the stream.
        frame_length: of a frame without sync marker.
        spacecraft: whose frames are wanted.
        memory: what earlier receptions left; it is not changed.
        reference: permanent water, which guided products are decoded with.
        unpack: decodes products.

    Raises:
        StreamError: there is no verified frame of this spacecraft in it.
    """
    chunks = [stream] if isinstance(stream, bytes) else stream
    report = Report()
    station = _Station(report, reference, unpack)
    if memory is not None:
        # What ended never changes; of a long mission it is much the most.
        station.files.resume(copy.deepcopy(memory.open), OrderedDict(memory.former))
        station.resume(memory.expected)
    channels: dict[int, PacketExtractor] = {}
    for station.position, frame in find_frames(chunks, report, frame_length):
        if frame.spacecraft != spacecraft:
            report.frames_foreign += 1
            continue
        report.frames += 1
        channel = channels.setdefault(frame.channel, PacketExtractor(report))
        for packet in channel.add(frame):
            station.take(packet)
    for channel in channels.values():
        for packet in channel.finish():
            station.take(packet)
    if not report.frames:
        raise StreamError(_nothing(name, report, frame_length))
    return station.reception()


def _nothing(name: str, report: Report, frame_length: int) -> str:
    if not report.bytes:
        return f"{name}: the stream is empty; record the pass again"
    found = f"{name}: no valid transfer frame in {report.bytes} bytes"
    if report.frames_foreign:
        return f"{found} ({report.frames_foreign} of another spacecraft); check the recording"
    return f"{found}; give a FloodSat downlink with frames of {frame_length} bytes"


# --- frames ---------------------------------------------------------------------------------


def find_frames(
    chunks: Iterable[bytes], report: Report, frame_length: int = frames.DEFAULT_LENGTH
) -> Iterator[tuple[int, Frame]]:
    """Verified frames in order, each with the bytes of the stream up to its end.

    Whenever the sync marker is lost, it is searched anew.
    """
    cadu = frames.cadu_length(frame_length)
    buffer = bytearray()
    locked = False
    for chunk in _with_end(chunks):
        before = report.bytes - len(buffer)
        buffer += chunk or b""
        report.bytes += len(chunk or b"")
        start = 0
        while True:
            if not (locked and _is_marker(buffer, start)):
                locked = False
                found = _search(buffer, start, last=chunk is None)
                report.bytes_skipped += found - start
                start = found
            # The next marker must be there too, to judge a damaged frame by.
            ends = start + cadu + (len(frames.SYNC_MARKER) if chunk is not None else 0)
            if len(buffer) < ends:
                break
            body = bytes(buffer[start + len(frames.SYNC_MARKER) : start + cadu])
            if frames.is_intact(body):
                yield from ((before + start + cadu, one) for one in _decoded(body, report))
                start, locked = start + cadu, True
            elif len(buffer) == start + cadu or _is_marker(buffer, start + cadu):
                report.frames_bad += 1
                start, locked = start + cadu, True
            else:
                report.bytes_skipped += 1
                start, locked = start + 1, False
        del buffer[:start]
    report.bytes_skipped += len(buffer)


def _with_end(chunks: Iterable[bytes]) -> Iterator[bytes | None]:
    for chunk in chunks:
        for start in range(0, len(chunk), CHUNK):
            yield chunk[start : start + CHUNK]
    yield None


def _is_marker(buffer: bytearray, start: int) -> bool:
    found = int.from_bytes(buffer[start : start + len(frames.SYNC_MARKER)], "big")
    return (found ^ int.from_bytes(frames.SYNC_MARKER, "big")).bit_count() <= MARKER_ERRORS


def _search(buffer: bytearray, start: int, last: bool) -> int:
    found = buffer.find(frames.SYNC_MARKER, start)
    if found >= 0:
        return found
    # The first bytes of a marker may end the chunk.
    keep = 0 if last else len(frames.SYNC_MARKER) - 1
    return max(start, len(buffer) - keep)


def _decoded(body: bytes, report: Report) -> Iterator[Frame]:
    try:
        yield frames.unpack(body)
    except StreamError:
        report.frames_foreign += 1


# --- packets --------------------------------------------------------------------------------


class PacketExtractor:
    """Cuts packets out of the frames of one virtual channel (132.0-B-3, 4.3.2)."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self._order = Sequencer()
        self._partial = b""

    def add(self, frame: Frame) -> Iterator[bytes]:
        """Whole packets of the frames whose turn has come."""
        for placed in self._order.add(frame):
            yield from self._take(placed)

    def finish(self) -> Iterator[bytes]:
        """Packets of frames that waited for others; counts the one that the end cut."""
        for placed in self._order.finish():
            yield from self._take(placed)
        self._drop()
        self.report.frames_lost += self._order.lost
        self.report.frames_repeated += self._order.repeated
        self.report.frames_late += self._order.late

    def _take(self, placed: Placed) -> Iterator[bytes]:
        before, self._partial = self._partial, b"" if placed.late else self._partial
        if not placed.follows and not placed.late:
            self._drop()
        yield from self._open(placed.frame)
        if placed.late:
            self._drop()
            self._partial = before

    def _open(self, frame: Frame) -> Iterator[bytes]:
        if frame.first_header == frames.ONLY_IDLE:
            self.report.frames_idle += 1
            self._drop()
        elif frame.first_header == frames.NO_PACKET_STARTS:
            yield from self._go_on(frame.data)
        elif frame.first_header >= len(frame.data):
            self._drop()
            self.report.packets_bad += 1
        else:
            yield from self._go_on(frame.data[: frame.first_header])
            self._drop()
            self._partial = frame.data[frame.first_header :]
            yield from self._cut()

    def _go_on(self, data: bytes) -> Iterator[bytes]:
        if self._partial:
            self._partial += data
            yield from self._cut()

    def _cut(self) -> Iterator[bytes]:
        while len(self._partial) >= packets.PRIMARY:
            header = packets.header_of(self._partial)
            if header.ccsds_version != 0:
                self.report.packets_bad += 1
                self._partial = b""
            if not self._partial or len(self._partial) < header.packet_len:
                return
            packet = self._partial[: header.packet_len]
            self._partial = self._partial[header.packet_len :]
            yield packet

    def _drop(self) -> None:
        self.report.packets_cut += bool(self._partial)
        self._partial = b""


# --- contents -------------------------------------------------------------------------------


class _Station:
    """Sorts packets by APID and keeps what they hold."""

    def __init__(
        self, report: Report, reference: Reference | None = None, unpack: Unpack = unpack
    ) -> None:
        self.report = report
        self._reference, self._unpack = reference, unpack
        self._locked: dict[bytes, Locked] = {}
        self._expected: dict[int, int] = {}
        self._before: dict[int, int] = {}
        self._missing: dict[int, OrderedDict[int, None]] = {}
        self.files = Reassembly()
        self._products: dict[bytes, tuple[bytes, Product]] = {}
        self._chips: dict[bytes, tuple[bytes, Chip]] = {}
        self._raws: dict[bytes, tuple[bytes, RawChip]] = {}
        self._alerts: dict[bytes, Alert] = {}
        self._housekeeping: list[Housekeeping] = []
        self._acks: dict[bytes, Ack] = {}
        self._undecoded: list[Unfinished] = []
        self._heard_ms: int | None = None
        self.position = 0
        self._arrived: dict[bytes, int] = {}

    def resume(self, expected: Mapping[int, int]) -> None:
        """Go on with the counts of an earlier reception."""
        self._before.update(expected)

    def take(self, data: bytes) -> None:
        """Verify one packet and keep its contents."""
        if packets.header_of(data).apid == Apid.IDLE:
            return
        try:
            packet = packets.unpack(data)
        except StreamError:
            self.report.packets_bad += 1
            return
        if packet.apid not in _APIDS:
            self.report.packets_unknown[f"apid {packet.apid:#05x}"] += 1
            return
        apid = Apid(packet.apid)
        self._count(packet, apid)
        self._heard_ms = max(packet.sent_ms, self._heard_ms or packet.sent_ms)
        try:
            self._keep(packet, apid)
        except StreamError:
            self.report.packets_unknown[f"{apid.text} version {packet.data[0]}"] += 1

    def reception(self) -> Reception:
        """Everything so far."""
        self.report.units_bad = self.files.bad_units
        self.report.files_incomplete = self.files.unfinished()
        self.report.files_refused = self.files.refused + self._undecoded
        self.report.files_refused_more = self.files.refused_more
        return Reception(
            list(self._products.values()),
            list(self._alerts.values()),
            self._housekeeping,
            list(self._acks.values()),
            self.report,
            self.files,
            self._heard_ms,
            list(self._chips.values()),
            list(self._raws.values()),
            self._expected,
            self._arrived,
            list(self._locked.values()),
        )

    def _count(self, packet: Packet, apid: Apid) -> None:
        """Count what is missing; a packet that was counted so and comes late is none."""
        self.report.packets[apid.text] += 1
        missing = self._missing.setdefault(packet.apid, OrderedDict())
        if packet.apid in self._before:
            # Behind it is what was received before, and a count that began anew.
            between = (packet.count - self._before.pop(packet.apid)) % PACKETS
            if between < PACKETS // 2:
                self.report.packets_lost_before[apid.text] += between
        expected = self._expected.get(packet.apid, packet.count)
        gap = (packet.count - expected) % PACKETS
        if packet.count in missing:
            del missing[packet.count]
            self.report.packets_lost[apid.text] -= 1
            return
        if gap < PACKETS // 2:
            self.report.packets_lost[apid.text] += gap
            for one in range(packet.count - min(gap, MISSING), packet.count):
                missing[one % PACKETS] = None
        else:
            self.report.restarts += 1
            missing.clear()
        while len(missing) > MISSING:
            missing.popitem(last=False)
        self._expected[packet.apid] = (packet.count + 1) % PACKETS

    def _keep(self, packet: Packet, apid: Apid) -> None:
        if apid is Apid.ALERT:
            self.report.alerts_repeated += packet.data in self._alerts
            self._alerts[packet.data] = alerts.unpack(packet.data)
            self._arrived.setdefault(packet.data, self.position)
        elif apid is Apid.HOUSEKEEPING:
            self._housekeeping.append(housekeeping.unpack(packet.data))
        elif apid is Apid.ACK:
            self._acks[packet.data] = acks.unpack(packet.data)
            self._arrived.setdefault(packet.data, self.position)
        else:
            file = self.files.add(packet.data, packet.sent_ms)
            if file is not None:
                self._decode(file)

    def _decode(self, file: File) -> None:
        self.report.files += 1
        try:
            known = self._keep_file(file.data)
        except ProductError as error:
            self._undecoded.append(Unfinished(*file.key, file.name, len(file.data), 0, str(error)))
            return
        self.report.duplicates += known
        self._arrived.setdefault(file.data[-ID_BYTES:], self.position)

    def _keep_file(self, data: bytes) -> bool:
        """Decode a file by its first bytes; whether it arrived before."""
        if data.startswith(chips.MAGIC):
            chip = chips.unpack(data)
            known = chip.chip_id in self._chips
            self._chips.setdefault(chip.chip_id, (data, chip))
        elif data.startswith(rawchip.MAGIC):
            raw = rawchip.unpack(data)
            known = raw.raw_id in self._raws
            self._raws.setdefault(raw.raw_id, (data, raw))
        else:
            try:
                product = self._unpack(data, self._reference)
            except (OtherReferenceError, UnknownTablesError) as error:
                known = data[-ID_BYTES:] in self._locked
                self._locked[data[-ID_BYTES:]] = Locked(data, str(error))
                return known
            known = product.product_id in self._products
            self._products.setdefault(product.product_id, (data, product))
        return known
