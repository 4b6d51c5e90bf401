"""What a public data set holds: its items, as the source itself lists them with size and checksum.

Names come from outside: only those of the expected form are taken, and no path of theirs is used
on this machine.
"""

from __future__ import annotations

import base64
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import chain, zip_longest
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from onboard.errors import FetchError
from training.data.download import Client, Digest, Remote
from training.data.sources import SEN1FLOODS11, WORLDFLOODS

T = TypeVar("T")

PAGES = 200
STEM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,120}")
ACTIVATION = re.compile(r"EMSR\d+")
REVISION = re.compile(r"[0-9a-f]{40}")

HAND = "v1.1/data/flood_events/HandLabeled"
WORLDFLOODS_PARTS = ("train", "val", "test")


class Item(NamedTuple):
    """One image of a set with its label.

    Attributes:
        id: unique in the set; letters, digits, ``_``, ``-`` and ``.``.
        group: the flood event; chips of one event stay together.
        part: the split that its publishers put it into, or ``""``.
        image: the Sentinel-2 GeoTIFF.
        label: its label.
        meta: JSON about the flood map, where there is one.
    """

    id: str
    group: str
    part: str
    image: Remote
    label: Remote
    meta: Remote | None = None


def sen1floods11(client: Client, base_url: str) -> list[Item]:
    """The hand-labelled chips of the public bucket, by Cloud Storage's JSON API.

    An image is ``S2Hand/EVENT_NUMBER_S2Hand.tif``, its label
    ``LabelHand/EVENT_NUMBER_LabelHand.tif``.
    """

    def named(folder: str) -> dict[str, Remote]:
        found = _bucket(client, base_url, SEN1FLOODS11.store, f"{HAND}/{folder}/")
        pattern = re.compile(rf"{re.escape(HAND)}/{folder}/({STEM.pattern})_{folder}\.tif")
        return {m[1]: remote for remote in found if (m := pattern.fullmatch(remote.name))}

    images, labels = named("S2Hand"), named("LabelHand")
    both = sorted(images.keys() & labels.keys())
    return _some(
        [Item(i, i.rpartition("_")[0] or i, "", images[i], labels[i]) for i in both], base_url
    )


def worldfloods(client: Client, base_url: str, revision: str) -> list[Item]:
    """The scenes of the public repository at one revision, by the Hub's API.

    A scene is ``PART/S2/NAME.tif`` with ``PART/gt/NAME.tif`` and ``PART/meta/NAME.json``. Its
    event is the Copernicus activation at the beginning of its name, or else its whole name.
    """
    items = []
    for part in WORLDFLOODS_PARTS:
        images, labels, metas = (
            _tree(client, base_url, revision, part, folder, ending)
            for folder, ending in (("S2", "tif"), ("gt", "tif"), ("meta", "json"))
        )
        for stem in sorted(images.keys() & labels.keys()):
            event = ACTIVATION.match(stem)
            group = event[0] if event else stem
            items.append(Item(stem, group, part, images[stem], labels[stem], metas.get(stem)))
    return _some(items, base_url)


def revision_of(client: Client, base_url: str) -> str:
    """The commit that the repository's main branch is at.

    Raises:
        FetchError: the answer holds none.
    """
    url = f"{base_url}/api/datasets/{WORLDFLOODS.store}/revision/main"
    found, _ = client.answer(url)
    revision = found.get("sha") if isinstance(found, dict) else None
    if not isinstance(revision, str) or not REVISION.fullmatch(revision):
        raise FetchError(f"{url}: names no revision; see whether the set has moved")
    return revision


def spread(items: Iterable[Item]) -> list[Item]:
    """One item of each event, then the second of each…: the first few show many events."""
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in sorted(items):
        groups[item.group].append(item)
    rounds = zip_longest(*(groups[name] for name in sorted(groups)))
    return [item for item in chain.from_iterable(rounds) if item is not None]


def _some(items: list[Item], base_url: str) -> list[Item]:
    if not items:
        raise FetchError(f"{base_url}: lists no image with a label; see whether the set has moved")
    return items


def _bucket(client: Client, base_url: str, bucket: str, prefix: str) -> list[Remote]:
    """Objects below a prefix: ``items`` with ``name``, ``size`` and ``md5Hash`` (base64)."""

    def following(page: Any, link: str | None) -> str | None:
        token = page.get("nextPageToken")
        return address(token) if token else None

    def address(token: str | None) -> str:
        query = {"prefix": prefix, "maxResults": "1000", **({"pageToken": token} if token else {})}
        return f"{base_url}/storage/v1/b/{bucket}/o?{urlencode(query)}"

    def remote(entry: dict[str, Any]) -> Remote:
        md5 = entry.get("md5Hash")
        digest = Digest("md5", base64.b64decode(md5).hex()) if md5 else None
        url = f"{base_url}/{bucket}/{quote(entry['name'])}"
        return Remote(entry["name"], url, int(entry["size"]), digest)

    pages = _pages(client, address(None), following)
    return _parsed(base_url, lambda: [remote(e) for page in pages for e in page.get("items", [])])


def _tree(
    client: Client, base_url: str, revision: str, part: str, folder: str, ending: str
) -> dict[str, Remote]:
    """Stem → file: entries with ``path``, ``size``, ``oid``, and ``lfs.oid`` for large files."""
    store = f"{base_url}/datasets/{WORLDFLOODS.store}/resolve/{revision}"
    api = f"{base_url}/api/datasets/{WORLDFLOODS.store}/tree/{revision}/{part}/{folder}"
    pattern = re.compile(rf"{part}/{folder}/({STEM.pattern})\.{ending}")

    def following(page: Any, link: str | None) -> str | None:
        if link and urlsplit(link)[:2] != urlsplit(base_url)[:2]:
            raise FetchError(f"{link}: the next page is on another server; do not use it")
        return link

    def remote(entry: dict[str, Any]) -> Remote:
        lfs = entry.get("lfs")
        digest = Digest("sha256", lfs["oid"]) if lfs else Digest("git", entry["oid"])
        url = f"{store}/{quote(entry['path'])}"
        return Remote(entry["path"], url, int(entry["size"]), digest)

    pages = _pages(client, f"{api}?recursive=false&expand=false", following)
    entries = _parsed(base_url, lambda: [e for p in pages for e in p if e["type"] == "file"])
    named = [(pattern.fullmatch(str(entry["path"])), entry) for entry in entries]
    return _parsed(base_url, lambda: {match[1]: remote(e) for match, e in named if match})


def _pages(
    client: Client, url: str, following: Callable[[Any, str | None], str | None]
) -> list[Any]:
    pages: list[Any] = []
    address: str | None = url
    while address is not None and len(pages) < PAGES:
        page, link = client.answer(address)
        pages.append(page)
        address = _parsed(url, lambda: following(page, link))  # noqa: B023 used at once
    return pages


def _parsed(url: str, parse: Callable[[], T]) -> T:
    """What ``parse`` makes of an answer, if the answer is of the documented form."""
    try:
        return parse()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FetchError(
            f"{url}: the list of files is of another form than documented ({error!r}); see whether "
            "the set has moved"
        ) from error
