from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onboard import bundle, engines, golden, patch, signing, slots
from onboard.cli import run
from onboard.errors import BundleError
from tests.onboard.bundles import resign, spoil, varied
from tests.samples import BUNDLE, DEMO_KEY

KEY = signing.read_private(DEMO_KEY)
KEYS = signing.trusted(None)


def noisy(folder: Path, share: float, seed: int = 1) -> Path:
    """The shipped bundle's TFLite set, bytes of its models moved by a step here and there."""
    made = varied(folder)
    dice, odds = np.random.default_rng(seed), [1 - share, share / 2, share / 2]
    manifest = dict(bundle.load(made, []).manifest)
    files = manifest["sets"]["tflite"]["files"]
    for name in files:
        data = np.frombuffer((made / name).read_bytes(), np.uint8)
        steps = dice.choice(np.array([0, 1, 255], np.uint8), data.size, p=odds)
        (made / name).write_bytes((data + steps).astype(np.uint8).tobytes())
        files[name] = bundle.manifest_id((made / name).read_bytes())
    resign(made, {**manifest, "version": 2})
    return made


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return varied(tmp_path / "old")


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return noisy(tmp_path / "new", 0.05)


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_old_and_patch_make_new_to_the_bit(old: Path, new: Path, tmp_path: Path) -> None:
    data = patch.make(old, new, ["tflite"], KEY, None)
    models = sum(path.stat().st_size for path in (new / "tflite").iterdir())
    assert len(data) < 0.2 * models
    out = tmp_path / "out"
    out.mkdir()
    opened = patch.read(data, KEYS)
    patch.apply(opened, old, out)
    assert content(out) == content(new)
    assert bundle.load(out, ["tflite", bundle.COMMON]).version == 2
    hows = {name: how for name, how, _ in opened.recipes}
    assert hows["tflite/k1.tflite"] is patch.How.DIFFERENCE
    assert hows[bundle.CARD] is patch.How.SAME


def test_files_of_every_kind(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    text = "".join(f"line {i}\n" for i in range(50))
    before = {"same": b"s", "longer": b"\xff\x00", "text": text.encode(), "gone": b"g"}
    changed = text.replace("line 7\n", "a new line 7\n").replace("line 30\n", "")
    after = {"same": b"s", "longer": b"\xff\x00\x01", "text": changed.encode(), "fresh": b"f"}
    for folder, files in ((one, before), (two, after)):
        bundle.write(folder, {"name": "x"}, {"common": {}, "set": files}, DEMO_KEY)
    data = patch.make(one, two, ["set"], KEY, None)
    out = tmp_path / "out"
    out.mkdir()
    patch.apply(patch.read(data, KEYS), one, out)
    assert content(out) == content(two)


def test_the_satellite_applies_it_and_verifies_the_whole(
    old: Path, new: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, file = tmp_path / "slots", tmp_path / "v2.fspatch"
    slots.install(old, folder, "tflite")
    # Its bytes were moved at random: nothing can run it.
    monkeypatch.setattr(golden, "check", lambda *_: 0.0)
    monkeypatch.setattr(engines, "load", lambda *_: object())
    arguments = ["patch", str(old), str(new), "--out", str(file), "--key", str(DEMO_KEY)]
    assert run(arguments) == 0
    assert run(["flash", str(file), "--slots", str(folder)]) == 0
    assert slots.active(folder) == "b"
    found = slots.load_active(folder, "tflite")
    assert found.content == bundle.load(new, ["tflite", bundle.COMMON]).content
    assert not list(folder.glob(".part-*"))


def test_a_patch_whose_result_is_not_what_was_signed_is_refused(
    old: Path, new: Path, tmp_path: Path
) -> None:
    """Signed by a key of ours, and yet one byte of the result is wrong."""
    folder, file = tmp_path / "slots", tmp_path / "v2.fspatch"
    slots.install(old, folder, "tflite")
    spoil(new)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(bundle, "_read_checked", lambda path, name, _: (path / name).read_bytes())
        file.write_bytes(patch.make(old, new, ["tflite"], KEY, None))
    with pytest.raises(BundleError, match=r"k1.tflite: is damaged"):
        patch.install(file, folder, "tflite")
    assert slots.active(folder) == "a"
    assert not (folder / "b").exists()


def test_a_patch_for_another_bundle(old: Path, new: Path, tmp_path: Path) -> None:
    folder, file = tmp_path / "slots", tmp_path / "v2.fspatch"
    slots.install(varied(tmp_path / "third", name="third"), folder, "tflite")
    file.write_bytes(patch.make(old, new, ["tflite"], KEY, None))
    with pytest.raises(BundleError, match="for a bundle that is in no slot"):
        patch.install(file, folder, "tflite")
    with pytest.raises(BundleError, match="is not the bundle that the patch is for"):
        patch.apply(patch.read(file.read_bytes(), KEYS), folder / "a", tmp_path / "out")


def test_a_stranger_signs_no_patch(old: Path, new: Path, tmp_path: Path) -> None:
    private, _ = signing.generate(tmp_path / "keys")
    data = patch.make(old, new, ["tflite"], signing.read_private(private), None)
    with pytest.raises(BundleError, match="not signed by a trusted key"):
        patch.read(data, KEYS)


def refuse_mutated(data: bytes, count: int, seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(count):
        bad = bytearray(data)
        bad[dice.randrange(len(bad))] ^= 1 << dice.randrange(8)
        with pytest.raises(BundleError):
            patch.read(bytes(bad), KEYS)
        with pytest.raises(BundleError):
            patch.read(data[: dice.randrange(len(data))], KEYS)


def test_a_damaged_patch_is_refused(old: Path, new: Path) -> None:
    refuse_mutated(patch.make(old, new, ["tflite"], KEY, None), 100, seed=1)


def signed(payload: bytes, size: int | None = None, version: int = 1) -> bytes:
    import lzma

    name = bytes.fromhex(signing.key_id(KEY.public_key()))
    length = len(payload) if size is None else size
    head = patch._HEAD.pack(b"FSTP", version, name, bytes(32), bytes(32), length)
    body = head + lzma.compress(payload)
    return body + signing.sign(body, KEY)


@pytest.mark.parametrize(
    "payload", [b"", b"\xff", b"\x01", b"\x81\x01", b"\x81\x83\x61x\x09\x40", b"\x9f" * 100]
)
def test_signed_nonsense_is_an_error_and_no_crash(payload: bytes) -> None:
    with pytest.raises(BundleError, match="does not unpack"):
        patch.read(signed(payload), KEYS)
    with pytest.raises(BundleError, match="has format version 2, this software knows 1"):
        patch.read(signed(payload, version=2), KEYS)


def test_a_payload_longer_than_promised_is_not_unpacked() -> None:
    with pytest.raises(BundleError, match="does not unpack"):
        patch.read(signed(bytes(10_000_000), size=10), KEYS)


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd"])
def test_a_name_that_leads_out_of_the_bundle(old: Path, tmp_path: Path, name: str) -> None:
    opened = patch.Opened(
        bundle.manifest_id((old / bundle.MANIFEST).read_bytes()),
        "",
        [(name, patch.How.WHOLE, b"x")],
    )
    with pytest.raises(BundleError, match="outside the bundle"):
        patch.apply(opened, old, tmp_path)


def test_a_patch_that_came_up_is_installed_by_command(
    old: Path, new: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onboard.outbox import Outbox
    from onboard.uplink import Folders, Satellite

    # Its bytes were moved at random: nothing can run it.
    monkeypatch.setattr(golden, "check", lambda *_: 0.0)
    monkeypatch.setattr(engines, "load", lambda *_: object())
    names = ("slots", "in", "commands", "uplink")
    folders = Folders(*(tmp_path / name for name in names))
    folders.bundles.mkdir()
    slots.install(old, folders.slots, "tflite")
    (folders.bundles / "v2.fspatch").write_bytes(patch.make(old, new, ["tflite"], KEY, None))
    with Outbox(tmp_path / "o.sqlite") as box:
        satellite: Any = Satellite(folders, "tflite", lambda: box)
        assert satellite.install("v2.fspatch") == "installed in slot b"
    assert slots.load_active(folders.slots, "tflite").version == 2


def test_the_shipped_bundle_onto_itself_is_next_to_nothing(tmp_path: Path) -> None:
    copied = Path(shutil.copytree(str(BUNDLE), str(tmp_path / "copy")))
    assert len(patch.make(BUNDLE, copied, ["tflite-int8"], KEY, None)) < 500
