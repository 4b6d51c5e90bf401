"""Sender: what one class-2 transfer still has to send, and when (CCSDS 727.0-B-5, 4.6.4, 4.7).

The satellite sees the ground for minutes and then not for hours, so this machine has no clock: it
counts contacts. A contact is one pass that was sent, numbered from 1. Each unit of a file is
wanted, or was last sent in some contact, or has arrived. A unit that was sent is wanted again only
when the ground asks for it and had heard that contact. So nothing is sent again that arrived, and
nothing that may still arrive.

Only the EOF has a timer, in contacts. As long as nothing is heard of the transfer it is sent again
after 1, 2, 4, 8 and then every 16 contacts; once it is acknowledged the first wait is 4. It asks
the ground for a report; a lost report, a lost acknowledgement or a ground station that forgot
everything therefore costs a delay and no more. A transfer ends with the ground's Finished, and
is never given up for silence: it sleeps in the outbox between contacts and over restarts.

cfdp-py's source handler counts seconds and cannot be stored, hence this one. It moves no bytes:
`onboard.link.transfers` keeps it, `onboard.link.downlink` sends.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from onboard.arrays import Array
from onboard.errors import StreamError
from onboard.link.cfdp import SEGMENT, units_of
from onboard.link.returns import Answer, EofAck, Finished, Nak

WANTED, ARRIVED = 0, -1
FIRST_WAIT, ACKNOWLEDGED_WAIT, LONGEST_WAIT = 1, 4, 16
"""Contacts without news after which the EOF is sent again."""


@dataclass(frozen=True, eq=False)
class Sender:
    """One transfer.

    Attributes:
        size: bytes of the file.
        sent: int32 (units,), in order Metadata, File Data, EOF: ``WANTED``, ``ARRIVED``, or the
            contact in which the unit was sent last. Never changed in place.
        heard: the newest contact that an answer spoke about; 0 before the first.
        since: the contact from which silence is counted, for the EOF's timer.
        prompts: how often the EOF was sent since something was heard.
        finished: condition code of the ground's Finished, or None.
    """

    size: int
    sent: Array
    heard: int = 0
    since: int = 0
    prompts: int = 0
    finished: int | None = None

    @property
    def open(self) -> bool:
        """Whether Finished has not come yet."""
        return self.finished is None

    @property
    def arrived(self) -> int:
        """Units that the ground is known to have."""
        return int((self.sent == ARRIVED).sum())


def start(size: int) -> Sender:
    """A transfer of a file of ``size`` bytes of which nothing was sent."""
    return Sender(size, np.zeros(units_of(size), np.int32))


def due(sender: Sender, contact: int) -> list[int]:
    """Which units to send in ``contact``, in this order; any first part of it may be sent.

    The EOF is last and in the list only if it ends it: it says that all has been sent.
    """
    if not sender.open:
        return []
    *body, eof = sender.sent.tolist()
    wanted = [index for index, one in enumerate(body) if one == WANTED]
    if eof == WANTED or _timed_out(sender, contact):
        wanted.append(len(body))
    return wanted


def _timed_out(sender: Sender, contact: int) -> bool:
    last = int(sender.sent.max())
    acknowledged = int(sender.sent[-1]) == ARRIVED
    first = ACKNOWLEDGED_WAIT if acknowledged else FIRST_WAIT
    # The first sending of the EOF is no repeat.
    wait = first << max(min(sender.prompts, 8) - 1, 0)
    return contact - max(last, sender.since) >= min(wait, LONGEST_WAIT)


def after_sending(sender: Sender, indices: Sequence[int], contact: int) -> Sender:
    """The transfer after these units went down in ``contact``."""
    if not indices:
        return sender
    sent = sender.sent.copy()
    acknowledged = sent[-1] == ARRIVED
    sent[np.asarray(indices)] = contact
    eof = len(sent) - 1 in indices
    if eof and acknowledged:
        # A prompt: the ground has it, and its silence is what is asked about.
        sent[-1] = ARRIVED
    return replace(
        sender,
        sent=sent,
        since=contact if eof else sender.since,
        prompts=sender.prompts + int(eof),
    )


def hear(sender: Sender, answers: Sequence[Answer], heard: int, contact: int) -> Sender:
    """The transfer after all answers of one report.

    Args:
        sender: before.
        answers: those to this transfer; their order is nothing.
        heard: the last contact that the ground had heard; 0 where that is not known: then only
            what it says to have is believed.
        contact: the contact that is about to be made.
    """
    if not sender.open or not answers:
        return sender
    for one in answers:
        if isinstance(one, Finished):
            return replace(sender, finished=one.condition)
    if 0 < heard < sender.heard:
        # An old report that comes late: a newer one has been heard.
        return sender
    sent = sender.sent.copy()
    if any(isinstance(one, EofAck) for one in answers):
        sent[-1] = ARRIVED
    naks = [one for one in answers if isinstance(one, Nak)]
    if naks:
        _apply(sent, naks, sender.size, heard)
    return replace(
        sender,
        sent=sent,
        heard=max(heard, sender.heard),
        since=max(contact - 1, sender.since),
        prompts=0,
    )


def _apply(sent: Array, naks: Sequence[Nak], size: int, heard: int) -> None:
    data = sent[1:-1]
    reported = np.zeros(data.shape, bool)
    missing = np.zeros(data.shape, bool)
    for nak in naks:
        last = nak.end >= size
        # A piece is told of where it lies in the range as a whole.
        reported[-(-nak.start // SEGMENT) : None if last else nak.end // SEGMENT] = True
        for begin, end in nak.requests:
            missing[begin // SEGMENT : -(-end // SEGMENT)] = True
    # Without a contact to hold them against, requests may be for what is still on its way.
    landed = sent <= heard if heard else np.zeros(sent.shape, bool)
    # Sent before the ground spoke, and beyond all that it told of: the tail was lost.
    untold = ~reported & (data > WANTED)
    lost = (missing | untold) & landed[1:-1]
    data[reported & ~missing] = ARRIVED
    data[lost] = WANTED
    if any(nak.metadata for nak in naks):
        sent[0] = WANTED if landed[0] else sent[0]
    elif any(nak.start == 0 for nak in naks):
        sent[0] = ARRIVED


def pack(sender: Sender) -> bytes:
    """The units' states as bytes: compressed little-endian int32."""
    return zlib.compress(sender.sent.astype("<i4").tobytes(), 6)


def unpack_sent(data: bytes, size: int) -> Array:
    """The units' states of a file of ``size`` bytes, int32 ``(units,)``.

    Raises:
        StreamError: they are not those of such a file.
    """
    count = 4 * units_of(size)
    try:
        stream = zlib.decompressobj()
        plain = stream.decompress(data, count + 1)
    except zlib.error as error:
        raise StreamError(f"the state of a transfer is damaged ({error})") from error
    if len(plain) != count or not stream.eof:
        raise StreamError("the state of a transfer is not that of its file")
    sent = np.frombuffer(plain, "<i4").astype(np.int32)
    if int(sent.min()) < ARRIVED:
        raise StreamError("the state of a transfer has an impossible contact")
    return sent
