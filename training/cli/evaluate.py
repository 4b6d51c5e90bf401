"""``floodsat evaluate``: score a bundle on labelled chips."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import click

from onboard.cli import options

SPLITS = ("test", "calibration", "train", "all")


@click.command("evaluate")
@click.argument("bundle", type=options.PATH)
@click.argument("chips", metavar="CHIPS...", nargs=-1, required=True, type=options.PATH)
@click.option(
    "--split",
    type=click.Choice(SPLITS),
    default="test",
    show_default=True,
    help="Which places to score; 'all' for a set that training never saw.",
)
@click.option("--gsd", type=float, help="Degrade the chips to this ground sample distance, metres.")
@click.option("--page", type=options.PATH, help="Folder for a page of plots and of failures.")
@options.engine
@options.passes
@options.seed
@options.trust
@options.json_file
def command(
    bundle: Path,
    chips: tuple[Path, ...],
    split: str,
    gsd: float | None,
    page: Path | None,
    engine: str,
    passes: int | None,
    seed: int,
    trust: tuple[Path, ...],
    json_file: Path | None,
) -> None:
    """Score BUNDLE on chip folders, each by itself."""
    from rich.progress import Progress

    from onboard import bundle as bundles
    from onboard import engines, files
    from training import evaluate
    from training.chips import ChipFolder

    loaded = bundles.load(bundle, [engines.set_of(engine)], list(trust) or None)
    runs = engines.load(engine, loaded)
    count = passes or loaded.passes
    folders = [ChipFolder.open(path) for path in chips]
    results: dict[str, Any] = {}
    for folder in folders:
        ids = evaluate.chips_of(folder, split)
        with Progress() as bar:
            task = bar.add_task(folder.name, total=len(ids))
            scored = evaluate.run(
                loaded, runs, folder, ids, count, seed, partial(bar.advance, task), gsd
            )
        # Two folders may bear one name; no figures may be lost.
        name = str(folder.path) if folder.name in results else folder.name
        results[name] = evaluate.table(loaded, scored)
        _show(name, split, results[name])
        if page is not None:
            from training import report as pages

            text = pages.page(loaded, name, split, scored, results[name])
            files.write_text(page / f"{folder.name}-{split}.html", text)
            click.echo(f"{page / f'{folder.name}-{split}.html'}: written")
    report = {
        "bundle": loaded.name,
        "model_id": loaded.model_id.hex(),
        "engine": runs.name,
        "passes": count,
        "seed": seed,
        "split": split,
        "gsd_m": gsd,
        "results": results,
    }
    if json_file is not None:
        files.write_text(json_file, json.dumps(report, indent=1, allow_nan=False) + "\n")


def _show(name: str, split: str, figures: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(f"{name}, {split} places", "", box=None)
    for key, value in figures.items():
        table.add_row(key.replace("_", " "), _text(value))
    Console(highlight=False).print(table)


def _text(value: Any) -> str:
    if value is None:
        return "not defined"
    if isinstance(value, list):
        return " – ".join(_text(v) for v in value)
    return f"{value:.4f}" if isinstance(value, float) else str(value)
