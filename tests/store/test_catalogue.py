"""Catalogues in an object store: read like those of a folder, added to by many at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ground import stored
from ground.catalogue import Catalogue, read_json
from ground.stored import StoredCatalogue
from onboard.errors import OutputError, StoreError
from onboard.remote import Remote, place
from tests.s3 import Store


def item(stem: str, day: int | None = 1, subject: str = "water") -> dict[str, Any]:
    when = None if day is None else f"2026-07-{day:02}T10:00:00Z"
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": stem,
        "geometry": None,
        "bbox": [10.0, 50.0, 11.0, 51.0],
        "properties": {"datetime": when, "title": stem, "floodsat:subject": subject},
        "links": [],
        "assets": {"maps": {"href": f"./{stem}.tif"}},
    }


def at(name: str) -> Remote:
    found = place(f"s3://maps/{name}")
    assert isinstance(found, Remote)
    return found


def stems(catalogue: Catalogue) -> list[str]:
    return [one.stem for one in catalogue]


def test_what_is_added_is_found_by_time_place_and_name(store: Store) -> None:
    catalogue = StoredCatalogue(at("found"))
    assert stems(catalogue) == []
    catalogue.add([item("b", 2), item("a", 1), item("c", None)])
    # By the lines of the store, and by the lists that other readers of STAC follow.
    for reader in (catalogue, Catalogue(at("found"))):
        assert stems(reader) == ["a", "b", "c"]
        late = reader.find(start=datetime(2026, 7, 2, tzinfo=UTC))
        assert [one.stem for one in late] == ["b"]
        assert [one.stem for one in reader.find(area=(0.0, 0.0, 1.0, 1.0))] == []
        entry = reader.entry("a")
        assert entry is not None
        assert entry.item() == item("a", 1)
        assert reader.entry("none") is None
    root = read_json(at("found") / "collection.json")
    interval = root["extent"]["temporal"]["interval"]
    assert interval[0][0].startswith("2026-07-01T00:00:00")
    assert interval[0][1].startswith("2026-07-02T23:59:59")


def test_an_item_is_put_in_the_place_of_an_older_one(store: Store) -> None:
    catalogue = StoredCatalogue(at("again"))
    catalogue.add([item("a")])
    catalogue.add([item("a", subject="flood")])
    for reader in (catalogue, Catalogue(at("again"))):
        assert [one.subject for one in reader] == ["flood"]


def test_many_add_at_once(store: Store) -> None:
    def add(number: int) -> None:
        StoredCatalogue(at("many")).add([item(f"m{number}", 1 + number % 2)])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(8)))
    expected = {f"m{number}" for number in range(8)}
    assert set(stems(StoredCatalogue(at("many")))) == expected
    assert set(stems(Catalogue(at("many")))) == expected


def test_a_list_that_is_late_is_written_again(store: Store, monkeypatch: Any) -> None:
    """Another adds between the look and the writing of one that is slow."""
    written, others = stored.write_text, [item("other")]

    def slow(path: Path, text: str) -> None:
        if path.name == "2026-07-01.json" and others:
            StoredCatalogue(at("late")).add([others.pop()])
        written(path, text)

    monkeypatch.setattr(stored, "write_text", slow)
    StoredCatalogue(at("late")).add([item("slow")])
    assert not others
    assert stems(Catalogue(at("late"))) == ["other", "slow"]


def test_one_that_is_killed_loses_nothing(store: Store, monkeypatch: Any) -> None:
    def stopped(day: str) -> None:
        raise KeyboardInterrupt

    catalogue = StoredCatalogue(at("killed"))
    catalogue.add([item("before")])
    with monkeypatch.context() as patch:
        patch.setattr(catalogue, "_list_day", stopped)
        with pytest.raises(KeyboardInterrupt):
            catalogue.add([item("killed")])
    assert stems(catalogue) == ["before", "killed"]
    assert stems(Catalogue(at("killed"))) == ["before"]
    catalogue.repair()
    assert stems(Catalogue(at("killed"))) == ["before", "killed"]


def test_a_folder_is_published(store: Store, tmp_path: Path) -> None:
    folder = Catalogue(tmp_path)
    (tmp_path / "a.tif").write_bytes(b"maps")
    away = item("a")
    away["assets"]["frame"] = {"href": "/elsewhere/frame.tif"}
    folder.add([away])
    catalogue = StoredCatalogue(at("published"))
    catalogue.publish(folder)
    assert (at("published") / "a.tif").read_bytes() == b"maps"
    assert [one.item() for one in catalogue] == [away]
    folder.add([item("lost")])
    with pytest.raises(OutputError, match=r"lost\.tif: is missing"):
        catalogue.publish(folder)
    assert stems(catalogue) == ["a"]


def test_a_store_that_cannot_be_written(store: Store) -> None:
    bucket = place("s3://nowhere/maps")
    assert isinstance(bucket, Remote)
    with pytest.raises(StoreError, match="make the bucket"):
        StoredCatalogue(bucket).add([item("a")])
    web = place("https://127.0.0.1:1/maps")
    assert isinstance(web, Remote)
    with pytest.raises(StoreError, match="s3://BUCKET"):
        StoredCatalogue(web).add([item("a")])
