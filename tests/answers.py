"""What a ground station says to class-2 transfers, made by hand for the tests of the satellite."""

from __future__ import annotations

from spacepackets.cfdp.defs import ConditionCode
from spacepackets.cfdp.pdu import AckPdu, DirectiveType, FinishedPdu, NakPdu, TransactionStatus
from spacepackets.cfdp.pdu.finished import DeliveryCode, FileStatus, FinishedParams

from onboard.link import cfdp


def eof_ack(sequence=5, directive=DirectiveType.EOF_PDU):
    config = cfdp.config_of(sequence, True, True)
    ack = AckPdu(config, directive, ConditionCode.NO_ERROR, TransactionStatus.ACTIVE)
    return bytes(ack.pack())


def nak(start=0, end=5000, requests=(), sequence=5):
    return bytes(NakPdu(cfdp.config_of(sequence, True, True), start, end, list(requests)).pack())


def finished(condition=ConditionCode.NO_ERROR, delivery=DeliveryCode.DATA_COMPLETE, sequence=5):
    params = FinishedParams(condition, delivery, FileStatus.FILE_RETAINED)
    return bytes(FinishedPdu(cfdp.config_of(sequence, True, True), params).pack())
