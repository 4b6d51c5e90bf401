"""Files of every version that was ever written are read; those of a later one get one clear line.

``tests/make_files.py`` says how the files came to be.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any, Callable

import cbor2
import numpy as np
import pytest

from onboard import bundle as bundles
from onboard import (
    chip,
    commands,
    engines,
    formats,
    patch,
    product,
    rawchip,
    shelf,
    signing,
    tables,
)
from onboard.cli import run
from onboard.errors import BundleError, ConfigError, FloodsatError, FrameError
from onboard.formats import Format
from onboard.link import acks, alerts, housekeeping
from onboard.outbox import Kind, Outbox
from onboard.profile import load as load_profile
from onboard.sidecar import read_sidecar
from tests.onboard.bundles import resign, varied
from tests.samples import ROOT

FILES = ROOT / "tests" / "files"
VECTORS = ROOT / "tests" / "onboard" / "vectors"
KEYS = signing.trusted(None)


def data(name: str) -> bytes:
    return (FILES / name).read_bytes()


def unzipped(name: str, folder: Path) -> Path:
    path = folder / name[: -len(".gz")]
    path.write_bytes(gzip.decompress(data(name)))
    return path


@pytest.mark.parametrize(
    ("shape", "widths", "scores_oddity"),
    [
        ("first", (8, 16, 32, 48), False),
        ("parity", (16, 32, 48), False),
        ("oddity", (16, 32, 48), True),
    ],
)
def test_bundle_1(shape: str, widths: Any, scores_oddity: bool) -> None:
    found = bundles.load(FILES / f"bundle-v1-{shape}", [])
    assert found.version == 1
    assert tuple(found.network.widths) == widths
    assert (found.oddity is not None) == scores_oddity
    assert found.sensor.name == "vnir4"
    assert found.passes == 10
    assert 0 < found.sensitive.water <= found.balanced.water < 1
    assert found.limits.with_value("max_chips", 0).max_chips == 0
    assert found.normalisation.to_json()


def test_bundle_1_of_a_network_that_is_not_built_like_ours_any_more(tmp_path: Path) -> None:
    """Its manifest is read; its model takes other masks, which every engine has to say."""
    first = bundles.load(FILES / "bundle-v1-first", []).manifest
    made = varied(tmp_path / "bundle", network=first["network"])
    loaded = bundles.load(made, ["tflite"])
    with pytest.raises(BundleError, match=r"its TFLite model takes mask_.*; export the run again"):
        engines.load("tflite", loaded)


def test_tables_1() -> None:
    (known,) = (ROOT / "onboard" / tables.FOLDER).glob("*.fst")
    assert tables.unpack(known.read_bytes()).tables_id.hex() == known.stem


def test_patch_1() -> None:
    opened = patch.read(data("patch-v1.fspatch"), KEYS)
    assert (len(opened.old), len(opened.new)) == (64, 64)
    assert bundles.MANIFEST in [name for name, _, _ in opened.recipes]


def test_command_1() -> None:
    found = commands.read(data("command-v1.fstc"), KEYS)
    assert (found.code, found.count) == (commands.Code.SET_LIMIT, 7)
    assert (found.start_ms, found.end_ms) == (1000, 2000)
    assert dict(found.arguments) == {"name": "min_wet", "value": 0.01}


def test_product_1_and_2() -> None:
    found = [product.unpack((VECTORS / f"product-v{n}.fsp").read_bytes()) for n in (1, 2)]
    assert [one.version for one in found] == [1, 2]
    assert all(set(np.unique(one.mask)) <= {0, 1, 2, 255} for one in found)


def test_chip_1() -> None:
    found = chip.unpack(data("chip-v1.fsc"))
    assert (found.samples.shape, found.samples.dtype) == ((24, 33, 4), np.uint16)
    assert found.bands == ("blue", "green", "red", "nir")
    assert found.acquired_ms == 1_700_000_000_000


def test_raw_chip_1() -> None:
    found = rawchip.unpack(data("raw-chip-v1.fsr"))
    assert (found.row, found.col, found.samples.shape) == (30, 8, (6, 7, 4))


def test_alert_1() -> None:
    """One operating point, so likely and possible are one; entropies of another meaning."""
    found = alerts.unpack(data("alert-v1.bin"))
    assert found.frame_id == b"12345678"
    assert (found.flood, found.product) == (True, True)
    assert found.acquired_ms == 1_700_000_000_000
    assert found.place == (63.5, -147.0)
    assert found.area_m2 == found.possible_area_m2 == 4500.0
    assert found.fraction == found.possible_fraction == pytest.approx(0.5, abs=1e-5)
    assert (found.entropy, found.epistemic, found.odd) == (None, None, None)


def test_alert_2() -> None:
    found = alerts.unpack(data("alert-v2.bin"))
    assert (found.area_m2, found.possible_area_m2) == (4500.0, 9000.0)
    assert (found.entropy, found.odd) == (None, 1.0)


def test_housekeeping_1_and_2() -> None:
    old, new = (housekeeping.unpack(data(f"housekeeping-v{n}.bin")) for n in (1, 2))
    assert (old.frames, old.alerts, old.products, old.product_bytes) == (7, 2, 3, 0x1234)
    assert (new.frames, new.alerts, new.products, new.product_bytes) == (7, 2, 3, 0x1234)
    assert (new.chips, new.refused, new.evicted) == (1, 4, 5)


def test_acknowledgement_1() -> None:
    found = acks.unpack(data("acknowledgement-v1.bin"))
    assert (found.count, found.status, found.text) == (7, acks.Status.DONE, "min_wet is 0.01")


@pytest.mark.parametrize("version", [1, 2])
def test_outbox(version: int, tmp_path: Path) -> None:
    """An older one is brought up to date as it is opened, and what waited still waits."""
    with Outbox(unzipped(f"outbox-v{version}.sqlite.gz", tmp_path), create=False) as outbox:
        waiting = outbox.waiting()
        assert {one.kind for one in waiting} == {Kind.ALERT, Kind.PRODUCT}
        assert outbox.seen(bytes([1]) * 32, bytes([2]) * 32)


def test_shelf_1() -> None:
    found = shelf.unpack(data("shelf-v1.shelf"))
    assert (found.entry.scene_id, found.created_ms) == (bytes([1]) * 32, 5)
    assert found.entry.products[0].place == (1.5, 2.5)
    assert len(found.entry.alerts) == 1


def test_sidecar_1(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    path.write_bytes(data("sidecar-v1.json"))
    (tmp_path / "f.raw").write_bytes(bytes(4 * 5 * 4 * 2))
    found = read_sidecar(path)
    assert (found.height, found.width, found.sensor) == (4, 5, "vnir4")


def test_profile_1() -> None:
    assert load_profile(FILES / "profile-v1.toml").revision == "test bench"


# --- later versions ---


def with_byte(name: str, place: int, value: int) -> bytes:
    made = bytearray(data(name))
    made[place] = value
    return bytes(made)


def later_raw_chip() -> bytes:
    old = data("raw-chip-v1.fsr")
    size = int.from_bytes(old[4:6], "big")
    header = cbor2.dumps({**cbor2.loads(old[6 : 6 + size]), "format": 2})
    body = old[:4] + len(header).to_bytes(2, "big") + header + old[6 + size : -16]
    return body + hashlib.sha256(body).digest()[:16]


def later_shelf() -> bytes:
    body = with_byte("shelf-v1.shelf", 4, 2)[:-32]
    return body + hashlib.sha256(body).digest()


def later_tables() -> bytes:
    (known,) = (ROOT / "onboard" / tables.FOLDER).glob("*.fst")
    old = known.read_bytes()
    return old[:4] + b"\x02" + old[5:]


def later_product() -> bytes:
    old = (VECTORS / "product-v2.fsp").read_bytes()
    return old[:4] + b"\x03" + old[5:]


LATER: dict[Format, Callable[[], Any]] = {
    formats.TABLES: lambda: tables.unpack(later_tables()),
    formats.PATCH: lambda: patch.read(with_byte("patch-v1.fspatch", 4, 2), KEYS),
    formats.COMMAND: lambda: commands.read(with_byte("command-v1.fstc", 4, 2), KEYS),
    formats.PRODUCT: lambda: product.unpack(later_product()),
    formats.CHIP: lambda: chip.unpack(with_byte("chip-v1.fsc", 4, 2)),
    formats.RAW_CHIP: lambda: rawchip.unpack(later_raw_chip()),
    formats.ALERT: lambda: alerts.unpack(with_byte("alert-v2.bin", 0, 3)),
    formats.HOUSEKEEPING: lambda: housekeeping.unpack(with_byte("housekeeping-v2.bin", 0, 3)),
    formats.ACK: lambda: acks.unpack(with_byte("acknowledgement-v1.bin", 0, 2)),
    formats.SHELF: lambda: shelf.unpack(later_shelf()),
}


def clear(error: BaseException, of: Format) -> None:
    """One line that says which version, which are known, and the cure."""
    text = str(error)
    assert f"has format version {of.version + 1}, this software knows " in text
    assert text.endswith(f"; {of.newer}")
    assert "\n" not in text


@pytest.mark.parametrize("of", LATER, ids=lambda of: of.name)
def test_a_later_version_is_refused_in_one_line(of: Format) -> None:
    with pytest.raises(FloodsatError) as caught:
        LATER[of]()
    clear(caught.value, of)


def test_a_later_bundle(tmp_path: Path, capfd: Any) -> None:
    made = tmp_path / "bundle"
    shutil.copytree(str(FILES / "bundle-v1-oddity"), str(made))
    resign(made, {**json.loads((made / bundles.MANIFEST).read_text("utf-8")), "format": 2})
    with pytest.raises(BundleError) as caught:
        bundles.load(made, [])
    clear(caught.value, formats.BUNDLE)
    assert run(["inspect", str(made)]) == 2
    assert len(capfd.readouterr().err.strip().splitlines()) == 1


def test_a_later_outbox(tmp_path: Path) -> None:
    path = unzipped("outbox-v2.sqlite.gz", tmp_path)
    db = sqlite3.connect(str(path))
    db.execute("PRAGMA user_version = 3")
    db.close()
    before = path.read_bytes()
    with pytest.raises(FloodsatError) as caught:
        Outbox(path, create=False)
    clear(caught.value, formats.OUTBOX)
    assert path.read_bytes() == before


def test_a_later_sidecar_and_profile(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    path.write_text(json.dumps({**json.loads(data("sidecar-v1.json")), "format": 2}), "utf-8")
    with pytest.raises(FrameError) as caught:
        read_sidecar(path)
    clear(caught.value, formats.SIDECAR)
    camera = tmp_path / "camera.toml"
    camera.write_bytes(data("profile-v1.toml").replace(b"format = 1", b"format = 2"))
    with pytest.raises(ConfigError) as told:
        load_profile(camera)
    clear(told.value, formats.PROFILE)


@pytest.mark.parametrize("version", [0, -1, "1", 1.0, True, None])
def test_what_is_no_version_is_refused_with_another_cure(version: Any) -> None:
    with pytest.raises(FrameError, match="this software knows 1; write it anew"):
        formats.SIDECAR.check(version, "f.json:", FrameError, "write it anew")
