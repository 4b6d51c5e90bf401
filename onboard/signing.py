"""Signatures: Ed25519 (RFC 8032) over the exact bytes of a manifest.

A key is named by the first 8 bytes of the SHA-256 of its raw public half, in hexadecimal. The
demo key ships with its private half, so it proves nothing but that bytes are whole; whoever
flies makes a pair with ``floodsat keygen`` and trusts that alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Optional, Union

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from onboard import files
from onboard.errors import ConfigError

DEMO_KEY = Path(__file__).parent / "keys" / "demo.pub"

PublicKeys = dict[str, Ed25519PublicKey]
Trust = Optional[Union[Iterable[Path], PublicKeys]]
"""Whom to trust: files of public keys, keys by id, or None for the demo key."""


def key_id(key: Ed25519PublicKey) -> str:
    """16 hexadecimal digits."""
    return hashlib.sha256(bytes.fromhex(raw(key))).hexdigest()[:16]


def raw(key: Ed25519PublicKey) -> str:
    """The 32 bytes of RFC 8032, 5.1.5, in hexadecimal."""
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def from_raw(text: str) -> Ed25519PublicKey:
    """The inverse of `raw`."""
    return Ed25519PublicKey.from_public_bytes(bytes.fromhex(text))


def pem(key: Ed25519PublicKey) -> bytes:
    """As a ``.pub`` file holds it."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def generate(folder: Path, name: str = "floodsat") -> list[Path]:
    """Write a new pair ``<name>.key`` (private, readable by its owner only) and ``<name>.pub``.

    Raises:
        ConfigError: one of the files exists; keys are never overwritten.
        OutputError: the folder cannot be written.
    """
    if not name or Path(name).name != name:
        raise ConfigError(f"--name {name!r}: is no plain file name; leave out folders")
    private_path, public_path = folder / f"{name}.key", folder / f"{name}.pub"
    for path in (private_path, public_path):
        if path.exists():
            raise ConfigError(f"{path}: exists and keys are never overwritten; choose a new folder")
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    files.write_bytes(public_path, pem(key.public_key()))
    files.make_folder(folder)
    with files.replacing(private_path) as part:
        part.chmod(0o600)
        part.write_bytes(private)
    return [private_path, public_path]


def read_private(path: Path) -> Ed25519PrivateKey:
    """A private key from PEM.

    Raises:
        ConfigError: unreadable or not an Ed25519 key.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(
            f"{path}: is no readable private key; make one with 'floodsat keygen'"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path}: is not an Ed25519 key; make one with 'floodsat keygen'")
    return key


def read_public(paths: Iterable[Path]) -> PublicKeys:
    """Key id → public key, from PEM files.

    Raises:
        ConfigError: unreadable or not an Ed25519 key.
    """
    found: PublicKeys = {}
    for path in paths:
        try:
            key = load_pem_public_key(path.read_bytes())
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(
                f"{path}: is no readable public key; 'floodsat keygen' writes one ending in .pub"
            ) from error
        if not isinstance(key, Ed25519PublicKey):
            raise ConfigError(f"{path}: is not an Ed25519 key; make one with 'floodsat keygen'")
        found[key_id(key)] = key
    return found


def trusted(trust: Trust) -> PublicKeys:
    """Key id → public key.

    Raises:
        ConfigError: a file is unreadable or holds no Ed25519 key.
    """
    if isinstance(trust, dict):
        return trust
    return read_public([DEMO_KEY] if trust is None else trust)


def sign(data: bytes, key: Ed25519PrivateKey) -> bytes:
    """64 bytes."""
    return key.sign(data)


def verify(data: bytes, signature: bytes, key: Ed25519PublicKey) -> bool:
    """Whether ``signature`` over ``data`` was made with the private half of ``key``."""
    try:
        key.verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True
