"""Our sender against another receiver: cfdp-py's destination handler."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from cfdppy import CfdpUserBase
from cfdppy.filestore import NativeFilestore
from cfdppy.handler.dest import DestHandler
from cfdppy.mib import (
    CheckTimerProvider,
    DefaultFaultHandlerBase,
    IndicationConfig,
    LocalEntityConfig,
    RemoteEntityConfig,
    RemoteEntityConfigTable,
)
from spacepackets.cfdp import ChecksumType, ConditionCode, TransmissionMode
from spacepackets.cfdp.pdu.finished import DeliveryCode, FileStatus
from spacepackets.cfdp.pdu.helper import PduFactory
from spacepackets.countdown import Countdown
from spacepackets.util import ByteFieldU8

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

    def transaction_finished_indication(self, params):
        self.finished.append(params.finished_params)

    def transaction_indication(self, *_):
        pass

    eof_sent_indication = metadata_recv_indication = file_segment_recv_indication = (
        transaction_indication
    )
    report_indication = suspended_indication = resumed_indication = transaction_indication
    fault_indication = abandoned_indication = eof_recv_indication = transaction_indication


class Timers(CheckTimerProvider):
    def provide_check_timer(self, local_entity_id, remote_entity_id, entity_type):
        return Countdown(timedelta(seconds=60))


def handler(user):
    satellite = RemoteEntityConfig(
        entity_id=ByteFieldU8(SATELLITE_ENTITY),
        max_file_segment_len=None,
        max_packet_len=2048,
        closure_requested=False,
        crc_on_transmission=False,
        default_transmission_mode=TransmissionMode.UNACKNOWLEDGED,
        crc_type=ChecksumType.CRC_32,
    )
    ground = LocalEntityConfig(ByteFieldU8(GROUND_ENTITY), IndicationConfig(), Faults())
    return DestHandler(ground, user, RemoteEntityConfigTable([satellite]), Timers())


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
