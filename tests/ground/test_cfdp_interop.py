"""The two ends of a transfer from two code bases: ours, and cfdp-py's handlers.

Both ways, in both classes. The tests of its defects say why class 2 has state machines of our own;
they fail when a version of cfdp-py mends them.
"""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from cfdppy import CfdpState, CfdpUserBase
from cfdppy.exceptions import PduIgnoredForSource
from cfdppy.filestore import NativeFilestore
from cfdppy.handler.dest import DestHandler
from cfdppy.handler.source import SourceHandler
from cfdppy.mib import (
    CheckTimerProvider,
    DefaultFaultHandlerBase,
    IndicationConfig,
    LocalEntityConfig,
    RemoteEntityConfig,
    RemoteEntityConfigTable,
)
from cfdppy.request import PutRequest
from spacepackets.cfdp import ChecksumType, ConditionCode, FaultHandlerCode, TransmissionMode
from spacepackets.cfdp.pdu import AckPdu, EofPdu
from spacepackets.cfdp.pdu.finished import DeliveryCode, FileStatus
from spacepackets.cfdp.pdu.helper import PduFactory
from spacepackets.countdown import Countdown
from spacepackets.seqcount import SeqCountProvider
from spacepackets.util import ByteFieldU8

from ground.answers import answers
from ground.reassembly import Reassembly
from onboard.link import cfdp, returns, sender
from onboard.link.apid import GROUND_ENTITY, SATELLITE_ENTITY
from onboard.link.cfdp import pdus
from onboard.product import pack, unpack
from tests.products import make_product, noisy_product


class Faults(DefaultFaultHandlerBase):
    def notice_of_suspension_cb(self, transaction_id, cond, progress):
        raise AssertionError(cond)

    notice_of_cancellation_cb = notice_of_suspension_cb
    abandoned_cb = notice_of_suspension_cb
    ignore_cb = notice_of_suspension_cb


class User(CfdpUserBase):
    def __init__(self):
        super().__init__(NativeFilestore())
        self.finished = []
        self.suspended = []

    def transaction_finished_indication(self, params):
        self.finished.append(params.finished_params)

    def transaction_indication(self, *_):
        pass

    eof_sent_indication = metadata_recv_indication = file_segment_recv_indication = (
        transaction_indication
    )
    report_indication = resumed_indication = transaction_indication

    def suspended_indication(self, *params):
        self.suspended.append(params)

    fault_indication = abandoned_indication = eof_recv_indication = transaction_indication


class Timers(CheckTimerProvider):
    def provide_check_timer(self, local_entity_id, remote_entity_id, entity_type):
        return Countdown(timedelta(seconds=60))


def remote(entity, mode):
    """The other end; its timers expire at once, so that tests need no clock."""
    return RemoteEntityConfig(
        entity_id=ByteFieldU8(entity),
        max_file_segment_len=cfdp.SEGMENT,
        max_packet_len=2048,
        closure_requested=False,
        crc_on_transmission=False,
        default_transmission_mode=mode,
        crc_type=ChecksumType.CRC_32,
        immediate_nak_mode=False,
        positive_ack_timer_interval_seconds=0.0,
        positive_ack_timer_expiration_limit=10**6,
        nak_timer_interval_seconds=0.0,
        nak_timer_expiration_limit=10**6,
    )


def handler(user, mode=TransmissionMode.UNACKNOWLEDGED):
    ground = LocalEntityConfig(ByteFieldU8(GROUND_ENTITY), IndicationConfig(), Faults())
    table = RemoteEntityConfigTable([remote(SATELLITE_ENTITY, mode)])
    return DestHandler(ground, user, table, Timers())


def source(user, path, target, faults=None, **more):
    """cfdp-py's sender of class 2, with a file to send."""
    config = remote(GROUND_ENTITY, TransmissionMode.ACKNOWLEDGED)
    for name, value in more.items():
        setattr(config, name, value)
    satellite = LocalEntityConfig(
        ByteFieldU8(SATELLITE_ENTITY), IndicationConfig(), faults or Faults()
    )
    table = RemoteEntityConfigTable([config])
    found = SourceHandler(satellite, user, table, Timers(), SeqCountProvider(32))
    assert found.put_request(
        PutRequest(ByteFieldU8(GROUND_ENTITY), path, target, TransmissionMode.ACKNOWLEDGED, False)
    )
    return found


def drain(machine):
    """What a handler of cfdp-py has to send."""
    found = []
    while machine.packets_ready:
        found.append(machine.get_next_packet().pdu)
    return found


@pytest.mark.parametrize("product", [make_product(1), noisy_product(2, 150)])
def test_the_file_arrives(tmp_path, product):
    data = pack(product)
    target = tmp_path / "product.fsp"
    user = User()
    destination = handler(user)
    for unit in pdus(data, str(target), 77):
        destination.state_machine(PduFactory.from_raw(unit))
    destination.state_machine()
    (finished,) = user.finished
    assert finished.condition_code == ConditionCode.NO_ERROR
    assert finished.delivery_code == DeliveryCode.DATA_COMPLETE
    assert finished.file_status == FileStatus.FILE_RETAINED
    assert target.read_bytes() == data
    assert unpack(target.read_bytes()).subject == "water"


def test_data_out_of_order_arrives_too(tmp_path):
    data = pack(noisy_product(2, 150))
    target = tmp_path / "product.fsp"
    first, *middle, last = pdus(data, str(target), 78)
    assert len(middle) > 4
    random.Random(3).shuffle(middle)
    user = User()
    destination = handler(user)
    for unit in (first, *middle, last):
        destination.state_machine(PduFactory.from_raw(unit))
    destination.state_machine()
    assert target.read_bytes() == data


@pytest.mark.parametrize(("loss", "seed"), [(0.0, 1), (0.2, 2), (0.5, 3), (0.7, 4)])
def test_our_class_2_sender_is_received_by_their_receiver(tmp_path, loss, seed):
    rng = random.Random(seed)
    data = pack(noisy_product(2, 250))
    target = tmp_path / "product.fsp"
    user = User()
    destination = handler(user, TransmissionMode.ACKNOWLEDGED)
    units = cfdp.Units(data, str(target), 79, acknowledged=True)
    state, contact = sender.start(len(data)), 0
    while state.open:
        contact += 1
        assert contact < 500
        due = sender.due(state, contact)
        state = sender.after_sending(state, due, contact)
        told = []
        for unit in due:
            if rng.random() >= loss:
                destination.state_machine(PduFactory.from_raw(units[unit]))
                told += drain(destination)
        if destination.state is not CfdpState.IDLE:
            destination.state_machine()
        told += drain(destination)
        heard = [returns.answer_of(bytes(pdu.pack())) for pdu in told]
        # Of the requests the last ones count: those before were made in mid-contact.
        naks = [one for one in heard if isinstance(one, returns.Nak)]
        rest = [one for one in heard if not isinstance(one, returns.Nak)]
        if rng.random() >= loss:
            state = sender.hear(state, rest + naks[-1:], contact, contact + 1)
    destination.state_machine(PduFactory.from_raw(cfdp.finished_ack(79, state.finished)))
    assert state.finished == 0
    assert destination.state is CfdpState.IDLE
    assert target.read_bytes() == data
    assert [one.condition_code for one in user.finished] == [ConditionCode.NO_ERROR]


@pytest.mark.parametrize(("loss", "seed"), [(0.0, 1), (0.2, 2), (0.5, 3), (0.7, 4)])
def test_their_class_2_sender_is_received_by_our_receiver(tmp_path, loss, seed):
    rng = random.Random(seed)
    data = pack(noisy_product(2, 250))
    path = tmp_path / "product.fsp"
    path.write_bytes(data)
    user, station, files = User(), Reassembly(), []
    their = source(user, path, tmp_path / "there.fsp")

    def down(sent):
        for pdu in sent:
            file = station.add(bytes(pdu.pack()), contact) if rng.random() >= loss else None
            files.extend([file] if file else [])

    for contact in range(1, 500):
        for _ in range(200):
            # It hands out one unit a call, and its EOF again whenever its timer is asked.
            their.state_machine()
            sent = drain(their)
            down(sent)
            if not sent or isinstance(sent[-1], EofPdu):
                break
        for _, units in list(answers(station, contact)):
            for unit in units:
                if their.state is not CfdpState.IDLE and rng.random() >= loss:
                    down(insert(their, unit))
        if their.state is CfdpState.IDLE:
            break
    assert their.state is CfdpState.IDLE
    assert [file.data for file in files] == [data]
    assert [one.condition_code for one in user.finished] == [ConditionCode.NO_ERROR]


def insert(their, unit):
    """What their sender sends upon an answer."""
    try:
        their.state_machine(PduFactory.from_raw(unit))
    except PduIgnoredForSource:
        # It raises at what it does not wait for; a station would only log it.
        return []
    sent = drain(their)
    their.state_machine()
    return sent + drain(their)


# --- what cfdp-py cannot do ---


def test_their_receiver_ignores_a_repeated_eof_and_ours_does_not(tmp_path):
    """So a sender that waits for the ACK of its EOF waits for ever once that ACK is lost."""
    data = pack(noisy_product(2, 150))
    units = cfdp.pdus(data, str(tmp_path / "p.fsp"), 80, acknowledged=True)
    there, eof = [*units[:2], *units[3:-1]], units[-1]
    destination, station = handler(User(), TransmissionMode.ACKNOWLEDGED), Reassembly()
    for unit in there:
        destination.state_machine(PduFactory.from_raw(unit))
        drain(destination)
        station.add(unit)
    acks = []
    for _ in range(3):
        destination.state_machine(PduFactory.from_raw(eof))
        acks.append(any(isinstance(pdu, AckPdu) for pdu in drain(destination)))
        station.add(eof)
        (ours,) = [units for _, units in answers(station, 1)]
        assert returns.answer_of(ours[0]) == returns.EofAck(80)
    assert acks == [True, False, False]
    # Let it end: its handlers share one list of gaps.
    destination.state_machine(PduFactory.from_raw(units[2]))
    drain(destination)


def test_their_sender_cannot_be_suspended_and_ours_sleeps(tmp_path):
    """It gives up after so many seconds; told to suspend itself instead, it goes on sending."""

    class Suspending(Faults):
        def notice_of_suspension_cb(self, transaction_id, cond, progress):
            assert cond == ConditionCode.POSITIVE_ACK_LIMIT_REACHED

    path = tmp_path / "p.fsp"
    path.write_bytes(b"abc")
    faults, user = Suspending(), User()
    limit = ConditionCode.POSITIVE_ACK_LIMIT_REACHED
    faults.set_handler(limit, FaultHandlerCode.NOTICE_OF_SUSPENSION)
    their = source(user, path, path, faults, positive_ack_timer_expiration_limit=2)
    for _ in range(20):
        their.state_machine()
        drain(their)
    assert user.suspended == []
    assert not [name for name in dir(SourceHandler) if "suspend_request" in name]
    state = sender.start(3)
    for contact in range(1, 1000):
        state = sender.after_sending(state, sender.due(state, contact), contact)
    assert state.open
    assert sender.due(state, 10**6) == [2]
