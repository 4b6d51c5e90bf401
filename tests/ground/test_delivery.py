from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rio_cogeo.cogeo import cog_validate

from ground.catalogue import LOCK, Catalogue
from ground.cli.receive import command
from ground.delivery import deliver, is_whole
from ground.stac import asset_names
from onboard.georef import Georef
from onboard.link import cfdp, frames, packets
from onboard.link.apid import Apid
from onboard.link.counters import Counters
from onboard.link.packets import Packet
from onboard.product import Product, pack, unpack
from tests.ground.catalogues import checked
from tests.ground.sheets import flown, permanent_water, sheet
from tests.products import make_product

NONSENSE = Georef(33, 24, "EPSG:4326", (1.0, 0.0, 999.0, 0.0, -1.0, 9.0))


def stream_of(*products: Product) -> bytes:
    counters = Counters()
    units = [
        unit for number, one in enumerate(products) for unit in cfdp.pdus(pack(one), "p", number)
    ]
    whole = [packets.pack(Packet(Apid.CFDP, counters.packet(Apid.CFDP), 0, one)) for one in units]
    return frames.cadus(whole, counters, frames.DEFAULT_LENGTH)


def receive(folder: Path, *products: Product, more: tuple[str, ...] = ()) -> Result:
    path = folder.parent / f"{folder.name}.bin"
    path.write_bytes(stream_of(*products))
    return CliRunner().invoke(command, [str(path), "--out", str(folder), *more])


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file() and path.name not in (LOCK, "transfers.state", "reception.json")
    }


def test_receive_writes_every_file_and_the_catalogue(tmp_path: Path) -> None:
    out, products = tmp_path / "out", [make_product(1), make_product(2)]
    result = receive(out, *products)
    assert result.exit_code == 0, result.output
    found = {one.id: one for one in checked(out)}
    assert len(found) == 2
    for stem in found:
        assert all((out / name).is_file() for name in asset_names(stem))
        assert cog_validate(out / f"{stem}.tif")[0]
        assert cog_validate(out / f"{stem}_uncertainty.tif")[0]
        entry = Catalogue(out).entry(stem)
        assert entry is not None
        assert entry.product().stem == stem
        assert is_whole(out, stem, "water")
        assert not is_whole(out, stem, "flood")
    before = contents(out)
    assert receive(out, *products).exit_code == 0
    assert contents(out) == before


def test_what_is_missing_is_written_again(tmp_path: Path) -> None:
    product = unpack(pack(make_product(1)))
    receive(tmp_path / "out", product)
    whole = contents(tmp_path / "out")
    for name in (f"{product.stem}_areas.geojson", f"{product.stem}.json", f"{product.stem}.png"):
        (tmp_path / "out" / name).unlink()
        assert not is_whole(tmp_path / "out", product.stem, "water")
        receive(tmp_path / "out", product)
        found = contents(tmp_path / "out")
        assert {one: data for one, (_, data) in found.items()} == {
            one: data for one, (_, data) in whole.items()
        }


def test_several_receptions_at_once_lose_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    products = [make_product(number, 9, 9) for number in range(4)]
    data = [(unpack(pack(one)), pack(one)) for one in products]

    def station(mine: list[tuple[Product, bytes]]) -> None:
        made = [deliver(product, raw, out) for product, raw in mine]
        Catalogue(out).add(one.item for one in made if one.item is not None)

    stations = [threading.Thread(target=station, args=(data[n::2] + data[:1],)) for n in range(2)]
    for one in stations:
        one.start()
    for one in stations:
        one.join(120)
    assert {one.id for one in checked(out)} == {product.stem for product, _ in data}


def test_nonsense_keeps_the_product_and_the_others(tmp_path: Path) -> None:
    out, good = tmp_path / "out", unpack(pack(make_product(2)))
    bad = unpack(pack(make_product(1, georef=NONSENSE)))
    result = receive(out, bad, good)
    assert result.exit_code == 2
    (line,) = [one for one in result.output.splitlines() if one.startswith("floodsat: ")]
    assert f"{bad.stem}.fsp: kept, but its maps cannot be drawn: the frame reaches" in line
    assert line.endswith("longitude 1032°; mend the camera's geolocation")
    assert {path.name for path in out.glob(f"{bad.stem}*")} == {f"{bad.stem}.fsp"}
    assert [one.id for one in checked(out)] == [good.stem]


def test_a_reference_of_another_version_is_refused(tmp_path: Path) -> None:
    right = permanent_water(tmp_path, sheet().georef)
    product = flown(right)
    (tmp_path / "other").mkdir()
    wrong = permanent_water(tmp_path / "other", sheet(40, 60).georef)
    out = tmp_path / "out"
    result = receive(out, product, more=("--reference", str(wrong.path)))
    assert result.exit_code == 2
    (line,) = [one for one in result.output.splitlines() if one.startswith("floodsat: ")]
    assert wrong.version.hex() in line
    assert right.version.hex() in line
    assert "give that reference" in line
    (entry,) = Catalogue(out)
    assert entry.subject == "water"
    result = receive(out, product, more=("--reference", str(right.path)))
    assert result.exit_code == 0, result.output
    (item,) = checked(out)
    assert item.properties["floodsat:subject"] == "flood"
    found = json.loads((out / f"{product.stem}_areas.geojson").read_text("utf-8"))
    assert "flood" in {one["properties"]["class"] for one in found["features"]}


@pytest.mark.parametrize("stream", [b"", b"\x1a\xcf\xfc\x1d" * 999])
def test_an_empty_stream_writes_nothing(tmp_path: Path, stream: bytes) -> None:
    (tmp_path / "pass.bin").write_bytes(stream)
    arguments = [str(tmp_path / "pass.bin"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(command, arguments)
    assert "pass.bin: " in str(result.exception)
    assert not (tmp_path / "out").exists()
