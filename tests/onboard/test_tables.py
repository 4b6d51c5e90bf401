from __future__ import annotations

import zlib

import cbor2
import pytest

from onboard import tables
from onboard.errors import ProductError
from onboard.reduced import Scale
from tests.onboard.make_vectors import SHIPPED
from tests.onboard.netting import LOW, random_tables


def test_round_trip():
    made = random_tables()
    data = tables.pack(made)
    back = tables.unpack(data)
    assert (back.block, back.levels, back.entropy) == (8, 4, LOW)
    assert back.tables_id == tables.identify(data)
    assert tables.pack(back) == data


def test_what_is_learnt_is_found():
    data = tables.pack(random_tables(seed=77))
    with pytest.raises(ProductError, match=r"tables [0-9a-f]{16}, unknown here; give the bundle"):
        tables.find(tables.identify(data))
    tables.learn(data)
    assert tables.find(tables.identify(data)).block == 8


def test_every_file_of_the_software_is_named_by_its_id_and_sound():
    shipped = tables._shipped()
    assert tables.identify(SHIPPED.read_bytes()) in shipped
    for tables_id, data in shipped.items():
        assert tables.unpack(data).tables_id == tables_id


def test_newer_tables_name_the_cure():
    data = tables.pack(random_tables())
    with pytest.raises(ProductError, match="format version 2, this software knows 1; update"):
        tables.unpack(data[:4] + b"\x02" + data[5:])


@pytest.mark.parametrize("data", [b"", b"FSTB\x01", b"FSTB\x01garbage", b"FSPR" + bytes(40)])
def test_what_is_no_table_is_refused(data):
    with pytest.raises(ProductError):
        tables.unpack(data)


@pytest.mark.parametrize(
    "changes",
    [
        {1: 0},
        {1: 256},
        {1: "8"},
        {2: [[0.1], [0.1]]},
        {2: [[0.3, 0.2, 0.4], [0.1, 0.2, 0.3, 0.4]]},
        {2: [[0.1], [0.05, 0.2]]},
        {3: 7},
        {4: "text"},
        {4: bytes(tables.MAX_DICTIONARY + 1)},
        {5: []},
        {5: [b""] * 5},
    ],
)
def test_tables_that_make_no_sense_are_refused(changes):
    data = tables.pack(random_tables())
    items = {**cbor2.loads(zlib.decompress(data[5:])), **changes}
    wrong = data[:5] + zlib.compress(cbor2.dumps(items, canonical=True))
    with pytest.raises(ProductError):
        tables.unpack(wrong)


def test_tables_that_lack_a_field_are_refused():
    data = tables.pack(random_tables())
    for key in range(1, 6):
        items = cbor2.loads(zlib.decompress(data[5:]))
        del items[key]
        with pytest.raises(ProductError, match="lack or garble"):
            tables.unpack(data[:5] + zlib.compress(cbor2.dumps(items, canonical=True)))


def test_a_bomb_is_not_inflated():
    bomb = zlib.compress(bytes(50 * 2**20), 9)
    with pytest.raises(ProductError, match="longer or shorter"):
        tables.unpack(b"FSTB\x01" + bomb)


def test_nets_for_other_levels_are_refused():
    made = random_tables()
    three = Scale((0.1, 0.2), (0.05, 0.15, 0.3))
    with pytest.raises(ProductError, match="'entropy' of the coding tables"):
        tables.unpack(tables.pack(made._replace(entropy=three, epistemic=three)))
