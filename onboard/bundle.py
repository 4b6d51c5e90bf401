"""Bundle: a model as it is shipped, flashed and flown.

A folder of

- ``manifest.json``: format, sensor, network, normalisation, thresholds, provenance, and for
  every *set* of files their SHA-256;
- ``manifest.sig``: an Ed25519 signature over the manifest's bytes;
- the files. The set ``common`` holds the golden tile and the model card; every other set is
  named for the engine it serves. One engine's set with manifest and signature (an *uplink set*)
  is a bundle too, and verifies alone.

Loading checks the signature against trusted keys and every hash of the sets it loads, in memory,
before anything is parsed.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from onboard import files, formats
from onboard.arrays import Array
from onboard.errors import BundleError, OutputError
from onboard.network import Network
from onboard.normalise import Normalisation
from onboard.oddity import Oddity
from onboard.segment import Thresholds
from onboard.sensor import Sensor
from onboard.triage import Limits

if TYPE_CHECKING:
    from onboard import signing
    from onboard.tables import Tables

FORMAT = formats.BUNDLE.version
COMMON = "common"
MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
WEIGHTS = "reference/weights.npz"
GOLDEN = "golden.npz"
CARD = "card.md"
REVOKED = "a key that is not trusted any more"
MAX_FILE_BYTES = 64 * 2**20

Content = dict[str, bytes]


@dataclass(frozen=True)
class Bundle:
    """A verified bundle in memory.

    Attributes:
        path: where it was read from.
        manifest: the parsed manifest.
        key: id of the key that signed it, or `REVOKED`.
        content: file name → bytes, of the sets that were loaded.
    """

    path: Path
    manifest: Mapping[str, Any]
    key: str
    content: Content = field(repr=False)

    @property
    def name(self) -> str:
        """The bundle's name."""
        return str(self.manifest["name"])

    @property
    def version(self) -> int:
        """Counts up with every release of the bundle."""
        return int(self.manifest["version"])

    @property
    def model_id(self) -> bytes:
        """SHA-256 of the float32 weights, 32 bytes; see `weights_id`."""
        return bytes.fromhex(self.manifest["model_id"])

    @property
    def sensor(self) -> Sensor:
        """The camera it was trained for."""
        return Sensor.from_json(self.manifest["sensor"])

    @property
    def network(self) -> Network:
        """The network's shape."""
        return Network.from_json(self.manifest["network"])

    @property
    def normalisation(self) -> Normalisation:
        """What turns reflectance into the network's input."""
        return Normalisation.from_json(self.manifest["normalisation"])

    @property
    def passes(self) -> int:
        """T, the number of stochastic passes by default."""
        return int(self.manifest["passes"])

    @property
    def balanced(self) -> Thresholds:
        """The operating point of the mask: best IoU on the calibration places."""
        return self._thresholds("balanced")

    @property
    def sensitive(self) -> Thresholds:
        """The operating point of the alert decision: recall ≥ 0.95 on the calibration places."""
        return self._thresholds("sensitive")

    def _thresholds(self, point: str) -> Thresholds:
        values = self.manifest["thresholds"][point]
        return Thresholds(float(values["water"]), float(values["cloud"]))

    @property
    def limits(self) -> Limits:
        """What decides whether a frame is sent."""
        return Limits.from_json(self.manifest["triage"])

    @property
    def oddity(self) -> Oddity | None:
        """What scores crops for being unlike the training; None in bundles from before it."""
        data = self.manifest.get("oddity")
        return None if data is None else Oddity.from_json(data)

    @property
    def tables(self) -> Tables | None:
        """What products are coded by; None where the bundle carries none, or they are not loaded.

        Raises:
            ProductError: they are of a newer format.
        """
        from onboard import tables

        data = self.content.get(tables.FILE)
        return None if data is None else tables.learn(data)

    def learn(self) -> None:
        """Make what its products are coded by known here; see `onboard.tables`."""
        _ = self.tables

    @property
    def sets(self) -> Mapping[str, Any]:
        """Set name → its entry in the manifest."""
        entries: Mapping[str, Any] = self.manifest["sets"]
        return entries

    def tile(self, target: str) -> int:
        """Side of a target's tiles, pixels."""
        return int(self.sets[target]["tile"])

    def models(self, target: str) -> dict[int, bytes]:
        """Passes per call → model file of a target."""
        models = self.sets[target]["models"]
        return {int(chunk): self.content[name] for chunk, name in models.items()}

    def weights(self) -> dict[str, Array]:
        """Weight name → float32 array."""
        return read_arrays(self.content[WEIGHTS])

    def golden(self) -> dict[str, Array]:
        """The golden tile and the moments expected of it; see `onboard.golden`."""
        return read_arrays(self.content[GOLDEN])


def weights_id(weights: Mapping[str, Array]) -> bytes:
    """The model id: SHA-256 over names, shapes and little-endian float32 values, by name."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        array = np.ascontiguousarray(weights[name], dtype="<f4")
        shape = np.array(array.shape, dtype="<u4")
        digest.update(name.encode() + b"\0" + bytes([array.ndim]) + shape.tobytes())
        digest.update(array.tobytes())
    return digest.digest()


def read_arrays(data: bytes) -> dict[str, Array]:
    """The arrays of an ``.npz`` file; never unpickles."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def load(
    path: Path, sets: Iterable[str], keys: signing.Trust = None, installed: str = ""
) -> Bundle:
    """Verify and read some sets of a bundle.

    Args:
        path: the bundle's folder.
        sets: names of the sets to load, for example ``["tflite"]``.
        keys: the public keys to trust, or their files; None trusts the demo key.
        installed: SHA-256 of a manifest that was verified before, hexadecimal: this one is taken
            whoever signed it, so that revoking a key does not ground what flies.

    Raises:
        BundleError: not a bundle, of another format, signed by nobody trusted, damaged, or
            without one of the sets.
        ConfigError: a key file is unreadable.
    """
    manifest_bytes = _read(path, MANIFEST)
    key = _check_signature(path, manifest_bytes, keys, installed)
    manifest = _parse(path, manifest_bytes)
    content: Content = {}
    for name in sets:
        if name not in manifest["sets"]:
            has = ", ".join(n for n in manifest["sets"] if n != COMMON)
            raise BundleError(f"{path}: has no files for {name!r} (has {has}); export them")
        for file, digest in manifest["sets"][name]["files"].items():
            content[file] = _read_checked(path, file, digest)
    return Bundle(path, manifest, key, content)


def read_manifest(path: Path) -> bytes:
    """The bytes of a bundle's manifest, not verified.

    Raises:
        BundleError: there is none.
    """
    return _read(path, MANIFEST)


def manifest_id(manifest: bytes) -> str:
    """SHA-256 of a manifest's bytes, hexadecimal: it fixes the bundle to its last bit."""
    return hashlib.sha256(manifest).hexdigest()


def _check_signature(path: Path, manifest: bytes, keys: signing.Trust, installed: str) -> str:
    from onboard import signing

    signature = _read(path, SIGNATURE)
    trusted = signing.trusted(keys)
    for name, key in trusted.items():
        if signing.verify(manifest, signature, key):
            return name
    if installed and manifest_id(manifest) == installed:
        return REVOKED
    raise BundleError(
        f"{path}: its manifest is damaged or not signed by a trusted key "
        f"({', '.join(trusted) or 'none given'}); fetch it again, or name its key with --trust"
    )


def _parse(path: Path, data: bytes) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(data)
        version = int(manifest["format"])
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path / MANIFEST}: is no manifest; export the bundle again") from error
    formats.BUNDLE.check(version, f"{path}: the bundle", BundleError, "export it again")
    _check_names(path, manifest)
    return manifest


def _check_names(path: Path, manifest: dict[str, Any]) -> None:
    """Files of a bundle lie in its folder: a name that leads out of it is refused."""
    entries = manifest.get("sets")
    if not isinstance(entries, dict):
        raise BundleError(f"{path / MANIFEST}: lists no sets; export the bundle again")
    for entry in entries.values():
        for name in entry["files"]:
            check_name(path, name)


def check_name(path: Path, name: str) -> None:
    """Refuse the name of a file that does not lie in the bundle at ``path``.

    Raises:
        BundleError: it leads out of the folder.
    """
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise BundleError(f"{path / MANIFEST}: names {name!r}, outside the bundle; export it again")


def _read_checked(path: Path, name: str, digest: str) -> bytes:
    data = _read(path, name)
    if hashlib.sha256(data).hexdigest() != digest:
        raise BundleError(
            f"{path / name}: is damaged (its SHA-256 is not the manifest's); fetch it again"
        )
    return data


def _read(path: Path, name: str) -> bytes:
    return read_file(path / name)


def read_file(file: Path) -> bytes:
    """The bytes of a file of a bundle, or of a patch.

    Raises:
        BundleError: it cannot be read, or is larger than any such file may be.
    """
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise BundleError(f"{file}: is larger than any bundle file may be; fetch it again")
        return file.read_bytes()
    except OSError as error:
        raise BundleError(
            f"{file}: cannot be read ({error.strerror}); name the folder of a bundle"
        ) from error


def ours_to_replace(path: Path) -> None:
    """Refuse to replace a folder that holds anything but one bundle.

    Raises:
        OutputError: it is no bundle, or holds other files too.
    """
    files.ours_to_replace(path, MANIFEST)
    if not (path / MANIFEST).is_file():
        return
    try:
        entries = json.loads((path / MANIFEST).read_bytes())["sets"].values()
        own = {name for entry in entries for name in entry["files"]} | {MANIFEST, SIGNATURE}
    except (ValueError, KeyError, TypeError, AttributeError):
        own = {MANIFEST}
    for found in sorted(p for p in path.rglob("*") if not p.is_dir()):
        if str(found.relative_to(path)) not in own:
            raise OutputError(
                f"{path}: holds {found.name}, which is no part of its bundle; move it away"
            )


def write(
    path: Path,
    manifest: Mapping[str, Any],
    sets: Mapping[str, Content],
    key_file: Path,
) -> None:
    """Write a bundle in one step: hash the files, sign the manifest, put the folder in place.

    Args:
        path: the folder to make or replace.
        manifest: everything but the files' hashes; ``manifest["sets"]`` may hold details per set.
        sets: set name → file name → bytes.
        key_file: private key, PEM.

    Raises:
        ConfigError: the key cannot be read.
        OutputError: the folder cannot be written, or holds files that are no bundle.
    """
    from onboard import signing

    ours_to_replace(path)
    key = signing.read_private(key_file)
    details = manifest.get("sets", {})
    entries = {
        name: {
            **details.get(name, {}),
            "files": {f: hashlib.sha256(data).hexdigest() for f, data in content.items()},
        }
        for name, content in sets.items()
    }
    text = json.dumps({"format": FORMAT, **manifest, "sets": entries}, indent=1, sort_keys=True)
    with files.replacing_folder(path) as part:
        for content in sets.values():
            for name, data in content.items():
                (part / name).parent.mkdir(parents=True, exist_ok=True)
                (part / name).write_bytes(data)
        (part / MANIFEST).write_bytes(text.encode("utf-8"))
        (part / SIGNATURE).write_bytes(signing.sign(text.encode("utf-8"), key))
