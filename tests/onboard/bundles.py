"""Bundles made of the shipped one, for tests that need another."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from onboard import bundle, signing
from tests.samples import BUNDLE, DEMO_KEY


def resign(folder: Path, manifest: object, key: Path = DEMO_KEY) -> None:
    """Write a manifest and sign it."""
    data = json.dumps(manifest).encode()
    (folder / bundle.MANIFEST).write_bytes(data)
    (folder / bundle.SIGNATURE).write_bytes(signing.sign(data, signing.read_private(key)))


def varied(folder: Path, key: Path = DEMO_KEY, **changes: Any) -> Path:
    """The shipped bundle's TFLite set in ``folder``, with other entries in its manifest."""
    folder.mkdir(parents=True)
    for name in (bundle.GOLDEN, bundle.CARD, bundle.MANIFEST):
        shutil.copy(str(BUNDLE / name), str(folder / name))
    for name in ("tflite", "tables"):
        shutil.copytree(str(BUNDLE / name), str(folder / name))
    resign(folder, {**json.loads((BUNDLE / bundle.MANIFEST).read_text("utf-8")), **changes}, key)
    return folder


def spoil(folder: Path) -> None:
    """One bit of a model is wrong."""
    model = folder / "tflite" / "k1.tflite"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.chmod(0o644)
    model.write_bytes(bytes(data))
