"""``floodsat evaluate``: score a bundle on labelled chips."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onboard.cli import options
from onboard.errors import BundleError, FrameError

if TYPE_CHECKING:
    from ground.archive.recipe import Recipe
    from onboard.bundle import Bundle
    from onboard.engines import Engine
    from training.chips import ChipFolder
    from training.evaluate import Scored
    from training.oddity import Judge
    from training.over import Spread

SPLITS = ("test", "calibration", "train", "all")


@click.command("evaluate")
@click.argument("bundle", type=options.PATH)
@click.argument("chips", metavar="CHIPS...", nargs=-1, required=True, type=options.PLACE)
@click.option(
    "--split",
    type=click.Choice(SPLITS),
    default="test",
    show_default=True,
    help="Which places to score; 'all' for a set that training never saw.",
)
@click.option("--gsd", type=float, help="Degrade the chips to this ground sample distance, metres.")
@click.option(
    "--odd",
    "odd_scenes",
    multiple=True,
    type=options.PATH,
    help="A frame, or a folder of them, to score for being odd; may be given several times.",
)
@click.option("--no-odd", is_flag=True, help="Leave the corrupted chips out, which saves time.")
@click.option("--page", type=options.PATH, help="Folder for a page of plots and of failures.")
@options.engine
@options.passes
@options.seed
@options.trust
@options.cluster
@options.workers
@options.json_file
def command(
    bundle: Path,
    chips: tuple[Path, ...],
    split: str,
    gsd: float | None,
    odd_scenes: tuple[Path, ...],
    no_odd: bool,
    page: Path | None,
    engine: str,
    passes: int | None,
    seed: int,
    trust: tuple[Path, ...],
    cluster: str | None,
    workers: int | None,
    json_file: Path | None,
) -> None:
    """Score BUNDLE on chip folders, each by itself."""
    from ground.archive.recipe import Recipe
    from onboard import bundle as bundles
    from onboard import engines, files
    from training.chips import ChipFolder
    from training.oddity import Judge

    options.check_workers(cluster, workers)
    trusted = list(trust) or None
    loaded = bundles.load(bundle, [engines.set_of(engine)], trusted)
    over = None
    if cluster is not None:
        over = _spread(Recipe.of(bundle, engine, passes, seed, trusted), cluster, workers)
    runs = engines.load(engine, loaded) if over is None else over.engine()
    scoring = _Scoring(loaded, runs, passes or loaded.passes, seed, split, gsd, over)
    folders = [ChipFolder.open(path) for path in chips]
    judge = Judge.of(loaded, runs, scoring.passes, seed)
    if judge is None and odd_scenes:
        raise BundleError(f"{bundle}: carries no oddity score; export it again, or leave --odd out")
    scenes = _frames(odd_scenes)
    results: dict[str, Any] = {}
    odd: dict[str, Any] = {}
    for folder in folders:
        # Two folders may bear one name; no figures may be lost.
        name = str(folder.path) if folder.name in results else folder.name
        corrupting = None if no_odd or gsd is not None else judge
        results[name], odd[name] = scoring.of(folder, name, corrupting, page)
    listed = {} if judge is None else _listed(judge, scenes, over)
    report = {**scoring.setting(), "results": results, "odd": odd, "odd_scenes": listed}
    if json_file is not None:
        files.write_text(json_file, json.dumps(report, indent=1, allow_nan=False) + "\n")


@dataclass(frozen=True)
class _Scoring:
    """How chips are scored: the same for every folder.

    Attributes:
        bundle: what is scored.
        engine: what runs it, here or on the workers.
        passes: stochastic passes of a tile.
        seed: of the masks.
        split: which places are scored.
        gsd_m: ground sample distance that chips are degraded to, metres; None as they are.
        over: the workers; None in this process.
    """

    bundle: Bundle
    engine: Engine
    passes: int
    seed: int
    split: str
    gsd_m: float | None
    over: Spread | None

    def setting(self) -> dict[str, Any]:
        """What the figures stand on, for the report."""
        return {
            "bundle": self.bundle.name,
            "model_id": self.bundle.model_id.hex(),
            "engine": self.engine.name,
            "passes": self.passes,
            "seed": self.seed,
            "split": self.split,
            "gsd_m": self.gsd_m,
        }

    def of(
        self, folder: ChipFolder, name: str, judge: Judge | None, page: Path | None
    ) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """Score a folder, and its corrupted chips by ``judge``; show it, and write its page.

        Returns:
            Its figures, and those of the corrupted chips; None without a judge.
        """
        from training import evaluate

        ids = evaluate.chips_of(folder, self.split)
        scored = self._scored(folder, ids)
        figures = evaluate.table(self.bundle, scored)
        _show(f"{name}, {self.split} places", figures)
        odd = None
        if judge is not None:
            odd = self._corrupted(folder, ids, judge)
            _show_odd(name, odd)
        if page is not None:
            self._write_page(page / f"{folder.name}-{self.split}.html", name, scored, figures, odd)
        return figures, odd

    def _scored(self, folder: ChipFolder, ids: Sequence[str]) -> list[Scored]:
        from training import evaluate

        with _bar(folder.name, len(ids)) as advance:
            return evaluate.run(
                self.bundle,
                self.engine,
                folder,
                ids,
                self.passes,
                self.seed,
                advance,
                self.gsd_m,
                self.over,
            )

    def _corrupted(self, folder: ChipFolder, ids: Sequence[str], judge: Judge) -> dict[str, Any]:
        from training import oddity

        with _bar(f"{folder.name}, corrupted", len(ids)) as advance:
            return oddity.under_corruption(judge, folder, ids, self.seed, advance, self.over)

    def _write_page(
        self, file: Path, name: str, scored: Sequence[Scored], figures: Any, odd: Any
    ) -> None:
        from onboard import files
        from training import report

        files.write_text(file, report.page(self.bundle, name, self.split, scored, figures, odd))
        click.echo(f"{file}: written")


def _listed(judge: Judge, scenes: Sequence[Path], over: Spread | None) -> dict[str, Any]:
    """What the oddity score says of every frame, by its name, and shown."""
    from training import oddity
    from training.over import Here

    where = over or Here(judge.segmenter)
    lines = where.each(partial(oddity.list_frame, judge.oddity), scenes)
    listed: dict[str, Any] = {}
    for path, line in zip(scenes, lines, strict=True):
        scene = str(path) if path.stem in listed else path.stem
        listed[scene] = line
        _show(scene, line)
    return listed


def _spread(recipe: Recipe, cluster: str, workers: int | None) -> Spread:
    """A cluster whose workers can all do it; it ends with the command, however that ends."""
    from ground.archive.cluster import opened
    from training.over import Spread

    workplace = click.get_current_context().with_resource(opened(cluster, workers))
    workplace.check(recipe.check)
    return Spread(recipe, workplace)


@contextlib.contextmanager
def _bar(what: str, count: int) -> Iterator[Callable[[], None]]:
    """A progress bar, and what moves it on by one."""
    from rich.progress import Progress

    with Progress() as bar:
        yield partial(bar.advance, bar.add_task(what, total=count))


def _frames(named: tuple[Path, ...]) -> list[Path]:
    """Every file named, and every GeoTIFF in a folder named.

    Raises:
        FrameError: a folder without any.
    """
    found = []
    for path in named:
        within = sorted(path.glob("*.tif")) if path.is_dir() else [path]
        if not within:
            raise FrameError(f"--odd {path}: holds no .tif; name a frame or a folder of frames")
        found += within
    return found


def _show_odd(name: str, figures: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(f"{name}, corrupted", "AUROC", "epistemic alone", "found", box=None)
    for key, one in figures.get("corruptions", {}).items():
        cells = (_text(one[part]) for part in ("auroc", "auroc_epistemic", "found"))
        table.add_row(key.replace("_", " "), *cells)
    if "false_alarms" in figures:
        table.add_row(f"none, {figures['crops']} crops", "", "", _text(figures["false_alarms"]))
    else:
        table.add_row(figures["note"])
    Console(highlight=False).print(table)


def _show(title: str, figures: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title, "", box=None)
    for key, value in figures.items():
        table.add_row(key.replace("_", " "), _text(value))
    Console(highlight=False).print(table)


def _text(value: Any) -> str:
    if value is None:
        return "not defined"
    if isinstance(value, list):
        if all(one is None for one in value):
            return _text(None)
        return (" – " if len(value) == 2 else ", ").join(_text(v) for v in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(v)}" for key, v in value.items()) or "none"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
