from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from onboard import bundle, signing
from onboard.errors import BundleError, ConfigError, OutputError
from onboard.sensor import VNIR4
from tests.onboard.bundles import resign
from tests.samples import BUNDLE, DEMO_KEY

SETS = list(bundle.load(BUNDLE, []).sets)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(str(BUNDLE), str(tmp_path / "bundle")))


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_the_shipped_bundle_loads() -> None:
    found = bundle.load(BUNDLE, SETS)
    assert found.sensor == VNIR4
    assert found.model_id == bundle.weights_id(found.weights())
    assert set(found.models("tflite")) == {1, 10}
    assert 0 < found.sensitive.water <= found.balanced.water < 1
    assert found.key == next(iter(signing.read_public([signing.DEMO_KEY])))


def test_it_holds_nothing_that_is_not_signed() -> None:
    found = bundle.load(BUNDLE, SETS)
    assert files(BUNDLE) == sorted([*found.content, bundle.MANIFEST, bundle.SIGNATURE])


@pytest.mark.parametrize("name", files(BUNDLE))
@pytest.mark.parametrize("where", [0.0, 0.5, 1.0])
def test_one_flipped_bit_is_refused(copy: Path, name: str, where: float) -> None:
    data = bytearray((copy / name).read_bytes())
    data[round(where * (len(data) - 1))] ^= 0x10
    (copy / name).write_bytes(bytes(data))
    with pytest.raises(BundleError, match="damaged") as caught:
        bundle.load(copy, SETS)
    assert str(copy) in str(caught.value)


@pytest.mark.parametrize("name", files(BUNDLE))
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(BundleError, match="cannot be read") as caught:
        bundle.load(copy, SETS)
    assert name in str(caught.value)


def test_a_foreign_signature_is_refused(copy: Path, tmp_path: Path) -> None:
    private, public = signing.generate(tmp_path / "keys")
    manifest = (copy / bundle.MANIFEST).read_bytes()
    (copy / bundle.SIGNATURE).write_bytes(signing.sign(manifest, signing.read_private(private)))
    with pytest.raises(BundleError, match="not signed by a trusted key"):
        bundle.load(copy, SETS)
    assert bundle.load(copy, SETS, [public]).name
    with pytest.raises(BundleError, match="not signed by a trusted key"):
        bundle.load(BUNDLE, SETS, [public])


def test_an_uplink_set_verifies_alone(copy: Path) -> None:
    whole = bundle.load(copy, SETS)
    shutil.rmtree(str(copy / "reference"))
    assert bundle.load(copy, ["tflite", bundle.COMMON]).model_id == whole.model_id
    with pytest.raises(BundleError, match="weights"):
        bundle.load(copy, ["reference"])


def test_an_absent_set_is_named(copy: Path) -> None:
    with pytest.raises(BundleError, match="no files for 'abacus'"):
        bundle.load(copy, ["abacus"])


def test_a_newer_format_is_refused_with_the_cure(copy: Path) -> None:
    manifest = json.loads((copy / bundle.MANIFEST).read_text("utf-8"))
    resign(copy, {**manifest, "format": bundle.FORMAT + 1})
    with pytest.raises(BundleError, match="update FloodSat"):
        bundle.load(copy, SETS)


def test_an_older_format_is_refused_with_the_cure(copy: Path) -> None:
    manifest = json.loads((copy / bundle.MANIFEST).read_text("utf-8"))
    resign(copy, {**manifest, "format": bundle.FORMAT - 1})
    with pytest.raises(BundleError, match="export it again"):
        bundle.load(copy, SETS)


def test_what_was_verified_before_is_taken_whoever_signed_it(copy: Path, tmp_path: Path) -> None:
    _, public = signing.generate(tmp_path / "keys")
    pin = bundle.manifest_id((copy / bundle.MANIFEST).read_bytes())
    assert bundle.load(copy, SETS, [public], pin).key == bundle.REVOKED
    with pytest.raises(BundleError, match="not signed by a trusted key"):
        bundle.load(copy, SETS, [public], "00" * 32)


def test_a_signed_text_that_is_no_manifest(copy: Path) -> None:
    resign(copy, [1, 2])
    with pytest.raises(BundleError, match="is no manifest"):
        bundle.load(copy, SETS)


def test_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="name the folder of a bundle"):
        bundle.load(tmp_path, SETS)


def test_writing_is_whole_or_nothing(tmp_path: Path) -> None:
    out = tmp_path / "b"
    with pytest.raises(ConfigError):
        bundle.write(out, {}, {"x": {"f": b"1"}}, tmp_path / "no.key")
    assert not list(tmp_path.iterdir())
    bundle.write(out, {"n": 1}, {"x": {"sub/f": b"1"}}, DEMO_KEY)
    assert bundle.load(out, ["x"]).content == {"sub/f": b"1"}
    bundle.write(out, {"n": 2}, {"x": {"g": b"2"}}, DEMO_KEY)
    assert bundle.load(out, ["x"]).content == {"g": b"2"}
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


def test_a_folder_that_is_no_bundle_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine", "utf-8")
    with pytest.raises(OutputError, match="holds other files"):
        bundle.write(tmp_path, {}, {"x": {"f": b"1"}}, DEMO_KEY)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_beside_the_bundles_own_is_never_lost(copy: Path) -> None:
    bundle.write(copy, {}, {"x": {"f": b"1"}}, DEMO_KEY)
    (copy / "thesis.txt").write_text("mine", "utf-8")
    with pytest.raises(OutputError, match=r"holds thesis\.txt"):
        bundle.write(copy, {}, {"x": {"f": b"2"}}, DEMO_KEY)
    assert bundle.load(copy, ["x"]).content == {"f": b"1"}


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd"])
def test_a_name_that_leads_out_of_the_bundle(copy: Path, name: str) -> None:
    manifest = json.loads((copy / bundle.MANIFEST).read_text("utf-8"))
    manifest["sets"]["tflite"]["files"] = {name: "00" * 32}
    resign(copy, manifest)
    with pytest.raises(BundleError, match="outside the bundle"):
        bundle.load(copy, ["tflite"])


def test_keys_are_never_overwritten(tmp_path: Path) -> None:
    private, public = signing.generate(tmp_path)
    before = private.read_bytes()
    with pytest.raises(ConfigError, match="never overwritten"):
        signing.generate(tmp_path)
    assert private.read_bytes() == before
    assert private.stat().st_mode & 0o077 == 0
    with pytest.raises(ConfigError, match="no readable private key"):
        signing.read_private(public)
    with pytest.raises(ConfigError, match="no readable public key"):
        signing.read_public([private])
