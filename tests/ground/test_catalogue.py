from __future__ import annotations

import json
import multiprocessing
import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ground import catalogue as catalogues
from ground import stac
from ground.catalogue import JOURNAL, LOCK, ROOT, Catalogue, day_of
from onboard.errors import OutputError
from tests.ground.catalogues import checked

NOON = datetime(2026, 7, 14, 12, tzinfo=UTC)


def item(number: int, when: datetime | None = None, west: float = 10.0) -> dict[str, Any]:
    """A small valid item; every third has no coordinates."""
    when = when or NOON + timedelta(hours=5 * number)
    stem = f"{number:012x}"
    day = day_of({"id": stem, "properties": {"datetime": stac.time_text(when)}})
    box = [west, 1.0, west + 1.0, 2.0]
    corners = [[west, 1.0], [west + 1, 1.0], [west + 1, 2.0], [west, 2.0], [west, 1.0]]
    located = number % 3 != 2
    return {
        "type": "Feature",
        "stac_version": stac.VERSION,
        "id": stem,
        "collection": stac.COLLECTION,
        "geometry": {"type": "Polygon", "coordinates": [corners]} if located else None,
        **({"bbox": box} if located else {}),
        "properties": {
            "datetime": stac.time_text(when),
            "title": f"map {number}",
            "floodsat:subject": "water",
        },
        "links": [
            {"rel": "root", "href": "./collection.json"},
            {"rel": "parent", "href": f"./days/{day}.json"},
            {"rel": "collection", "href": "./collection.json"},
        ],
        "assets": {},
    }


def stems(found: Any) -> list[int]:
    return [int(one.stem, 16) for one in found]


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Name → time of change and bytes of every file, but for the lock."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != LOCK
    }


def test_an_empty_folder_has_an_empty_catalogue(tmp_path: Path) -> None:
    assert list(Catalogue(tmp_path / "none")) == []
    assert Catalogue(tmp_path).days() == []
    assert Catalogue(tmp_path).entry("a" * 12) is None
    Catalogue(tmp_path / "none").repair()
    assert not (tmp_path / "none").exists()


def test_what_is_added_is_found_and_valid(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    catalogue.add([item(3), item(1)])
    catalogue.add([item(2), item(7)])
    assert stems(catalogue) == [1, 2, 3, 7]
    assert sorted(int(one.id, 16) for one in checked(tmp_path)) == [1, 2, 3, 7]
    entry = catalogue.entry(f"{3:012x}")
    assert entry is not None
    assert entry.acquired == NOON + timedelta(hours=15)
    assert entry.box == (10.0, 1.0, 11.0, 2.0)
    assert entry.item() == item(3)
    with pytest.raises(OutputError, match="has no asset 'classes'; it has none"):
        entry.asset("classes")


def test_maps_are_found_by_time_and_place(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    catalogue.add([item(n, west=179.5 if n == 4 else 10.0 * n) for n in range(7)])
    # What crosses the antimeridian has a box whose west is beyond its east.
    crossing = item(6) | {"bbox": [179.0, 1.0, -179.0, 2.0]}
    catalogue.add([crossing])
    at = NOON + timedelta(hours=5)
    assert stems(catalogue.find(start=at)) == [1, 2, 3, 4, 5, 6]
    assert stems(catalogue.find(end=at)) == [0, 1]
    assert stems(catalogue.find(start=at, end=at)) == [1]
    assert stems(catalogue.find(area=(30.5, 0.0, 30.6, 9.0))) == [3]
    assert stems(catalogue.find(area=(179.0, 0.0, -170.0, 9.0))) == [4, 6]
    assert stems(catalogue.find(area=(-179.5, 0.0, -179.4, 9.0))) == [6]
    assert stems(catalogue.find(start=at, area=(-180.0, -90.0, 180.0, 0.5))) == []
    east = at.astimezone(datetime.fromisoformat("2026-07-14T00:00:00+12:00").tzinfo)
    assert stems(catalogue.find(start=east, end=east)) == [1]


def test_only_the_days_of_the_span_are_read(tmp_path: Path, monkeypatch: Any) -> None:
    catalogue = Catalogue(tmp_path)
    catalogue.add([item(n, NOON + timedelta(days=n)) for n in range(30)])
    read: list[str] = []
    real = catalogues.read_json
    monkeypatch.setattr(
        catalogues, "read_json", lambda path: (read.append(path.name), real(path))[1]
    )
    found = catalogue.find(start=NOON + timedelta(days=10), end=NOON + timedelta(days=12))
    assert stems(found) == [10, 11, 12]
    assert read == [ROOT, "2026-07-24.json", "2026-07-25.json", "2026-07-26.json"]


def test_adding_again_writes_nothing(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    catalogue.add([item(1), item(2)])
    before = contents(tmp_path)
    catalogue.add([item(2)])
    catalogue.add([item(1), item(2)])
    assert contents(tmp_path) == before


def test_the_order_of_arrival_leaves_no_trace(tmp_path: Path) -> None:
    """The same items in any order and any portions give the same bytes."""
    numbers = list(range(12))
    seen = set()
    for turn in range(3):
        folder = tmp_path / str(turn)
        random.Random(turn).shuffle(numbers)
        for start in range(0, 12, 1 + turn):
            Catalogue(folder).add(
                [item(n, west=2.0 * n) for n in numbers[start : start + 1 + turn]]
            )
        seen.add(tuple((name, data) for name, (_, data) in contents(folder).items()))
    assert len(seen) == 1


def test_an_item_takes_the_place_of_its_namesake(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    catalogue.add([item(1)])
    later = item(1)
    later["properties"] |= {"floodsat:subject": "flood"}
    catalogue.add([later])
    (entry,) = catalogue
    assert entry.subject == "flood"


def test_adding_one_writes_its_day_and_not_the_others(tmp_path: Path, monkeypatch: Any) -> None:
    """What one more item costs does not grow with the items of other days."""
    catalogue = Catalogue(tmp_path)
    catalogue.add([item(n, NOON + timedelta(hours=n)) for n in range(96)])
    before = contents(tmp_path)
    sizes: list[int] = []
    real = catalogues.write_text
    monkeypatch.setattr(
        catalogues, "write_text", lambda path, text: (sizes.append(len(text)), real(path, text))[1]
    )
    catalogue.add([item(1000, NOON + timedelta(hours=3, minutes=30))])
    after = contents(tmp_path)
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {f"{1000:012x}.json", "days/2026-07-14.json"}
    assert sum(sizes) < 12_000


def test_a_damaged_catalogue_is_one_clear_line(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    catalogue.add([item(1)])
    for name in (ROOT, "days/2026-07-14.json", f"{1:012x}.json"):
        good = (tmp_path / name).read_text()
        for bad in (good[:-9], "[1]", ""):
            (tmp_path / name).write_text(bad)
            with pytest.raises(OutputError, match="damaged there") as caught:
                _ = [one.item() for one in catalogue]
            assert str(tmp_path / name) in str(caught.value)
            assert "\n" not in str(caught.value)
        (tmp_path / name).write_text(good)


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="file"):
        Catalogue(tmp_path / "file").add([item(1)])


# --- kills, and several at once ---


@pytest.mark.parametrize("step", range(1, 7))
def test_whatever_step_is_the_last_the_next_one_finishes(
    tmp_path: Path, monkeypatch: Any, step: int
) -> None:
    catalogue = Catalogue(tmp_path)
    catalogue.add([item(0)])
    left = iter(range(step))
    real = catalogues.write_text

    def write(path: Path, text: str) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        real(path, text)

    with monkeypatch.context() as patched:
        patched.setattr(catalogues, "write_text", write)
        try:
            catalogue.add([item(1), item(9)])
            done = True
        except KeyboardInterrupt:
            done = False
    # Until then, readers see the catalogue as it was or with items of it, never half of one.
    assert 0 in stems(catalogue)
    catalogue.repair()
    assert not (tmp_path / JOURNAL).exists()
    written = {n for n in (1, 9) if (tmp_path / f"{n:012x}.json").is_file()}
    assert set(stems(catalogue)) == {0} | written
    assert len(checked(tmp_path)) == 1 + len(written)
    catalogue.add([item(1), item(9)])
    assert stems(catalogue) == [0, 1, 9]
    assert done == (step >= 6)


def add_many(folder: str, first: int, count: int) -> None:
    """Add items one by one."""
    for number in range(first, first + count):
        Catalogue(Path(folder)).add([item(number)])


def together(folder: Path, processes: int, each: int) -> None:
    context = multiprocessing.get_context("fork")
    made = [
        context.Process(target=add_many, args=(str(folder), n * each, each))
        for n in range(processes)
    ]
    for one in made:
        one.start()
    for one in made:
        one.join(120)
        assert one.exitcode == 0


def test_several_at_once_lose_nothing(tmp_path: Path) -> None:
    together(tmp_path, 3, 6)
    assert sorted(stems(Catalogue(tmp_path))) == list(range(18))
    assert len(checked(tmp_path)) == 18


@pytest.mark.soak
def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    together(tmp_path, 8, 50)
    assert sorted(stems(Catalogue(tmp_path))) == list(range(400))
    assert len(checked(tmp_path)) == 400


def kill_again_and_again(folder: Path, kills: int, seed: int) -> int:
    """Kill -9 a process that adds; after each kill the catalogue is whole for readers."""
    context = multiprocessing.get_context("fork")
    rng, first, landed = random.Random(seed), 0, 0
    for _ in range(kills):
        process = context.Process(target=add_many, args=(str(folder), first, 400))
        process.start()
        deadline = time.monotonic() + 60
        while not (folder / f"{first:012x}.json").is_file() and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(rng.uniform(0.0, 0.05))
        process.kill()
        process.join()
        seen = set(stems(Catalogue(folder)))
        there = {int(path.stem, 16) for path in folder.glob("?" * 12 + ".json")}
        assert seen <= there
        Catalogue(folder).repair()
        assert set(stems(Catalogue(folder))) == there
        landed, first = len(there), max(there) + 1
    return landed


def test_a_kill_loses_nothing(tmp_path: Path) -> None:
    landed = kill_again_and_again(tmp_path, 3, seed=1)
    assert len(checked(tmp_path)) == landed >= 3


@pytest.mark.soak
def test_two_hundred_kills_lose_nothing(tmp_path: Path) -> None:
    landed = kill_again_and_again(tmp_path, 200, seed=2)
    assert len(checked(tmp_path)) == landed >= 200


@pytest.mark.soak
def test_a_year_of_items_is_added_and_found(tmp_path: Path) -> None:
    """A year of maps, one by one: no file grows with all of them."""
    catalogue = Catalogue(tmp_path)
    for number in range(1000):
        when = NOON + timedelta(minutes=525 * number)
        catalogue.add([item(number, when, west=number % 300 - 170.0)])
    assert len(list(catalogue)) == 1000
    largest = max(path.stat().st_size for path in tmp_path.rglob("*.json"))
    assert largest < 100_000
    first, last = NOON + timedelta(days=100), NOON + timedelta(days=101)
    found = list(catalogue.find(start=first, end=last))
    assert len(found) == sum(first <= NOON + timedelta(minutes=525 * n) <= last
                             for n in range(1000))  # fmt: skip


def test_the_collection_covers_what_it_holds(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    catalogue.add([item(2)])
    extent = json.loads((tmp_path / ROOT).read_text())["extent"]
    assert extent["spatial"]["bbox"] == [[-180.0, -90.0, 180.0, 90.0]]
    catalogue.add([item(3), item(4, west=20.0)])
    extent = json.loads((tmp_path / ROOT).read_text())["extent"]
    assert extent["spatial"]["bbox"] == [[10.0, 1.0, 21.0, 2.0]]
    assert extent["temporal"]["interval"] == [
        ["2026-07-14T22:00:00.000Z", "2026-07-15T08:00:00.000Z"]
    ]
