"""The unit of work: one frame to its maps, wherever that happens."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ground.archive import items
from ground.archive.recipe import Ready, Recipe
from onboard.errors import FrameError, NotFiniteError
from onboard.frames import open_frame
from onboard.mapfile import write_frame
from onboard.scene import OpenFrame
from onboard.segment import TileMaps


class Job(NamedTuple):
    """One frame to be done.

    Attributes:
        frame: its path.
        target: where its maps go.
        before: its item in the catalogue as it stands, which something speaks against; or None.
        same: whether that item was made with the settings of now.
    """

    frame: Path
    target: Path
    before: dict[str, Any] | None = None
    same: bool = False


class Done(NamedTuple):
    """What came of a frame.

    Attributes:
        item: for the catalogue.
        notes: for people.
        drawn: whether maps were written; False where those that are there turned out to be right.
    """

    item: dict[str, Any]
    notes: list[str]
    drawn: bool = True


class Failed(NamedTuple):
    """Why a frame has no maps, in one line that names it."""

    message: str


def segment(recipe: Recipe, job: Job) -> Done | Failed:
    """Segment a frame; its maps appear whole or not at all.

    A frame that cannot be used is an answer. Whatever else fails would fail for every other frame
    as well, and ends the job.

    Raises:
        OutputError: the maps cannot be written.
        BundleError: see `Recipe.check`.
        ConfigError: see `Recipe.check`.
        EngineError: the engine does not run here.
    """
    ready = recipe.ready()
    try:
        with open_frame(job.frame, ready.segmenter.bundle.sensor, ready.camera) as frame:
            return _draw(recipe, ready, job, frame)
    except FrameError as error:
        return Failed(str(error))
    except NotFiniteError as error:
        return Failed(f"{job.frame}: {error}")


def _draw(recipe: Recipe, ready: Ready, job: Job, frame: OpenFrame) -> Done:
    scene_id = frame.scene_id()
    if job.before is not None:
        kept = _kept(job, scene_id)
        if kept is not None:
            return Done(kept, [], drawn=False)
    counts = np.zeros(256, np.int64)

    def count(tile: TileMaps) -> None:
        counts[:] += np.bincount(tile.classes.ravel(), minlength=256)

    write_frame(ready.segmenter, frame, job.target, count, scene_id)
    return Done(*items.item(frame, recipe, ready, job.target, scene_id, counts))


def _kept(job: Job, scene_id: bytes) -> dict[str, Any] | None:
    """The item that is there, where it is of these very samples and only its frame was moved.

    Raises:
        FrameError: it is of another frame, which still bears the same name.
    """
    before = job.before or {}
    asset = before["assets"].get(items.FRAME, {})
    if before["properties"].get(items.SCENE) == scene_id.hex():
        if not job.same:
            return None
        moved = {**asset, **items.seen(job.frame)}
        return {**before, "assets": {**before["assets"], items.FRAME: moved}}
    elsewhere = asset.get("href", "a satellite")
    if elsewhere != str(job.frame.resolve()):
        raise FrameError(
            f"{job.frame}: {job.target} is of another frame of that name, {elsewhere}; segment "
            "them into two folders"
        )
    return None
