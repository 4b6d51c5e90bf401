"""Tables: what satellite and ground agree on beforehand, so that products need not say it.

A bundle may carry a file of them (`FILE`): the nets by which outlines and doubts are coded, the
levels of the reduced maps, and a dictionary of what the headers of its products repeat. A product
names its tables by the first ``ID_BYTES`` of the file's SHA-256. The ground keeps every file that
flew in the package's folder ``known_tables``; others are made known by `learn`.
"""

from __future__ import annotations

import functools
import hashlib
import math
import zlib
from collections.abc import Mapping
from importlib import resources
from typing import Any, NamedTuple

import cbor2

from onboard import doubts, formats, nets, outlines
from onboard.errors import ProductError, UnknownTablesError
from onboard.headers import decode_header
from onboard.nets import Net
from onboard.reduced import Scale

FILE = "tables/products.fst"
FOLDER = "known_tables"
MAGIC = b"FSTB"
VERSION = formats.TABLES.version
ID_BYTES = 8
MAX_BYTES = 2**20
MAX_DICTIONARY = 32_768
MAX_BLOCK = 255

COVER, WATER, FLOOD, ENTROPY, EPISTEMIC = "cover", "water", "flood", "entropy", "epistemic"
NETS = (COVER, WATER, FLOOD, ENTROPY, EPISTEMIC)
"""The nets: clouds and nodata; water; water where the reference is known; the two maps."""

_KEYS = {"block": 1, "entropy": 2, "epistemic": 3, "dictionary": 4, "nets": 5}


class Tables(NamedTuple):
    """What products are coded by.

    Attributes:
        block: side of a block of the reduced maps, pixels.
        entropy, epistemic: the levels of the two maps; equally many.
        dictionary: what headers repeat, for deflate.
        nets: name of `NETS` → net.
        tables_id: ``ID_BYTES`` bytes; empty until packed and unpacked.
    """

    block: int
    entropy: Scale
    epistemic: Scale
    dictionary: bytes
    nets: Mapping[str, Net]
    tables_id: bytes = b""

    @property
    def levels(self) -> int:
        """Levels of each of the two maps."""
        return len(self.entropy.values)


def identify(data: bytes) -> bytes:
    """The id of a file of tables."""
    return hashlib.sha256(data).digest()[:ID_BYTES]


def pack(tables: Tables) -> bytes:
    """The tables' bytes: magic, version, and a deflated map in canonical CBOR."""
    items = {
        _KEYS["block"]: tables.block,
        _KEYS["entropy"]: [list(part) for part in tables.entropy],
        _KEYS["epistemic"]: [list(part) for part in tables.epistemic],
        _KEYS["dictionary"]: tables.dictionary,
        _KEYS["nets"]: [nets.pack(tables.nets[name]) for name in NETS],
    }
    return MAGIC + bytes([VERSION]) + zlib.compress(cbor2.dumps(items, canonical=True), 9)


def unpack(data: bytes) -> Tables:
    """Decode and check a file of tables.

    Raises:
        ProductError: it is none, of a newer format, or damaged.
    """
    if data[:4] != MAGIC or len(data) < 6:
        raise ProductError("these bytes are no coding tables; export the bundle again")
    formats.TABLES.check(data[4], "the file of coding tables", ProductError)
    header = decode_header(inflate(data[5:], MAX_BYTES, "the coding tables"), "a file of tables")
    try:
        found = _build({name: header[key] for name, key in _KEYS.items()})
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ProductError):
            raise
        raise ProductError(f"the coding tables lack or garble field {error}") from error
    return found._replace(tables_id=identify(data))


def inflate(data: bytes, most: int, what: str, dictionary: bytes = b"", wbits: int = 15) -> bytes:
    """Inflate to at most ``most`` bytes.

    Raises:
        ProductError: it does not inflate to a whole that is no longer.
    """
    decoder = (
        zlib.decompressobj(wbits, zdict=dictionary) if dictionary else zlib.decompressobj(wbits)
    )
    try:
        found = decoder.decompress(data, most)
    except zlib.error as error:
        raise ProductError(f"{what} cannot be inflated ({error}); receive it again") from error
    if not decoder.eof or decoder.unused_data:
        raise ProductError(f"{what} is longer or shorter than it may be; receive it again")
    return found


def _build(fields: dict[str, Any]) -> Tables:
    found = Tables(
        block=fields["block"],
        entropy=_scale(fields["entropy"]),
        epistemic=_scale(fields["epistemic"]),
        dictionary=fields["dictionary"],
        nets={name: nets.unpack(data) for name, data in zip(NETS, fields["nets"])},
    )
    levels = found.levels
    sound = (
        isinstance(found.block, int)
        and 1 <= found.block <= MAX_BLOCK
        and 2 <= levels <= doubts.MAX_LEVELS
        and len(found.epistemic.values) == levels
        and isinstance(found.dictionary, bytes)
        and len(found.dictionary) <= MAX_DICTIONARY
    )
    if not sound:
        raise ProductError("the coding tables hold values that make no sense")
    wanted = {
        COVER: outlines.inputs(False),
        WATER: outlines.inputs(False),
        FLOOD: outlines.inputs(True),
        ENTROPY: doubts.inputs(levels, False),
        EPISTEMIC: doubts.inputs(levels, True),
    }
    for name, count in wanted.items():
        if name not in found.nets or found.nets[name].inputs != count:
            raise ProductError(f"the net {name!r} of the coding tables is missing or does not fit")
    return found


def _scale(parts: Any) -> Scale:
    edges, values = (tuple(float(one) for one in part) for part in parts)
    rising = all(a < b for a, b in zip(edges, edges[1:]))
    finite = all(math.isfinite(one) and 0 <= one <= 1 for one in edges + values)
    if not (rising and finite and len(values) == len(edges) + 1):
        raise ProductError("the coding tables have levels that make no sense")
    return Scale(edges, values)


# --- which are known ------------------------------------------------------------------------

_LEARNT: dict[bytes, bytes] = {}


def learn(data: bytes) -> Tables:
    """Make tables known to this process; they are checked first."""
    found = unpack(data)
    _LEARNT[found.tables_id] = data
    return found


def find(tables_id: bytes) -> Tables:
    """The tables that a product names.

    Raises:
        UnknownTablesError: they are not known here.
    """
    data = _LEARNT.get(tables_id) or _shipped().get(tables_id)
    if data is None:
        raise UnknownTablesError(
            f"the product is coded by tables {tables_id.hex()}, unknown here; give the bundle "
            "that flew with --bundle, or update FloodSat on the ground"
        )
    return _parsed(data)


@functools.lru_cache(maxsize=4)
def _parsed(data: bytes) -> Tables:
    return unpack(data)


@functools.lru_cache(maxsize=1)
def _shipped() -> dict[bytes, bytes]:
    """Id → bytes of the tables that came with this software."""
    folder = resources.files("onboard") / FOLDER
    files = [one.read_bytes() for one in folder.iterdir() if one.name.endswith(".fst")]
    return {identify(data): data for data in files}
