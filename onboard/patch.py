"""Patch: the difference between two bundles, small enough for a narrow uplink.

A file (big-endian): ``FSTP``, version (1 byte, 1), id of the signing key (8), SHA-256 of the old
and of the new manifest (32 each), length of the plain payload (4), the payload as an xz stream,
and an Ed25519 signature (64) over all before it. The payload is canonical CBOR: a list of
``[name, how, data]``, one for every file of the new bundle, the manifest and its signature first.

How a file comes about: the old one's bytes; bytes of its own; the old one's bytes plus a
difference, modulo 256, at the same places (a model whose quantisation scales were kept differs by
a step here and there); or runs of the old one's lines between new ones.

The result is a bundle like any other: its own signature and the SHA-256 of every file are verified
before anything of it is used.
"""

from __future__ import annotations

import difflib
import enum
import lzma
import shutil
import struct
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import cbor2
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from onboard import bundle as bundles
from onboard import control, engines, files, formats, keyring, signing, slots
from onboard.bundle import Bundle
from onboard.errors import BundleError

MAGIC = b"FSTP"
VERSION = formats.PATCH.version
SUFFIX = ".fspatch"
SIGNATURE = 64
_HEAD = struct.Struct(">4sB8s32s32sI")
MAX_BYTES = 64 * 2**20
CHOICES = ((0, 0), (3, 2))
"""Settings of LZMA that are tried; which one was taken stands in the stream."""


class How(enum.IntEnum):
    """How a file comes about."""

    SAME = 0
    WHOLE = 1
    DIFFERENCE = 2
    LINES = 3


class Opened(NamedTuple):
    """A verified patch: manifests by their SHA-256 in hexadecimal, and the files' recipes."""

    old: str
    new: str
    recipes: list[tuple[str, How, Any]]


# --- on the ground ---


def make(old: Path, new: Path, sets: Iterable[str], key: Ed25519PrivateKey, trust: Any) -> bytes:
    """The patch from one bundle to another.

    Args:
        old: folder of the bundle that is on board.
        new: folder of the one that shall be.
        sets: of their files, beside the common one.
        key: signs the patch.
        trust: keys that signed the bundles; see `onboard.bundle.load`.

    Raises:
        BundleError: one of the bundles is not acceptable.
    """
    names = [*sets, bundles.COMMON]
    before, after = (_contents(bundles.load(path, names, trust)) for path in (old, new))
    recipes = [_recipe(name, before, data) for name, data in after.items()]
    payload: bytes = cbor2.dumps(recipes, canonical=True)
    head = _HEAD.pack(
        MAGIC,
        VERSION,
        bytes.fromhex(signing.key_id(key.public_key())),
        bytes.fromhex(bundles.manifest_id(before[bundles.MANIFEST])),
        bytes.fromhex(bundles.manifest_id(after[bundles.MANIFEST])),
        len(payload),
    )
    body = head + _squeeze(payload)
    return body + signing.sign(body, key)


def _contents(bundle: Bundle) -> dict[str, bytes]:
    """Every file of a bundle that was loaded, manifest and signature first."""
    own = {
        name: (bundle.path / name).read_bytes() for name in (bundles.MANIFEST, bundles.SIGNATURE)
    }
    return {**own, **bundle.content}


def _recipe(name: str, before: Mapping[str, bytes], data: bytes) -> tuple[str, int, Any]:
    old = before.get(name)
    if old == data:
        return name, How.SAME, b""
    if old is None:
        return name, How.WHOLE, data
    if len(old) == len(data):
        return name, How.DIFFERENCE, _minus(data, old)
    try:
        old.decode("utf-8"), data.decode("utf-8")
    except UnicodeDecodeError:
        return name, How.WHOLE, data
    return name, How.LINES, _lines(old, data)


def _minus(new: bytes, old: bytes) -> bytes:
    return (np.frombuffer(new, np.uint8) - np.frombuffer(old, np.uint8)).tobytes()


def _lines(old: bytes, new: bytes) -> list[Any]:
    """Runs of old lines as ``[first, count]`` and new text as bytes, in order."""
    one, two = old.splitlines(keepends=True), new.splitlines(keepends=True)
    found: list[Any] = []
    matcher = difflib.SequenceMatcher(None, one, two, False)
    for kind, first, last, start, stop in matcher.get_opcodes():
        if kind == "equal":
            found.append([first, last - first])
        elif stop > start:
            found.append(b"".join(two[start:stop]))
    return found


def _squeeze(payload: bytes) -> bytes:
    tried = []
    for lc, pb in CHOICES:
        filters = [{"id": lzma.FILTER_LZMA2, "preset": 9, "lc": lc, "pb": pb}]
        tried.append(lzma.compress(payload, check=lzma.CHECK_NONE, filters=filters))
    return min(tried, key=len)


# --- on board ---


def read(data: bytes, keys: signing.PublicKeys) -> Opened:
    """Verify a patch and unpack it.

    Raises:
        BundleError: it is damaged, of another version, or signed by nobody trusted.
    """
    if len(data) <= _HEAD.size + SIGNATURE or data[:4] != MAGIC:
        raise BundleError("is no patch; make one with 'floodsat patch'")
    _, version, key, old, new, size = _HEAD.unpack_from(data)
    formats.PATCH.check(version, "", BundleError)
    body, signature = data[:-SIGNATURE], data[-SIGNATURE:]
    if key.hex() not in keys or not signing.verify(body, signature, keys[key.hex()]):
        raise BundleError("is damaged or not signed by a trusted key; send it again")
    if size > MAX_BYTES:
        raise BundleError(f"unpacks to {size} bytes, more than {MAX_BYTES}; make a smaller one")
    try:
        plain = lzma.LZMADecompressor().decompress(body[_HEAD.size :], max_length=size + 1)
        found = [(str(name), How(how), data) for name, how, data in cbor2.loads(plain)]
    except (lzma.LZMAError, cbor2.CBORError, ValueError, TypeError) as error:
        raise BundleError("does not unpack; make it again") from error
    return Opened(old.hex(), new.hex(), found)


def apply(patch: Opened, old: Path, out: Path) -> None:
    """Write the new bundle's files into the empty folder ``out``; nothing is verified yet.

    Raises:
        BundleError: the patch does not fit the bundle in ``old``.
    """
    if bundles.manifest_id(bundles.read_manifest(old)) != patch.old:
        raise BundleError(f"{old}: is not the bundle that the patch is for; send the whole one")
    for name, how, data in patch.recipes:
        bundles.check_name(out, name)
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            (out / name).write_bytes(_made(old / name, how, data))
        except (OSError, ValueError, TypeError, IndexError) as error:
            raise BundleError(f"{old / name}: the patch does not fit it ({error})") from error


def _made(old: Path, how: How, data: Any) -> bytes:
    if how is How.WHOLE:
        return bytes(data)
    before = old.read_bytes()
    if how is How.SAME:
        return before
    if how is How.DIFFERENCE:
        if len(before) != len(data):
            raise ValueError("another size")
        return (np.frombuffer(before, np.uint8) + np.frombuffer(data, np.uint8)).tobytes()
    lines = before.splitlines(keepends=True)
    return b"".join(
        part if isinstance(part, bytes) else b"".join(lines[part[0] : part[0] + part[1]])
        for part in data
    )


def install(path: Path, folder: Path, engine: str, keys: signing.Trust = None) -> str:
    """Apply a patch to the slot that it is for, and install the result as any other bundle.

    Returns:
        The slot's letter.

    Raises:
        BundleError: the patch or the bundle that it gives is not acceptable.
        EngineError: the golden tile fails.
        OutputError: the slots folder cannot be written.
    """
    state = control.read(folder).control
    trusted = keyring.trusted(folder, state, keys)
    try:
        patch = read(bundles.read_file(path), trusted)
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from error
    old = next((slot for slot in slots.ALL if state.installed.get(slot) == patch.old), None)
    if old is None:
        raise BundleError(f"{path}: is for a bundle that is in no slot; send the whole one")
    # Damage in the old files shows here, and not as a puzzling new one.
    slots.load(folder, old, engine, keys)
    part = Path(tempfile.mkdtemp(prefix=files.PART, dir=str(folder)))
    try:
        apply(patch, folder / old, part)
        new = bundles.manifest_id(bundles.read_manifest(part))
        if new != patch.new:
            raise BundleError(f"{path}: gives another bundle than it says; send it again")
        return slots.install(part, folder, engine, keys)
    finally:
        shutil.rmtree(str(part), ignore_errors=True)


def sets_of(engine: str) -> list[str]:
    """The sets that a patch for an engine covers, beside the common one."""
    return [engines.set_of(engine)]
