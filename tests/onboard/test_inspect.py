"""``floodsat inspect`` on bundles with blobs, blobs, and what is neither."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from onboard import bundle, rawchip, signing, vpu
from onboard.chip import pack as pack_chip
from onboard.cli import run
from onboard.cli.inspect_tables import parity_rows
from onboard.product import pack
from onboard.tiles import Tiling
from tests.chips import make_chip
from tests.onboard import test_vpu
from tests.onboard.raw_chips import make_raw
from tests.products import make_product
from tests.samples import BUNDLE, DEMO_KEY

HEADS: Any = {
    "ma2480": {"hardware": 1, "slices": 9, "shaves": 7},
    "ma2450": {"hardware": 0, "slices": 12, "shaves": 12},
}
TILE = 256


def flown(folder: Path, **changes: Any) -> Path:
    """The shipped bundle with blobs of the tiny network; ``changes`` are to its myriad set."""
    more = changes.pop("manifest", {})
    first = bundle.load(BUNDLE, [])
    loaded = bundle.load(BUNDLE, list(first.sets))
    sets = {
        name: {file: loaded.content[file] for file in entry["files"]}
        for name, entry in loaded.sets.items()
    }
    blobs = {
        chip: test_vpu.blob(bytes(7), **head, constants=test_vpu.HEAD)
        for chip, head in HEADS.items()
    }
    sets["myriad"] = {f"myriad/{chip}.blob": data for chip, data in blobs.items()}
    resources = {
        chip: {**test_vpu.report(chip), "bytes": len(data), "weights": {"bytes": 9, "repeated": 0}}
        for chip, data in blobs.items()
    }
    details = {"tile": TILE, "passes": 4, "resources": resources, **changes}
    manifest = {**loaded.manifest, "sets": {**loaded.sets, "myriad": details}, **more}
    bundle.write(folder / "b", manifest, sets, DEMO_KEY)
    return folder / "b"


def inspected(path: Path) -> Any:
    out = path.parent / "figures.json"
    assert run(["inspect", str(path), "--json", str(out)]) == 0
    return json.loads(out.read_text("utf-8"))


def refused(capfd: Any, path: Path, *words: str) -> None:
    assert run(["inspect", str(path)]) == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    for word in (str(path), *words):
        assert word in line


def test_blobs_of_a_bundle(tmp_path: Path, capfd: Any) -> None:
    path = flown(tmp_path)
    found = inspected(path)
    tiling = Tiling(3000, 4000, TILE, *(halo_and_stride(path)))
    for chip in vpu.CHIPS:
        own = found["blobs"][chip]
        assert (own["chip"], own["fault"]) == (chip, None)
        assert own["header"]["shaves"] == HEADS[chip]["shaves"]
        prediction = own["prediction"]
        assert (prediction["passes"], prediction["calls_a_tile"]) == (10, 3)
        assert prediction["tiles"] == len(tiling)
        seconds = prediction["predicted_seconds"]
        assert 0 < seconds["best"] < seconds["central"] < seconds["worst"]
    shown = capfd.readouterr().out
    assert "a static model, not a measurement" in shown
    assert "predicted seconds" in shown
    assert "2 masked (Prod, SHAVE)" in shown
    assert f"{found['blobs']['ma2450']['prediction']['predicted_seconds']['central']:.4g}" in shown


def halo_and_stride(path: Path) -> tuple[int, int]:
    network = bundle.load(path, []).network
    return network.halo, network.stride


def test_uplink_sets_are_held_to_their_limits(tmp_path: Path) -> None:
    path = flown(tmp_path)
    found = inspected(path)
    size = sum((path / f"myriad/{chip}.blob").stat().st_size for chip in vpu.CHIPS)
    signed = sum((path / name).stat().st_size for name in (bundle.MANIFEST, bundle.SIGNATURE))
    assert found["set_bytes"]["myriad"] == size
    assert found["uplink"]["myriad"] == {
        "bytes": size + signed,
        "limit": 1_500_000,
        "holds": True,
    }
    integers = found["uplink"]["tflite-int8"]
    assert integers["holds"] == (integers["bytes"] <= 500_000)
    assert found["uplink"]["reference"]["limit"] is None


def test_a_fault_of_a_blob_is_shown(tmp_path: Path, capfd: Any) -> None:
    resources = {
        chip: {**test_vpu.report("ma2450"), "bytes": 1, "weights": {"bytes": 9, "repeated": 0}}
        for chip in vpu.CHIPS
    }
    found = inspected(flown(tmp_path, resources=resources))
    assert "not on the NCE: conv (Conv)" in found["blobs"]["ma2480"]["fault"]
    assert found["blobs"]["ma2450"]["fault"] is None
    assert "not on the NCE" in capfd.readouterr().out


def test_a_bundle_without_a_table_of_stages_has_no_prediction(tmp_path: Path, capfd: Any) -> None:
    found = inspected(flown(tmp_path, resources={"ma2450": {"stages": {"Conv": 1}}}))
    for chip in vpu.CHIPS:
        assert "prediction" not in found["blobs"][chip]
        assert "export the bundle again" in found["blobs"][chip]["fault"]
    assert "1 Conv" in capfd.readouterr().out


def test_a_blob_for_the_other_chip_in_a_bundle(
    tmp_path: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(HEADS, "ma2480", HEADS["ma2450"])
    refused(capfd, flown(tmp_path), "ma2480.blob", "compiled for ma2450")


def test_parity_is_shown(tmp_path: Path, capfd: Any) -> None:
    figure = {"value": 0.00125, "bound": 0.01, "rule": "at most", "holds": True}
    parity = {"targets": {"tflite": {"p_water": figure}}}
    path = flown(tmp_path, manifest={"parity": parity})
    assert inspected(path)["parity"] == parity
    (line,) = [s for s in capfd.readouterr().out.splitlines() if " p_water " in s]
    assert line.split() == ["tflite", "p_water", "0.00125", "at", "most", "0.01", "yes"]


def test_a_figure_without_a_bound() -> None:
    free = {"value": 0.5, "bound": None, "rule": None, "holds": None}
    none = {"value": None, "bound": 0.9, "rule": "at least", "holds": None}
    why = {**none, "bound": None, "rule": None, "note": "not measured: no engine"}
    rows = parity_rows({"targets": {"a": {"x": free}, "b": {"y": none, "z": why}}})
    assert [tuple(row) for row in rows] == [
        ("a", "x", "0.5", "", ""),
        ("b", "y", "", "at least 0.9", ""),
        ("b", "z", "", "", "not measured: no engine"),
    ]


@pytest.mark.parametrize("chip", list(HEADS))
def test_a_blob_alone(tmp_path: Path, capfd: Any, chip: str) -> None:
    path = tmp_path / "a.blob"
    path.write_bytes(test_vpu.blob(**HEADS[chip]))
    found = inspected(path)
    assert found["chip"] == chip
    assert found["header"]["size"] == path.stat().st_size
    assert f"a Myriad blob for {chip}" in capfd.readouterr().out


def test_a_product(tmp_path: Path, capfd: Any) -> None:
    path = tmp_path / "p.fsp"
    product = make_product(height=24, width=33)
    path.write_bytes(pack(product))
    found = inspected(path)
    assert found["bytes"] == path.stat().st_size
    assert found["mask"] == "24×33"
    assert found["subject"] == product.subject
    shown = capfd.readouterr().out
    assert any(line.split()[:2] == ["mask", "24×33"] for line in shown.splitlines())


def test_a_blob_cut_short(tmp_path: Path, capfd: Any) -> None:
    path = tmp_path / "a.blob"
    whole = test_vpu.blob(**HEADS["ma2480"])
    for size in (len(whole) - 1, 60):
        path.write_bytes(whole[:size])
        refused(capfd, path, "fetch it again")


def test_a_bundle_of_a_newer_version(tmp_path: Path, capfd: Any) -> None:
    path = Path(shutil.copytree(str(BUNDLE), str(tmp_path / "b")))
    newer = {**json.loads((path / bundle.MANIFEST).read_bytes()), "format": bundle.FORMAT + 1}
    text = json.dumps(newer).encode()
    (path / bundle.MANIFEST).write_bytes(text)
    (path / bundle.SIGNATURE).write_bytes(signing.sign(text, signing.read_private(DEMO_KEY)))
    refused(capfd, path, f"the bundle has format version {bundle.FORMAT + 1}", "update FloodSat")


def test_the_complete_manifest_is_in_the_json(tmp_path: Path) -> None:
    path = Path(shutil.copytree(str(BUNDLE), str(tmp_path / "b")))
    found = inspected(path)
    manifest = json.loads((path / bundle.MANIFEST).read_bytes())
    assert {name: found[name] for name in manifest} == manifest
    assert set(found["blobs"]) == {"ma2450", "ma2480"}


def test_a_chip_for_labelling(tmp_path: Path, capfd: Any) -> None:
    path = tmp_path / "c.fsc"
    path.write_bytes(pack_chip(make_chip()))
    found = inspected(path)
    assert found["samples"] == "24×33×4 uint16"
    assert found["bands"] == ["blue", "green", "red", "nir"]
    assert found["scene_id"] == bytes(32).hex()
    assert found["bytes"] == path.stat().st_size
    shown = capfd.readouterr().out
    assert "a chip for labelling" in shown
    assert "blue green red nir" in shown


def test_a_damaged_chip(tmp_path: Path, capfd: Any) -> None:
    path = tmp_path / "c.fsc"
    path.write_bytes(pack_chip(make_chip())[:-1])
    refused(capfd, path, "receive it again")


def test_a_raw_chip(tmp_path: Path, capfd: Any) -> None:
    path = tmp_path / "c.fsr"
    path.write_bytes(rawchip.pack(make_raw()))
    found = inspected(path)
    assert (found["samples"], found["row"], found["col"]) == ("6×7×4 uint16", 30, 8)
    assert found["bands"] == ["blue", "green", "red", "nir"]
    assert found["scene_id"] == make_raw().scene_id.hex()
    assert found["bytes"] == path.stat().st_size
    shown = capfd.readouterr().out
    assert "a raw chip" in shown
    assert "blue green red nir" in shown


def test_a_damaged_raw_chip(tmp_path: Path, capfd: Any) -> None:
    path = tmp_path / "c.fsr"
    path.write_bytes(rawchip.pack(make_raw())[:-1])
    refused(capfd, path, "raw chip: is damaged or none; ask for it again")


@pytest.mark.parametrize(
    ("begins", "says"),
    [(b"\x1a\xcf\xfc\x1d", "floodsat receive"), (b"SQLite format 3\0", "floodsat downlink")],
)
def test_files_that_another_command_reads(
    tmp_path: Path, capfd: Any, begins: bytes, says: str
) -> None:
    path = tmp_path / "pass.bin"
    path.write_bytes(begins + bytes(100))
    assert run(["inspect", str(path)]) == 2
    line = capfd.readouterr().err
    assert f"{path}: " in line
    assert says in line
