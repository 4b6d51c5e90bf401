"""What is done: known from the catalogue of the folder, and from nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ground.archive import items
from ground.archive.recipe import Recipe
from ground.archive.work import Job
from ground.catalogue import Catalogue, Entry
from onboard.errors import ConfigError
from onboard.remote import place


def plan(frames: Iterable[Path], recipe: Recipe, out: Path) -> Iterator[tuple[Path, Job | None]]:
    """Every frame with what there is to do, None where that is nothing.

    A frame is done when the catalogue has its item, made by this network with these settings, of
    this very file, and the maps that it names are there whole. Where only the file is another, or
    younger, the job takes the item along: the samples decide.

    Raises:
        OutputError: an item is damaged.
    """
    catalogue = Catalogue(out)
    for frame in frames:
        target = out / f"{frame.stem}.tif"
        entry = catalogue.entry(frame.stem)
        if entry is None:
            yield frame, Job(frame, target)
            continue
        before = entry.item()
        same = _settings(before, recipe) and _whole(before, out)
        done = same and _unchanged(before, frame)
        yield frame, None if done else Job(frame, target, before, same)


def frames_of(entries: Iterable[Entry]) -> list[Path]:
    """The frames that items of an archive were made of.

    Raises:
        OutputError: an item is damaged.
        ConfigError: one names no frame.
    """
    found = []
    for entry in entries:
        asset = entry.item().get("assets", {}).get(items.FRAME)
        if asset is None:
            raise ConfigError(
                f"{entry.folder / entry.stem}.json: names no frame, so there is nothing to process "
                "again; name a folder that 'floodsat segment --catalogue' wrote"
            )
        found.append(place(asset["href"]))
    return found


def _settings(item: dict[str, Any], recipe: Recipe) -> bool:
    properties = item["properties"]
    return all(properties.get(name) == value for name, value in recipe.settings.items())


def _whole(item: dict[str, Any], out: Path) -> bool:
    try:
        asset = item["assets"][items.MAPS]
        size = int(asset["file:size"])
        return (out / str(asset["href"])).stat().st_size == size
    except (OSError, KeyError, ValueError):
        return False


def _unchanged(item: dict[str, Any], frame: Path) -> bool:
    before = item["assets"].get(items.FRAME, {})
    try:
        now = items.seen(frame)
    except OSError:
        # Its reading will say what is wrong with it.
        return False
    return all(before.get(name) == now.get(name) for name in ("href", "file:size", "updated"))
