"""Items: frames that a STAC item describes, in one file or in one for each band.

A *document* is a JSON file with one item (a GeoJSON Feature) or with many (a FeatureCollection),
here, in an object store or on a web server. The frame of an item is named ``DOCUMENT#/ID.json``, a
path like any other, so that everything that takes frames takes items.

Source: STAC 1.0 and 1.1, Item and ItemCollection.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from onboard.errors import FrameError
from onboard.remote import S3, Remote
from onboard.toml import read_bytes

MARK = "#"
SUFFIXES = (".json", ".geojson")
RASTERS = (".tif", ".tiff")
MAX_DOCUMENT_BYTES = 2**27
MAX_ID = 200
KINDS = ("Feature", "FeatureCollection")
STAC_KINDS = (*KINDS, "Catalog", "Collection")


def expand(scenes: Iterable[Path]) -> tuple[Path, ...]:
    """Frames, with every document replaced by the items in it, in its order.

    Raises:
        FrameError: a document cannot be read, or holds no item.
        StoreError: see `onboard.remote.Remote`.
    """
    return tuple(frame for scene in scenes for frame in frames_in(scene))


def frames_in(scene: Path) -> list[Path]:
    """The frames that a path names: itself, or the items of a document; as `expand`."""
    if not _may_hold_items(scene) or member_of(scene) is not None:
        return [scene]
    found = _features(scene)
    if found is None:
        return [scene]
    if not found:
        raise FrameError(f"{scene}: holds no item; ask for others, or leave it out")
    return [_frame_of(scene, number, one) for number, one in enumerate(found)]


def member_of(path: Path) -> tuple[Path, str] | None:
    """Document and name of an item's frame; None for every other frame."""
    document = path.parent
    if path.suffix != ".json" or not document.name.endswith(MARK):
        return None
    return document.with_name(document.name[: -len(MARK)]), path.name[: -len(".json")]


def file_of(path: Path) -> Path:
    """What has to be there for a frame to be: its file, or the document of its item."""
    member = member_of(path)
    return path if member is None else member[0]


def read_item(path: Path) -> dict[str, Any] | None:
    """The item that a frame is; None where it is none.

    Raises:
        FrameError: the document cannot be read, or has no such item any more.
    """
    member = member_of(path)
    if member is None:
        return None
    document, name = member
    for number, one in enumerate(_features(document) or ()):
        if _name_of(number, one) == name:
            if not isinstance(one, dict) or not isinstance(one.get("assets"), dict):
                raise FrameError(f"{path}: is no STAC item with assets; mend it or leave it out")
            return one
    raise FrameError(f"{path}: is not in {document}; name the document alone to see what is")


def more_pages(scene: Path) -> bool:
    """Whether a document says that there are more items elsewhere."""
    if not _may_hold_items(scene) or member_of(scene) is not None:
        return False
    links = _document_or_sidecar(scene).get("links")
    return isinstance(links, list) and any(
        isinstance(one, dict) and one.get("rel") == "next" for one in links
    )


def _may_hold_items(path: Path) -> bool:
    """By the name alone; what is on a web server and is no raster can be nothing else."""
    if path.suffix.lower() in SUFFIXES:
        return True
    on_the_web = isinstance(path, Remote) and path.scheme != S3
    return on_the_web and path.suffix.lower() not in RASTERS


def _features(document: Path) -> list[Any] | None:
    """The items of a document; None where it is something else, such as a sidecar."""
    found = _document_or_sidecar(document)
    kind = found.get("type")
    if kind == "Feature":
        return [found]
    if kind == "FeatureCollection":
        listed = found.get("features")
        if not isinstance(listed, list):
            raise FrameError(f"{document}: has no list of features; it is no item collection")
        return listed
    if kind in STAC_KINDS or isinstance(document, Remote):
        raise FrameError(
            f"{document}: is {f'a STAC {kind}' if kind in STAC_KINDS else 'no STAC item'}; name an "
            "item or an item collection (a FeatureCollection of items)"
        )
    return None


def _document_or_sidecar(path: Path) -> dict[str, Any]:
    try:
        return _document(path)
    except FrameError:
        if isinstance(path, Remote):
            raise
        # A sidecar, maybe, that is damaged: who reads it will tell.
        return {}


def _document(path: Path) -> dict[str, Any]:
    if isinstance(path, Remote) and path.scheme != S3:
        # Asked for once: what a search finds may be other items the next time.
        return _load(path, 0, 0)
    try:
        state = path.stat()
    except OSError as error:
        raise FrameError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    return _load(path, state.st_mtime, state.st_size)


@lru_cache(maxsize=4)
def _load(path: Path, changed: float, size: int) -> dict[str, Any]:
    """A document; read again when it has changed."""
    data = read_bytes(path, "a STAC item or a frame", FrameError, MAX_DOCUMENT_BYTES)
    try:
        found = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        why = str(error).splitlines()[0]
        raise FrameError(f"{path}: is not JSON ({why}); mend it or write it anew") from error
    return found if isinstance(found, dict) else {}


def _frame_of(document: Path, number: int, item: Any) -> Path:
    return document.with_name(document.name + MARK) / f"{_name_of(number, item)}.json"


def _name_of(number: int, item: Any) -> str:
    """An item's id as the name of a file; its place in the document where it has none."""
    found = item.get("id") if isinstance(item, dict) else None
    if not isinstance(found, str) or not 0 < len(found) <= MAX_ID or found.strip(".") == "":
        return f"[{number}]"
    return re.sub(r"[%/\x00-\x1f]", lambda letter: f"%{ord(letter.group()):02X}", found)
