"""The files of ``tests/files``: one of every version of every format, to be read for ever.

``python -m tests.make_files`` writes those of the present versions, and leaves what is there as it
is. Run it after a format's version has counted up. The older ones were written by the software of
their time: bundles of three shapes of the first manifest, a queue of the first outbox, an alert of
the first version.
"""

from __future__ import annotations

import gzip
import json
import random
import shutil
import sqlite3
import tempfile
from pathlib import Path

from ground import memory
from ground.reassembly import Reassembly
from ground.replay import result
from onboard import bundle, commands, formats, patch, rawchip, shelf, signing
from onboard import chip as chips
from onboard.commands import Code, Command
from onboard.link import acks, alerts, cfdp, housekeeping
from onboard.link.acks import Ack, Status
from onboard.link.alerts import Alert
from onboard.outbox import Item, Outbox, Totals
from onboard.product import pack
from onboard.runtime import Entry
from tests import replays
from tests.chips import make_chip
from tests.onboard.bundles import resign, varied
from tests.onboard.raw_chips import make_raw
from tests.products import make_product
from tests.raw_frames import sidecar, write_profile
from tests.samples import DEMO_KEY

FOLDER = Path(__file__).parent / "files"
SCENE, MODEL = bytes([1]) * 32, bytes([2]) * 32
COMMAND = Command(Code.SET_LIMIT, 7, 1000, 2000, {"name": "min_wet", "value": 0.01})
ACK = Ack(7, Code.SET_LIMIT, Status.DONE, 1_700_000_000_000, "min_wet is 0.01")
ALERT = Alert(
    frame_id=b"12345678",
    product=True,
    flood=True,
    acquired_ms=1_700_000_000_000,
    place=(63.5, -147.0),
    sigma_m=12.0,
    area_m2=4500.0,
    fraction=0.5,
    possible_area_m2=9000.0,
    possible_fraction=1.0,
    unobserved_fraction=0.0,
    entropy=None,
    epistemic=None,
    odd=1.0,
)
STATE = housekeeping.Housekeeping(7, 2, 3, 0x1234, 1, 4, 5, None)


def names() -> dict[str, formats.Format]:
    """File name's beginning and ending, with ``{}`` for the version → format, of what is made."""
    return {
        "chip-v{}.fsc": formats.CHIP,
        "raw-chip-v{}.fsr": formats.RAW_CHIP,
        "patch-v{}.fspatch": formats.PATCH,
        "command-v{}.fstc": formats.COMMAND,
        "acknowledgement-v{}.bin": formats.ACK,
        "alert-v{}.bin": formats.ALERT,
        "housekeeping-v{}.bin": formats.HOUSEKEEPING,
        "outbox-v{}.sqlite.gz": formats.OUTBOX,
        "shelf-v{}.shelf": formats.SHELF,
        "transfers-v{}.state": formats.TRANSFERS,
        "sidecar-v{}.json": formats.SIDECAR,
        "profile-v{}.toml": formats.PROFILE,
        "replay-v{}.json.gz": formats.REPLAY,
    }


def content(name: str, scratch: Path) -> bytes:
    """The bytes of a file of the present version."""
    kind = name.split("-v")[0]
    key = signing.read_private(DEMO_KEY)
    if kind == "patch":
        old = varied(scratch / "old")
        new = varied(scratch / "new")
        resign(new, {**bundle.load(new, []).manifest, "version": 2})
        return patch.make(old, new, [], key, None)
    if kind in ("outbox", "transfers", "profile", "replay"):
        return stored(kind, scratch)
    made = {
        "chip": lambda: chips.pack(make_chip()),
        "raw-chip": lambda: rawchip.pack(make_raw()),
        "command": lambda: commands.make(COMMAND, key),
        "acknowledgement": lambda: acks.pack(ACK),
        "alert": lambda: alerts.pack(ALERT),
        "housekeeping": lambda: housekeeping.pack(STATE),
        "shelf": lambda: shelf.pack(shelf.Stored(entry(), 5, Totals(1, 2, 3, 4, 0))),
        "sidecar": lambda: json.dumps(sidecar(4, 5)).encode(),
    }
    return made[kind]()


def entry() -> Entry:
    """What one frame gave."""
    product = pack(make_product(height=8, width=9))
    alert = Item(alerts.pack(ALERT), 2.0)
    return Entry(SCENE, MODEL, products=(Item(product, 1.0, (1.5, 2.5), 7),), alerts=(alert,))


def stored(kind: str, scratch: Path) -> bytes:
    """What is made by writing a file."""
    if kind == "outbox":
        with Outbox(scratch / "o.sqlite") as outbox:
            one = entry()
            outbox.record(one.scene_id, one.model_id, one.products, one.alerts, now_ms=5)
        # One file, without the log beside it.
        with sqlite3.connect(str(scratch / "o.sqlite")) as db:
            db.execute("PRAGMA journal_mode = DELETE")
            db.execute("VACUUM")
        db.close()
        return gzip.compress((scratch / "o.sqlite").read_bytes(), mtime=0)
    if kind == "transfers":
        station = Reassembly()
        data = random.Random(1).randbytes(3000)
        for unit in cfdp.pdus(data, "half.fsp", 4, acknowledged=True)[1:3]:
            station.add(unit, 7)
        kept = memory.Memory(heard_ms=7, return_count=3, expected={0x1F2: 9})
        kept.keep(station)
        memory.save(kept, scratch)
        return (scratch / memory.NAME).read_bytes()
    if kind == "profile":
        return write_profile(scratch / "camera.toml").read_bytes()
    return gzip.compress(result.write(replays.example(), scratch).read_bytes(), mtime=0)


def main() -> None:
    """Write what is missing."""
    FOLDER.mkdir(exist_ok=True)
    for name, of in names().items():
        path = FOLDER / name.format(of.version)
        if path.exists():
            continue
        scratch = Path(tempfile.mkdtemp())
        try:
            path.write_bytes(content(path.name, scratch))
        finally:
            shutil.rmtree(scratch)
        print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
