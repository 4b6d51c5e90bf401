"""Formats: the version of everything that FloodSat writes and reads again, in one table.

A version counts up when an older reader could not read what is written, or would misread it.
What is older than the present version is read as long as its line says so; what is newer is
refused in one line that says which software is needed. ``docs/formats.md`` is the table for
people, ``tests/files`` holds files of every version.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from onboard.errors import FloodsatError

UPDATE = "update FloodSat"
UPDATE_GROUND = "update FloodSat on the ground"


class Format(NamedTuple):
    """One format.

    Attributes:
        name: what it is called here, and in the table for people.
        version: what this software writes.
        oldest: the oldest version that it reads.
        newer: the cure for a file of a newer version.
    """

    name: str
    version: int
    oldest: int = 1
    newer: str = UPDATE

    def check(
        self, version: Any, where: str, kind: type[FloodsatError], older: str = "make it anew"
    ) -> int:
        """The version, if it is one that this software reads.

        Args:
            version: as it was found.
            where: begins the line, such as ``"FILE:"`` or ``"the product"``; may be empty.
            kind: the error to raise.
            older: the cure for a version that is not read any more.

        Raises:
            FloodsatError: of ``kind``, where it is another.
        """
        if type(version) is int and self.oldest <= version <= self.version:
            return version
        known = f"{self.version}"
        if self.oldest < self.version:
            known = f"{self.oldest} to {known}"
        newer = type(version) is int and version > self.version
        fault = f"has format version {version!r}, this software knows {known}"
        raise kind(f"{where} {fault}; {self.newer if newer else older}".lstrip())


BUNDLE = Format("bundle", 1)
TABLES = Format("tables", 1)
PATCH = Format("patch", 1)
COMMAND = Format("command", 1, newer="update the software on board")
PRODUCT = Format("product", 2, newer=UPDATE_GROUND)
CHIP = Format("chip", 1, newer=UPDATE_GROUND)
RAW_CHIP = Format("raw-chip", 1, newer=UPDATE_GROUND)
ALERT = Format("alert", 2, newer=UPDATE_GROUND)
HOUSEKEEPING = Format("housekeeping", 2, newer=UPDATE_GROUND)
ACK = Format("acknowledgement", 1, newer=UPDATE_GROUND)
OUTBOX = Format("outbox", 2)
SHELF = Format("shelf", 1)
TRANSFERS = Format("transfers", 1)
SIDECAR = Format("sidecar", 1)
PROFILE = Format("profile", 1)
CHIP_FOLDER = Format("chip-folder", 1)
SCENARIO = Format("scenario", 1)
RUN = Format("run", 1)
RECEPTION = Format("reception", 1)
REPLAY = Format("replay", 1)

ALL = (
    BUNDLE,
    TABLES,
    PATCH,
    COMMAND,
    PRODUCT,
    CHIP,
    RAW_CHIP,
    ALERT,
    HOUSEKEEPING,
    ACK,
    OUTBOX,
    SHELF,
    TRANSFERS,
    SIDECAR,
    PROFILE,
    CHIP_FOLDER,
    SCENARIO,
    RUN,
    RECEPTION,
    REPLAY,
)
