"""STAC as others check it: pystac with the published schemas, and no network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pystac
from pystac.validation import RegisteredValidator
from pystac.validation.stac_validator import JsonSchemaSTACValidator

SCHEMAS = Path(__file__).parent / "stac"


def published() -> dict[str, Any]:
    """Address → schema of the extensions that our items use."""
    found = [json.loads(path.read_text("utf-8")) for path in sorted(SCHEMAS.glob("*.json"))]
    return {one["$id"].rstrip("#"): one for one in found}


@contextmanager
def offline() -> Iterator[None]:
    """Validate with the committed schemas; reading from the network is an error."""
    before = RegisteredValidator.get_validator()
    validator = JsonSchemaSTACValidator()
    validator.schema_cache.update(published())
    RegisteredValidator.set_validator(validator)
    try:
        with mock.patch("urllib.request.urlopen", side_effect=AssertionError("network")):
            yield
    finally:
        RegisteredValidator.set_validator(before)


def checked(folder: Path) -> list[pystac.Item]:
    """Validate a whole catalogue, every link of it; returns its items."""
    with offline():
        root = pystac.Collection.from_file(str(folder / "collection.json"))
        root.validate()
        items = list(root.get_items(recursive=True))
        for child in root.get_children():
            child.validate()
        for item in items:
            item.validate()
            assert item.get_root() is root
            assert item.get_collection() is root
        return items
