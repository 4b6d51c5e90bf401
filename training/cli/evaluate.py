"""``floodsat evaluate``: score a bundle on labelled chips."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onboard.cli import options
from onboard.errors import BundleError, FrameError

if TYPE_CHECKING:
    from ground.archive.recipe import Recipe
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
    from training import evaluate, oddity
    from training.chips import ChipFolder
    from training.over import Here

    options.check_workers(cluster, workers)
    loaded = bundles.load(bundle, [engines.set_of(engine)], list(trust) or None)
    over = None
    if cluster is not None:
        recipe = Recipe.of(bundle, engine, passes, seed, list(trust) or None)
        over = _spread(recipe, cluster, workers)
    runs = engines.load(engine, loaded) if over is None else over.engine()
    count = passes or loaded.passes
    folders = [ChipFolder.open(path) for path in chips]
    judge = oddity.Judge.of(loaded, runs, count, seed)
    if judge is None and odd_scenes:
        raise BundleError(f"{bundle}: carries no oddity score; export it again, or leave --odd out")
    scenes = _frames(odd_scenes)
    results: dict[str, Any] = {}
    odd: dict[str, Any] = {}
    for folder in folders:
        ids = evaluate.chips_of(folder, split)
        with _bar(folder.name, len(ids)) as advance:
            scored = evaluate.run(loaded, runs, folder, ids, count, seed, advance, gsd, over)
        # Two folders may bear one name; no figures may be lost.
        name = str(folder.path) if folder.name in results else folder.name
        results[name] = evaluate.table(loaded, scored)
        _show(f"{name}, {split} places", results[name])
        odd[name] = None
        if judge is not None and gsd is None and not no_odd:
            with _bar(f"{folder.name}, corrupted", len(ids)) as advance:
                odd[name] = oddity.under_corruption(judge, folder, ids, seed, advance, over)
            _show_odd(name, odd[name])
        if page is not None:
            from training import report as pages

            text = pages.page(loaded, name, split, scored, results[name], odd[name])
            files.write_text(page / f"{folder.name}-{split}.html", text)
            click.echo(f"{page / f'{folder.name}-{split}.html'}: written")
    listed: dict[str, Any] = {}
    if judge is not None:
        where = over or Here(judge.segmenter)
        lines = where.each(partial(oddity.list_frame, judge.oddity), scenes)
        for path, line in zip(scenes, lines, strict=True):
            scene = str(path) if path.stem in listed else path.stem
            listed[scene] = line
            _show(scene, line)
    report = {
        "bundle": loaded.name,
        "model_id": loaded.model_id.hex(),
        "engine": runs.name,
        "passes": count,
        "seed": seed,
        "split": split,
        "gsd_m": gsd,
        "results": results,
        "odd": odd,
        "odd_scenes": listed,
    }
    if json_file is not None:
        files.write_text(json_file, json.dumps(report, indent=1, allow_nan=False) + "\n")


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
