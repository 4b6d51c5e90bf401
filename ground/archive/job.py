"""A job: many frames, one recipe, one folder of maps with its catalogue.

One process adds to the catalogue, whatever works on the frames; workers only ever write maps, each
beside its place and then into it. So whatever ends, ends between frames: what was added is done,
what was not is done again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple
from uuid import uuid4

import click

from ground.archive.cluster import LOCAL, Cluster, opened
from ground.archive.done import plan
from ground.archive.recipe import Recipe
from ground.archive.work import Done, Failed, Job, segment
from ground.catalogue import Catalogue
from onboard.errors import ClusterError, FrameError, OutputError
from onboard.files import make_folder, tidy

LOCK = ".archive.lock"
BATCH, BATCH_S = 64, 5.0
"""Items that are added at once, and the longest that one waits for others, seconds."""


class Outcome(NamedTuple):
    """What came of a frame."""

    frame: Path
    result: Done | Failed


class Summary(NamedTuple):
    """What a job did.

    Attributes:
        drawn: frames whose maps were written.
        kept: frames that were done before.
        failed: a line for each frame that cannot be used.
    """

    drawn: int
    kept: int
    failed: list[str]

    def __str__(self) -> str:
        return f"{self.drawn} segmented, {self.kept} done before, {len(self.failed)} failed"


def process(
    recipe: Recipe,
    frames: Sequence[Path],
    out: Path,
    where: str | None = None,
    workers: int | None = None,
) -> Summary:
    """Segment frames into ``out`` and its catalogue, with a progress bar; see `run`.

    Args:
        recipe: how.
        frames: no two of one name.
        out: a folder that every worker reaches by that path.
        where: of the cluster, see `ground.archive.cluster.opened`; None works in this process.
        workers: of a local cluster.

    Raises:
        FrameError: frames cannot be used; each was named on standard error, all others are done.
        OutputError: the folder cannot be written, or another job is at it.
        ClusterError: there is no cluster, or it is gone.
    """
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    make_folder(out)
    columns = (*Progress.get_default_columns()[:-1], MofNCompleteColumn(), TimeRemainingColumn())
    with _alone(out) as token, Progress(*columns) as bar:
        task = bar.add_task(out.name, total=len(frames))
        with _workplace(out, where, workers) as cluster:
            if cluster is not None:
                cluster.check(partial(fit, recipe, out.resolve(), token))
            found = gather(run(recipe, frames, out, cluster), lambda: bar.advance(task))
    click.echo(f"{out}: {found}")
    if found.failed:
        raise FrameError(
            f"{len(found.failed)} of {len(frames)} frames have no maps, each is named above; mend "
            "them or leave them out and run the same command again: the others are done"
        )
    return found


def gather(
    outcomes: Generator[Outcome | None, None, None], advance: Callable[[], object] = lambda: None
) -> Summary:
    """Count what came of the frames, and tell of notes and failures as they come."""
    drawn, kept = 0, 0
    failed: list[str] = []
    with contextlib.closing(outcomes):
        for outcome in outcomes:
            advance()
            if outcome is None or (isinstance(outcome.result, Done) and not outcome.result.drawn):
                kept += 1
            elif isinstance(outcome.result, Failed):
                failed.append(outcome.result.message)
                click.echo(f"failed: {outcome.result.message}", err=True)
            else:
                drawn += 1
                for note in outcome.result.notes:
                    click.echo(f"note: {outcome.frame}: {note}", err=True)
    return Summary(drawn, kept, failed)


def run(
    recipe: Recipe, frames: Iterable[Path], out: Path, cluster: Cluster | None = None
) -> Generator[Outcome | None, None, None]:
    """Segment what the catalogue of ``out`` does not have yet.

    What is done is added to the catalogue every few seconds and when the iterator is closed.

    Yields:
        An outcome for each frame, in no order; None for one that was done before.

    Raises:
        OutputError: maps or catalogue cannot be written.
        ClusterError: the cluster is gone, or cannot do the work.
    """
    ledger = _Ledger(Catalogue(out))
    try:
        for frame, result in _results(recipe, plan(frames, recipe, out), cluster):
            if isinstance(result, Done):
                ledger.add(result.item)
            yield None if result is None else Outcome(frame, result)
    finally:
        ledger.flush()


def _results(
    recipe: Recipe, planned: Iterable[tuple[Path, Job | None]], cluster: Cluster | None
) -> Iterator[tuple[Path, Done | Failed | None]]:
    if cluster is None:
        for frame, job in planned:
            yield frame, None if job is None else segment(recipe, job)
        return
    kept: list[Path] = []

    def jobs() -> Iterator[Job]:
        for frame, job in planned:
            if job is None:
                kept.append(frame)
            else:
                yield job

    for answer in cluster.each(partial(segment, recipe), jobs()):
        while kept:
            yield kept.pop(), None
        frame = answer.asked.frame
        why = f"{frame}: {answer.lost}; it may need more memory than a worker has"
        yield frame, Failed(why) if answer.result is None else answer.result
    while kept:
        yield kept.pop(), None


class _Ledger:
    """Items on their way into the catalogue: a few at a time, for each addition writes the day."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._waiting: list[dict[str, Any]] = []
        self._since = monotonic()
        catalogue.repair()

    def add(self, item: dict[str, Any]) -> None:
        self._waiting.append(item)
        if len(self._waiting) >= BATCH or monotonic() - self._since > BATCH_S:
            self.flush()

    def flush(self) -> None:
        if self._waiting:
            self._catalogue.add(self._waiting)
            self._waiting = []
        self._since = monotonic()


def fit(recipe: Recipe, out: Path, token: str) -> None:
    """Refuse a worker that would not do as this process does, or writes to another disk.

    Raises:
        FloodsatError: in one line.
    """
    recipe.check()
    try:
        found = (out / LOCK).read_text("ascii")
    except OSError:
        found = ""
    if found != token:
        raise ClusterError(f"{out}: is not the same folder there; name one that all machines share")


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[str]:
    """Keep other jobs out of a folder; yields what its lock file says, to know the folder by."""
    token = uuid4().hex
    with open(out / LOCK, "a+", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OutputError(
                f"{out}: another job is at work there; wait for it or choose another folder"
            ) from error
        lock.truncate(0)
        lock.write(token)
        lock.flush()
        os.fsync(lock.fileno())
        yield token


@contextlib.contextmanager
def _workplace(out: Path, where: str | None, workers: int | None) -> Iterator[Cluster | None]:
    """The cluster, if any; what a killed worker left half-written goes when nobody works."""
    tidy(out)
    try:
        if where is None:
            yield None
        else:
            with opened(where, workers) as cluster:
                yield cluster
    finally:
        # Workers of another cluster may be at a frame yet; theirs goes when the next job begins.
        if where in (None, LOCAL):
            tidy(out)
