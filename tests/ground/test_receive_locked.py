"""Products that arrive whole but cannot be decoded with what is at hand."""

from __future__ import annotations

import dataclasses
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner, Result

from ground.cli.receive import command
from onboard import tables
from onboard.cli import run
from onboard.link.downlink import fill
from onboard.outbox import Item, Outbox
from onboard.product import Product, pack
from onboard.reference_water import PermanentWater
from tests.onboard import make_vectors
from tests.onboard.netting import random_tables
from tests.onboard.test_product_stream import coded_product
from tests.products import noisy_product
from tests.samples import BUNDLE, DEMO_KEY
from training.outlines import make

NOW = 1_700_000_000_000


def stream_of(folder: Path, sent: list[tuple[Product, bytes]]) -> bytes:
    with Outbox(folder / "outbox.db") as outbox:
        outbox.commit({}, {}, {})
        for product, data in sent:
            outbox.record(product.scene_id, product.model_id, [Item(data, 1.0)], [], NOW)
        return fill(outbox, 10**6, 2, NOW).stream


def received(stream: bytes, out: Path, *more: object) -> Result:
    arguments = ["-", "--out", str(out), *map(str, more)]
    return CliRunner().invoke(command, arguments, input=io.BytesIO(stream))


def raster(path: Path) -> PermanentWater:
    """The permanent water of the vector, as a raster on its grid."""
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=make_vectors.HEIGHT,
        width=make_vectors.WIDTH,
        count=1,
        dtype="uint8",
        crs="EPSG:32606",
        transform=rasterio.Affine(10.0, 0.0, 5e5, 0.0, -10.0, 7e6),
    ) as out:
        out.write(make_vectors.permanent().astype(np.uint8), 1)
    return PermanentWater(path)


def complaints(result: Result) -> list[str]:
    return [line for line in result.stderr.splitlines() if line.startswith("floodsat: ")]


def waits_then_comes(
    folder: Path, sent: list[tuple[Product, bytes]], locked: bytes, says: str, cure: list[object]
) -> None:
    """The last of the products is kept with one line, and delivered with the cure."""
    stream, out = stream_of(folder, sent), folder / "out"
    first = received(stream, out)
    assert first.exit_code == 2, first.output
    stem = locked[-16:].hex()[:12]
    (line,) = complaints(first)
    assert f"{stem}.fsp: kept, but" in line
    assert says in line
    assert (out / f"{stem}.fsp").read_bytes() == locked
    assert not (out / f"{stem}.tif").exists()
    # The other one came with its maps all the same.
    assert len(list(out.glob("*.fsp"))) == 2
    assert len(list(out.glob("*.json"))) >= 1
    again = received(stream, out, *cure)
    assert again.exit_code == 0, again.output
    assert complaints(again) == []
    assert (out / f"{stem}.fsp").read_bytes() == locked
    assert (out / f"{stem}.tif").is_file()
    (day,) = (out / "days").glob("*.json")
    assert stem in day.read_text("utf-8")


def test_a_product_waits_for_its_reference(tmp_path: Path) -> None:
    reference = raster(tmp_path / "permanent.tif")
    by = tables.learn(make_vectors.SHIPPED.read_bytes())
    product = dataclasses.replace(make_vectors.product(by), reference_version=reference.version)
    locked = pack(product, by, make_vectors.permanent())
    other = noisy_product(1)
    waits_then_comes(
        tmp_path,
        [(other, pack(other)), (product, locked)],
        locked,
        f"coded against the permanent-water reference {reference.version.hex()}",
        ["--reference", tmp_path / "permanent.tif"],
    )


@pytest.fixture
def flown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle with tables that this ground does not know."""
    folder, known = tmp_path / "bundle", tmp_path / "known"
    shutil.copytree(BUNDLE, folder)
    (tmp_path / "tables.fst").write_bytes(tables.pack(random_tables(77)))
    monkeypatch.setattr(make, "KNOWN", known)
    make.ship(tmp_path / "tables.fst", folder, DEMO_KEY)
    assert len(list(known.iterdir())) == 1
    monkeypatch.setattr(tables, "_LEARNT", {})
    return folder


def test_a_product_waits_for_the_bundle_that_flew(tmp_path: Path, flown: Path) -> None:
    by = random_tables(77)
    product = coded_product(make_vectors.mask(), by)
    locked, other = pack(product, by), noisy_product(1)
    waits_then_comes(
        tmp_path,
        [(other, pack(other)), (product, locked)],
        locked,
        f"coded by tables {by.tables_id.hex()}, unknown here; give the bundle that flew with "
        "--bundle",
        ["--bundle", flown],
    )


def test_inspect_takes_the_bundle_that_flew(
    tmp_path: Path, flown: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    by = random_tables(77)
    path = tmp_path / "one.fsp"
    path.write_bytes(pack(coded_product(make_vectors.mask(), by), by))
    assert run(["inspect", str(path)]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert f"one.fsp: the product is coded by tables {by.tables_id.hex()}" in line
    assert run(["inspect", str(path), "--bundle", str(flown)]) == 0


def test_a_bundle_that_is_none(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run(["receive", "-", "--out", str(out), "--bundle", str(tmp_path)]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert str(tmp_path) in line
    assert not out.exists()
