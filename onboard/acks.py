"""Acks: acknowledgements of commands that are to go down, in a table of the outbox's file.

They have no return path of their own, so each goes down in several passes; the ground drops
what it has. The newest `KEPT` stay in the table.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from onboard.link import acks
from onboard.link.acks import Ack
from onboard.outbox import Outbox

PASSES = 3
KEPT = 256
_TABLE = """
CREATE TABLE IF NOT EXISTS command_acks (
    count INTEGER PRIMARY KEY, data BLOB NOT NULL, passes INTEGER NOT NULL DEFAULT 0)
"""


class Due(NamedTuple):
    """An acknowledgement that is to go down: the command's count, and a packet's user data."""

    number: int
    data: bytes


class Acks:
    """The acknowledgements in an outbox."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        with outbox.transaction() as db:
            db.execute(_TABLE)

    def put(self, ack: Ack) -> None:
        """Keep one; of a count that is there already nothing is changed."""
        with self._outbox.transaction() as db:
            db.execute(
                "INSERT INTO command_acks (count, data) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (ack.count, acks.pack(ack)),
            )
            db.execute(
                "DELETE FROM command_acks WHERE count NOT IN"
                " (SELECT count FROM command_acks ORDER BY count DESC LIMIT ?)",
                (KEPT,),
            )

    def due(self) -> list[Due]:
        """What went down in fewer than `PASSES` passes, by count."""
        with self._outbox.transaction() as db:
            rows = db.execute(
                "SELECT count, data FROM command_acks WHERE passes < ? ORDER BY count", (PASSES,)
            ).fetchall()
        return [Due(*row) for row in rows]

    def sent(self, counts: Iterable[int]) -> None:
        """Note that these went down once more."""
        with self._outbox.transaction() as db:
            db.executemany(
                "UPDATE command_acks SET passes = passes + 1 WHERE count = ?",
                [(count,) for count in counts],
            )
