"""Transfers: where each class-2 file stands, kept in the outbox between contacts.

Tables of their own in the outbox's file, so that a pass and what it sent are one transaction.
The state machine is `onboard.link.sender`; what leaves the queue goes through the outbox.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from spacepackets.cfdp.defs import ConditionCode
from spacepackets.cfdp.pdu import EofPdu

from onboard.errors import DamagedError, StreamError
from onboard.link import cfdp, sender
from onboard.link.returns import Answer, Finished, Heard, Nak, Returned
from onboard.link.sender import Sender
from onboard.outbox import Outbox

CONTACTS_KEPT = 65_536
MAX_OWED = 4096
MAX_REPORTS = 64
"""Contacts that one return stream may speak about, per transfer."""
MAX_ATTEMPTS = 3
"""Transaction numbers that a file is given before it is dropped as one the ground refuses."""
RULE_DELIVERED = "acknowledged by the ground"
RULE_REFUSED = f"refused by the ground {MAX_ATTEMPTS} times"

_TABLES = """
CREATE TABLE IF NOT EXISTS link_transfers (
    item INTEGER PRIMARY KEY, size INTEGER NOT NULL, sent BLOB NOT NULL, heard INTEGER NOT NULL,
    since INTEGER NOT NULL, prompts INTEGER NOT NULL, attempts INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS link_contacts (
    number INTEGER PRIMARY KEY, sent_ms INTEGER NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS link_owed (
    sequence INTEGER PRIMARY KEY, unit BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS link_parts (
    item INTEGER PRIMARY KEY, next INTEGER NOT NULL)
"""
_FIND = (
    "SELECT t.item, t.size, t.sent, t.heard, t.since, t.prompts, t.attempts, q.sequence"
    " FROM link_transfers t JOIN queue q ON q.item = t.item"
)


class Transfer(NamedTuple):
    """One class-2 file on its way.

    Attributes:
        item: its number in the outbox.
        sequence: its transaction number.
        attempts: transaction numbers that it had before.
        state: what was sent and what arrived.
    """

    item: int
    sequence: int
    attempts: int
    state: Sender


@dataclass(frozen=True)
class Hearing:
    """What a return stream said.

    Attributes:
        answers: that were read.
        delivered: files that the ground has: they left the queue.
        refused: files that the ground refused; they begin anew, or leave after three times.
        wanted: units that are to be sent again.
        unknown: answers about transfers or contacts that this outbox does not know.
    """

    answers: int = 0
    delivered: int = 0
    refused: int = 0
    wanted: int = 0
    unknown: int = 0


class Transfers:
    """The transfers of an outbox."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        with outbox.transaction() as db:
            for statement in _TABLES.split(";"):
                db.execute(statement)

    @property
    def contact(self) -> int:
        """The number of the contact that is made next, from 1."""
        with self.outbox.transaction() as db:
            return _next_contact(db)

    def distinct(self, now_ms: int) -> int:
        """A time for the next contact that no contact before it bore: ``now_ms`` or just after.

        The ground echoes it, and so says which contact it heard.
        """
        with self.outbox.transaction() as db:
            while db.execute("SELECT 1 FROM link_contacts WHERE sent_ms = ?", (now_ms,)).fetchone():
                now_ms += 1
        return now_ms

    def open(self) -> dict[int, Transfer]:
        """Files that were begun in class 2, by item.

        Raises:
            DamagedError: a state is not that of its file.
        """
        with self.outbox.transaction() as db:
            return {one.item: one for one in map(self._transfer, db.execute(_FIND).fetchall())}

    def parts(self) -> dict[int, int]:
        """Files of which a class-1 sending was begun: item → the unit to go on with."""
        with self.outbox.transaction() as db:
            return dict(db.execute("SELECT item, next FROM link_parts").fetchall())

    def owed(self) -> dict[int, bytes]:
        """Single units that are owed to the ground, by transaction number."""
        with self.outbox.transaction() as db:
            rows = db.execute("SELECT sequence, unit FROM link_owed ORDER BY sequence")
            return dict(rows.fetchall())

    def hear(self, returned: Returned) -> Hearing:
        """Take in what the ground answered; the same stream again changes nothing more."""
        with self.outbox.transaction() as db:
            contact = _next_contact(db)
            total = Hearing(answers=len(returned.answers))
            for sequence, answers in _by_sequence(returned.answers).items():
                row = db.execute(f"{_FIND} WHERE q.sequence = ?", (sequence,)).fetchone()
                if row is None and _is_queued(db, sequence):
                    total = _plus(total, unknown=len(answers))
                elif row is None:
                    _answer_unknown(db, sequence, [one.answer for one in answers])
                    total = _plus(total, unknown=len(answers))
                else:
                    found = self._hear_one(db, self._transfer(row), answers, contact)
                    total = _plus(total, *found)
        return total

    def record(
        self,
        contact: int,
        sent_ms: int,
        states: Mapping[int, Sender],
        owed: Iterable[int],
        parts: Mapping[int, int],
    ) -> None:
        """Record a contact; call it inside the transaction that records the pass.

        Args:
            contact: its number.
            sent_ms: the time that its packets bore.
            states: item → class-2 state after it.
            owed: transaction numbers whose owed units went down.
            parts: item → the unit to go on with; 0 where no sending is cut.
        """
        with self.outbox.transaction() as db:
            db.execute("INSERT INTO link_contacts VALUES (?, ?)", (contact, sent_ms))
            db.execute("DELETE FROM link_contacts WHERE number <= ?", (contact - CONTACTS_KEPT,))
            for item, state in states.items():
                _store(db, item, state)
            db.executemany("DELETE FROM link_owed WHERE sequence = ?", [(one,) for one in owed])
            for item, unit in parts.items():
                db.execute("DELETE FROM link_parts WHERE item = ?", (item,))
                if unit:
                    db.execute("INSERT INTO link_parts VALUES (?, ?)", (item, unit))
            # What was evicted or dropped meanwhile has no transfer any more.
            for table in ("link_transfers", "link_parts"):
                db.execute(f"DELETE FROM {table} WHERE item NOT IN (SELECT item FROM queue)")

    # --- inside ---

    def _transfer(self, row: Sequence[object]) -> Transfer:
        item, size, packed, heard, since, prompts, attempts, sequence = row
        assert isinstance(item, int)
        assert isinstance(size, int)
        assert isinstance(packed, bytes)
        try:
            sent = sender.unpack_sent(packed, size)
        except StreamError as error:
            raise DamagedError(
                f"{self.outbox.path}: item {item}: {error}; move the outbox away and start a "
                "new one"
            ) from error
        # SQLite gives objects; the schema says that these are numbers.
        state = Sender(size, sent, int(heard), int(since), int(prompts))  # type: ignore[call-overload]
        return Transfer(item, int(sequence), int(attempts), state)  # type: ignore[call-overload]

    def _hear_one(
        self, db: sqlite3.Connection, transfer: Transfer, answers: Sequence[Heard], contact: int
    ) -> tuple[int, int, int, int]:
        """Apply all answers to one transfer; delivered, refused, wanted and unknown."""
        state, unknown = transfer.state, 0
        began = int((state.sent == sender.WANTED).sum())
        reports: dict[int, list[Answer]] = {}
        for one in answers:
            reports.setdefault(_contact_of(db, one.heard_ms), []).append(one.answer)
        # A stream holds few reports; of one that claims to hold many the newest are heard.
        for contact_heard in sorted(reports)[-MAX_REPORTS:]:
            told = reports[contact_heard]
            if not contact_heard:
                unknown += len(told)
            if not contact_heard or state.sent[-1] == sender.WANTED:
                # An end is believed only of a file that was sent in full, by a contact of ours:
                # it may be the end of another file, of an outbox that was here before.
                told = [one for one in told if not isinstance(one, Finished)]
            state = sender.hear(state, told, contact_heard, contact)
        if state.open:
            _store(db, transfer.item, state)
            wanted = int((state.sent == sender.WANTED).sum())
            return 0, 0, max(wanted - began, 0), unknown
        return (*self._end(db, transfer, state), 0, unknown)

    def _end(self, db: sqlite3.Connection, transfer: Transfer, state: Sender) -> tuple[int, int]:
        assert state.finished is not None
        _owe(db, transfer.sequence, cfdp.finished_ack(transfer.sequence, state.finished))
        if state.finished == 0:
            self.outbox.release([transfer.item], RULE_DELIVERED)
        elif transfer.attempts + 1 >= MAX_ATTEMPTS:
            self.outbox.evict([transfer.item], RULE_REFUSED)
        else:
            self.outbox.renumber(transfer.item)
            _store(db, transfer.item, sender.start(state.size), transfer.attempts + 1)
            return 0, 1
        db.execute("DELETE FROM link_transfers WHERE item = ?", (transfer.item,))
        return (1, 0) if state.finished == 0 else (0, 1)


def _next_contact(db: sqlite3.Connection) -> int:
    (last,) = db.execute("SELECT coalesce(max(number), 0) FROM link_contacts").fetchone()
    return int(last) + 1


def _contact_of(db: sqlite3.Connection, heard_ms: int) -> int:
    """The contact whose packets bore this time; 0 where there is none."""
    row = db.execute("SELECT number FROM link_contacts WHERE sent_ms = ?", (heard_ms,)).fetchone()
    return int(row[0]) if row else 0


def _store(db: sqlite3.Connection, item: int, state: Sender, attempts: int | None = None) -> None:
    values = (state.size, sender.pack(state), state.heard, state.since, state.prompts)
    if attempts is None:
        row = db.execute("SELECT attempts FROM link_transfers WHERE item = ?", (item,)).fetchone()
        attempts = row[0] if row else 0
    db.execute(
        "REPLACE INTO link_transfers VALUES (?, ?, ?, ?, ?, ?, ?)", (item, *values, attempts)
    )


def _owe(db: sqlite3.Connection, sequence: int, unit: bytes) -> None:
    (count,) = db.execute("SELECT count(*) FROM link_owed").fetchone()
    if count < MAX_OWED:
        db.execute("REPLACE INTO link_owed VALUES (?, ?)", (sequence, unit))


def _is_queued(db: sqlite3.Connection, sequence: int) -> bool:
    """Whether a file of class 1, or one not begun, has the number: nothing is to be answered."""
    found = db.execute("SELECT 1 FROM queue WHERE sequence = ?", (sequence,))
    return found.fetchone() is not None


def _answer_unknown(db: sqlite3.Connection, sequence: int, answers: Sequence[Answer]) -> None:
    """Let the ground close what is no transfer here: it was delivered, evicted or never ours."""
    for one in answers:
        if isinstance(one, Finished):
            _owe(db, sequence, cfdp.finished_ack(sequence, one.condition, known=False))
            return
    if any(isinstance(one, Nak) for one in answers):
        _owe(db, sequence, cancel(sequence))


def cancel(sequence: int) -> bytes:
    """EOF that calls a transaction off (727.0-B-5, 4.11.2): its file is not here any more."""
    config = cfdp.config_of(sequence, acknowledged=True)
    condition = ConditionCode.CANCEL_REQUEST_RECEIVED
    return bytes(EofPdu(config, bytes(4), 0, condition_code=condition).pack())


def _by_sequence(answers: Iterable[Heard]) -> dict[int, list[Heard]]:
    found: dict[int, list[Heard]] = {}
    for one in answers:
        found.setdefault(one.answer.sequence, []).append(one)
    return found


def _plus(
    total: Hearing, delivered: int = 0, refused: int = 0, wanted: int = 0, unknown: int = 0
) -> Hearing:
    return Hearing(
        total.answers,
        total.delivered + delivered,
        total.refused + refused,
        total.wanted + wanted,
        total.unknown + unknown,
    )
